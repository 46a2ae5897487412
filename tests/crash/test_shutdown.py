"""SIGTERM: /readyz fails first, pending requests are answered, syncs can resume later, and the exit status is 0."""

import asyncio
import random
import signal
import sqlite3
import time
from contextlib import closing

import pytest

from tests.crash.house import Died, House, until
from tests.crash.soundness import check_file, is_mirrored, is_stale
from tests.gateway import Sandbox

CALLERS = 16
LIMIT_S = 25.0  # the README's minimum for a supervisor's stop timeout


@pytest.mark.parametrize("users", [3500])
async def test_shutdown_under_load_answers_all_requests_and_the_sync_resumes(
    house: House, sandbox: Sandbox, users: int
) -> None:
    house.environ["GATEWAY_DRAIN_S"] = "1"
    portal, ready = sandbox.portal, asyncio.Event()
    ready.set()

    async def call() -> int:
        answered = 0
        while ready.is_set():
            answer = await house.get("/bitrix/users?size=100")
            assert answer.status == 200
            answered += 1
        return answered

    await house.start()
    portal.fault("user.get:delay=3600*@60")  # about the second batch
    await house.connect(sandbox.webhook)
    while (await house.get("/bitrix/sync/users")).json["rows"] < 1000:
        pass
    portal.fault("scope:delay=1.5")
    slow = asyncio.create_task(house.connect(sandbox.webhook, account="slow"))
    callers = [asyncio.create_task(call()) for _ in range(CALLERS)]
    await until(lambda: sandbox.portal.calls["scope"] == 2)
    ended = asyncio.create_task(house.end(signal.SIGTERM))
    while (readiness := await house.get("/readyz")).status == 200:
        pass
    assert readiness.json["reason"] == "the gateway is shutting down"
    assert (await house.get("/bitrix")).status == 200  # the port is still open
    ready.clear()
    assert min(await asyncio.gather(*callers)) > 0
    assert (await slow).status == 200
    assert await ended == 0
    assert not house.database.with_name("gateway.db-wal").exists()
    with closing(sqlite3.connect(house.database)) as connection:
        ((state, rows),) = connection.execute(
            "SELECT state, rows FROM sync_runs JOIN mirror_lists USING (list_id) JOIN accounts USING (account_id)"
            " WHERE resource = 'users' AND account_key = 'acme'"
        )
    assert (state, 1000 <= rows < users) == ("running", True)
    portal.clear_faults()
    await house.start()
    assert (await house.delete("/bitrix/account", account="slow")).status == 200
    calls = portal.calls["user.get"]
    assert await is_mirrored(house, sandbox)
    assert portal.calls["user.get"] - calls < (users - rows) // 50 + 20


async def test_unresponsive_portals_and_servers_delay_shutdown_only_briefly(house: House, sandbox: Sandbox) -> None:
    await house.start()
    await house.authorize(sandbox)
    assert await is_mirrored(house, sandbox)
    sandbox.portal.hold("oauth.token")
    sandbox.portal.oauth.expire_access_tokens()
    requests_before = len(sandbox.portal.token_requests)
    assert (await house.patch("/bitrix/users")).status == 200
    await until(lambda: len(sandbox.portal.token_requests) > requests_before)
    sandbox.portal.hold("scope")
    stuck = asyncio.create_task(house.connect(sandbox.webhook, account="stuck"))
    await until(lambda: sandbox.portal.calls["scope"] == 1)
    began = time.monotonic()
    assert await house.end(signal.SIGTERM) == 0
    assert time.monotonic() - began < LIMIT_S
    with pytest.raises(Died):
        await stuck
    sandbox.portal.faults.release_all()
    check_file(house.database)
    await house.start()
    assert await is_mirrored(house, sandbox) or await is_stale(house)


async def test_a_second_signal_stops_immediately_and_loses_nothing(house: House, sandbox: Sandbox) -> None:
    house.environ["GATEWAY_DRAIN_S"] = "60"
    await house.start()
    await house.connect(sandbox.webhook)
    ended = asyncio.create_task(house.end(signal.SIGTERM))
    while (await house.get("/readyz")).status == 200:
        pass
    assert not ended.done()
    assert await house.end(signal.SIGTERM) == -signal.SIGTERM
    check_file(house.database)
    await house.start()
    assert await is_mirrored(house, sandbox)


async def test_a_signal_during_startup_stops_it_and_the_next_start_works(house: House, sandbox: Sandbox) -> None:
    chance, statuses = random.Random(12), set()
    await house.start()
    await house.connect(sandbox.webhook)
    await house.end(signal.SIGKILL)
    for _ in range(20):
        await house.launch()
        await asyncio.sleep(chance.uniform(0, 0.06))
        statuses.add(await house.end(signal.SIGTERM))
        check_file(house.database)
    assert statuses <= {0, -signal.SIGTERM}
    assert "Traceback" not in house.log.read_text()
    await house.start()
    assert await is_mirrored(house, sandbox)
