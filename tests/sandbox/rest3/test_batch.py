"""batch of REST 3.0: an array of calls gives an array of results, or one error."""

from typing import Any

import pytest

from gateway.sandbox.errors import CallError
from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.rest3.errors import PREFIX
from gateway.sandbox.rest3.references import resolve
from tests.sandbox.client import Answer, RestClient
from tests.sandbox.rest3.answers import refused

FIELDS = {"title": "One", "creatorId": 1, "responsibleId": 1}


async def batch(client: RestClient, *calls: Any) -> Answer:
    return await client.send("POST", client.base + "batch", json=list(calls))


def command(method: str, name: str | None = None, **query: Any) -> dict[str, Any]:
    call: dict[str, Any] = {"method": method, "query": query}
    return call if name is None else {**call, "as": name}


async def test_results_are_in_the_order_of_the_calls(rest3: RestClient, portal: SandboxPortal) -> None:
    first = next(iter(portal.data.tasks))
    answer = await batch(
        rest3,
        command("tasks.task.get", id=first, select=["id"]),
        {"method": "Main.EventLog.List"},
        command("tasks.task.list", pagination={"limit": 1}),
    )
    assert list(answer.body) == ["result", "time"]
    task, entries, tasks = answer.result
    assert (task, len(entries["items"]), tasks) == ({"item": {"id": first}}, 50, {"items": [{"id": first}]})
    assert [(seen.method, seen.in_batch) for seen in portal.seen] == [
        ("batch", False),
        ("tasks.task.get", True),
        ("main.eventlog.list", True),
        ("tasks.task.list", True),
    ]
    assert portal.http_requests == 1


async def test_later_calls_can_refer_to_earlier_results(rest3: RestClient, portal: SandboxPortal) -> None:
    answer = await batch(
        rest3,
        command("tasks.task.list", "few", pagination={"limit": 3}),
        command("tasks.task.get", id={"$ref": "few.2.id", "ignored": 1}),
        command("tasks.task.list", filter=[["id", "in", {"$refArray": "0.id"}]]),
        command("tasks.task.list", filter=[["id", "in", {"$refArray": "few.id"}]]),
    )
    # A named call cannot be referred to by its position.
    assert refused(answer, 400, "INVALIDSELECTEXCEPTION")
    answer = await batch(
        rest3,
        command("tasks.task.list", pagination={"limit": 3}),
        command("tasks.task.get", id={"$ref": "0.2.id"}),
        command("tasks.task.list", filter=[["id", "in", {"$refArray": "0.id"}]]),
    )
    ids = list(portal.data.tasks)[:3]
    assert answer.result[1]["item"]["id"] == ids[2]
    assert answer.result[2] == {"items": [{"id": task_id} for task_id in ids]}


async def test_an_object_of_calls_is_equivalent_to_a_list(rest3: RestClient, portal: SandboxPortal) -> None:
    calls = {"0": command("tasks.task.list", "few", pagination={"limit": 2}), "1": command("rest.scope.list")}
    answer = await rest3.send("POST", rest3.base + "batch", json=calls)
    few, scopes = answer.result
    assert few == {"items": [{"id": task_id} for task_id in list(portal.data.tasks)[:2]]}
    assert "tasks" in scopes


async def test_an_object_of_calls_may_contain_the_token(
    anonymous: RestClient, portal: SandboxPortal, access_token: str
) -> None:
    calls = {"0": command("tasks.task.list", pagination={"limit": 1}), "auth": access_token}
    answer = await anonymous.send("POST", anonymous.base + "/rest/api/batch", json=calls)
    assert answer.result == [{"items": [{"id": next(iter(portal.data.tasks))}]}]
    assert portal.seen[0].credential == access_token


async def test_a_reference_may_include_the_wrapper_of_the_rows(rest3: RestClient, portal: SandboxPortal) -> None:
    answer = await batch(
        rest3,
        command("tasks.task.list", "few", pagination={"limit": 3}),
        command("tasks.task.get", "second", id={"$ref": "few.items.1.id"}, select=["id"]),
        command("tasks.task.get", id={"$ref": "second.item.id"}, select=["id"]),
        command("tasks.task.list", filter=[["id", "in", {"$refArray": "few.items.id"}]]),
    )
    first, second, third = list(portal.data.tasks)[:3]
    assert answer.result[1:3] == [{"item": {"id": second}}] * 2
    assert [row["id"] for row in answer.result[3]["items"]] == [first, second, third]


async def test_one_error_fails_the_batch_without_a_rollback(rest3: RestClient, portal: SandboxPortal) -> None:
    before = len(portal.data.tasks)
    add = command("tasks.task.add", fields=FIELDS)
    answer = await batch(rest3, add, command("tasks.task.get", id=999_999), add)
    assert refused(answer, 400, "ENTITYNOTFOUNDEXCEPTION")
    assert len(portal.data.tasks) == before + 1
    assert portal.refusals == {PREFIX + "ENTITYNOTFOUNDEXCEPTION": 1}


async def test_method_names_are_checked_before_any_call_runs(rest3: RestClient, portal: SandboxPortal) -> None:
    add = command("tasks.task.add", fields=FIELDS)
    for wrong in ("nope", "batch", "user.get"):
        assert refused(await batch(rest3, add, command(wrong)), 404, "METHODNOTFOUNDEXCEPTION")
    assert "tasks.task.add" not in portal.calls


@pytest.mark.parametrize(
    "body",
    [
        {"cmd": {"a": "tasks.task.list"}},
        {},
        [],
        ["tasks.task.list"],
        [{"query": {}}],
        [{"method": "tasks.task.list", "query": 5}],
        [{"method": "tasks.task.list", "as": 5}],
        [{"method": "tasks.task.list", "as": "a"}, {"method": "tasks.task.list", "as": "a"}],
        [{"method": "tasks.task.list"}] * 51,
    ],
)
async def test_an_invalid_batch_is_refused(rest3: RestClient, body: Any) -> None:
    answer = await rest3.send("POST", rest3.base + "batch", json=body)
    assert refused(answer, 400, "INVALIDSELECTEXCEPTION")


async def test_fifty_calls_run_without_operating_time(rest3: RestClient, portal: SandboxPortal) -> None:
    portal.fault("tasks.task.list:busy=100")
    assert len((await batch(rest3, *[command("tasks.task.list")] * 50)).result) == 50
    assert (await rest3.call("tasks.task.list")).body["time"]["operating"] == 0


CONTEXT = {"task": {"id": 7, "closed": None}, "list": [{"id": 1}, {"id": 2}], "box": {"items": [5]}}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"$ref": "task.id"}, 7),
        ({"$ref": "list.1.id"}, 2),
        ({"$ref": "list"}, [{"id": 1}, {"id": 2}]),
        ({"$ref": "task.item.id"}, 7),
        ({"$ref": "list.items.1.id"}, 2),
        ({"$ref": "list.items"}, [{"id": 1}, {"id": 2}]),
        ({"$ref": "box.items.0"}, 5),
        ({"$refArray": "list.id"}, [1, 2]),
        ({"$refArray": "list.items.id"}, [1, 2]),
        ({"a": [{"$ref": "task.id"}, "task.id", None]}, {"a": [7, "task.id", None]}),
    ],
)
def test_references_are_replaced_at_any_depth(value: Any, expected: Any) -> None:
    assert resolve(value, CONTEXT) == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"$ref": "nobody.id"}, "Path 'nobody.id' not found in context"),
        ({"$ref": "task.closed"}, "Path 'task.closed' not found in context"),
        ({"$ref": "list.2.id"}, "Path 'list.2.id' not found in context"),
        ({"$ref": "nobody.items.0"}, "Path 'nobody.items.0' not found in context"),
        ({"$ref": "list.items.items.0"}, "Path 'list.items.items.0' not found in context"),
        ({"$refArray": "list"}, "Invalid $refArray format - expected 'path.to.array.field'"),
        ({"$refArray": "task.id"}, "Invalid context path 'task.id' - expected array at 'task'"),
        ({"$refArray": "list.title"}, "Field 'title' not found in items"),
    ],
)
def test_a_broken_reference_is_refused(value: Any, text: str) -> None:
    with pytest.raises(CallError) as error:
        resolve(value, CONTEXT)
    assert error.value.description == text


async def test_a_result_without_items_cannot_be_referred_to(rest3: RestClient) -> None:
    empty = command("tasks.task.list", "none", filter=[["id", "in", []]])
    answer = await batch(rest3, empty, command("tasks.task.list", filter=[["id", {"$refArray": "none.id"}]]))
    assert refused(answer, 400, "INVALIDSELECTEXCEPTION")
