"""POST /bitrix/batch: failed commands, failed requests, and writes that are never repeated."""

import asyncio
from typing import Any

import pytest

from tests.bitrix.protocol import php
from tests.gateway import Gateway, Sandbox, authorize
from tests.support.calling import WRITE, batch, refusal
from tests.support.recording_proxy import RecordingProxy, Sent, drop_connection, respond, respond_json
from tests.support.stored import run_sql

PROFILE = {"method": "profile"}


def update(deal: object) -> dict[str, Any]:
    return {"method": WRITE, "params": {"ID": deal, "fields": {"TITLE": "x"}}}


def done(**errors: dict[str, Any]) -> Any:
    """Responds to a batch as if every command had succeeded, except those named in *errors*."""

    async def answer(sent: Sent) -> Any:
        labels = list(sent.json["cmd"])
        results = {label: True for label in labels if label not in errors}
        maps: dict[str, Any] = {f"result_{name}": [] for name in ("total", "next", "time")}
        return await respond_json({"result": {"result": results, "result_error": errors, **maps}})(sent)

    return answer


def sent_ids(proxy: RecordingProxy) -> list[list[object]]:
    """The ids of the deals in each batch that was sent."""
    return [
        [php.parse(command.partition("?")[2])["ID"] for command in sent.json["cmd"].values()]
        for sent in proxy.of("batch")
    ]


async def test_halt_stops_the_batch_at_the_first_failure_across_requests(
    proxied: Gateway, proxy: RecordingProxy
) -> None:
    commands = [PROFILE] * 52 + [{"method": "nope"}] + [PROFILE] * 100
    answer = await batch(proxied, commands, halt=True)
    results = answer.json["results"]
    assert [("result" in outcome) for outcome in results] == [True] * 52 + [False] * 101
    assert [outcome["error"]["code"] for outcome in results[52:]] == ["ERROR_METHOD_NOT_FOUND"] + ["not_run"] * 100
    assert len(proxy.sent) == 2


async def test_without_halt_the_other_commands_are_carried_out(connected: Gateway) -> None:
    answer = await batch(connected, [{"method": "nope"}, PROFILE] * 40)
    assert [("result" in outcome) for outcome in answer.json["results"]] == [False, True] * 40


async def test_a_failed_read_command_is_retried_alone(proxied: Gateway, proxy: RecordingProxy) -> None:
    proxy.answer("batch", done(c1={"error": "INTERNAL_SERVER_ERROR", "error_description": "Later"}))
    answer = await batch(proxied, [PROFILE] * 3)
    assert ["result" in outcome for outcome in answer.json["results"]] == [True] * 3
    assert [len(sent.json["cmd"]) for sent in proxy.sent] == [3, 1]


async def test_a_command_without_operating_time_fails_without_waiting(connected: Gateway, sandbox: Sandbox) -> None:
    sandbox.portal.fault("user.get:otl")
    began = connected.clock.now()
    first, second = (await batch(connected, [PROFILE, {"method": "user.get"}])).json["results"]
    assert first["result"]["ID"] == "1"
    assert second["error"]["code"] == "OPERATION_TIME_LIMIT"
    assert connected.clock.now() - began < 5


@pytest.mark.parametrize("code", ["ERROR_CORE", "INTERNAL_SERVER_ERROR"])
async def test_a_failed_write_in_a_batch_is_reported_and_not_retried(
    proxied: Gateway, proxy: RecordingProxy, code: str
) -> None:
    names = {"a": update(1), "b": update(2), "c": PROFILE}
    proxy.answer("batch", done(b={"error": code, "error_description": "Words"}))
    results = (await batch(proxied, names)).json["results"]
    assert results["a"] == results["c"] == {"result": True}
    assert results["b"]["error"]["code"] == ("outcome_unknown" if code == "INTERNAL_SERVER_ERROR" else code)
    assert "Words" in results["b"]["error"]["description"]
    assert len(proxy.sent) == 1


async def test_writes_are_sent_one_request_at_a_time_in_order(proxied: Gateway, proxy: RecordingProxy) -> None:
    proxy.answer("batch", *[done()] * 3)
    answer = await batch(proxied, [update(number) for number in range(130)])
    assert answer.json["results"] == [{"result": True}] * 130
    assert [deal_id for ids in sent_ids(proxy) for deal_id in ids] == [str(number) for number in range(130)]
    assert proxy.max_in_flight == 1


async def test_a_rate_limited_batch_of_writes_is_retried_as_a_whole(proxied: Gateway, proxy: RecordingProxy) -> None:
    proxy.answer("batch", respond_json({"error": "QUERY_LIMIT_EXCEEDED"}, 503), done())
    assert (await batch(proxied, [update(1), update(2)])).json["results"] == [{"result": True}] * 2
    assert sent_ids(proxy) == [["1", "2"]] * 2


@pytest.mark.parametrize("fault", [drop_connection, respond(502, b"<html>", "text/html"), respond(200, b"")])
async def test_writes_whose_response_is_lost_are_reported_as_unknown_and_not_retried(
    proxied: Gateway, proxy: RecordingProxy, fault: Any
) -> None:
    proxy.answer("batch", fault)
    assert refusal(await batch(proxied, [PROFILE, update(1)])) == (502, "outcome_unknown")
    assert len(proxy.sent) == 1


async def test_writes_before_a_failed_request_are_reported(proxied: Gateway, proxy: RecordingProxy) -> None:
    proxy.answer("batch", done(), drop_connection)
    results = (await batch(proxied, [update(number) for number in range(130)])).json["results"]
    assert results[:50] == [{"result": True}] * 50
    assert [outcome["error"]["code"] for outcome in results[50:]] == ["outcome_unknown"] * 50 + ["not_run"] * 30
    assert results[50]["error"]["description"].startswith(
        "it is not known whether the call was carried out: the portal"
    )
    assert len(proxy.sent) == 2


async def test_a_permanently_failed_request_of_reads_does_not_fail_the_others(
    proxied: Gateway, proxy: RecordingProxy
) -> None:
    refused = respond_json({"error": "ACCESS_DENIED", "error_description": "No"}, 403)
    proxy.answer("batch", done(), refused)
    results = (await batch(proxied, [PROFILE] * 150)).json["results"]
    failed = [index for index, outcome in enumerate(results) if "error" in outcome]
    assert failed in (list(range(50, 100)), list(range(100, 150)))
    assert {results[index]["error"]["code"] for index in failed} == {"ACCESS_DENIED"}


async def test_a_permanently_failed_first_request_fails_the_batch(proxied: Gateway, proxy: RecordingProxy) -> None:
    proxy.answer("batch", respond_json({"error": "PORTAL_DELETED", "error_description": "Gone"}, 403))
    answer = await batch(proxied, [PROFILE] * 150)
    assert refusal(answer) == (409, "portal_deleted")
    assert len(proxy.sent) == 1
    assert (await proxied.get("/bitrix/account")).json["stale"] is True


async def test_a_credential_revoked_during_a_batch_makes_the_account_stale(
    proxied: Gateway, proxy: RecordingProxy
) -> None:
    proxy.answer("batch", done(), respond_json({"error": "NO_AUTH_FOUND", "error_description": "No"}, 401))
    results = (await batch(proxied, [update(number) for number in range(60)])).json["results"]
    assert [outcome.get("error", {}).get("code") for outcome in results] == [None] * 50 + ["NO_AUTH_FOUND"] * 10
    assert (await proxied.get("/bitrix/account")).json["stale"] is True


async def test_a_started_batch_waits_without_limit_for_the_portals_limits(
    proxied: Gateway, proxy: RecordingProxy
) -> None:
    await proxied.restart(GATEWAY_MAX_WAIT_S="1")
    answer = await batch(proxied, [PROFILE] * 50 * 70)
    assert answer.status == 200
    assert all("result" in outcome for outcome in answer.json["results"])
    assert len(proxy.sent) == 70


async def test_writes_before_a_storage_failure_are_reported(
    proxied: Gateway, proxy: RecordingProxy, caplog: pytest.LogCaptureFixture
) -> None:
    async def answer_and_fail(sent: Sent) -> Any:
        run_sql(proxied, "ALTER TABLE buckets RENAME TO elsewhere")
        proxied.clock.wall_shift_s += 10  # the next request needs another activity checkpoint
        return await done()(sent)

    proxy.answer("batch", answer_and_fail)
    results = (await batch(proxied, [update(number) for number in range(130)])).json["results"]
    run_sql(proxied, "ALTER TABLE elsewhere RENAME TO buckets")
    assert results[:50] == [{"result": True}] * 50
    internal = {"code": "internal_error", "description": "Internal Server Error", "status": None}
    assert [outcome["error"] for outcome in results[50:100]] == [internal] * 50
    assert [outcome["error"]["code"] for outcome in results[100:]] == ["not_run"] * 30
    assert len(proxy.sent) == 1
    assert "a part of a batch was not sent" in caplog.text


@pytest.mark.parametrize("halt", [False, True])
async def test_results_before_the_account_was_deleted_are_reported(
    gateway: Gateway, sandbox: Sandbox, halt: bool
) -> None:
    await authorize(gateway, sandbox)
    await gateway.synced()
    sandbox.portal.hold("profile")
    sandbox.portal.fault("batch:expired_token*@1")
    body = {"commands": [PROFILE] * 130, "halt": halt}
    calling = asyncio.create_task(gateway.post("/bitrix/batch", json=body))  # the clock stands still until the release
    while not sandbox.portal.calls["profile"]:
        await gateway.clock.settle()
    assert (await gateway.delete("/bitrix/account")).status == 200
    sandbox.portal.release("profile")
    answer = await gateway.clock.until(calling)
    assert answer.status == 200
    results = answer.json["results"]
    assert ["result" in outcome for outcome in results] == [True] * 50 + [False] * 80
    codes = [outcome["error"]["code"] for outcome in results[50:]]
    assert codes == ["authorization_required"] * 50 + ["not_run" if halt else "authorization_required"] * 30
    assert "deleted meanwhile" in results[50]["error"]["description"]


async def test_a_method_blocked_in_the_first_request_fails_in_the_others(
    proxied: Gateway, proxy: RecordingProxy
) -> None:
    proxy.answer("batch", done(c0={"error": "OPERATION_TIME_LIMIT", "error_description": "Later"}))
    began = proxied.clock.now()
    results = (await batch(proxied, [PROFILE] * 130)).json["results"]
    assert ["result" in outcome for outcome in results] == [False] + [True] * 49 + [False] * 80
    assert {outcome["error"]["code"] for outcome in results if "error" in outcome} == {"OPERATION_TIME_LIMIT"}
    assert (proxied.clock.now() - began < 5, len(proxy.sent)) == (True, 1)
