"""tasks.task.add, update and delete of REST 2."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from gateway.sandbox.content.events import Handler
from gateway.sandbox.portal import SandboxPortal
from tests.clock import ManualClock
from tests.sandbox.client import RestClient
from tests.sandbox.examples import EXAMPLES, compare, shape

FIELDS = {"TITLE": "Call ☎", "RESPONSIBLE_ID": 1}
# Columns that are null or strings, and lists of people whose entries the examples show only in part.
NULLABLE = (
    "statusChangedBy", "closedBy", "commentsCount", "serviceCommentsCount", "flowId", "durationPlan", "durationFact",
    "forumTopicId", "forumId", "viewedDate", "mark", "startDatePlan", "endDatePlan", "deadline", "sprintId",
    "backlogId", "parentId",
)  # fmt: skip
PEOPLE = {"auditors", "auditorsData", "accomplices", "accomplicesData"}


def documented(example: str) -> Any:
    return json.loads((EXAMPLES / f"{example}.json").read_text())


@pytest.fixture
def task_id(portal: SandboxPortal) -> int:
    return next(iter(portal.data.tasks))


async def test_a_task_lives_until_it_is_deleted(webhook: RestClient, portal: SandboxPortal, clock: ManualClock) -> None:
    expected = portal.data.tasks.next_id
    plan = {"START_DATE_PLAN": "2026-06-01T10:00:00", "END_DATE_PLAN": "2026-06-02T10:00:00+05:00"}
    lists = {"AUDITORS": [1], "TAGS": "a, b", "UF_CRM_TASK": ["D_5"], "UF_TASK_WEBDAV_FILES": ["n12", 7]}
    flags = {"TASK_CONTROL": "Y", "SE_PARAMETER": [{"CODE": 3, "VALUE": "Y"}]}
    added = (await webhook.call("tasks.task.add", fields={**FIELDS, **plan, **lists, **flags})).result["task"]
    assert (added["id"], added["createdBy"], added["status"], added["taskControl"]) == (str(expected), "1", "2", "Y")
    assert added["startDatePlan"] == "2026-06-01T10:00:00+03:00"
    assert added["endDatePlan"] == "2026-06-02T08:00:00+03:00"
    assert (added["auditors"], set(added["auditorsData"])) == (["1"], {"1"})
    select = ["*", "TAGS", "UF_CRM_TASK"]
    read = (await webhook.call("tasks.task.get", taskId=expected, select=select)).result["task"]
    assert added.items() <= {**read, **{name: added[name] for name in set(added) - set(read)}}.items()
    assert [tag["title"] for tag in read["tags"].values()] == ["a", "b"]
    assert (read["ufCrmTask"], read["ufTaskWebdavFiles"]) == (["D_5"], [12, 7])
    assert portal.data.tasks[expected]["requireResult"] is True
    await clock.advance(60)
    changes = {"title": "Called", "STATUS": 5, "PRIORITY": "2", "AUDITORS": []}
    changed = (await webhook.call("tasks.task.update", taskId=expected, fields=changes)).result["task"]
    assert [changed[name] for name in ("title", "status", "priority", "auditors")] == ["Called", "5", "2", []]
    assert changed["closedDate"] == changed["changedDate"] == changed["statusChangedDate"] > added["changedDate"]
    deleted = await webhook.call("tasks.task.delete", taskId=expected)
    compare(deleted.body, "tasks.task.delete")
    assert (await webhook.call("tasks.task.get", taskId=expected)).result == []
    again = (await webhook.call("tasks.task.add", fields=FIELDS)).result["task"]
    assert int(again["id"]) == expected + 1


async def test_a_task_names_the_person_who_changed_it(
    webhook: RestClient, anonymous: RestClient, portal: SandboxPortal, tokens_of: Callable[[int], str]
) -> None:
    user_id = list(portal.data.users)[1]
    number = (await webhook.call("tasks.task.add", fields={**FIELDS, "CREATED_BY": user_id})).result["task"]["id"]
    task = (await webhook.call("tasks.task.update", taskId=number, fields={"STATUS": 5})).result["task"]
    names = ("createdBy", "changedBy", "statusChangedBy", "closedBy")
    assert [task[name] for name in names] == [str(user_id), "1", "1", "1"]
    body = {"auth": tokens_of(user_id), "taskId": number, "fields": {"TITLE": "B"}}
    task = (await anonymous.call("/rest/tasks.task.update", **body)).result["task"]
    assert [task[name] for name in names] == [str(user_id), str(user_id), "1", "1"]


@pytest.mark.parametrize("example", ["tasks.task.add", "tasks.task.update"])
async def test_the_whole_task_is_returned_as_documented(webhook: RestClient, task_id: int, example: str) -> None:
    answer = (await webhook.call(example, taskId=task_id, fields={**FIELDS, "DEADLINE": "2026-01-01"})).body
    reference = documented(example)["result"]["task"]
    ours = answer["result"]["task"]
    assert set(reference) <= set(ours)
    assert set(ours) - set(reference) <= {"subStatus", "parentId", "sprintId", "backlogId"}
    types = shape({name: value for name, value in reference.items() if name not in PEOPLE})
    types |= {name: {"string", "null"} for name in NULLABLE}
    for path, found in shape({name: ours[name] for name in set(reference) - PEOPLE}).items():
        assert found <= types[path], path


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"TITLE": ""}, documented("tasks.task.add.error")["error_description"]),
        ({"TITLE": None}, documented("tasks.task.add.error")["error_description"]),
        ({"RESPONSIBLE_ID": ""}, "Assignee not specified<br>"),
        ({"RESPONSIBLE_ID": 999_999}, 'User specified in the "Assignee" field not found<br>'),
        ({"STATUS": 9}, "Invalid status<br>"),
        ({"PARENT_ID": 999_999}, 'Task specified in the "Parent Task" field not found<br>'),
        (
            {"START_DATE_PLAN": "2026-01-02", "END_DATE_PLAN": "2026-01-01"},
            "End date specified earlier than start date in scheduling<br>",
        ),
        (
            {"START_DATE_PLAN": "2026-01-02", "END_DATE_PLAN": "9999-01-01"},
            "Task duration specified is too long in scheduling<br>",
        ),
    ],
)
@pytest.mark.parametrize("method", ["add", "update"])
async def test_a_wrong_value_is_refused_and_changes_nothing(
    webhook: RestClient, portal: SandboxPortal, task_id: int, method: str, fields: dict[str, Any], text: str
) -> None:
    before = dict(portal.data.tasks)
    answer = await webhook.call(f"tasks.task.{method}", taskId=task_id, fields={**FIELDS, **fields})
    assert (answer.status, answer.body) == (400, {"error": "ERROR_CORE", "error_description": text})
    assert dict(portal.data.tasks) == before


async def test_a_task_is_not_put_below_itself(webhook: RestClient, portal: SandboxPortal, task_id: int) -> None:
    answer = await webhook.call("tasks.task.update", taskId=task_id, fields={"PARENT_ID": task_id})
    assert (answer.status, answer.body) == (400, documented("tasks.task.update.error"))
    child, grandchild = list(portal.data.tasks)[1:3]
    for number, parent in ((child, task_id), (grandchild, child)):
        row = (await webhook.call("tasks.task.update", taskId=number, fields={"PARENT_ID": parent})).result["task"]
        assert row["parentId"] == str(parent)
    answer = await webhook.call("tasks.task.update", taskId=task_id, fields={"PARENT_ID": grandchild})
    assert answer.body["error_description"] == "Creating cyclic links in tasks is prohibited<br>"


NO_FIELDS = ("100", "Could not find value for parameter {fields} (internal error)")
NO_ID = ("100", "CTaskItem All parameters in the constructor must have real class type (internal error)")


@pytest.mark.parametrize(
    ("method", "params", "code", "text"),
    [
        ("add", {}, *NO_FIELDS),
        ("add", {"fields": []}, *NO_FIELDS),
        ("update", {"taskId": 1}, *NO_FIELDS),
        ("update", {"fields": FIELDS}, *NO_ID),
        ("update", {"taskId": "x", "fields": FIELDS}, "0", "wrong task id"),
        ("update", {"taskId": 999_999, "fields": FIELDS}, "0", "Action on the task is not allowed (internal error)"),
        ("delete", {}, *NO_ID),
        ("delete", {"taskId": [1]}, "0", "wrong task id"),
        ("delete", {"taskId": 999_999}, *documented("tasks.task.delete.error").values()),
    ],
)
async def test_a_request_without_a_task_or_fields_is_refused(
    webhook: RestClient, method: str, params: dict[str, Any], code: str, text: str
) -> None:
    answer = await webhook.call(f"tasks.task.{method}", **params)
    assert (answer.status, answer.body) == (400, {"error": code, "error_description": text})


async def test_changes_are_events_in_both_versions(
    webhook: RestClient, anonymous: RestClient, portal: SandboxPortal
) -> None:
    names = ("ONTASKADD", "ONTASKUPDATE", "ONTASKDELETE")
    portal.data.events.handlers += [Handler(name, offline=True) for name in names]
    created = await webhook.call("tasks.task.add", fields=FIELDS)
    number = int(created.result["task"]["id"])
    await webhook.call("tasks.task.update", taskId=number, fields={"TITLE": "B"})
    await webhook.call("tasks.task.delete", taskId=number)
    newer = "/rest/api/1/sandbox/tasks.task."
    fields = {"title": "A", "creatorId": 1, "responsibleId": 1}
    other = (await anonymous.call(f"{newer}add", fields=fields)).result["item"]["id"]
    await anonymous.call(f"{newer}update", id=other, fields={"title": "B"})
    await anonymous.call(f"{newer}delete", id=other)
    events = [(row["EVENT_NAME"], row["EVENT_DATA"]) for row in portal.data.offline_events.values()]
    assert [name for name, _ in events] == [*names, *names]
    for task_number, recorded in ((number, events[:3]), (other, events[3:])):
        for name, data in recorded:
            example = json.dumps(documented(f"event.payload.{name}")["data"])
            assert data == json.loads(example.replace("123", str(task_number)))
