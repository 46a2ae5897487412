"""Adding widgets to the catalogue, changing and deleting them."""

import asyncio
from typing import Any

import pytest

from tests.gateway import Gateway
from tests.support.public_widgets import add_public
from tests.support.widgets import TEXT_FIELD, WIDGETS, Person, broken_rules, manifest

PLACEMENT = {"placement": "CRM_DEAL_DETAIL_TAB"}


def refused(name: str, *values: Any) -> list[tuple[dict[str, Any], list[tuple[str, str]]]]:
    """Return manifests, each with one of the invalid *values* of the property *name*, and the rule that it breaks."""
    return [({name: value}, [(name, "InvalidValue")]) for value in values]


INVALID: list[tuple[dict[str, Any], list[tuple[str, str]]]] = [
    *refused("code", 5, "", "a b", "a.b", "..", "я", "x" * 65, "a/b", "a\n"),
    *refused("version", 1, "", "x" * 65, True, None),
    *refused("name", 5, "", "x" * 256),
    *refused("rating", True, [], {}, "x" * 65),
    *refused("settings_template", {}, "x", [TEXT_FIELD | {"key": str(number)} for number in range(101)]),
    ({"settings_template": [5]}, [("settings_template.0", "InvalidValue")]),
    (
        {"settings_template": [{"key": "", "name": 5, "type": "number", "is_required": 1, "more": 1}]},
        [
            ("settings_template.0.key", "InvalidValue"),
            ("settings_template.0.name", "InvalidValue"),
            ("settings_template.0.type", "InvalidValue"),
            ("settings_template.0.is_required", "InvalidValue"),
            ("settings_template.0.more", "UnknownProperty"),
        ],
    ),
    (
        {"settings_template": [{}]},
        [(f"settings_template.0.{name}", "FieldMissing") for name in ("key", "name", "type", "is_required")],
    ),
    ({"settings_template": [TEXT_FIELD, TEXT_FIELD]}, [("settings_template.1.key", "Repeated")]),
    *refused("is_lead_source", 1),
    *refused("is_work_with_dp", "true"),
    *refused("is_crm_template", []),
    *refused("client_uuid", 5, "", "x", "0dcd0cd028c94f8b9a1b1c0a5b2d3e4f"),
    *refused("visibility", 5, "", "private", "OWN"),
    *refused("address", 5, "", "http://example.com", "https://", "javascript:alert(1)", "https://user@example.com/"),
    *refused("address", "//example.com", "https://example.com/#part", f"https://example.com/{'x' * 2048}"),
    *refused("address", "https://exa mple.com", "https://пример.рф"),
    ({"placements": [PLACEMENT]}, [("address", "FieldMissing")]),
    ({"placements": [PLACEMENT, PLACEMENT], "address": "https://a.example"}, [("placements.1.placement", "Repeated")]),
    (
        {"placements": [{"placement": "tab", "title": {"english": "x", "en": 5}, "options": [], "userId": 1}]},
        [
            ("placements.0.placement", "InvalidValue"),
            ("placements.0.title", "InvalidValue"),
            ("placements.0.options", "InvalidValue"),
            ("placements.0.userId", "UnknownProperty"),
            ("address", "FieldMissing"),
        ],
    ),
    ({"id": 5, "is_active_in_account": True}, [("id", "UnknownProperty"), ("is_active_in_account", "UnknownProperty")]),
]


async def test_an_added_widget_is_shown_and_located(gateway: Gateway, user: Person) -> None:
    answer = await user.post(WIDGETS, json=manifest("a", settings_template=[TEXT_FIELD], is_lead_source=True))
    assert (answer.status, answer.headers["Content-Type"]) == (201, "application/hal+json")
    assert answer.headers["Location"] == f"{gateway.origin}{WIDGETS}/a"
    assert answer.json == await user.widget("a")
    assert (answer.json["settings_template"], answer.json["is_lead_source"]) == ([TEXT_FIELD], True)


@pytest.mark.parametrize(("properties", "rules"), INVALID)
async def test_an_invalid_manifest_is_refused_with_every_rule(
    user: Person, properties: dict[str, Any], rules: list[tuple[str, str]]
) -> None:
    assert sorted(broken_rules(await user.post(WIDGETS, json=manifest(**properties)))) == sorted(rules)
    assert await user.codes() == []


async def test_code_version_and_name_are_required(user: Person) -> None:
    answer = await user.post(WIDGETS, json={})
    assert broken_rules(answer) == [(name, "FieldMissing") for name in ("code", "version", "name")]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null"])
async def test_a_body_that_is_no_json_object_is_refused(user: Person, body: bytes) -> None:
    answer = await user.post(WIDGETS, data=body, headers={"Content-Type": "application/json"})
    assert [path for path, _ in broken_rules(answer)] == [""]


async def test_null_is_as_absent(user: Person) -> None:
    optional = {"title": None, "options": None}
    names = ("rating", "settings_template", "is_lead_source", "client_uuid", "visibility", "address")
    assert await user.add("a", **dict.fromkeys(names)) == await user.widget("a")
    await user.add("b", placements=[PLACEMENT | optional], address="https://widget.example.com/tab?x=1")


async def test_a_code_that_is_taken_is_409_also_in_another_account(user: Person, admin: Person) -> None:
    await user.add("a")
    for person in (user, user.but(user=6), admin, user.but(account="other")):
        answer = await person.post(WIDGETS, json=manifest("a"))
        assert (answer.status, answer.json["code"]) == (409, "code_taken")


async def test_a_hundred_callers_with_one_code_add_one_widget(user: Person) -> None:
    answers = await asyncio.gather(*(user.post(WIDGETS, json=manifest("a")) for _ in range(100)))
    assert sorted(answer.status for answer in answers) == [201] + [409] * 99


async def test_who_may_add_which_visibility(user: Person, admin: Person) -> None:
    for person, visibility, status in (
        (user, "own", 201),
        (user, "account", 403),
        (user, "public", 403),
        (admin, "own", 201),
        (admin, "account", 201),
        (admin, "public", 403),
        (user.but(user=None), None, 403),
        (user.but(user=None), "own", 403),
        (admin.but(user=None), None, 201),
        (admin.but(user=None), "own", 403),
    ):
        code = f"w{len(await admin.codes())}-{visibility}-{person.user}-{person.admin}"
        answer = await person.post(WIDGETS, json=manifest(code, visibility=visibility))
        assert answer.status == status, (code, answer.body)


async def test_a_new_version_keeps_the_id_and_the_visibility(user: Person) -> None:
    before = await user.add("a")
    answer = await user.put(f"{WIDGETS}/a/manifest", json=manifest("a", version="2.0", rating=5))
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/hal+json")
    assert answer.json == {**before, "version": "2.0", "rating": 5}
    assert await user.but(user=6).codes() == []


async def test_the_code_of_a_widget_cannot_be_changed(user: Person) -> None:
    await user.add("a")
    assert broken_rules(await user.put(f"{WIDGETS}/a/manifest", json=manifest("b"))) == [("code", "InvalidValue")]


async def test_the_same_manifest_again_changes_nothing(user: Person) -> None:
    await user.add("a")
    tag = (await user.get(f"{WIDGETS}/a")).headers["ETag"]
    assert (await user.put(f"{WIDGETS}/a/manifest", json=manifest("a"))).status == 200
    assert (await user.get(f"{WIDGETS}/a")).headers["ETag"] == tag


async def test_only_its_owner_changes_and_deletes_a_widget(gateway: Gateway, user: Person, admin: Person) -> None:
    await user.add("own")
    await admin.add("of_the_account")
    await add_public(gateway, {"code": "public"})
    for person, code, status in (
        (user.but(user=6), "own", 404),
        (admin, "own", 404),
        (user, "of_the_account", 403),
        (user.but(account="other", admin=True), "of_the_account", 404),
        (admin, "public", 403),
        (user, "unknown", 404),
    ):
        assert (await person.put(f"{WIDGETS}/{code}/manifest?x=1", data=b"{")).status == status
        assert (await person.delete(f"{WIDGETS}/{code}/manifest?x=1")).status == status
    assert (await admin.but(user=9).delete(f"{WIDGETS}/of_the_account/manifest")).status == 204
    assert (await user.delete(f"{WIDGETS}/own/manifest")).status == 204
    assert await user.codes() == ["public"]


async def test_an_installed_widget_of_another_user_is_not_an_administrators_to_change(
    user: Person, admin: Person
) -> None:
    await user.add("own")
    await user.but(admin=True).install("own")
    answer = await admin.put(f"{WIDGETS}/own/manifest", json=manifest("own"))
    assert (answer.status, answer.json["code"]) == (403, "forbidden")


async def test_an_administrator_shares_their_own_widget_with_the_account(admin: Person, user: Person) -> None:
    await admin.add("a", visibility="own")
    assert await user.codes() == []
    shared = await admin.put(f"{WIDGETS}/a/manifest", json=manifest("a", visibility="account"))
    assert shared.status == 200
    assert await user.codes() == ["a"]
    public = await admin.put(f"{WIDGETS}/a/manifest", json=manifest("a", visibility="public"))
    assert public.status == 403


async def test_a_user_may_not_share_a_widget_with_the_account(user: Person) -> None:
    await user.add("a")
    answer = await user.put(f"{WIDGETS}/a/manifest", json=manifest("a", visibility="account"))
    assert answer.status == 403


async def test_a_widget_that_is_installed_is_deleted_only_with_uninstall(user: Person) -> None:
    await user.add("a")
    await user.but(admin=True).install("a")
    refused = await user.delete(f"{WIDGETS}/a/manifest")
    assert (refused.status, refused.json["code"]) == (409, "widget_installed")
    assert (await user.delete(f"{WIDGETS}/a/manifest?uninstall=0")).status == 409
    assert (await user.delete(f"{WIDGETS}/a/manifest?uninstall=1")).status == 204
    assert (await user.get(f"{WIDGETS}/a")).status == 404


@pytest.mark.parametrize("query", ["uninstall=yes", "uninstall=", "uninstall=1&uninstall=1", "force=1"])
async def test_a_wrong_parameter_deletes_nothing(user: Person, query: str) -> None:
    await user.add("a")
    assert (await user.delete(f"{WIDGETS}/a/manifest?{query}")).status == 400
    assert await user.codes() == ["a"]


async def test_an_id_is_never_used_again(user: Person) -> None:
    first = await user.add("a")
    await user.delete(f"{WIDGETS}/a/manifest")
    assert (await user.add("b"))["id"] == first["id"] + 1
