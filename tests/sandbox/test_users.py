"""user.get, user.current and profile: filters, order and selected columns."""

from typing import Any

import pytest

from gateway.sandbox.portal import SandboxPortal
from tests.sandbox.client import RestClient, row_ids


async def test_the_order_needs_both_sort_and_order(webhook: RestClient, portal: SandboxPortal) -> None:
    lowest, highest = min(portal.data.users), max(portal.data.users)
    assert row_ids((await webhook.call("user.get", sort="ID", order="DESC")).result)[0] == highest
    assert row_ids((await webhook.call("user.get", order="DESC")).result)[0] == lowest
    assert row_ids((await webhook.call("user.get", sort="ID")).result)[0] == lowest
    assert row_ids((await webhook.call("user.get", order={"ID": "DESC"})).result)[0] == lowest


async def test_without_filter_any_parameter_is_a_condition(webhook: RestClient) -> None:
    assert row_ids((await webhook.call("user.get", id=3)).result) == [3]
    assert row_ids((await webhook.call("user.get", ID="3", FILTER={"id": "4"})).result) == [4]
    assert len((await webhook.call("user.get", NO_SUCH=3)).result) == 50


@pytest.mark.parametrize(
    ("conditions", "matches"),
    [
        ({"ID": ["3", 5]}, lambda user: user["ID"] in ("3", "5")),
        ({"@ID": [3, 5]}, lambda user: user["ID"] in ("3", "5")),
        ({"!ID": [3, 5]}, lambda user: user["ID"] not in ("3", "5")),
        ({">ID": 5, "<=ID": "9"}, lambda user: 5 < int(user["ID"]) <= 9),
        ({">=ID": 5, "<ID": 9}, lambda user: 5 <= int(user["ID"]) < 9),
        ({"=ID": "7abc"}, lambda user: user["ID"] == "7"),
        ({"!=ID": 7}, lambda user: user["ID"] != "7"),
        ({"ACTIVE": True}, lambda user: user["ACTIVE"]),
        ({"active": "false"}, lambda user: not user["ACTIVE"]),
        ({"LAST_NAME": "иванова"}, lambda user: user["LAST_NAME"] == "Иванова"),
        ({"%LAST_NAME": "ЩУК"}, lambda user: "Щук" in user["LAST_NAME"]),
        ({"=%LAST_NAME": "%ова"}, lambda user: user["LAST_NAME"].endswith("ова")),
        ({"%=LAST_NAME": "К%в"}, lambda user: user["LAST_NAME"] == "Кузнецов"),
        ({"!%LAST_NAME": "ова"}, lambda user: "ова" not in user["LAST_NAME"]),
        ({"!=%LAST_NAME": "Ив%"}, lambda user: not user["LAST_NAME"].startswith("Ив")),
        ({"EMAIL": ""}, lambda user: not user.get("EMAIL")),
        ({"!EMAIL": ""}, lambda user: user.get("EMAIL")),
        ({"name_search": "ив"}, lambda user: user["LAST_NAME"] == "Иванова"),
        ({"NAME_SEARCH": ""}, lambda _: True),
        ({"=>ID": 5}, lambda _: True),
        ({"UF_DEPARTMENT": 3}, lambda user: 3 in user["UF_DEPARTMENT"]),
        ({">DATE_REGISTER": "2024-03-01"}, lambda user: user["DATE_REGISTER"] > "2024-03-01T00:00:00+00:00"),
        ({"<PERSONAL_BIRTHDAY": "2000-01-01T03:00:00+03:00"}, lambda user: user["PERSONAL_BIRTHDAY"]),
        ({"PERSONAL_BIRTHDAY": "soon"}, lambda _: False),
        ({">LAST_LOGIN": "soon"}, lambda _: False),
        # A portal casts other values to numbers: an array to 1, a word to 0.
        ({">ID": [{"ID": 50}]}, lambda user: int(user["ID"]) > 1),
        ({">ID": "x"}, lambda _: True),
    ],
)
async def test_a_filter_returns_exactly_the_matching_users(
    webhook: RestClient, portal: SandboxPortal, conditions: dict[str, Any], matches: Any
) -> None:
    found: list[int] = []
    total = None
    for start in (0, 50, 100):
        body = (await webhook.call("user.get", FILTER=conditions, start=start)).body
        total = body.get("total", total)
        found += row_ids(body["result"])
    assert found == [user_id for user_id in sorted(portal.data.users) if matches(portal.data.users[user_id])]
    assert (total or 0) == len(found)


async def test_users_are_sorted_by_any_column_with_ties_by_id(webhook: RestClient, portal: SandboxPortal) -> None:
    rows = (await webhook.call("user.get", sort="LAST_NAME", order="asc")).result
    everyone = sorted(portal.data.users.values(), key=lambda user: (user["LAST_NAME"].casefold(), int(user["ID"])))
    assert rows == everyone[:50]


async def test_departments_are_sorted_by_their_first_number(webhook: RestClient) -> None:
    rows = (await webhook.call("user.get", sort="UF_DEPARTMENT", order="DESC")).result
    assert rows[0]["UF_DEPARTMENT"] == [4]


async def test_only_selected_columns_are_returned(webhook: RestClient) -> None:
    assert set((await webhook.call("user.get", select=["ID", "NAME", "NOTHING"])).result[0]) == {"ID", "NAME"}
    custom = (await webhook.call("user.get", select=["UF_*"])).result[0]
    assert custom
    assert all(name.startswith("UF_") for name in custom)


async def test_changes_on_the_portal_are_visible_immediately(webhook: RestClient, portal: SandboxPortal) -> None:
    portal.data.users[9_000] = {**portal.data.users[1], "ID": "9000", "NAME": "New"}
    del portal.data.users[3]
    portal.data.users[1]["NAME"] = "Changed"
    assert (await webhook.call("user.get", sort="ID", order="DESC")).result[0]["NAME"] == "New"
    assert (await webhook.call("user.get", ID=3)).result == []
    assert (await webhook.call("user.current")).result["NAME"] == "Changed"


async def test_a_dismissed_caller_has_no_profile(webhook: RestClient, portal: SandboxPortal) -> None:
    portal.data.users[1]["ACTIVE"] = False
    assert (await webhook.call("profile")).result == []


async def test_a_deleted_caller_cannot_be_authorized(webhook: RestClient, portal: SandboxPortal) -> None:
    del portal.data.users[1]
    answer = await webhook.call("user.current")
    assert (answer.status, answer.error) == (401, "authorization_error")
