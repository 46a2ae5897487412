"""Filters of GET /bitrix/stream/...: they return the matching rows, or are refused."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import orjson
import pytest

from gateway.bitrix.lists.field_rules import FIELD_RULES
from gateway.sandbox.settings import SandboxSettings
from tests.gateway import Gateway, Sandbox

Conditions = dict[str, object]
Passes = Callable[[dict[str, Any]], bool]

OWN_FIELD = "UF_CRM_OF_ONE_PORTAL"
DEALS, INVOICES = "items/2", "invoices"


@pytest.fixture
def sandbox_settings(sandbox_settings: SandboxSettings) -> SandboxSettings:
    return replace(sandbox_settings, deals=1300, invoices=400)


FILTERS: dict[str, tuple[Conditions, Passes]] = {
    "alternatives without ids": (
        {"logic": "OR", "0": {"<opportunity": 4000}, "1": {"assignedById": 3, ">opportunity": 9000}},
        lambda row: row["opportunity"] < 4000 or (row["assignedById"] == 3 and row["opportunity"] > 9000),
    ),
    "ids among the alternatives": (
        {"logic": "OR", "<opportunity": 4000, ">id": 350, "1": {"id": 7}},
        lambda row: row["opportunity"] < 4000 or row["id"] > 350 or row["id"] == 7,
    ),
    "nothing but ids": ({"logic": "OR", "<=id": 20, ">id": 400}, lambda row: row["id"] <= 20 or row["id"] > 400),
    "alternatives below others": (
        {
            "logic": "OR",
            "0": {"logic": "AND", "0": {"logic": "OR", "<id": 90, ">opportunity": 15000}, "assignedById": 2},
        },
        lambda row: row["assignedById"] == 2 and (row["id"] < 90 or row["opportunity"] > 15000),
    ),
    "alternatives beside a bound": (
        {"0": {"logic": "OR", "<=id": 40, ">opportunity": 15000}, ">id": 10},
        lambda row: row["id"] > 10 and (row["id"] <= 40 or row["opportunity"] > 15000),
    ),
}


@pytest.mark.parametrize("resource", [DEALS, INVOICES])
async def test_alternatives_return_exactly_the_matching_rows(connected: Gateway, resource: str) -> None:
    every = (await connected.stream(resource)).rows
    for name, (conditions, passes) in FILTERS.items():
        expected = [row for row in every if passes(row)]
        assert 0 < len(expected) < len(every), name
        stream = await connected.stream(resource, filter=conditions)
        assert stream.rows == expected, name
        assert stream.end == {"count": len(expected), "complete": True, "cursor": stream.end["cursor"]}, name


async def test_alternatives_can_be_resumed_at_a_cursor(connected: Gateway) -> None:
    conditions, passes = FILTERS["ids among the alternatives"]
    expected = [row for row in (await connected.stream(DEALS)).rows if passes(row)]
    first = await connected.stream(DEALS, filter=conditions, limit=60)
    rest = await connected.stream(DEALS, filter=conditions, cursor=first.end["cursor"])
    assert first.rows + rest.rows == expected


DROPPED: list[tuple[str, Conditions, str]] = [
    ("deals", {"title": "x"}, "TITLE"),
    ("deals", {"Stage_Id": "x"}, "STAGE_ID"),
    ("deals", {"id": 5}, "ID"),
    ("deals", {"=>OPPORTUNITY": 1}, ">=OPPORTUNITY"),
    ("deals", {"=>ID": 5}, ">=ID"),
    ("deals", {"<>TITLE": "x"}, "!=TITLE"),
    ("deals", {"~TITLE": "x"}, "%TITLE"),
    ("deals", {"==TITLE": "x"}, "=TITLE"),
    ("quotes", {">!OPPORTUNITY": 1}, ""),
    ("deals", {"!%TITLE": "x"}, ""),
    ("deals", {"CONTACT_IDS": [1]}, ""),
    ("contacts", {"COMPANY_IDS": [1]}, ""),
    ("deals", {"@STAGE_ID": []}, ""),
    ("leads", {"%PHONE": "9"}, "=PHONE"),
    ("leads", {"%STATUS_ID": "N"}, "=STATUS_ID"),
    ("companies", {"logic": "OR", "0": {"TITLE": "x"}}, ""),
    ("users", {"=>ID": 5}, ">=ID"),
    ("tasks", {"ACCOMPLICES": 1}, "ACCOMPLICE"),
    ("tasks", {"@ID": [1, 2]}, "=ID"),
    ("tasks", {"::LOGIC": "OR", "ID": 1}, ""),
    ("tasks", {"ONLY_ROOT_TASKS": True}, ""),
    ("tasks", {"TITLE": ""}, ""),
    (DEALS, {"=>opportunity": 1}, ">=opportunity"),
    (DEALS, {"0": {"~title": "x"}}, "%title"),
]


@pytest.mark.parametrize(("resource", "conditions", "meant"), DROPPED)
async def test_a_condition_that_the_portal_would_drop_is_refused_with_a_suggestion(
    connected: Gateway, sandbox: Sandbox, resource: str, conditions: Conditions, meant: str
) -> None:
    calls = lists(sandbox)
    answer = await connected.get(f"/bitrix/stream/{resource}?filter={quote(orjson.dumps(conditions))}")
    assert answer.status == 400
    problem = answer.json
    assert {error["parameter"] for error in problem["errors"]} == {"filter"}
    assert {error["code"] for error in problem["errors"]} <= {"unknown_field", "unknown_operator", "invalid_value"}
    assert meant == "" or f"did you mean '{meant}'?" in problem["detail"]
    assert lists(sandbox) == calls


def lists(sandbox: Sandbox) -> int:
    """The number of pages of streamed lists that the portal was asked for."""
    return sum(count for name, count in sandbox.portal.calls.items() if name in FIELD_RULES)


async def test_all_errors_of_a_filter_and_a_select_are_in_one_response(connected: Gateway) -> None:
    conditions = quote(orjson.dumps({"title": "x", "~STAGE_ID": "y", "OPPORTUNITY": []}))
    answer = await connected.get(f"/bitrix/stream/deals?filter={conditions}&select=Title,ID,NOPE")
    assert answer.status == 400
    assert [(error["parameter"], error["code"]) for error in answer.json["errors"]] == [
        ("filter", "unknown_field"),
        ("filter", "unknown_operator"),
        ("filter", "invalid_value"),
        ("select", "unknown_field"),
        ("select", "unknown_field"),
    ]


def tags_of(row: dict[str, Any]) -> set[str]:
    return {tag["title"] for tag in row["tags"].values()} if row["tags"] else set()


TASKS: list[tuple[Conditions, Passes]] = [
    ({"TAG": "urgent"}, lambda row: "urgent" in tags_of(row)),
    ({"tag": ["urgent", "договор"]}, lambda row: {"urgent", "договор"} <= tags_of(row)),
    ({"ACCOMPLICE": 99}, lambda row: "99" in row["accomplices"]),
    ({"!accomplice": 99}, lambda row: "99" not in row["accomplices"]),
    ({"AUDITOR": [98, 97]}, lambda row: "98" in row["auditors"]),
    ({"ONLY_ROOT_TASKS": "Y"}, lambda row: row["parentId"] is None),
    ({"::SUBFILTER-PARAMS": {"favorite": "Y"}}, lambda row: row["favorite"] == "Y"),
    ({"real_status": [2, 5]}, lambda row: row["status"] in ("2", "5")),
    (
        {"::SUBFILTER-A": {"::LOGIC": "or", "Status": 5, "<id": 20}, ">id": 3},
        lambda row: (row["status"] == "5" or int(row["id"]) < 20) and int(row["id"]) > 3,
    ),
]


async def test_documented_task_filters_return_the_matching_rows(connected: Gateway, sandbox: Sandbox) -> None:
    parent, _, child = list(sandbox.portal.data.tasks)[:3]
    own = {"parentId": parent, "inFavorite": [1], "accompliceIds": [99], "auditorIds": [98]}
    sandbox.portal.data.tasks[child] |= own
    every = (await connected.stream("tasks", select="*,tags")).rows
    for conditions, passes in TASKS:
        expected = [row for row in every if passes(row)]
        assert 0 < len(expected) < len(every), conditions
        assert (await connected.stream("tasks", filter=conditions, select="*,tags")).rows == expected, conditions


@pytest.mark.parametrize(
    ("resource", "select", "columns"),
    [
        ("tasks", "TITLE,TAGS", {"id", "title", "tags", "group"}),
        ("tasks", "title,counters", {"id", "title", "counter", "group"}),
        ("tasks", "subStatus", {"id", "status", "subStatus", "group"}),
        ("tasks", "creator", {"id", "createdBy", "creator", "group"}),
        ("tasks", "uf_crm_task", {"id", "ufCrmTask", "ufTaskWebdavFiles", "ufMailMessage", "group"}),
        ("users", "name,Is_Online", {"ID", "NAME", "IS_ONLINE"}),
        (DEALS, "TITLE,contactIds", {"id", "title", "contactIds"}),
    ],
)
async def test_a_column_can_be_selected_in_every_spelling_that_the_list_accepts(
    connected: Gateway, resource: str, select: str, columns: set[str]
) -> None:
    rows = (await connected.stream(resource, select=select, limit=2)).rows
    assert len(rows) == 2
    assert all(set(row) == columns for row in rows)


@pytest.mark.parametrize(
    ("resource", "select"),
    [
        ("deals", "title"),
        ("deals", "CONTACT_IDS"),
        ("deals", "TITLE*"),
        ("users", "NAME_SEARCH"),
        ("tasks", "REAL_STATUS"),
        ("tasks", "createdDate"),
        (DEALS, "Title"),
        (DEALS, "NOPE"),
        ("items/1", "phone"),
        ("invoices", "UF_*"),
    ],
)
async def test_a_column_that_the_list_would_not_return_is_refused(
    connected: Gateway, resource: str, select: str
) -> None:
    answer = await connected.get(f"/bitrix/stream/{resource}?select={select}")
    assert answer.status == 400
    assert [(error["parameter"], error["code"]) for error in answer.json["errors"]] == [("select", "unknown_field")]


async def test_users_are_found_by_the_beginning_of_their_names(connected: Gateway) -> None:
    every = (await connected.stream("users")).rows
    found = (await connected.stream("users", filter={"Name_Search": "ив"})).ids
    assert found == [int(row["ID"]) for row in every if row["LAST_NAME"] == "Иванова"]
    assert found


async def test_a_field_of_the_previous_portal_is_refused_after_the_account_moved(
    connected: Gateway, sandbox: Sandbox, other: Sandbox
) -> None:
    fields = sandbox.portal.data.userfields["CRM_DEAL"]
    fields[10**6] = {**next(iter(fields.values())), "ID": str(10**6), "FIELD_NAME": OWN_FIELD}
    assert (await connected.stream("deals", filter={OWN_FIELD: "x"})).end["complete"] is True
    await connected.connect(other.webhook)
    answer = await connected.get(f'/bitrix/stream/deals?filter={{"{OWN_FIELD}":"x"}}')
    assert answer.status == 400
    assert answer.json["detail"] == f"filter: unknown field '{OWN_FIELD}', which the list would ignore"
