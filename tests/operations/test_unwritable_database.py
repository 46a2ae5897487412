"""An unwritable database, as on a full disk: requests that store nothing work, all others fail with a reason."""

import asyncio
import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.sandbox.settings import SandboxSettings
from handlers.app_keys import CLIENTS, DIRECTORY
from handlers.http.storage_log import MAX_LINES_PER_S
from tests.gateway import Answer, Gateway, Sandbox, Streamed, authorize
from tests.support.stored import unwritable

PROBLEM = {"Accept": "application/problem+json"}
REFUSED = "request refused: the database cannot be used"
CALLS: list[tuple[str, Any]] = [
    ("/bitrix/call/profile", {}),
    ("/bitrix/batch", {"commands": [{"method": "profile"}]}),
    ("/bitrix/v3/tasks.task.list", {"select": ["id"]}),
    ("/bitrix/v3/batch", [{"method": "tasks.task.list", "query": {"select": ["id"]}}]),
]


@pytest.fixture
def sandbox_settings(sandbox_settings: SandboxSettings) -> SandboxSettings:
    return replace(sandbox_settings, deals=4000, tasks=5)


@pytest.fixture
async def authorized(gateway: Gateway, sandbox: Sandbox) -> Gateway:
    """The gateway with account "acme" connected by OAuth and synced."""
    await authorize(gateway, sandbox)
    await gateway.synced()
    return gateway


def lines(caplog: pytest.LogCaptureFixture, event: str) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.getMessage() == event]


def copy_as_after_crash(directory: Path) -> Path:
    """Return a copy of the database files in *directory*, with their modification times."""
    copies = directory / "left"
    copies.mkdir()
    for path in directory.glob("gateway.db*"):
        shutil.copy2(path, copies / path.name)
    return copies / "gateway.db"


def no_traceback(caplog: pytest.LogCaptureFixture) -> bool:
    return not any(record.exc_info for record in caplog.records)


@pytest.mark.parametrize(("path", "body"), CALLS)
@pytest.mark.parametrize("by_webhook", [True, False])
async def test_calls_work_if_nothing_must_be_stored(
    gateway: Gateway,
    sandbox: Sandbox,
    caplog: pytest.LogCaptureFixture,
    by_webhook: bool,
    path: str,
    body: object,
) -> None:
    await (gateway.connect(sandbox.webhook) if by_webhook else authorize(gateway, sandbox))
    await gateway.synced()
    await gateway.clock.advance(5)
    caplog.set_level("INFO")
    caplog.clear()
    async with unwritable(gateway):
        for _ in range(3):
            assert (await gateway.post(path, json=body)).status == 200
            await gateway.clock.advance(2)
        assert len(lines(caplog, "cannot store request counters; calls continue")) == 1
    assert (await gateway.post(path, json=body)).status == 200
    assert len(lines(caplog, "request counters can be stored again")) == 1
    assert no_traceback(caplog)


async def test_streams_work_if_nothing_must_be_stored(connected: Gateway, sandbox: Sandbox) -> None:
    await connected.clock.advance(5)
    async with unwritable(connected):
        streamed = await connected.stream("deals")
    assert (streamed.end["complete"], len(streamed.rows)) == (True, len(sandbox.portal.data.tables["deals"]))


@pytest.mark.parametrize(("path", "body"), [*CALLS, ("/bitrix/stream/deals", None)])
async def test_a_request_that_must_store_tokens_is_503_with_one_line_in_the_log(
    authorized: Gateway, sandbox: Sandbox, caplog: pytest.LogCaptureFixture, path: str, body: object
) -> None:
    async def send() -> Answer:
        return await (authorized.get(path) if body is None else authorized.post(path, json=body))

    sandbox.portal.oauth.expire_access_tokens()
    renewals = len(sandbox.portal.token_requests)
    caplog.clear()
    async with unwritable(authorized):
        for attempt in (1, 2):
            answer = await authorized.clock.until(send())
            assert (answer.status, answer.json["code"]) == (503, "storage_unavailable")
            assert "try again later" in answer.json["detail"]
            refusals = lines(caplog, REFUSED)
            assert len(refusals) == attempt
            assert vars(refusals[-1])["request_id"] == answer.json["requestId"]
    assert no_traceback(caplog)
    assert (await authorized.clock.until(send())).status == 200
    assert len(sandbox.portal.token_requests) == renewals + 1  # the token pair was kept in memory


async def test_a_stream_that_must_store_tokens_ends_with_an_error_line(
    authorized: Gateway, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.portal.fault("batch:delay=5*@1")
    async with authorized.opened("/bitrix/stream/deals") as response:
        first = await response.content.readline()
        sandbox.portal.oauth.expire_access_tokens()
        sandbox.portal.clear_faults()
        async with unwritable(authorized):
            streamed = Streamed.of(first + await authorized.clock.until(response.read()))
    assert (streamed.end["code"], streamed.end["cursor"]) == ("storage_unavailable", streamed.ids[-1])
    assert no_traceback(caplog)
    rest = await authorized.stream("deals", cursor=streamed.end["cursor"])
    assert streamed.ids + rest.ids == sorted(sandbox.portal.data.tables["deals"])


async def test_later_parts_of_a_batch_that_must_store_tokens_are_errors(
    authorized: Gateway, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.portal.fault("batch:expired_token@1")
    body = {"commands": [{"method": "profile"}] * 51}
    async with unwritable(authorized):
        answer = await authorized.clock.until(authorized.post("/bitrix/batch", json=body))
    assert answer.status == 200
    *done, last = answer.json["results"]
    assert all("result" in result for result in done)
    assert last["error"]["code"] == "storage_unavailable"
    assert no_traceback(caplog)


@pytest.mark.parametrize(
    ("method", "path", "own_portal"),
    [("PATCH", "/bitrix/users", False), ("POST", "/bitrix/account", True), ("DELETE", "/bitrix/account", False)],
)
async def test_addresses_of_the_contract_respond_with_500(
    connected: Gateway, sandbox: Sandbox, caplog: pytest.LogCaptureFixture, method: str, path: str, own_portal: bool
) -> None:
    body = {"client_bitrix_url": sandbox.origin} if own_portal else None
    caplog.clear()
    async with unwritable(connected):
        plain = await connected.request(method, path, json=body)
        problem = await connected.request(method, path, json=body, headers=PROBLEM)
    assert (plain.status, plain.json) == (500, "Internal Server Error")
    assert (problem.status, problem.json["code"]) == (500, "storage_unavailable")
    assert problem.json["detail"] == plain.json
    assert len(lines(caplog, REFUSED)) == 2
    assert no_traceback(caplog)


async def test_many_refused_requests_are_counted_instead_of_logged(
    authorized: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    async with unwritable(authorized):
        await asyncio.gather(*(authorized.patch("/bitrix/users") for _ in range(MAX_LINES_PER_S + 30)))
        assert len(lines(caplog, REFUSED)) == MAX_LINES_PER_S
        await authorized.clock.advance(1)
        await authorized.patch("/bitrix/users")
    assert vars(lines(caplog, REFUSED)[-1])["left_out"] == 30


async def test_readiness_fails_without_a_traceback(connected: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    async with unwritable(connected):
        unready = await connected.get("/readyz")
        assert (unready.status, "cannot be written" in unready.json["reason"]) == (503, True)
        assert len(lines(caplog, "the database cannot be written")) == 1
    assert no_traceback(caplog)
    assert (await connected.get("/readyz")).status == 200


async def test_a_crash_while_the_database_is_unwritable_keeps_the_limits(
    connected: Gateway, sandbox: Sandbox, tmp_path: Path
) -> None:
    await connected.clock.advance(600)
    client = connected.app[CLIENTS].client(await connected.app[DIRECTORY].require("acme"))
    async with unwritable(connected):
        await connected.clock.until(asyncio.gather(*(connected.post("/bitrix/call/profile") for _ in range(40))))
        assert client.limiter.level > 30
        left = copy_as_after_crash(tmp_path)
    await connected.stop()
    await connected.start(GATEWAY_DATABASE=str(left))
    assert connected.app[CLIENTS].client(await connected.app[DIRECTORY].require("acme")).limiter.level == 51
    await connected.clock.advance(10)
    await connected.restart(GATEWAY_DATABASE=str(left))  # after a clean stop the level is known
    assert connected.app[CLIENTS].client(await connected.app[DIRECTORY].require("acme")).limiter.level == 31
    assert sandbox.portal.refusals["QUERY_LIMIT_EXCEEDED"] == 0


async def test_streams_disable_proxy_buffering(connected: Gateway) -> None:
    async with connected.opened("/bitrix/stream/deals?limit=1") as response:
        assert response.headers["X-Accel-Buffering"] == "no"
