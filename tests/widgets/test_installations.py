"""Installing widgets in accounts, and removing them."""

import asyncio

import pytest

from tests.gateway import Gateway
from tests.support.public_widgets import add_public
from tests.support.stored import every_byte, select
from tests.support.widgets import TEXT_FIELD, WIDGETS, Person, broken_rules, manifest

SETTINGS = {"login": "anna"}


@pytest.fixture
async def owner(user: Person) -> Person:
    """An administrator who has added the widget "a"."""
    owner = user.but(admin=True)
    await owner.add("a", settings_template=[TEXT_FIELD])
    return owner


async def test_an_installed_widget_is_active_in_its_account_alone(owner: Person, user: Person) -> None:
    assert (await owner.install("a", SETTINGS))["is_active_in_account"] is True
    assert (await user.widget("a"))["is_active_in_account"] is True
    assert [each["is_active_in_account"] for each in (await listed(user))] == [True]


async def listed(person: Person) -> list[dict[str, object]]:
    widgets: list[dict[str, object]] = (await person.get(WIDGETS)).json["_embedded"]["widgets"]
    return widgets


async def test_a_user_may_neither_install_nor_remove(owner: Person, user: Person) -> None:
    for person in (user, user.but(admin="true"), user.but(admin=1)):
        for code in ("a", "unknown"):
            refused = await person.post(f"{WIDGETS}/{code}", data=b"{")
            assert (refused.status, refused.headers["Content-Type"]) == (403, "application/problem+json")
            assert (await person.delete(f"{WIDGETS}/{code}")).status == 403
    assert (await owner.widget("a"))["is_active_in_account"] is False


async def test_an_administrator_is_one_of_one_account_only(owner: Person) -> None:
    other = owner.but(account="other")
    assert (await other.post(f"{WIDGETS}/a", json=SETTINGS)).status == 404
    assert (await other.delete(f"{WIDGETS}/a")).status == 404


async def test_an_unknown_widget_is_404_whatever_the_body(owner: Person) -> None:
    for body in (b"{", b"[]", b"{}"):
        assert (await owner.post(f"{WIDGETS}/unknown?x=1", data=body)).status == 404
    assert (await owner.delete(f"{WIDGETS}/unknown?x=1")).status == 404


@pytest.mark.parametrize("body", [b"", b"{login: 1}", b"[]", b'"x"', b"null", b"5", b'{"login": "\\ud800"}'])
async def test_a_body_that_is_no_json_object_is_refused(owner: Person, body: bytes) -> None:
    answer = await owner.post(f"{WIDGETS}/a", data=body, headers={"Content-Type": "application/json"})
    assert [path for path, _ in broken_rules(answer)] == [""]
    assert (await owner.widget("a"))["is_active_in_account"] is False


async def test_a_body_of_another_content_type_is_refused(owner: Person) -> None:
    answer = await owner.post(f"{WIDGETS}/a", data=b'{"login": "x"}', headers={"Content-Type": "text/plain"})
    assert broken_rules(answer) == [("", "ContentType")]


async def test_a_widget_without_settings_is_installed_by_an_empty_object(owner: Person) -> None:
    await owner.add("b")
    assert (await owner.install("b"))["settings"] == {}


async def test_new_settings_replace_the_earlier_ones(owner: Person) -> None:
    await owner.install("a", SETTINGS)
    assert (await owner.install("a", {"login": "boris"}))["settings"] == {"login": "boris"}


async def test_a_refused_installation_leaves_the_earlier_settings(gateway: Gateway, owner: Person) -> None:
    await owner.install("a", SETTINGS)
    before = stored(gateway)
    assert (await owner.post(f"{WIDGETS}/a", json={"login": 5})).status == 400
    assert stored(gateway) == before


def stored(gateway: Gateway) -> list[tuple[object, ...]]:
    return select(gateway, "SELECT * FROM widget_installations")


async def test_settings_are_encrypted_in_the_database(gateway: Gateway, owner: Person) -> None:
    await owner.install("a", {"login": "canary-of-a-login"})
    await gateway.stop()
    assert b"canary-of-a-login" not in every_byte(gateway)
    await gateway.start()
    assert (await owner.install("a", SETTINGS))["settings"] == SETTINGS


async def test_a_removed_widget_is_known_but_not_active(owner: Person, gateway: Gateway) -> None:
    await owner.install("a", SETTINGS)
    answer = await owner.delete(f"{WIDGETS}/a")
    assert (answer.status, answer.body, "Content-Type" in answer.headers) == (204, b"", False)
    assert (await owner.widget("a"))["is_active_in_account"] is False
    assert stored(gateway) == []


async def test_a_widget_that_is_not_installed_is_removed_with_204(owner: Person) -> None:
    json = {"Content-Type": "application/json"}
    assert (await owner.delete(f"{WIDGETS}/a")).status == 204
    assert (await owner.delete(f"{WIDGETS}/a", headers=json)).status == 204


async def test_a_removal_in_one_account_leaves_the_installation_in_another(gateway: Gateway, owner: Person) -> None:
    await add_public(gateway, {"code": "public"})
    other = owner.but(account="other")
    await owner.install("public")
    await other.install("public")
    await owner.delete(f"{WIDGETS}/public")
    assert (await other.widget("public"))["is_active_in_account"] is True
    assert (await owner.widget("public"))["is_active_in_account"] is False


async def test_concurrent_installations_leave_one(gateway: Gateway, owner: Person) -> None:
    answers = await asyncio.gather(
        *(owner.post(f"{WIDGETS}/a", json={"login": str(number)}) for number in range(20)),
        *(owner.delete(f"{WIDGETS}/a") for _ in range(5)),
    )
    assert {answer.status for answer in answers} <= {200, 204, 404}
    assert len(stored(gateway)) <= 1


async def test_an_installation_follows_an_upgrade_that_its_settings_satisfy(owner: Person, gateway: Gateway) -> None:
    await owner.install("a", SETTINGS)
    first = stored(gateway)
    optional = {"key": "note", "name": "Заметка", "type": "text", "is_required": False}
    upgraded = await owner.put(
        f"{WIDGETS}/a/manifest", json=manifest("a", version="2", settings_template=[TEXT_FIELD, optional])
    )
    assert (upgraded.status, upgraded.json["version"]) == (200, "2")
    assert "missing_settings" not in upgraded.json
    assert stored(gateway)[0][3] != first[0][3]  # version_id


async def test_an_installation_whose_settings_do_not_satisfy_an_upgrade_says_so(
    owner: Person, gateway: Gateway
) -> None:
    await owner.install("a", SETTINGS)
    first = stored(gateway)
    template = [
        {"key": "login", "name": "Логин", "type": "users", "is_required": True},
        {"key": "token", "name": "Токен", "type": "pass", "is_required": True},
        {"key": "note", "name": "Заметка", "type": "text", "is_required": False},
    ]
    await owner.put(f"{WIDGETS}/a/manifest", json=manifest("a", version="2", settings_template=template))
    shown = await owner.widget("a")
    assert (shown["version"], shown["missing_settings"]) == ("2", ["login", "token"])
    assert (await listed(owner))[0]["missing_settings"] == ["login", "token"]
    assert stored(gateway)[0][3] == first[0][3]  # version_id
    again = await owner.install("a", {"login": {"5": "100"}, "token": "t"})
    assert (again["is_active_in_account"], "missing_settings" in again) == (True, False)


async def test_a_later_upgrade_that_the_settings_satisfy_is_followed_again(owner: Person) -> None:
    await owner.install("a", SETTINGS)
    more = [TEXT_FIELD, {"key": "token", "name": "Токен", "type": "pass", "is_required": True}]
    await owner.put(f"{WIDGETS}/a/manifest", json=manifest("a", version="2", settings_template=more))
    assert (await owner.widget("a"))["missing_settings"] == ["token"]
    await owner.put(f"{WIDGETS}/a/manifest", json=manifest("a", version="3", settings_template=[TEXT_FIELD]))
    assert "missing_settings" not in await owner.widget("a")
