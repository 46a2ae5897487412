"""Users as the portal has them: all their fields, the active ones, and the fields that a caller selects."""

from typing import Any
from urllib.parse import quote

import pytest

from storage.database import migrations
from tests.gateway import Answer, Gateway, Sandbox
from tests.support.records import page
from tests.support.stored import run_sql, select

PROBLEM = {"Accept": "application/problem+json"}
LIST_EMPLOYEES = "ID,NAME,LAST_NAME,EMAIL,WORK_POSITION,PERSONAL_PHONE,WORK_PHONE,ACTIVE,DATE_REGISTER,PERSONAL_PHOTO"


def users(sandbox: Sandbox, *, active: bool | None = None) -> list[dict[str, Any]]:
    """The rows of the portal, with the number that the gateway adds."""
    return [
        {"id": user_id, **row}
        for user_id, row in sandbox.portal.data.users.items()
        if active is None or row["ACTIVE"] is active
    ]


async def refused(gateway: Gateway, query: str) -> Answer:
    answer = await gateway.get(f"/bitrix/users?{query}", headers=PROBLEM)
    assert answer.status == 400, answer.body
    return answer


@pytest.mark.parametrize("active", [True, False])
async def test_active_users_are_whole_rows_over_all_pages(connected: Gateway, sandbox: Sandbox, active: bool) -> None:
    expected = users(sandbox, active=active)
    assert 0 < len(expected) < len(users(sandbox))
    path: str | None = f"?active={str(active).lower()}&size=7"
    found: list[dict[str, Any]] = []
    while path is not None:
        answer = await page(connected, f"/bitrix/users{path}")
        assert answer.json["count"] == len(expected)
        found += answer.json["items"]
        link = next((part for part in answer.headers["Link"].split(", ") if part.endswith('rel="next"')), None)
        path = None if link is None else link.partition(";")[0].strip("<>")
    assert found == expected
    beyond = await page(connected, "/bitrix/users?active=true&page=1000")
    assert beyond.json["items"] == []


async def test_exactly_the_selected_fields_are_shown(connected: Gateway, sandbox: Sandbox) -> None:
    answer = await page(connected, f"/bitrix/users?active=true&size=1000&select={LIST_EMPLOYEES}")
    names = LIST_EMPLOYEES.split(",")
    expected = [{name: row.get(name) for name in ("id", *names)} for row in users(sandbox, active=True)]
    assert answer.json == {"count": len(expected), "items": expected}
    assert any(row["WORK_PHONE"] is None for row in expected)
    every = await page(connected, "/bitrix/users?size=1000&select=ID,ACTIVE,id,ID,USER_TYPE")
    assert every.json["count"] == len(users(sandbox))
    assert all(list(row) == ["id", "ID", "ACTIVE", "USER_TYPE"] for row in every.json["items"])
    assert every.headers["X-Synced-At"].startswith("2027-01-15T08:00")


async def test_a_custom_field_can_be_selected_once_it_exists(connected: Gateway, sandbox: Sandbox) -> None:
    error = (await refused(connected, "select=UF_USR_SIZE")).json["errors"][0]
    assert (error["code"], error["parameter"]) == ("unknown_field", "select")
    body = {"fields": {"FIELD_NAME": "UF_USR_SIZE", "USER_TYPE_ID": "string"}}
    assert (await connected.post("/bitrix/call/user.userfield.add", json=body)).status == 200
    sandbox.portal.data.users[1] = sandbox.portal.data.users[1] | {"UF_USR_SIZE": "XL"}
    await connected.sync("users")
    await connected.clock.advance(61)
    answer = await page(connected, "/bitrix/users?select=UF_USR_SIZE&size=2")
    assert [row["UF_USR_SIZE"] for row in answer.json["items"]] == ["XL", None]


@pytest.mark.parametrize("query", ["active=true", "select=NAME", "active=false&select=NAME&size=3"])
async def test_an_unknown_parameter_beside_active_or_select_is_refused(connected: Gateway, query: str) -> None:
    for name in ("filter[ACTIVE]", "order", "Page"):
        for text in (f"{query}&{name}=1", f"{name}=1&{query}"):
            answer = await refused(connected, text)
            (error,) = answer.json["errors"]
            assert (error["code"], error["parameter"]) == ("unknown_parameter", name)
            assert error["detail"] == "unknown parameter, expected one of page, size, active, select"


async def test_every_unknown_name_is_refused_with_the_nearest_one(connected: Gateway) -> None:
    answer = await refused(connected, "select=NAME,EMIAL,,phone,PERSONAL_FONE")
    assert [(error["code"], error["detail"]) for error in answer.json["errors"]] == [
        ("unknown_field", "unknown field 'EMIAL'; did you mean 'EMAIL'?"),
        ("invalid_value", "must be names of fields, separated by commas"),
        ("unknown_field", "unknown field 'phone'"),
        ("unknown_field", "unknown field 'PERSONAL_FONE'; did you mean 'PERSONAL_PHONE'?"),
    ]
    plain = await connected.get("/bitrix/users?select=EMIAL")
    assert (plain.status, plain.json) == (400, "select: unknown field 'EMIAL'; did you mean 'EMAIL'?")


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("active=1", "active"),
        ("active=True", "active"),
        ("active=", "active"),
        ("active=true&active=true", "active"),
        ("select=ID&select=NAME", "select"),
        ("active=true&size=1001", "size"),
        ("active=true&page=0", "page"),
    ],
)
async def test_other_values_are_refused(connected: Gateway, query: str, parameter: str) -> None:
    assert (await refused(connected, query)).json["errors"][0]["parameter"] == parameter


async def test_the_contract_page_ignores_what_it_does_not_show(connected: Gateway, sandbox: Sandbox) -> None:
    plain, whole = "/bitrix/users?size=1000", "/bitrix/users?size=1000&active=true"
    before, before_whole = await page(connected, plain), await page(connected, whole)
    generation = select(connected, "SELECT generation FROM mirror_lists WHERE resource = 'users'")
    data = sandbox.portal.data.users
    data[1] = data[1] | {"WORK_PHONE": "+7 495 000-00-00"}
    data[2] = data[2] | {"ACTIVE": not data[2]["ACTIVE"]}
    await connected.sync("users")
    after, after_whole = await page(connected, plain), await page(connected, whole)
    assert (after.body, after.headers["ETag"]) == (before.body, before.headers["ETag"])
    assert select(connected, "SELECT generation FROM mirror_lists WHERE resource = 'users'") == generation
    assert after_whole.headers["ETag"] != before_whole.headers["ETag"]
    assert after_whole.json["items"] == users(sandbox, active=True)
    tag = {"If-None-Match": after_whole.headers["ETag"]}
    await connected.sync("users")
    assert (await connected.get(whole, headers=tag)).status == 304


async def test_a_user_who_is_gone_and_returns_is_shown_so(connected: Gateway, sandbox: Sandbox) -> None:
    path = "/bitrix/users?active=true&size=1000"
    before = await page(connected, path)
    row = sandbox.portal.data.users.pop(1)
    await connected.sync("users")
    assert [user["id"] for user in (await page(connected, path)).json["items"]] == [
        user["id"] for user in before.json["items"][1:]
    ]
    sandbox.portal.data.users[1] = row
    await connected.sync("users")
    assert (await page(connected, path)).json == before.json


async def test_an_unchanged_list_costs_no_write(connected: Gateway) -> None:
    state = "SELECT generation FROM user_lists"
    before = select(connected, state)
    await connected.sync("users")
    assert select(connected, state) == before


async def test_pages_of_whole_users_are_told_to_be_fresh_again_after_a_sync(connected: Gateway) -> None:
    path = "/bitrix/users?active=true"
    before = await page(connected, path)
    await connected.clock.advance(3600)
    await connected.sync("users")
    after = await page(connected, path)
    assert before.headers["X-Synced-At"] < after.headers["X-Synced-At"]
    assert after.headers["ETag"] == before.headers["ETag"]
    await connected.restart()
    assert (await page(connected, path)).headers["X-Synced-At"] == after.headers["X-Synced-At"]


async def test_users_of_an_older_version_are_refused_until_they_are_read_again(
    connected: Gateway,
) -> None:
    expected = (await page(connected, "/bitrix/users?active=true&size=1000")).body
    plain = (await page(connected, "/bitrix/users?size=1000")).body
    await connected.stop()
    run_sql(connected, "DROP TABLE user_rows; DROP TABLE user_lists;" + dict(migrations())[12])
    await connected.start()
    assert (await page(connected, "/bitrix/users?size=1000")).body == plain
    answer = await connected.get("/bitrix/users?active=true", headers=PROBLEM)
    assert (answer.status, answer.json["code"]) == (409, "sync_needed")
    await connected.sync("users")
    assert (await page(connected, "/bitrix/users?active=true&size=1000")).body == expected
    assert (await page(connected, "/bitrix/users?size=1000")).body == plain


async def test_an_account_without_a_portal_has_no_users(gateway: Gateway) -> None:
    for query in ("active=true", "select=ID"):
        assert (await page(gateway, f"/bitrix/users?{query}")).json == {"count": 0, "items": []}


async def test_without_active_and_select_nothing_has_changed(connected: Gateway) -> None:
    plain = await page(connected, "/bitrix/users")
    assert (await page(connected, f"/bitrix/users?{quote('unknown')}=1")).body == plain.body
    assert "X-Synced-At" not in plain.headers
    assert "Link" not in plain.headers
