"""A single widget: its properties, who sees it, and its settings, which only its integration sees."""

from typing import Any

import pytest

from tests.gateway import NO_TOKEN, Gateway
from tests.support.public_widgets import add_public
from tests.support.widgets import TEXT_FIELD, WIDGETS, Person, broken_rules, example

UUID = "0dcd0cd0-28c9-4f8b-9a1b-1c0a5b2d3e4f"
PASSWORD_FIELD = {"key": "password", "name": "Пароль", "type": "pass", "is_required": False}


def with_host(widget: dict[str, Any], gateway: Gateway) -> dict[str, Any]:
    """Return a documented widget with the address of the gateway."""
    return {**widget, "_links": {"self": {"href": f"{gateway.origin}{WIDGETS}/{widget['code']}"}}}


async def test_the_widget_of_the_contract_is_served_but_for_the_host(gateway: Gateway, user: Person) -> None:
    documented = example("widget-get")
    await add_public(gateway, documented)
    answer = await user.get(f"{WIDGETS}/amo_dropbox")
    assert answer.headers["Content-Type"] == "application/hal+json"
    assert answer.json == with_host(documented, gateway)
    assert list(answer.json) == list(documented)


async def test_the_installation_of_the_contract_is_served_but_for_the_host(gateway: Gateway, admin: Person) -> None:
    documented = example("widget-install-response")
    await add_public(gateway, documented)
    answer = await admin.post(f"{WIDGETS}/amo_asterisk", json=example("widget-install-request"))
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/hal+json")
    assert answer.json == with_host(documented, gateway)
    assert list(answer.json) == list(documented)


@pytest.mark.parametrize("rating", ["2,8", "", 3, 3.25, 0])
async def test_a_rating_keeps_its_form(user: Person, rating: object) -> None:
    added = await user.add("a", rating=rating)
    assert (added["rating"], type(added["rating"])) == (rating, type(rating))


async def test_a_widget_without_optional_properties_has_defaults(gateway: Gateway, user: Person) -> None:
    assert await user.add("a", rating=None, settings_template=None, client_uuid=None) == {
        "id": 1,
        "code": "a",
        "version": "1.0.0",
        "rating": "0",
        "settings_template": [],
        "is_lead_source": False,
        "is_work_with_dp": False,
        "is_crm_template": False,
        "client_uuid": None,
        "is_active_in_account": False,
        "pipeline_id": None,
        "_links": {"self": {"href": f"{gateway.origin}{WIDGETS}/a"}},
    }


@pytest.mark.parametrize("code", ["unknown", "1", "a%2Fb", "%2e%2e", "%D0%B0", "a%00", "A", "a b", "x" * 300])
async def test_an_unknown_code_is_404(user: Person, code: str) -> None:
    await user.add("a")
    answer = await user.get(f"{WIDGETS}/{code}")
    assert (answer.status, answer.headers["Content-Type"]) == (404, "application/problem+json")


async def test_a_widget_of_another_user_or_account_is_404(user: Person, admin: Person) -> None:
    await user.add("own")
    await admin.add("of_the_account")
    for person in (user.but(user=6), user.but(user=None), user.but(account="other"), admin):
        assert (await person.get(f"{WIDGETS}/own")).status == 404
    assert (await user.but(account="other").get(f"{WIDGETS}/of_the_account")).status == 404
    assert (await user.get(f"{WIDGETS}/of_the_account")).status == 200


async def test_a_token_is_asked_for_before_anything_else(gateway: Gateway) -> None:
    for method, path in (
        ("GET", f"{WIDGETS}/unknown"),
        ("POST", f"{WIDGETS}/unknown"),
        ("DELETE", f"{WIDGETS}/unknown"),
        ("PUT", f"{WIDGETS}/unknown/manifest?x=1"),
        ("DELETE", f"{WIDGETS}/unknown/manifest"),
        ("PUT", f"{WIDGETS}/unknown/source"),
        ("POST", WIDGETS),
    ):
        assert (await gateway.request(method, path, token=NO_TOKEN)).status == 401


async def test_an_unknown_parameter_is_told_only_of_a_widget_that_is_found(user: Person) -> None:
    assert (await user.get(f"{WIDGETS}/unknown?with=settings")).status == 404
    await user.add("a")
    assert broken_rules(await user.get(f"{WIDGETS}/a?with=settings")) == [("with", "UnknownParameter")]


async def test_settings_are_shown_to_the_integration_of_the_widget_alone(user: Person) -> None:
    owner = user.but(admin=True)
    await owner.add("a", client_uuid=UUID.upper(), settings_template=[TEXT_FIELD, PASSWORD_FIELD])
    settings = {"login": "anna", "password": "canary-of-a-password"}
    assert (await owner.install("a", settings))["settings"] == settings
    integration = user.but(client_uuid=UUID)
    shown = await integration.widget("a")
    assert (shown["settings"], shown["client_uuid"]) == (settings, UUID)
    for stranger in (user, owner, user.but(client_uuid="1" + UUID[1:])):
        assert "settings" not in await stranger.widget("a")
    for answer in (await integration.get(WIDGETS), await owner.get(WIDGETS)):
        assert "settings" not in answer.json["_embedded"]["widgets"][0]


async def test_settings_are_an_empty_object_without_an_installation(user: Person) -> None:
    owner, integration = user.but(admin=True), user.but(client_uuid=UUID)
    await owner.add("a", client_uuid=UUID, settings_template=[TEXT_FIELD])
    assert (await integration.widget("a"))["settings"] == {}
    await owner.install("a", {"login": "anna"})
    assert (await integration.widget("a"))["settings"] == {"login": "anna"}
    assert (await owner.delete(f"{WIDGETS}/a")).status == 204
    assert (await integration.widget("a"))["settings"] == {}


async def test_a_widget_without_an_integration_shows_settings_to_nobody(user: Person) -> None:
    await user.but(admin=True).add("a", settings_template=[TEXT_FIELD])
    await user.but(admin=True).install("a", {"login": "anna"})
    assert "settings" not in await user.widget("a")


async def test_the_etag_of_a_widget_differs_by_caller_and_changes_with_the_catalogue(user: Person) -> None:
    await user.but(admin=True).add("a", client_uuid=UUID, settings_template=[TEXT_FIELD])
    await user.but(admin=True).install("a", {"login": "anna"})
    integration = user.but(client_uuid=UUID)
    tag = (await user.get(f"{WIDGETS}/a")).headers["ETag"]
    assert (await user.get(f"{WIDGETS}/a", headers={"If-None-Match": tag})).status == 304
    shown = await integration.get(f"{WIDGETS}/a", headers={"If-None-Match": tag})
    assert (shown.status, shown.json["settings"]) == (200, {"login": "anna"})
    await user.but(admin=True).install("a", {"login": "boris"})
    changed = await integration.get(f"{WIDGETS}/a", headers={"If-None-Match": shown.headers["ETag"]})
    assert (changed.status, changed.json["settings"]) == (200, {"login": "boris"})
