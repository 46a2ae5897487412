"""Tasks in REST 2, derived from the rows of REST 3.0."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from gateway.sandbox.portal import SandboxPortal
from tests.sandbox.client import RestClient
from tests.sandbox.examples import EXAMPLES, shape

# What other parameters and columns, which the sandbox does not have, would add.
NOT_HERE = {"lengthDeadline", "taskRequireResult", "taskHasOpenResult", "taskHasResult", "timeElapsed", "counter"} | {
    "timerIsRunningForCurrentUser", "parsedDescription", "action",
}  # fmt: skip


async def rows(client: RestClient, **params: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.call("tasks.task.list", **params)).result["tasks"]
    return found


def numbers(found: list[dict[str, Any]]) -> list[int]:
    return [int(row["id"]) for row in found]


async def test_pages_of_fifty_start_with_the_newest_task(webhook: RestClient, portal: SandboxPortal) -> None:
    first = await webhook.call("tasks.task.list")
    assert (first.body["total"], first.body["next"]) == (75, 50)
    second = await webhook.call("tasks.task.list", start=50)
    assert "next" not in second.body
    assert numbers(first.result["tasks"] + second.result["tasks"]) == sorted(portal.data.tasks, reverse=True)


async def test_keyset_paging_reads_all_tasks(webhook: RestClient, portal: SandboxPortal) -> None:
    last, seen = 0, []
    while page := await rows(webhook, filter={">ID": last}, order={"ID": "asc"}, select=["ID"], start=-1):
        seen += numbers(page)
        last = seen[-1]
    assert seen == list(portal.data.tasks)


async def test_values_are_strings_and_names_are_camel_case(webhook: RestClient, portal: SandboxPortal) -> None:
    task_id = next(iter(portal.data.tasks))
    portal.data.tasks[task_id] |= {"status": "completed", "priority": "high", "needsControl": True, "parentId": 5}
    (row,) = await rows(webhook, filter={"ID": task_id})
    names = ("id", "status", "subStatus", "priority", "taskControl", "parentId", "groupId", "xmlId", "group")
    assert [row[name] for name in names] == [str(task_id), "5", "5", "2", "Y", "5", "0", None, []]
    assert row["responsible"]["id"] == row["responsibleId"] == str(portal.data.tasks[task_id]["responsibleId"])


async def test_a_filter_has_operators_and_ignores_unknown_names(webhook: RestClient, portal: SandboxPortal) -> None:
    waiting = [task_id for task_id, row in portal.data.tasks.items() if row["status"] == "pending"]
    assert numbers(await rows(webhook, filter={"status": 2}, order={"ID": "asc"})) == waiting
    assert not set(numbers(await rows(webhook, filter={"!REAL_STATUS": ["2"]}))) & set(waiting)
    assert (await webhook.call("tasks.task.list", filter={"NOPE": 5})).body["total"] == 75


def matching(portal: SandboxPortal, matches: Callable[[dict[str, Any]], bool]) -> list[int]:
    return [task_id for task_id, row in portal.data.tasks.items() if matches(row)]


FOUND: list[tuple[dict[str, Any], Callable[[dict[str, Any]], bool]]] = [
    ({"TAG": "urgent"}, lambda row: row["id"] % 3 == 0),
    ({"tag": ["urgent", "договор"]}, lambda row: row["id"] % 6 == 0),
    ({"ACCOMPLICE": 99}, lambda row: 99 in row["accompliceIds"]),
    ({"!ACCOMPLICE": 99}, lambda row: 99 not in row["accompliceIds"]),
    ({"AUDITOR": [98, 97]}, lambda row: 98 in row["auditorIds"]),
    ({"ONLY_ROOT_TASKS": "Y"}, lambda row: row["parentId"] is None),
    ({"ONLY_ROOT_TASKS": "N"}, lambda _row: True),
    ({"::SUBFILTER-PARAMS": {"FAVORITE": "Y"}}, lambda row: bool(row["inFavorite"])),
    (
        {"::SUBFILTER-ANY": {"::LOGIC": "OR", "REAL_STATUS": 5, "::SUBFILTER-ID": {"<ID": 9}}},
        lambda row: row["status"] == "completed" or row["id"] < 9,
    ),
    ({"UF_CRM_TASK": "D_99"}, lambda row: "D_99" in row["crmItemIds"]),
    ({"DEADLINE": ""}, lambda row: row["deadline"] is None),
    ({"RESPONSIBLE_ID": ""}, lambda _row: True),
    ({"TAG": ""}, lambda _row: True),
    ({"ACCOMPLICES": 3}, lambda _row: True),
    ({"DESCRIPTION": "x"}, lambda _row: True),
    ({"@ID": [1, 2]}, lambda _row: True),
    ({"=>ID": 9}, lambda _row: True),
]


@pytest.mark.parametrize(("conditions", "matches"), FOUND)
async def test_a_filter_knows_more_names_than_the_fields_and_ignores_some_fields(
    webhook: RestClient,
    portal: SandboxPortal,
    conditions: dict[str, Any],
    matches: Callable[[dict[str, Any]], bool],
) -> None:
    parent, child, *_ = portal.data.tasks
    own = {"parentId": parent, "inFavorite": [1], "accompliceIds": [99], "auditorIds": [98], "crmItemIds": ["D_99"]}
    portal.data.tasks[child] |= own
    answer = await webhook.call("tasks.task.list", filter=conditions, order={"ID": "asc"})
    expected = matching(portal, matches)
    assert expected
    assert (numbers(answer.result["tasks"]), answer.body["total"]) == (expected[:50], len(expected))


# Source: b24restdocs api-reference/tasks/tasks-task-get-fields.md, without a field that exists on one portal only.
FIELDS = (
    "ID PARENT_ID TITLE DESCRIPTION MARK PRIORITY STATUS MULTITASK NOT_VIEWED REPLICATE GROUP_ID STAGE_ID SPRINT_ID"
    " BACKLOG_ID CREATED_BY CREATED_DATE RESPONSIBLE_ID ACCOMPLICES AUDITORS CHANGED_BY CHANGED_DATE STATUS_CHANGED_BY"
    " STATUS_CHANGED_DATE CLOSED_BY CLOSED_DATE ACTIVITY_DATE DATE_START DEADLINE START_DATE_PLAN END_DATE_PLAN GUID"
    " XML_ID COMMENTS_COUNT SERVICE_COMMENTS_COUNT NEW_COMMENTS_COUNT ALLOW_CHANGE_DEADLINE ALLOW_TIME_TRACKING"
    " TASK_CONTROL ADD_IN_REPORT FORKED_BY_TEMPLATE_ID TIME_ESTIMATE TIME_SPENT_IN_LOGS MATCH_WORK_TIME FORUM_TOPIC_ID"
    " FORUM_ID SITE_ID SUBORDINATE FAVORITE EXCHANGE_MODIFIED EXCHANGE_ID OUTLOOK_VERSION VIEWED_DATE SORTING"
    " DURATION_PLAN DURATION_FACT CHECKLIST DURATION_TYPE IS_MUTED IS_PINNED IS_PINNED_IN_GROUP FLOW_ID UF_CRM_TASK"
    " UF_TASK_WEBDAV_FILES UF_MAIL_MESSAGE"
)
CUSTOM = {"ufCrmTask", "ufTaskWebdavFiles", "ufMailMessage"}


def shown_as(name: str) -> str:
    first, *others = name.lower().split("_")
    return first + "".join(word.capitalize() for word in others)


async def test_all_documented_fields_are_described_and_can_be_selected(webhook: RestClient) -> None:
    fields = (await webhook.call("tasks.task.getFields")).result["fields"]
    assert list(fields) == FIELDS.split()
    assert (fields["STAGE_ID"], fields["UF_CRM_TASK"]["type"]) == ({"title": "Stage", "type": "integer"}, "crm")
    assert {shown_as(name) for name in fields} - CUSTOM <= set((await rows(webhook))[0])
    assert {shown_as(name) for name in fields} <= set((await rows(webhook, select=list(fields)))[0])


@pytest.mark.parametrize(
    ("select", "columns"),
    [
        (["ID", "TAGS"], {"id", "tags"}),
        (["COUNTERS"], {"id", "counter"}),
        (["STATUS"], {"id", "status", "subStatus"}),
        (["subStatus"], {"id"}),
        (["REAL_STATUS", "createdDate", "NOPE"], {"id"}),
        (["UF_MAIL_MESSAGE"], {"id", *CUSTOM}),
    ],
)
async def test_a_select_returns_the_named_fields_and_ignores_unknown_names(
    webhook: RestClient, select: list[str], columns: set[str]
) -> None:
    assert set((await rows(webhook, select=select))[0]) == {"group", *columns}


async def test_tasks_are_sorted_by_another_column(webhook: RestClient) -> None:
    found = await rows(webhook, order={"TITLE": "desc"}, select=["TITLE"])
    titles = [row["title"].casefold() for row in found]
    assert titles == sorted(titles, reverse=True)
    assert found[0].keys() == {"id", "title", "group"}


@pytest.mark.parametrize(
    ("example", "method", "params"),
    [
        ("tasks.task.list.error", "tasks.task.list", {"order": {"NOPE": "asc"}}),
        ("tasks.task.get.error", "tasks.task.get", {"taskId": 1, "select": ""}),
    ],
)
async def test_an_error_matches_the_documentation(
    webhook: RestClient, example: str, method: str, params: dict[str, Any]
) -> None:
    answer = await webhook.call(method, **params)
    assert (answer.status, answer.body) == (400, json.loads((EXAMPLES / f"{example}.json").read_text()))


@pytest.mark.parametrize("method", ["tasks.task.list", "tasks.task.get"])
async def test_an_answer_has_the_documented_keys_and_types(
    webhook: RestClient, portal: SandboxPortal, method: str
) -> None:
    documented = json.loads((EXAMPLES / f"{method}.json").read_text())
    task_id = next(task_id for task_id, row in portal.data.tasks.items() if row["deadline"])
    portal.data.tasks[task_id] |= {
        "auditorIds": [13, 103],
        "mark": "positive",
        "tags": ["arpar"],
        "crmItemIds": ["C_627"],
        "fileIds": [1065],
    }
    result = documented["result"]
    example = result["tasks"][0] if "tasks" in result else result["task"]
    select = ["".join(f"_{letter}" if letter.isupper() else letter for letter in name).upper() for name in example]
    answer = (await webhook.call(method, taskId=task_id, filter={"ID": task_id}, select=select)).body
    ours = answer["result"]["tasks"][0] if "tasks" in result else answer["result"]["task"]
    reference, found = shape({name: value for name, value in example.items() if name not in NOT_HERE}), shape(ours)
    assert set(found) == set(reference)
    assert all(found[path] <= reference[path] for path in found)
    assert set(answer) == set(documented)


async def test_a_missing_task_gives_an_empty_answer(webhook: RestClient) -> None:
    assert (await webhook.call("tasks.task.get", taskId=999_999)).result == []
    answer = await webhook.call("tasks.task.get")
    assert (answer.status, answer.error) == (400, "100")


async def test_a_task_is_found_by_id_as_well_as_by_taskid(webhook: RestClient, portal: SandboxPortal) -> None:
    first, second = list(portal.data.tasks)[:2]
    assert (await webhook.call("tasks.task.get", id=first)).result["task"]["id"] == str(first)
    assert (await webhook.call("tasks.task.get", taskId=second, id=first)).result["task"]["id"] == str(second)
    answer = await webhook.call("tasks.task.get", id="x")
    assert (answer.status, answer.error) == (400, "100")


async def test_both_versions_show_the_same_task(
    webhook: RestClient, anonymous: RestClient, portal: SandboxPortal
) -> None:
    task_id = next(iter(portal.data.tasks))
    body = {"table": "tasks", "set": {str(task_id): {"title": "Renamed"}}, "remove": list(portal.data.tasks)[1:]}
    assert (await anonymous.call("/_sandbox/rows", **body)).body == {"rows": 1}
    assert (await webhook.call("tasks.task.get", taskId=task_id)).result["task"]["title"] == "Renamed"
    newer = await anonymous.call("/rest/api/1/sandbox/tasks.task.list", select=["title"])
    assert newer.result == {"items": [{"id": task_id, "title": "Renamed"}]}
