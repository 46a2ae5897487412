"""mail.mailbox.list, humanresources.node.list and timeman.record.list."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from gateway.sandbox.portal import SandboxPortal
from tests.sandbox.client import RestClient, row_ids
from tests.sandbox.examples import EXAMPLES, compare
from tests.sandbox.rest3.answers import refused

WORKED = ["id", "startTime", "endTime", "duration"]


def documented(example: str) -> Any:
    return json.loads((EXAMPLES / f"{example}.json").read_text())


async def test_the_callers_mailboxes_are_listed(
    rest3: RestClient, anonymous: RestClient, portal: SandboxPortal, tokens_of: Callable[[int], str]
) -> None:
    answer = await rest3.call("mail.mailbox.list")
    compare(answer.body, "mail.mailbox.list")
    assert row_ids(answer.result["items"]) == [1, 2, 3]
    for params, ids in (
        ({"name": "WORK"}, [1]),
        ({"email": "example.com"}, [1, 2]),
        ({"name": "p", "email": "org"}, [3]),
        ({"pagination": {"page": 2, "limit": 2}}, [3]),
    ):
        assert row_ids((await rest3.call("mail.mailbox.list", **params)).result["items"]) == ids
    token = tokens_of(list(portal.data.users)[1])
    assert (await anonymous.call("/rest/api/mail.mailbox.list", auth=token)).result == {"items": []}


async def test_pages_of_mailboxes_have_their_own_sizes(rest3: RestClient, portal: SandboxPortal) -> None:
    for number in range(10, 140):
        portal.data.mailboxes[number] = {**portal.data.mailboxes[1], "id": number}
    assert len((await rest3.call("mail.mailbox.list")).result["items"]) == 25
    assert len((await rest3.call("mail.mailbox.list", pagination={"limit": 500})).result["items"]) == 100


async def test_departments_are_nodes_of_the_structure(
    rest3: RestClient, webhook: RestClient, portal: SandboxPortal
) -> None:
    answer = await rest3.call("humanresources.node.list", type="DEPARTMENT")
    reference, ours = documented("humanresources.node.list")["result"]["items"][0], answer.result["items"]
    assert set(reference) == set(ours[0])
    assert [(node["id"], node["parentId"], node["accessCode"]) for node in ours[:2]] == [
        (1, None, "DR1"),
        (2, 1, "DR2"),
    ]
    assert ours[0]["userCount"] == sum(
        1 in user["UF_DEPARTMENT"] and user["ACTIVE"] for user in portal.data.users.values()
    )
    added = (await webhook.call("department.add", NAME="New", PARENT=1)).result
    chosen = await rest3.call("humanresources.node.list", type="DEPARTMENT", select=["name"], pagination={"offset": 5})
    assert chosen.result["items"] == [{"id": added, "name": "New"}]
    assert (await rest3.call("humanresources.node.list", type="TEAM")).result == {"items": []}


async def test_working_days_of_one_employee_are_listed(rest3: RestClient) -> None:
    everything = (await rest3.call("timeman.record.list", filter=[["userId", 1]])).result["items"]
    assert [row["userId"] for row in everything] == [1] * 7
    starts = [row["startTime"] for row in everything]
    params: dict[str, Any] = {
        "filter": [["userId", "=", 1], ["startTime", "between", [starts[1], starts[3]]]],
        "select": WORKED,
        "order": {"startTime": "DESC"},
        "pagination": {"limit": 2},
    }
    answer = await rest3.call("timeman.record.list", **params)
    compare(answer.body, "timeman.record.list")
    assert [row["startTime"] for row in answer.result["items"]] == [starts[3], starts[2]]
    assert (await rest3.call("timeman.record.list", filter=["userId", 999_999])).result == {"items": []}


async def test_a_record_list_needs_one_user(rest3: RestClient) -> None:
    for params in ({}, {"filter": [["startTime", ">", "2026-01-01"]]}):
        answer = await rest3.call("timeman.record.list", **params)
        assert (answer.status, answer.body) == (400, documented("timeman.record.list.error"))
    for conditions in ([["userId", 1], ["userId", 2]], [["userId", ">", 1]], [["userId", [1, 2]]]):
        assert refused(await rest3.call("timeman.record.list", filter=conditions), 400, "INVALIDFILTEREXCEPTION")


async def test_only_own_records_are_readable_for_an_employee(
    anonymous: RestClient, portal: SandboxPortal, tokens_of: Callable[[int], str]
) -> None:
    user_id = list(portal.data.users)[1]
    token = tokens_of(user_id)
    own = await anonymous.call("/rest/api/timeman.record.list", auth=token, filter=[["userId", user_id]])
    assert len(own.result["items"]) == 7
    other = await anonymous.call("/rest/api/timeman.record.list", auth=token, filter=[["userId", 1]])
    assert refused(other, 403, "ACCESSDENIEDEXCEPTION")


@pytest.mark.parametrize(
    ("method", "params", "name"),
    [
        ("mail.mailbox.list", {"pagination": {"limit": "abc"}}, "INVALIDPAGINATIONEXCEPTION"),
        ("mail.mailbox.list", {"pagination": 5}, "INVALIDPAGINATIONEXCEPTION"),
        ("mail.mailbox.list", {"name": 5}, "VALIDATION_REQUESTVALIDATIONEXCEPTION"),
        ("humanresources.node.list", {}, "VALIDATION_REQUESTVALIDATIONEXCEPTION"),
        ("humanresources.node.list", {"type": "OTHER"}, "VALIDATION_REQUESTVALIDATIONEXCEPTION"),
        ("humanresources.node.list", {"type": "TEAM", "select": ["x"]}, "UNKNOWNDTOPROPERTYEXCEPTION"),
        ("humanresources.node.list", {"type": "TEAM", "select": "id"}, "INVALIDSELECTEXCEPTION"),
        ("humanresources.node.list", {"type": "TEAM", "pagination": {"limit": "abc"}}, "INVALIDPAGINATIONEXCEPTION"),
        (
            "timeman.record.list",
            {"filter": [["userId", 1]], "order": {"state": "ASC"}},
            "VALIDATION_REQUESTVALIDATIONEXCEPTION",
        ),
    ],
)
async def test_an_invalid_list_is_refused(rest3: RestClient, method: str, params: dict[str, Any], name: str) -> None:
    assert refused(await rest3.call(method, **params), 400, name)


@pytest.mark.parametrize("prefix", ["mail.mailbox", "humanresources.node", "timeman.record"])
async def test_the_fields_are_described(rest3: RestClient, prefix: str) -> None:
    described = (await rest3.call(f"{prefix}.field.list")).result["items"]
    assert described[0]["name"] == "id"
    assert (await rest3.call(f"{prefix}.field.get", name="id")).result["item"]["type"] == "int"
