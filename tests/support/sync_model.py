"""Scripts of changes on a portal, syncs, faults and kills, and what must hold for the mirror after each."""

import shutil
import socket
import sqlite3
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import strategies as st

from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.settings import SandboxSettings
from tests.canaries import WATCH
from tests.clock import ManualClock
from tests.gateway import JWT_SECRET, Gateway, Sandbox, Streamed, serve_sandbox
from tests.support.records import change, portal_ids, sync_again, sync_of

LIST = "crm.deal.list"
DEALS = 260
WEEK_S = 7 * 86_400
MAX_WAITS = 200  # steps of the clock until a sync must have sent a request or ended
FAULTS = (
    f"{LIST}:json500*2",
    f"{LIST}:json500*9",
    f"{LIST}:qle200*3@1",
    f"{LIST}:error=ACCESS_DENIED@2",
    f"{LIST}:total=3",
    "batch:502*2",
    "batch:drop*2@1",
    "batch:cut@1",
    "batch:truncated",
    "batch:otl",
)


@dataclass(frozen=True)
class Step:
    """One step of a script: the name of a method of `Play`, and its argument."""

    action: str
    argument: Any = None

    def __repr__(self) -> str:
        return f"{self.action}({self.argument!r})" if self.argument is not None else f"{self.action}()"


def _steps(action: str, arguments: st.SearchStrategy[Any] | None = None) -> st.SearchStrategy[Step]:
    return st.builds(Step, st.just(action), st.none() if arguments is None else arguments)


_places = st.lists(st.integers(0, 10_000), min_size=1, max_size=12)
_changes = st.one_of(
    _steps("edit", _places),
    _steps("add", st.integers(1, 60)),
    _steps("delete", _places),
    _steps("hide", _places),
    _steps("show"),
)
_reads = _steps("read", st.integers(1, 12))  # so many pages
_starts = _steps("sync", st.sampled_from(["", "", "incremental", "full"]))
SCRIPTS = st.lists(
    st.one_of(
        _changes,
        _changes,
        _reads,
        _reads,
        _starts,
        _starts,
        _steps("wait", st.sampled_from([1, 30, 200, 4000, WEEK_S])),
        _steps("fault", st.sampled_from(FAULTS)),
        _steps("finish"),
        _steps("restart"),
        _steps("kill"),
        _steps("control", st.sampled_from(["pause", "resume", "cancel"])),
    ),
    min_size=4,
    max_size=30,
)


class Play:
    """One run of a script against a gateway and a sandbox portal. Every page of a sync waits for a step that reads."""

    def __init__(self, gateway: Gateway, sandbox: Sandbox) -> None:
        self._gateway = gateway
        self._sandbox = sandbox
        self._portal = sandbox.portal
        self._hidden: dict[int, dict[str, Any]] = {}
        self._titles: defaultdict[int, set[str]] = defaultdict(set)  # that a row has ever had, by id
        self._edits = 0
        self._kills = 0
        self._note_titles()

    async def run(self, script: list[Step]) -> None:
        """Enable the mirror, perform the script, end all syncs, and check that the mirror equals the portal."""
        answer = await self._gateway.request("PUT", "/bitrix/sync/deals", json={"enabled": True})
        assert answer.status == 200, answer.body
        self._portal.hold(LIST)
        for step in script:
            act: Callable[..., Awaitable[None]] = getattr(self, f"_{step.action}")
            await (act() if step.argument is None else act(step.argument))
            await self._check_shown()
        await self._end()

    async def _edit(self, places: list[int]) -> None:
        ids = portal_ids(self._sandbox, "deals")
        if ids:
            self._edits += 1
            edited = {ids[place % len(ids)] for place in places}
            change(self._sandbox, "deals", {row_id: {"TITLE": f"edit {self._edits}"} for row_id in edited})
            self._note_titles()

    async def _add(self, count: int) -> None:
        self._edits += 1
        first = max([0, *self._titles]) + 1
        added = {row_id: {"TITLE": f"edit {self._edits}"} for row_id in range(first, first + count)}
        change(self._sandbox, "deals", added)
        self._note_titles()

    async def _delete(self, places: list[int]) -> None:
        ids = portal_ids(self._sandbox, "deals")
        change(self._sandbox, "deals", removed={ids[place % len(ids)] for place in places} if ids else ())

    async def _hide(self, places: list[int]) -> None:
        """Take away the right to see some rows."""
        table, ids = self._portal.data.tables["deals"], portal_ids(self._sandbox, "deals")
        for row_id in {ids[place % len(ids)] for place in places} if ids else ():
            self._hidden[row_id] = dict(table.pop(row_id))

    async def _show(self) -> None:
        """Give the right back. The rows come back without a modification."""
        for row_id, row in self._hidden.items():
            self._portal.data.tables["deals"][row_id] = row
        self._hidden.clear()

    async def _sync(self, mode: str) -> None:
        answer = await self._gateway.patch(f"/bitrix/deals{mode and f'?mode={mode}'}")
        assert answer.status in (200, 400, 409), answer.body

    async def _read(self, pages: int) -> None:
        for _ in range(pages):
            requests = self._portal.calls[LIST]
            self._portal.release(LIST)
            self._portal.hold(LIST)
            for _ in range(MAX_WAITS):
                if self._portal.calls[LIST] > requests or not await self._is_running():
                    break
                await self._gateway.clock.advance(0.5)

    async def _wait(self, seconds: int) -> None:
        await self._gateway.clock.advance(seconds)

    async def _fault(self, fault: str) -> None:
        self._portal.fault(fault)

    async def _finish(self) -> None:
        self._portal.release(LIST)
        await self._gateway.synced("deals")
        self._portal.hold(LIST)

    async def _restart(self) -> None:
        self._portal.release(LIST)
        self._portal.hold(LIST)
        await self._gateway.restart()

    async def _kill(self) -> None:
        """Start again with what the database has committed at this moment, as after `kill -9`."""
        self._kills += 1
        database = Path(self._gateway.environ["GATEWAY_DATABASE"])
        copy = database.with_name(f"killed-{self._kills}.db")
        with sqlite3.connect(database) as committed, sqlite3.connect(copy) as copied:
            committed.backup(copied)
        committed.close()
        copied.close()
        shutil.copy(f"{database}.secrets", f"{copy}.secrets")
        await self._gateway.stop()
        self._gateway.environ["GATEWAY_DATABASE"] = str(copy)
        await self._gateway.start()

    async def _control(self, action: str) -> None:
        self._portal.release(LIST)
        answer = await self._gateway.post(f"/bitrix/sync/deals/{action}")
        assert answer.status == 200, answer.body
        self._portal.hold(LIST)

    async def _is_running(self) -> bool:
        return bool((await sync_of(self._gateway, "deals"))["state"] == "running")

    def _note_titles(self) -> None:
        for row_id, row in self._portal.data.tables["deals"].items():
            self._titles[row_id].add(str(row["TITLE"]))

    async def _shown(self) -> list[dict[str, Any]]:
        answer = await self._gateway.get("/bitrix/stream/deals?source=mirror")
        assert answer.status == 200, answer.body
        return Streamed.of(answer.body).rows

    async def _check_shown(self) -> None:
        for row in await self._shown():
            assert row["TITLE"] in self._titles[row["id"]], row

    async def _end(self) -> None:
        self._portal.clear_faults()
        self._portal.release(LIST)
        await self._control("resume")
        self._portal.release(LIST)
        await self._gateway.synced("deals")
        await self._gateway.clock.advance(700)  # the portal's operating time is free again
        await sync_again(self._gateway, "deals")
        await self._gateway.clock.advance(WEEK_S + 1)
        await sync_again(self._gateway, "deals")
        listed = (await self._gateway.stream("deals", select="*,UF_*")).rows
        shown = [{name: row[name] for name in listed[0]} for row in await self._shown()] if listed else []
        assert shown == listed
        paged = sorted(await self._gateway.rows("deals"), key=lambda row: int(row["id"]))
        assert paged == await self._shown()


async def play(script: list[Step]) -> None:
    """Run *script* on a new gateway and a new portal. Raises AssertionError if the mirror is wrong."""
    clock = ManualClock()
    with (
        TemporaryDirectory(prefix="bitrix-gateway-model-") as directory,
        socket.create_server(("127.0.0.1", 0)) as listener,
        WATCH.listening(),
    ):
        settings = SandboxSettings(users=1, deals=DEALS, tariff="off", webhook_code="canaryw3bh00kc0de")
        async with serve_sandbox(SandboxPortal(settings, clock)) as sandbox:
            environ = {
                "GATEWAY_DATABASE": str(Path(directory) / "gateway.db"),
                "GATEWAY_JWT_SECRET": JWT_SECRET,
                "GATEWAY_INSECURE_PORTALS": "1",
                "GATEWAY_SYNC_INTERVAL_S": "0",
                "GATEWAY_LOG_LEVEL": "error",
            }
            gateway = Gateway(environ, listener, clock)
            await gateway.start()
            try:
                await gateway.connect(sandbox.webhook)
                await Play(gateway, sandbox).run(script)
            finally:
                sandbox.portal.release(LIST)
                await gateway.stop()
