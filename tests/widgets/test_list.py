"""The list of widgets: who sees which, its pages, its links and its tags."""

import json

import pytest

from tests.gateway import NO_TOKEN, Gateway
from tests.support.public_widgets import add_public
from tests.support.widgets import WIDGETS, Person, broken_rules, example


async def test_the_page_of_the_contract_is_served_but_for_the_host(gateway: Gateway, user: Person) -> None:
    documented = example("widgets-list")
    for widget in documented["_embedded"]["widgets"]:
        await add_public(gateway, widget)
    await add_public(gateway, example("widget-install-response"))
    answer = await user.get(f"{WIDGETS}?limit=2&page=1")
    assert answer.headers["Content-Type"] == "application/hal+json"
    body = answer.body.decode().replace(gateway.origin, "https://example.amocrm.ru")
    assert body == dumped(documented)


def dumped(document: object) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


async def test_public_installed_and_own_widgets_come_once_each_in_the_order_of_ids(
    gateway: Gateway, user: Person, admin: Person
) -> None:
    await user.add("own")
    await admin.add("of_the_account")
    await add_public(gateway, {"code": "public"})
    await admin.but(user=5).install("own")
    await admin.install("public")
    assert await user.codes() == ["own", "of_the_account", "public"]
    assert await admin.codes() == ["own", "of_the_account", "public"]


async def test_widgets_of_others_are_not_listed(user: Person, admin: Person) -> None:
    await user.add("own")
    await admin.add("of_the_account")
    assert await user.but(user=6).codes() == ["of_the_account"]
    assert await user.but(user=None).codes() == ["of_the_account"]
    assert await user.but(account="other").codes() == []
    assert await admin.codes() == ["of_the_account"]


async def test_user_5_is_the_same_as_a_text_and_as_a_number(user: Person) -> None:
    await user.add("own")
    assert await user.but(user="5").codes() == ["own"]


async def test_an_installed_widget_of_a_user_is_shown_to_the_whole_account(user: Person) -> None:
    await user.add("own")
    await user.but(admin=True).install("own")
    assert await user.but(user=6).codes() == ["own"]
    assert await user.but(account="other").codes() == []


async def test_pages_follow_each_other_by_their_links(gateway: Gateway, user: Person) -> None:
    for number in range(5):
        await user.add(f"widget_{number}")
    path, seen = f"{WIDGETS}?limit=2", []
    while path:
        page = (await user.get(path)).json
        seen.append([each["code"] for each in page["_embedded"]["widgets"]])
        assert page["_page"] == len(seen)
        assert page["_links"]["self"]["href"] == f"{gateway.origin}{WIDGETS}?limit=2&page={len(seen)}"
        path = page["_links"].get("next", {}).get("href", "").removeprefix(gateway.origin)
    assert seen == [["widget_0", "widget_1"], ["widget_2", "widget_3"], ["widget_4"]]


async def test_the_last_full_page_has_no_next(user: Person) -> None:
    await user.add("a")
    await user.add("b")
    assert "next" not in (await user.get(f"{WIDGETS}?limit=2")).json["_links"]


async def test_a_page_past_the_end_is_empty(user: Person) -> None:
    await user.add("a")
    page = (await user.get(f"{WIDGETS}?page=999999999999999999")).json
    assert (page["_page"], page["_embedded"]["widgets"]) == (10**18 - 1, [])
    assert "next" not in page["_links"]


async def test_page_and_limit_have_defaults(gateway: Gateway, user: Person) -> None:
    for number in range(51):
        await user.add(f"widget_{number}")
    page = (await user.get(WIDGETS)).json
    assert (page["_page"], len(page["_embedded"]["widgets"])) == (1, 50)
    assert page["_links"]["self"]["href"] == f"{gateway.origin}{WIDGETS}?limit=50&page=1"
    assert page["_links"]["next"]["href"] == f"{gateway.origin}{WIDGETS}?limit=50&page=2"


@pytest.mark.parametrize("limit", [251, 1000, 10**17])
async def test_a_limit_above_250_is_served_as_250(gateway: Gateway, user: Person, limit: int) -> None:
    answer = await user.get(f"{WIDGETS}?limit={limit}")
    assert answer.json["_links"]["self"]["href"] == f"{gateway.origin}{WIDGETS}?limit=250&page=1"


@pytest.mark.parametrize("value", ["0", "-1", "abc", "", "1.5", "%2B1", "1" * 19])
@pytest.mark.parametrize("name", ["page", "limit"])
async def test_a_page_and_a_limit_are_positive_integers(user: Person, name: str, value: str) -> None:
    assert broken_rules(await user.get(f"{WIDGETS}?{name}={value}")) == [(name, "InvalidValue")]


async def test_unknown_and_repeated_parameters_are_refused(user: Person) -> None:
    assert broken_rules(await user.get(f"{WIDGETS}?size=2")) == [("size", "UnknownParameter")]
    assert broken_rules(await user.get(f"{WIDGETS}?page=1&page=2")) == [("page", "Repeated")]


async def test_an_etag_differs_by_caller_and_changes_with_the_catalogue(gateway: Gateway, user: Person) -> None:
    await user.add("a")
    first = (await user.get(WIDGETS)).headers
    assert first["Cache-Control"] == "private, no-cache"
    assert (await user.get(WIDGETS, headers={"If-None-Match": first["ETag"]})).status == 304
    other = await user.but(user=6).get(WIDGETS, headers={"If-None-Match": first["ETag"]})
    assert (other.status, other.headers["ETag"] == first["ETag"]) == (200, False)
    await user.add("b")
    changed = await user.get(WIDGETS, headers={"If-None-Match": first["ETag"]})
    assert (changed.status, changed.headers["ETag"] == first["ETag"]) == (200, False)
    await gateway.restart()
    assert (await user.get(WIDGETS)).headers["ETag"] != changed.headers["ETag"]


async def test_links_have_the_public_address_whatever_the_host_header(gateway: Gateway, user: Person) -> None:
    await user.add("a")
    await gateway.restart(GATEWAY_PUBLIC_URL="https://gateway.example.com")
    page = (await user.get(WIDGETS, headers={"Host": "evil.example.org"})).json
    assert page["_links"]["self"]["href"] == f"https://gateway.example.com{WIDGETS}?limit=50&page=1"
    (widget,) = page["_embedded"]["widgets"]
    assert widget["_links"]["self"]["href"] == f"https://gateway.example.com{WIDGETS}/a"


async def test_a_token_is_required(gateway: Gateway) -> None:
    answer = await gateway.get(WIDGETS, token=NO_TOKEN)
    assert (answer.status, answer.headers["Content-Type"]) == (401, "application/problem+json")
    assert answer.json["type"] == "https://httpstatus.es/401"
    assert (await gateway.get(WIDGETS, token="x.y.z")).status == 401
