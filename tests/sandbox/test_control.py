"""The control address: counters, faults and changes of rows over HTTP."""

from typing import Any

import pytest

from gateway.sandbox.portal import SandboxPortal
from tests.sandbox.client import RestClient


async def test_counters_report_the_received_calls(webhook: RestClient, anonymous: RestClient) -> None:
    await webhook.batch(a="user.get", b="nope")
    shown = (await anonymous.get("/_sandbox/")).body
    assert (shown["http_requests"], shown["token_requests"]) == (1, 0)
    assert shown["calls"] == {"batch": 1, "user.get": 1}
    assert shown["refusals"] == {"ERROR_METHOD_NOT_FOUND": 1}
    assert (shown["rows"]["users"], shown["rows"]["categories/2"], shown["rows"]["userfields/CRM_DEAL"]) == (130, 3, 65)


async def test_faults_are_added_and_cleared(webhook: RestClient, anonymous: RestClient) -> None:
    assert (await anonymous.call("/_sandbox/faults", fault="scope:qle*2")).body == {"faults": ["scope:qle*2"]}
    assert (await webhook.call("scope")).status == 503
    assert (await anonymous.get("/_sandbox/")).body["faults"] == ["scope:qle"]
    await anonymous.send("DELETE", anonymous.base + "/_sandbox/faults")
    assert (await webhook.call("scope")).status == 200


async def test_methods_are_held_and_released(portal: SandboxPortal, webhook: RestClient, anonymous: RestClient) -> None:
    await anonymous.call("/_sandbox/hold", method="scope")
    await anonymous.call("/_sandbox/release", method="scope")
    assert (await webhook.call("scope")).status == 200
    assert portal.http_requests == 1


async def test_rows_are_added_changed_and_removed(
    webhook: RestClient, anonymous: RestClient, portal: SandboxPortal
) -> None:
    rows = {"1": {"NAME": "Renamed"}, "9000": {"ID": "9000", "NAME": "New"}}
    answer = await anonymous.call("/_sandbox/rows", table="users", set=rows, remove=[3, 4, 999_999])
    assert answer.body == {"rows": 129}
    assert (await webhook.call("user.current")).result["LAST_NAME"] == portal.data.users[1]["LAST_NAME"]
    assert [row["NAME"] for row in (await webhook.call("user.get", ID=[1, 3, 4, 9000])).result] == ["Renamed", "New"]
    await anonymous.call("/_sandbox/rows", table="categories/2", remove=[7])
    assert (await webhook.call("crm.category.list", entityTypeId=2)).body["total"] == 2


@pytest.mark.parametrize(
    ("address", "body"),
    [
        ("faults", {"fault": "boom"}),
        ("faults", {}),
        ("faults", []),
        ("hold", {"method": 5}),
        ("rows", {"table": "nothing"}),
        ("rows", {"table": "users", "set": {"x": {}}}),
        ("rows", {"table": "users", "set": {"1": 2}}),
        ("rows", {"table": "users", "remove": ["1"]}),
    ],
)
async def test_an_invalid_request_is_refused_with_a_message(anonymous: RestClient, address: str, body: Any) -> None:
    answer = await anonymous.send("POST", f"{anonymous.base}/_sandbox/{address}", json=body)
    assert answer.status == 400
    assert answer.body


SET = "set: must be an object of rows by id, from 1 to 2147483647"
REMOVE = "remove: must be a list of ids, from 1 to 2147483647"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"table": 5}, "table: must be a string"),
        ({"table": "deals", "set": {"9" * 30: {}}}, SET),
        ({"table": "deals", "set": {"2147483648": {}}}, SET),
        ({"table": "deals", "set": {"0": {}}}, SET),
        ({"table": "deals", "set": {"٣": {}}}, SET),
        ({"table": "deals", "remove": [True]}, REMOVE),
        ({"table": "deals", "remove": [10**12]}, REMOVE),
        ({"table": "deals", "set": {"1": {"ID": "2"}}}, "set.1.ID: must be the row's id, 1"),
        ({"table": "tasks", "set": {"1": {"id": 2}}}, "set.1.id: must be the row's id, 1"),
        ({"table": "users", "set": {"7": {"ID": None}}}, "set.7.ID: must be the row's id, 7"),
    ],
)
async def test_an_invalid_change_is_refused_with_its_field_and_rule(
    anonymous: RestClient, portal: SandboxPortal, body: Any, message: str
) -> None:
    before = dict(portal.data.users)
    answer = await anonymous.call("/_sandbox/rows", **body)
    assert (answer.status, answer.body) == (400, message)
    assert portal.data.users == before


@pytest.mark.parametrize("table", ["users", "tasks", "deals", "userfields/CRM_DEAL"])
async def test_an_unknown_column_is_refused_with_the_known_ones(
    anonymous: RestClient, portal: SandboxPortal, table: str
) -> None:
    answer = await anonymous.call("/_sandbox/rows", table=table, set={"1": {"NOPE": 1}})
    assert answer.status == 400
    assert answer.body.startswith("set.1: unknown column; the columns are ")
    named = set(answer.body.removeprefix("set.1: unknown column; the columns are ").split(", "))
    assert named == portal.data.tables[table].columns


async def test_an_invalid_json_body_is_refused(anonymous: RestClient) -> None:
    assert (await anonymous.send("POST", f"{anonymous.base}/_sandbox/faults", data=b"{")).body == "the body is not JSON"
