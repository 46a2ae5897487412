"""After kill -9 at any moment, the file is sound and holds everything reported as committed."""

import asyncio
import os
import random
import signal
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from sqlite3 import Connection
from typing import Any

import aiohttp
import pytest

from gateway.auth.caller import Caller
from gateway.auth.tokens import issue_token
from gateway.clock import SystemClock
from gateway.redaction import Secret
from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.settings import SandboxSettings
from gateway.settings.config import load_config
from storage.accounts import AccountStore
from storage.database import Database
from storage.rules import RuleStore
from tests.clock import ManualClock
from tests.gateway import JWT_SECRET, serve_sandbox
from tests.storage.writer import PAGE

ROOT = Path(__file__).parents[2]
KILLS = 16
LINES_BEFORE_DEATH = 60  # upper bound


async def write_and_die(path: Path, turn: int, lines: int) -> list[tuple[str, str]]:
    """Kill a writer shortly after its first *lines* reports. Return all that it reported as committed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.storage.writer",
        str(path),
        str(turn),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    reported = [await process.stdout.readline() for _ in range(lines)]
    process.send_signal(signal.SIGKILL)
    reported += (await process.stdout.read()).splitlines(keepends=True)
    assert await process.wait() == -signal.SIGKILL
    words = [line.decode().split() for line in reported if line.endswith(b"\n")]
    return [(kind, key) for kind, key in words]


LIVE = """
SELECT account_key, live, inserted, (SELECT COUNT(*) FROM mirror_rows WHERE list_id = lists.list_id AND deleted = 0),
    (SELECT COUNT(*) FROM mirror_rows WHERE list_id = lists.list_id),
    (SELECT SUM(live) FROM mirror_blocks WHERE list_id = lists.list_id)
FROM mirror_lists AS lists JOIN accounts USING (account_id)
"""


def check(connection: Connection) -> dict[str, int]:
    """Verify the file and all counts. Return the number of live rows of each account."""
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    found = {}
    for key, live, inserted, counted_live, counted, in_blocks in connection.execute(LIVE):
        assert (live, inserted, in_blocks or 0) == (counted_live, counted, counted_live)
        assert counted in (0, PAGE)  # a page is stored completely or not at all
        found[key] = live
    return found


async def test_a_killed_writer_loses_no_committed_data(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    chance = random.Random(11)
    reported: list[tuple[str, str]] = []
    for turn in range(KILLS):
        reported += await write_and_die(path, turn, chance.randrange(LINES_BEFORE_DEATH))
        async with Database.open(path) as database:
            live = await database.read(check)
            accounts, rules = AccountStore(database), RuleStore(database)
            for (kind, key), times in Counter(reported).items():
                account = await accounts.find(key)
                assert account is not None
                assert account.sealed == key.encode()
                if kind == "rule":
                    quiz_id = int(key.partition("-")[2])
                    rule = await rules.find(account.account_id, account.portal.portal_id, quiz_id)
                    assert rule is not None
                    assert rule.body == key.encode()
                if kind == "page":
                    assert live[key] in ((PAGE,) if times == 1 else (PAGE, PAGE // 2))
                if kind == "settled":
                    assert live[key] == PAGE // 2
            await database.check_writable(turn)
    assert len(reported) > KILLS


@asynccontextmanager
async def serving_until_killed(environ: dict[str, str]) -> AsyncIterator[aiohttp.ClientSession]:
    """Run `serve` in a separate process, with a client; kill it at the end of the block."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "serve"),
        env=os.environ | environ | {"PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)},
        cwd=Path(environ["GATEWAY_DATABASE"]).parent,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    while b"listening" not in (line := await process.stderr.readline()):
        assert line, "it has ended without listening"
    config = load_config(environ)
    token = issue_token(config, Secret(JWT_SECRET), SystemClock(), Caller("acme"), ttl_s=3600)
    try:
        async with aiohttp.ClientSession(
            config.own_origin, headers={"Authorization": f"Bearer {token}"}, raise_for_status=True
        ) as session:
            yield session
    finally:
        process.send_signal(signal.SIGKILL)
        await process.stderr.read()
        assert await process.wait() == -signal.SIGKILL


async def users(session: aiohttp.ClientSession) -> dict[str, Any]:
    async with session.get("/bitrix/users", params={"size": 10_000}) as response:
        listed: dict[str, Any] = await response.json()
        return listed


async def run_of_users(session: aiohttp.ClientSession) -> dict[str, Any]:
    async with session.get("/bitrix/sync/users") as response:
        run: dict[str, Any] = await response.json()
        return run


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


async def test_a_sync_resumes_after_its_gateway_is_killed(tmp_path: Path, free_port: int) -> None:
    portal = SandboxPortal(replace(SandboxSettings(), users=3500, holes=0), ManualClock())
    async with serve_sandbox(portal) as sandbox:
        environ = {
            "GATEWAY_PORT": str(free_port),
            "GATEWAY_DATABASE": str(tmp_path / "gateway.db"),
            "GATEWAY_JWT_SECRET": JWT_SECRET,
            "GATEWAY_INSECURE_PORTALS": "1",
            "GATEWAY_SYNC_INTERVAL_S": "0",
            "GATEWAY_BUCKET_CAPACITY": "1000",
            "GATEWAY_BUCKET_LEAK_PER_S": "500",
        }
        portal.fault("user.get:delay=3600*@60")  # about the second batch; the clock stands still
        async with serving_until_killed(environ) as session:
            async with session.post("/bitrix/account", json={"client_bitrix_url": sandbox.webhook}):
                pass
            while (run := await run_of_users(session))["rows"] < 1000:
                assert run["state"] != "failed", run
            assert (await run_of_users(session))["state"] == "running"
            before = await users(session)
        calls_before = portal.calls["user.get"]
        portal.clear_faults()
        async with serving_until_killed(environ) as session:
            run = await run_of_users(session)
            while run["state"] == "running":
                await asyncio.sleep(0.05)  # the bucket is assumed to be full, so the sync waits
                run = await run_of_users(session)
            after = await users(session)
    assert 1000 <= before["count"] < 3500
    assert (run["state"], run["error"], run["rows"]) == ("done", None, 3500)
    assert after["count"] == 3500
    assert after["items"][: before["count"]] == before["items"]
    assert {user["bitrixUserID"] for user in after["items"]} == {row["ID"] for row in portal.data.users.values()}
    assert portal.calls["user.get"] - calls_before < 60  # stored rows were not read again
