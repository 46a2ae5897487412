"""Answers of REST 3.0 compared with the documentation: the same keys, the same types."""

import json
from typing import Any

import pytest

from gateway.sandbox.portal import SandboxPortal
from tests.sandbox.client import RestClient
from tests.sandbox.examples import EXAMPLES, shape

ENTRY = ["id", "timestampX", "severity", "auditTypeId", "moduleId", "itemId", "userId", "description"]
RELATED = ["responsible.name", "responsible.email"]
DESCRIBED = {"select": ["name", "type", "title", "description", "filterable", "sortable", "multiple"]}

NEW_TASK = {"title": "A", "creatorId": 1, "responsibleId": 1}

# Values that may be empty, but are set in the example.
NULLABLE = {
    "result.items[].userId",
    "result.items[].deadline",
    "result.item.userId",
    "result.item.guestId",
    "result.item.description",
    "result.item.deadline",
    "result.item.closed",
    "result.item.statusChanged",
    "result.item.responsible.email",
}


def documented(example: str) -> Any:
    return json.loads((EXAMPLES / f"{example}.json").read_text())


def compare(ours: Any, example: str) -> None:
    reference, answered = shape(documented(example)), shape(ours)
    assert set(answered) - {"time.operating_reset_at"} == set(reference) - {"time.operating_reset_at"}
    for path in set(answered) & set(reference):
        allowed = reference[path] | ({"null", "string"} if path in NULLABLE else set())
        assert answered[path] <= allowed, path


@pytest.mark.parametrize(
    ("example", "method", "params"),
    [
        ("main.eventlog.list", "main.eventlog.list", {"select": ENTRY, "filter": [["id", "<", 9]]}),
        ("main.eventlog.tail", "main.eventlog.tail", {"select": ENTRY, "cursor": {"field": "id", "value": 2}}),
        ("main.eventlog.get", "main.eventlog.get", {"id": 1}),
        (
            "tasks.task.list.v3",
            "tasks.task.list",
            {"select": ["id", "title", "responsibleId", "deadline", "status"], "pagination": {"limit": 7}},
        ),
        ("v3.item", "tasks.task.get", {"id": 1, "select": ["id", "title"]}),
        ("main.eventlog.field.list", "main.eventlog.field.list", DESCRIBED),
        ("main.eventlog.field.get", "main.eventlog.field.get", {"name": "timestampX"}),
        ("tasks.task.field.list", "tasks.task.field.list", DESCRIBED),
        ("tasks.task.field.get", "tasks.task.field.get", {"name": "id"}),
    ],
)
async def test_an_answer_has_the_documented_keys_and_types(
    rest3: RestClient, example: str, method: str, params: dict[str, Any]
) -> None:
    answer = await rest3.call(method, **params)
    assert answer.status == 200
    assert answer.content_type == "application/json; charset=utf-8"
    compare(answer.body, example)


async def test_the_fields_match_the_documentation(rest3: RestClient) -> None:
    for prefix, not_ours in (("main.eventlog", set[str]()), ("tasks.task", {"source"})):
        example = documented(f"{prefix}.field.list")["result"]["items"]
        ours = {row["name"]: row["type"] for row in (await rest3.call(f"{prefix}.field.list")).result["items"]}
        reference = {row["name"]: row["type"] for row in example if row["name"] not in not_ours}
        assert reference.items() <= ours.items()
        assert not any(name.startswith("UF_") for name in ours)
        if prefix == "main.eventlog":
            assert set(reference) == set(ours)


async def test_a_whole_task_has_the_documented_keys_and_types(rest3: RestClient, portal: SandboxPortal) -> None:
    task_id = next(task_id for task_id in portal.data.tasks if task_id % 6 == 0)
    portal.data.tasks[task_id] |= {"crmItemIds": ["D_1"]}
    whole = (await rest3.call("tasks.task.get", id=task_id)).body
    related = (await rest3.call("tasks.task.get", id=task_id, select=RELATED)).result["item"]
    whole["result"]["item"] |= related
    del whole["time"]
    compare(whole, "tasks.task.get.v3")


async def test_related_objects_match_the_documentation(rest3: RestClient) -> None:
    answer = await rest3.call("tasks.task.get", id=1, select=["title", *RELATED])
    del answer.body["time"]
    compare(answer.body, "v3.relations")


async def test_a_batch_and_a_deletion_answer_as_documented(rest3: RestClient) -> None:
    get = {"method": "tasks.task.get", "query": {"id": 1, "select": ["id", "title"]}}
    both = await rest3.send("POST", rest3.base + "batch", json=[get, get])
    del both.body["time"]
    compare(both.body, "v3.batch")
    deleted = await rest3.call("tasks.task.delete", id=1)
    del deleted.body["time"]
    assert deleted.body == documented("v3.boolean")
    listed = await rest3.call("tasks.task.list", pagination={"limit": 2})
    del listed.body["time"]
    compare(listed.body, "v3.items")


async def test_the_openapi_document_has_the_documented_keys(rest3: RestClient) -> None:
    answer = (await rest3.call("documentation")).body
    example = documented("rest.documentation.openapi")
    assert set(answer) == {*example, "components"}
    assert answer["info"] == example["info"]
    assert example["tags"][0] in answer["tags"]
    assert set(example["paths"]) <= set(answer["paths"])


@pytest.mark.parametrize(
    ("example", "method", "params"),
    [
        ("main.eventlog.get.error", "main.eventlog.get", {"id": 999_999}),
        ("main.eventlog.tail.error", "main.eventlog.tail", {"filter": [["id", ">", 1]]}),
        ("tasks.task.list.v3.error", "tasks.task.list", {"pagination": {"limit": "abc"}}),
        ("v3.unknown-relation-field.error", "tasks.task.get", {"id": 1, "select": ["responsible.stageId"]}),
        ("main.eventlog.field.list.error", "main.eventlog.field.list", {"select": ["unknownField"]}),
        ("main.eventlog.field.get.error", "main.eventlog.field.get", {}),
        ("tasks.task.add.v3.error", "tasks.task.add", {"fields": {**NEW_TASK, "deadline": "soon"}}),
        ("tasks.task.update.v3.error", "tasks.task.update", {"id": 1, "fields": {"creatorId": 1}}),
    ],
)
async def test_an_error_matches_the_documentation(
    rest3: RestClient, example: str, method: str, params: dict[str, Any]
) -> None:
    answer = await rest3.call(method, **params)
    assert (answer.status, answer.body) == (400, documented(example))


async def test_changes_of_tasks_answer_as_documented(rest3: RestClient) -> None:
    added = await rest3.call("tasks.task.add", fields={**NEW_TASK, "crmItemIds": ["L_1"]})
    compare(added.body, "tasks.task.add.v3")
    task_id = added.result["item"]["id"]
    compare((await rest3.call("tasks.task.update", id=task_id, fields={"title": "B"})).body, "tasks.task.update.v3")
    compare((await rest3.call("tasks.task.delete", id=task_id)).body, "tasks.task.delete.v3")
    gone = await rest3.call("tasks.task.delete", id=task_id)
    assert (gone.status, gone.body) == (403, documented("tasks.task.delete.v3.error"))


async def test_a_missing_record_and_field_are_refused_as_documented(rest3: RestClient, portal: SandboxPortal) -> None:
    portal.data.tasks.pop(2, None)
    answer = await rest3.call("tasks.task.get", id=2)
    assert (answer.status, answer.body) == (400, documented("tasks.task.get.v3.error"))
    example, answered = documented("v3.validation.error")["error"], (await rest3.call("tasks.task.get")).error
    assert (answered["code"], answered["validation"]) == (example["code"], example["validation"])
    example = documented("main.eventlog.list.error")["error"]
    assert (await rest3.call("main.eventlog.list", pagination={"limit": "abc"})).error["code"] == example["code"]


@pytest.mark.parametrize("example", ["v3.filter.and.request", "v3.filter.or.request"])
async def test_the_documented_filters_are_accepted(rest3: RestClient, example: str) -> None:
    conditions = json.loads(json.dumps(documented(example)["filter"]).replace('"status"', '"severity"'))
    answer = await rest3.call("main.eventlog.list", filter=conditions)
    assert answer.result == {"items": []}
