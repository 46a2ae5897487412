"""POST /bitrix/batch: any number of commands, their results, and writes that are never repeated."""

import asyncio
from typing import Any

import pytest

from tests.bitrix.protocol import php
from tests.gateway import Answer, Gateway, Sandbox, authorize
from tests.support.calling import place, refusal
from tests.support.onlooker import Onlooker, Sent, dropping, saying, telling
from tests.support.stored import run_sql

WRITE = "crm.deal.update"
PROFILE = {"method": "profile"}


async def batch(gateway: Gateway, commands: object, **options: Any) -> Answer:
    """The response to a batch; the clock advances while it waits."""
    return await gateway.clock.until(gateway.post("/bitrix/batch", json={"commands": commands, **options}))


def update(deal: object) -> dict[str, Any]:
    return {"method": WRITE, "params": {"ID": deal, "fields": {"TITLE": "x"}}}


def done(**errors: dict[str, Any]) -> Any:
    """Responds to a batch as if every command had succeeded, except those named in *errors*."""

    async def answer(sent: Sent) -> Any:
        labels = list(sent.json["cmd"])
        results = {label: True for label in labels if label not in errors}
        maps: dict[str, Any] = {f"result_{name}": [] for name in ("total", "next", "time")}
        return await telling({"result": {"result": results, "result_error": errors, **maps}})(sent)

    return answer


def sent_ids(onlooker: Onlooker) -> list[list[object]]:
    """The ids of the deals in each batch that was sent."""
    return [
        [php.parse(command.partition("?")[2])["ID"] for command in sent.json["cmd"].values()]
        for sent in onlooker.of("batch")
    ]


# Requests and responses.


async def test_a_list_of_commands_returns_a_list_in_the_same_order(connected: Gateway) -> None:
    answer = await batch(connected, [PROFILE, {"method": "user.get", "params": {"FILTER": {"ID": 1}}}, {"method": "n"}])
    first, second, third = answer.json["results"]
    assert first["result"]["ID"] == "1"
    assert (second["total"], [row["ID"] for row in second["result"]]) == (1, ["1"])
    assert second["time"]["duration"] >= 0
    assert third["error"] == {"code": "ERROR_METHOD_NOT_FOUND", "description": "Method not found!", "status": None}


async def test_named_commands_return_results_by_name(connected: Gateway) -> None:
    names = ["me", "7", "0", "a/b", "x y", "~", "имя", "[", "007", "-1"]
    answer = await batch(connected, dict.fromkeys(names, PROFILE))
    assert list(answer.json["results"]) == names
    assert {outcome["result"]["ID"] for outcome in answer.json["results"].values()} == {"1"}


@pytest.mark.parametrize("count", [1, 50, 51, 170])
@pytest.mark.parametrize("halt", [False, True])
async def test_any_number_of_commands_is_sent_in_requests_of_fifty(
    watched: Gateway, onlooker: Onlooker, count: int, halt: bool
) -> None:
    commands = [{"method": "user.get", "params": {"FILTER": {"ID": number % 60}}} for number in range(count)]
    answer = await batch(watched, commands, halt=halt)
    assert [len(outcome["result"]) <= 1 for outcome in answer.json["results"]] == [True] * count
    assert sorted((len(sent.json["cmd"]) for sent in onlooker.sent), reverse=True)[0] == min(count, 50)
    assert len(onlooker.sent) == -(-count // 50)
    assert {sent.json["halt"] for sent in onlooker.sent} == {int(halt)}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/commands"),
        ({"commands": []}, "/commands"),
        ({"commands": {}}, "/commands"),
        ({"commands": "profile"}, "/commands"),
        ({"commands": None}, "/commands"),
        ({"commands": [PROFILE], "halt": 1}, "/halt"),
        ({"commands": [PROFILE], "hlat": True}, "/hlat"),
        ({"commands": [PROFILE, {"method": "profile", "parms": {}}]}, "/commands/1/parms"),
        ({"commands": [PROFILE, {}]}, "/commands/1/method"),
        ({"commands": [PROFILE, 5]}, "/commands/1"),
        ({"commands": {"a": {"method": 5}}}, "/commands/a/method"),
        ({"commands": {"a": {"method": "profile", "params": []}}}, "/commands/a/params"),
        ({"commands": [PROFILE, {"method": "crm deal"}]}, "/commands/1/method"),
        ({"commands": {"a/b~": {"method": "profile?x"}}}, "/commands/a~1b~0/method"),
        ({"commands": [{"method": "batch", "params": {"cmd": ["crm.deal.delete?id=1"]}}]}, "/commands/0/method"),
        ({"commands": [{"method": "Batch.json"}]}, "/commands/0/method"),
        ({"commands": [PROFILE, {"method": "profile", "params": {"auth": "x"}}]}, "/commands/1/params/auth"),
        ({"commands": [{"method": "profile", "params": {"Access_Token": "x"}}]}, "/commands/0/params/Access_Token"),
        ({"commands": [PROFILE] * 60 + [{"method": "profile", "params": {"a]b": 1}}]}, "/commands/60/params"),
        ({"commands": [update("$result[1][ID]"), PROFILE]}, "/commands/0/params"),
        ({"commands": [PROFILE, update("$result[1][ID]")]}, "/commands/1/params"),
        ({"commands": [PROFILE, update("id $result[me][ID]")]}, "/commands/1/params"),
        ({"commands": {"me": PROFILE, "it": update({"deep": ["$RESULT[you]"]})}}, "/commands/it/params"),
        ({"commands": [PROFILE, update("$total[7]")]}, "/commands/1/params"),
        ({"commands": [PROFILE] * 50 + [update("$result[49][ID]")]}, "/commands/50/params"),
        ({"commands": [PROFILE] * 120 + [update("$result[99][ID]")]}, "/commands/120/params"),
    ],
)
async def test_an_invalid_batch_is_refused_with_a_pointer_before_anything_is_sent(
    connected: Gateway, sandbox: Sandbox, body: object, pointer: str
) -> None:
    requests = sandbox.portal.http_requests
    answer = await connected.post("/bitrix/batch", json=body)
    assert (refusal(answer), place(answer)) == ((400, "invalid_input"), pointer)
    assert sandbox.portal.http_requests == requests


async def test_one_denied_method_denies_the_whole_batch(connected: Gateway, sandbox: Sandbox) -> None:
    await connected.restart(GATEWAY_METHODS_DENY="crm.*.delete")
    requests = sandbox.portal.http_requests
    answer = await batch(connected, [PROFILE] * 60 + [{"method": "CRM.Deal.Delete", "params": {"ID": 1}}])
    assert refusal(answer) == (403, "method_denied")
    assert sandbox.portal.http_requests == requests


# References.


async def test_a_command_can_use_the_result_of_an_earlier_one(connected: Gateway, sandbox: Sandbox) -> None:
    ids = sorted(sandbox.portal.data.users)
    read = {"method": "user.get", "params": {"sort": "ID", "order": "ASC", "start": -1}}
    second = {"method": "user.get", "params": {"FILTER": {"ID": "$result[list][2][ID]"}}}
    answer = await batch(connected, {"list": read, "user": second})
    assert [row["ID"] for row in answer.json["results"]["user"]["result"]] == [str(ids[2])]
    by_position = {"method": "user.get", "params": {"FILTER": {"ID": "$result[0][3][ID]"}}}
    answer = await batch(connected, [read, by_position])
    assert [row["ID"] for row in answer.json["results"][1]["result"]] == [str(ids[3])]


async def test_references_work_in_every_request_of_a_long_batch(watched: Gateway, onlooker: Onlooker) -> None:
    commands: list[dict[str, Any]] = []
    for position in range(0, 120, 2):
        read = {"method": "user.get", "params": {"FILTER": {"ID": 1}}}
        commands += [read, {"method": "user.get", "params": {"FILTER": {"ID": f"$result[{position}][0][ID]"}}}]
    answer = await batch(watched, commands)
    assert [row["ID"] for outcome in answer.json["results"] for row in outcome["result"]] == ["1"] * 120
    assert len(onlooker.sent) == 3


# Failures.


async def test_halt_stops_the_batch_at_the_first_failure_across_requests(watched: Gateway, onlooker: Onlooker) -> None:
    commands = [PROFILE] * 52 + [{"method": "nope"}] + [PROFILE] * 100
    answer = await batch(watched, commands, halt=True)
    results = answer.json["results"]
    assert [("result" in outcome) for outcome in results] == [True] * 52 + [False] * 101
    assert [outcome["error"]["code"] for outcome in results[52:]] == ["ERROR_METHOD_NOT_FOUND"] + ["not_run"] * 100
    assert len(onlooker.sent) == 2


async def test_without_halt_the_other_commands_are_carried_out(connected: Gateway) -> None:
    answer = await batch(connected, [{"method": "nope"}, PROFILE] * 40)
    assert [("result" in outcome) for outcome in answer.json["results"]] == [False, True] * 40


async def test_a_failed_read_command_is_retried_alone(watched: Gateway, onlooker: Onlooker) -> None:
    onlooker.answer("batch", done(c1={"error": "INTERNAL_SERVER_ERROR", "error_description": "Later"}))
    answer = await batch(watched, [PROFILE] * 3)
    assert ["result" in outcome for outcome in answer.json["results"]] == [True] * 3
    assert [len(sent.json["cmd"]) for sent in onlooker.sent] == [3, 1]


async def test_a_command_without_operating_time_fails_without_waiting(connected: Gateway, sandbox: Sandbox) -> None:
    sandbox.portal.fault("user.get:otl")
    began = connected.clock.now()
    first, second = (await batch(connected, [PROFILE, {"method": "user.get"}])).json["results"]
    assert first["result"]["ID"] == "1"
    assert second["error"]["code"] == "OPERATION_TIME_LIMIT"
    assert connected.clock.now() - began < 5


@pytest.mark.parametrize("code", ["ERROR_CORE", "INTERNAL_SERVER_ERROR"])
async def test_a_failed_write_in_a_batch_is_reported_and_not_retried(
    watched: Gateway, onlooker: Onlooker, code: str
) -> None:
    names = {"a": update(1), "b": update(2), "c": PROFILE}
    onlooker.answer("batch", done(b={"error": code, "error_description": "Words"}))
    results = (await batch(watched, names)).json["results"]
    assert results["a"] == results["c"] == {"result": True}
    assert results["b"]["error"]["code"] == ("outcome_unknown" if code == "INTERNAL_SERVER_ERROR" else code)
    assert "Words" in results["b"]["error"]["description"]
    assert len(onlooker.sent) == 1


async def test_writes_are_sent_one_request_at_a_time_in_order(watched: Gateway, onlooker: Onlooker) -> None:
    onlooker.answer("batch", *[done()] * 3)
    answer = await batch(watched, [update(number) for number in range(130)])
    assert answer.json["results"] == [{"result": True}] * 130
    assert [deal_id for ids in sent_ids(onlooker) for deal_id in ids] == [str(number) for number in range(130)]
    assert onlooker.most_under_way == 1


async def test_a_rate_limited_batch_of_writes_is_retried_as_a_whole(watched: Gateway, onlooker: Onlooker) -> None:
    onlooker.answer("batch", telling({"error": "QUERY_LIMIT_EXCEEDED"}, 503), done())
    assert (await batch(watched, [update(1), update(2)])).json["results"] == [{"result": True}] * 2
    assert sent_ids(onlooker) == [["1", "2"]] * 2


@pytest.mark.parametrize("fault", [dropping, saying(502, b"<html>", "text/html"), saying(200, b"")])
async def test_writes_whose_response_is_lost_are_reported_as_unknown_and_not_retried(
    watched: Gateway, onlooker: Onlooker, fault: Any
) -> None:
    onlooker.answer("batch", fault)
    assert refusal(await batch(watched, [PROFILE, update(1)])) == (502, "outcome_unknown")
    assert len(onlooker.sent) == 1


async def test_writes_before_a_failed_request_are_reported(watched: Gateway, onlooker: Onlooker) -> None:
    onlooker.answer("batch", done(), dropping)
    results = (await batch(watched, [update(number) for number in range(130)])).json["results"]
    assert results[:50] == [{"result": True}] * 50
    assert [outcome["error"]["code"] for outcome in results[50:]] == ["outcome_unknown"] * 50 + ["not_run"] * 30
    assert results[50]["error"]["description"].startswith(
        "it is not known whether the call was carried out: the portal"
    )
    assert len(onlooker.sent) == 2


async def test_a_permanently_failed_request_of_reads_does_not_fail_the_others(
    watched: Gateway, onlooker: Onlooker
) -> None:
    refused = telling({"error": "ACCESS_DENIED", "error_description": "No"}, 403)
    onlooker.answer("batch", done(), refused)
    results = (await batch(watched, [PROFILE] * 150)).json["results"]
    failed = [index for index, outcome in enumerate(results) if "error" in outcome]
    assert failed in (list(range(50, 100)), list(range(100, 150)))
    assert {results[index]["error"]["code"] for index in failed} == {"ACCESS_DENIED"}


async def test_a_permanently_failed_first_request_fails_the_batch(watched: Gateway, onlooker: Onlooker) -> None:
    onlooker.answer("batch", telling({"error": "PORTAL_DELETED", "error_description": "Gone"}, 403))
    answer = await batch(watched, [PROFILE] * 150)
    assert refusal(answer) == (409, "portal_deleted")
    assert len(onlooker.sent) == 1
    assert (await watched.get("/bitrix/account")).json["stale"] is True


async def test_a_credential_revoked_during_a_batch_makes_the_account_stale(
    watched: Gateway, onlooker: Onlooker
) -> None:
    onlooker.answer("batch", done(), telling({"error": "NO_AUTH_FOUND", "error_description": "No"}, 401))
    results = (await batch(watched, [update(number) for number in range(60)])).json["results"]
    assert [outcome.get("error", {}).get("code") for outcome in results] == [None] * 50 + ["NO_AUTH_FOUND"] * 10
    assert (await watched.get("/bitrix/account")).json["stale"] is True


async def test_a_started_batch_waits_without_limit_for_the_portals_limits(watched: Gateway, onlooker: Onlooker) -> None:
    await watched.restart(GATEWAY_MAX_WAIT_S="1")
    answer = await batch(watched, [PROFILE] * 50 * 70)
    assert answer.status == 200
    assert all("result" in outcome for outcome in answer.json["results"])
    assert len(onlooker.sent) == 70


async def test_writes_before_a_storage_failure_are_reported(
    watched: Gateway, onlooker: Onlooker, caplog: pytest.LogCaptureFixture
) -> None:
    async def answer_and_fail(sent: Sent) -> Any:
        run_sql(watched, "ALTER TABLE buckets RENAME TO elsewhere")
        watched.clock.wall_shift_s += 10  # the next request needs another activity checkpoint
        return await done()(sent)

    onlooker.answer("batch", answer_and_fail)
    results = (await batch(watched, [update(number) for number in range(130)])).json["results"]
    run_sql(watched, "ALTER TABLE elsewhere RENAME TO buckets")
    assert results[:50] == [{"result": True}] * 50
    internal = {"code": "internal_error", "description": "Internal Server Error", "status": None}
    assert [outcome["error"] for outcome in results[50:100]] == [internal] * 50
    assert [outcome["error"]["code"] for outcome in results[100:]] == ["not_run"] * 30
    assert len(onlooker.sent) == 1
    assert "a part of a batch was not sent" in caplog.text


@pytest.mark.parametrize("halt", [False, True])
async def test_results_before_the_account_was_deleted_are_reported(
    gateway: Gateway, sandbox: Sandbox, halt: bool
) -> None:
    await authorize(gateway, sandbox)
    await gateway.synced()
    sandbox.portal.hold("profile")
    sandbox.portal.fault("batch:expired_token*@1")
    calling = asyncio.create_task(batch(gateway, [PROFILE] * 130, halt=halt))
    while not sandbox.portal.calls["profile"]:
        await gateway.clock.settle()
    assert (await gateway.delete("/bitrix/account")).status == 200
    sandbox.portal.release("profile")
    answer = await calling
    assert answer.status == 200
    results = answer.json["results"]
    assert ["result" in outcome for outcome in results] == [True] * 50 + [False] * 80
    codes = [outcome["error"]["code"] for outcome in results[50:]]
    assert codes == ["authorization_required"] * 50 + ["not_run" if halt else "authorization_required"] * 30
    assert "deleted meanwhile" in results[50]["error"]["description"]


async def test_a_method_blocked_in_the_first_request_fails_in_the_others(watched: Gateway, onlooker: Onlooker) -> None:
    onlooker.answer("batch", done(c0={"error": "OPERATION_TIME_LIMIT", "error_description": "Later"}))
    began = watched.clock.now()
    results = (await batch(watched, [PROFILE] * 130)).json["results"]
    assert ["result" in outcome for outcome in results] == [False] + [True] * 49 + [False] * 80
    assert {outcome["error"]["code"] for outcome in results if "error" in outcome} == {"OPERATION_TIME_LIMIT"}
    assert (watched.clock.now() - began < 5, len(onlooker.sent)) == (True, 1)
