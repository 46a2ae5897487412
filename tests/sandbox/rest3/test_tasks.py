"""Writing tasks in REST 3.0, with and without an Idempotency-Key."""

import json
from typing import Any

import pytest
from aiohttp import ClientPayloadError, ClientSession

from gateway.sandbox.portal import SandboxPortal
from tests.clock import ManualClock
from tests.sandbox.client import RestClient
from tests.sandbox.rest3.answers import refused

FIELDS = {"title": "Write ✍", "creatorId": 1, "responsibleId": 1}


async def test_a_task_is_added_changed_and_deleted(rest3: RestClient, portal: SandboxPortal) -> None:
    last = list(portal.data.tasks)[-1]
    added = (await rest3.call("tasks.task.add", fields={**FIELDS, "deadline": "2026-12-31T23:59:59+03:00"})).result
    task_id = added["item"]["id"]
    assert task_id == last + 1
    assert (added["item"]["title"], added["item"]["deadline"]) == ("Write ✍", "2026-12-31T23:59:59+03:00")
    assert added == (await rest3.call("tasks.task.get", id=task_id)).result
    changed = await rest3.call("tasks.task.update", id=task_id, fields={"title": "Rewrite", "priority": "high"})
    assert changed.result == {"result": True}
    row = (await rest3.call("tasks.task.get", id=task_id)).result["item"]
    assert (row["title"], row["priority"], row["deadline"]) == ("Rewrite", "high", "2026-12-31T23:59:59+03:00")
    assert (await rest3.call("tasks.task.delete", id=task_id)).result == {"result": True}
    assert refused(await rest3.call("tasks.task.get", id=task_id), 400, "ENTITYNOTFOUNDEXCEPTION")
    again = (await rest3.call("tasks.task.add", fields=FIELDS)).result
    assert again["item"]["id"] == task_id + 1


@pytest.mark.parametrize(
    ("method", "params", "status", "name"),
    [
        ("add", {}, 400, "VALIDATION_REQUESTVALIDATIONEXCEPTION"),
        ("add", {"fields": 5}, 400, "VALIDATION_REQUESTVALIDATIONEXCEPTION"),
        ("add", {"fields": []}, 400, "VALIDATION_REQUESTVALIDATIONEXCEPTION"),
        ("add", {"fields": {"title": "A", "creatorId": 1}}, 400, "VALIDATION_REQUESTVALIDATIONEXCEPTION"),
        ("add", {"fields": {**FIELDS, "responsibleId": 9_999}}, 400, "VALIDATION_REQUESTVALIDATIONEXCEPTION"),
        ("add", {"fields": {**FIELDS, "responsibleId": "1"}}, 400, "VALIDATION_REQUESTVALIDATIONEXCEPTION"),
        ("add", {"fields": {**FIELDS, "deadline": "soon"}}, 400, "VALIDATION_REQUESTVALIDATIONEXCEPTION"),
        ("add", {"fields": {**FIELDS, "guid": "x"}}, 400, "VALIDATION_REQUESTVALIDATIONEXCEPTION"),
        ("add", {"fields": {**FIELDS, "nope": 1}}, 400, "UNKNOWNDTOPROPERTYEXCEPTION"),
        ("update", {"id": 1}, 400, "VALIDATION_REQUESTVALIDATIONEXCEPTION"),
        ("update", {"id": "1", "fields": {}}, 400, "VALIDATION_REQUESTVALIDATIONEXCEPTION"),
        ("update", {"id": 1, "fields": {"creatorId": 1}}, 400, "VALIDATION_REQUESTVALIDATIONEXCEPTION"),
        ("update", {"id": 999_999, "fields": {}}, 403, "ACCESSDENIEDEXCEPTION"),
        ("delete", {}, 400, "VALIDATION_REQUESTVALIDATIONEXCEPTION"),
        ("delete", {"id": 999_999}, 403, "ACCESSDENIEDEXCEPTION"),
    ],
)
async def test_an_invalid_write_is_refused_and_changes_nothing(
    rest3: RestClient, portal: SandboxPortal, method: str, params: dict[str, Any], status: int, name: str
) -> None:
    before = dict(portal.data.tasks)
    answer = await rest3.call(f"tasks.task.{method}", **params)
    assert refused(answer, status, name)
    assert ("validation" in answer.error) is name.startswith("VALIDATION")
    assert dict(portal.data.tasks) == before


class Keyed:
    """Calls with an Idempotency-Key. They return status, body and the two headers."""

    def __init__(self, session: ClientSession, base: str) -> None:
        self._session, self._base = session, base

    async def call(self, method: str, key: str, **params: Any) -> tuple[int, Any, str | None, str | None]:
        headers = {"Idempotency-Key": key}
        async with self._session.post(self._base + method, json=params, headers=headers) as response:
            found = response.headers
            return (
                response.status,
                await response.json(),
                found.get("Idempotency-Key"),
                found.get("Idempotent-Replayed"),
            )


@pytest.fixture
def keyed(rest3: RestClient) -> Keyed:
    return Keyed(rest3.session, rest3.base)


async def test_a_repeated_call_runs_once_and_is_answered_twice(keyed: Keyed, portal: SandboxPortal) -> None:
    before = len(portal.data.tasks)
    status, body, key, replayed = await keyed.call("tasks.task.add", "k-1", fields=FIELDS)
    assert (status, key, replayed) == (200, "k-1", None)
    assert await keyed.call("tasks.task.add", "k-1", fields=FIELDS) == (200, body, "k-1", "true")
    assert len(portal.data.tasks) == before + 1
    assert [seen.idempotency_key for seen in portal.seen] == ["k-1", "k-1"]


async def test_a_lost_answer_is_replayed(keyed: Keyed, portal: SandboxPortal) -> None:
    before = len(portal.data.tasks)
    portal.fault("tasks.task.add:cut")
    with pytest.raises(ClientPayloadError):
        await keyed.call("tasks.task.add", "k-1", fields=FIELDS)
    status, _, _, replayed = await keyed.call("tasks.task.add", "k-1", fields=FIELDS)
    assert (status, replayed, len(portal.data.tasks)) == (200, "true", before + 1)


async def test_the_same_key_with_another_body_is_refused(keyed: Keyed) -> None:
    await keyed.call("tasks.task.add", "k-1", fields=FIELDS)
    status, body, _, _ = await keyed.call("tasks.task.add", "k-1", fields={**FIELDS, "title": "Other"})
    assert status == 422
    assert body["error"]["code"] == "BITRIX_REST_V3_EXCEPTION_IDEMPOTENCYKEYREUSEDEXCEPTION"


async def test_a_key_is_scoped_to_a_method_and_a_caller(keyed: Keyed, anonymous: RestClient, token: str) -> None:
    _, body, _, _ = await keyed.call("tasks.task.add", "k-1", fields=FIELDS)
    task_id = body["result"]["item"]["id"]
    assert (await keyed.call("tasks.task.delete", "k-1", id=task_id))[3] is None
    other = Keyed(anonymous.session, anonymous.base + "/rest/api/")
    status, _, _, replayed = await other.call("tasks.task.add", "k-1", fields=FIELDS, auth=token)
    assert (status, replayed) == (200, None)


async def test_a_failed_call_can_be_retried(keyed: Keyed, portal: SandboxPortal) -> None:
    portal.fault("tasks.task.add:json500")
    assert (await keyed.call("tasks.task.add", "k-1", fields=FIELDS))[0] == 500
    assert (await keyed.call("tasks.task.add", "k-1", fields=FIELDS))[::3] == (200, None)


async def test_an_answer_is_stored_for_a_day(keyed: Keyed, clock: ManualClock) -> None:
    _, first, _, _ = await keyed.call("tasks.task.add", "k-1", fields=FIELDS)
    await clock.advance(86_399)
    assert (await keyed.call("tasks.task.add", "k-1", fields=FIELDS))[1] == first
    await clock.advance(1)
    assert (await keyed.call("tasks.task.add", "k-1", fields=FIELDS))[3] is None


@pytest.mark.parametrize("key", ["", "two words", "x" * 256, "ключ"])
async def test_a_malformed_key_is_refused(rest3: RestClient, portal: SandboxPortal, key: str) -> None:
    before = len(portal.data.tasks)
    headers = {"Idempotency-Key": key}
    answer = await rest3.send("POST", rest3.base + "tasks.task.add", json={"fields": FIELDS}, headers=headers)
    assert refused(answer, 400, "INVALIDIDEMPOTENCYKEYEXCEPTION")
    assert len(portal.data.tasks) == before


async def test_a_read_ignores_the_key(keyed: Keyed) -> None:
    for limit in (1, 2):
        status, body, key, _ = await keyed.call("tasks.task.list", "k 1", pagination={"limit": limit})
        assert (status, key, len(body["result"]["items"])) == (200, None, limit)


async def test_rest2_ignores_the_key(webhook: RestClient) -> None:
    headers = {"Idempotency-Key": "two words", "Content-Type": "application/json"}
    data = json.dumps({"taskId": 1}).encode()
    assert (await webhook.send("POST", webhook.base + "tasks.task.get", data=data, headers=headers)).status == 200
