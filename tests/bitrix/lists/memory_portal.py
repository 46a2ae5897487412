"""A portal in memory with the interface of a client: walks run on it without sockets and without real waiting."""

import asyncio
import re
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from gateway.bitrix.errors import PortalError
from gateway.bitrix.protocol.v2 import Answer, Command

PAGE_ROWS = 50


class SteppedClock:
    """A clock that only moves while all tasks sleep: the loop settles, then the first sleeper wakes at its time."""

    def __init__(self) -> None:
        self.time = 0.0
        self.stopped = False  # no sleeper wakes any more
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = 0
        self._mover: asyncio.Task[None] | None = None

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        if self.stopped:
            await asyncio.Event().wait()
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()
        self._order += 1
        insort(self._sleepers, (self.time + seconds, self._order, woken))
        if self._mover is None or self._mover.done():
            self._mover = asyncio.create_task(self._move())
        await woken

    def timeout(self, _seconds: float) -> Any:
        return asyncio.timeout(None)

    async def _move(self) -> None:
        while self._sleepers:
            for _ in range(10):
                await asyncio.sleep(0)
            at, _, woken = self._sleepers.pop(0)
            if not woken.done():
                self.time = at
                woken.set_result(None)


class MemoryPortal:
    """The client of a portal with one list of rows with these *ids*.

    *outcome* may replace the answer of a command, *before* is called before each command, and *broken* may fail a batch
    as a whole; commands and batches are numbered from 0. A command takes *command_s* seconds, and *counted_s* more if
    it requests a count. *total* maps the right count to the one returned. At most *slots* requests run concurrently,
    each takes one unit of *bucket*, which refills by *leak_per_s* a second.
    """

    def __init__(
        self,
        ids: Iterable[int],
        *,
        outcome: Callable[[int, Command], PortalError | Answer | None] = lambda _number, _command: None,
        before: Callable[[int], None] = lambda _number: None,
        broken: Callable[[int, Sequence[Command]], PortalError | None] = lambda _number, _commands: None,
        command_s: float = 0.0,
        counted_s: float = 0.0,
        slots: int = 32,
        bucket: float = 10**9,
        leak_per_s: float = 2,
        total: Callable[[int], int | None] = lambda rows: rows,
    ) -> None:
        self.clock = SteppedClock()
        self.ids = sorted(ids)
        self.requests = 0
        self.commands = 0
        self.busy_s = 0.0
        self.batches: list[list[Command]] = []
        self._outcome = outcome
        self._before = before
        self._broken = broken
        self._command_s = command_s
        self._counted_s = counted_s
        self._slots = slots
        self._total = total
        self._semaphore = asyncio.Semaphore(slots)
        self._bucket, self._left, self._leak, self._at = bucket, bucket, leak_per_s, 0.0
        self.running = self.max_running = 0
        self._returned: list[list[int]] = []

    def add(self, *ids: int) -> None:
        for row_id in ids:
            if row_id not in self.ids[bisect_left(self.ids, row_id) : bisect_right(self.ids, row_id)]:
                insort(self.ids, row_id)

    def remove(self, *ids: int) -> None:
        self.ids = [row_id for row_id in self.ids if row_id not in set(ids)]

    def room(self) -> int:
        """How many requests could be sent now without waiting."""
        self._drain()
        return max(min(int(self._left), self._slots - self.running), 0)

    def wait(self, requests: int) -> float:
        """How many seconds the last of *requests* requests would have to wait."""
        self._drain()
        return max(requests - self._left, 0) / self._leak

    def background(self) -> "MemoryPortal":
        return self

    def _drain(self) -> None:
        self._left = min(self._left + (self.clock.time - self._at) * self._leak, self._bucket)
        self._at = self.clock.time

    async def batch(self, commands: Sequence[Command]) -> list[Answer | PortalError]:
        while True:
            try:
                return await self.attempt(commands, lambda _waited_s: None)
            except PortalError as error:
                if not error.retryable:
                    raise
                await self.clock.sleep(1)

    def retrying(self, error: PortalError, wait_s: float, /) -> None:
        """Ignore the retry."""

    async def attempt(self, commands: Sequence[Command], sent: Callable[[float], None]) -> list[Answer | PortalError]:
        await asyncio.sleep(0)
        async with self._semaphore:
            self._drain()
            while self._left < 1:
                await self.clock.sleep((1 - self._left) / self._leak + 0.001)
                self._drain()
            self._left -= 1
            self.running += 1
            self.max_running = max(self.running, self.max_running)
            try:
                number, self.requests = self.requests, self.requests + 1
                self.batches.append(list(commands))
                sent(0.0)
                duration_s = self._command_s * len(commands)
                duration_s += self._counted_s * sum(command.params["start"] == 0 for command in commands)
                await self.clock.sleep(duration_s)
                self.busy_s += duration_s
                if error := self._broken(number, commands):
                    raise error
                self._returned = []
                return [self._answer(command) for command in commands]
            finally:
                self.running -= 1

    def _answer(self, command: Command) -> Answer | PortalError:
        number, self.commands = self.commands, self.commands + 1
        self._before(number)
        if (replacement := self._outcome(number, command)) is not None:
            self._returned.append([])
            return replacement
        conditions: Any = command.params["FILTER"]
        start = bisect_right(self.ids, self._resolved(conditions[">ID"]))
        end = bisect_right(self.ids, conditions["<=ID"]) if "<=ID" in conditions else len(self.ids)
        if command.params["order"] == "DESC":
            found = self.ids[max(start, end - PAGE_ROWS) : end][::-1]
        else:
            found = self.ids[start : min(start + PAGE_ROWS, end)]
        self._returned.append(found)
        total = self._total(end - start) if command.params["start"] == 0 else 0
        return Answer([{"ID": str(row_id)} for row_id in found], total=total, duration_s=self._command_s)

    def _resolved(self, bound: int | str) -> int:
        """A bound, or the id of an earlier command that it refers to; 1 if the reference does not resolve."""
        if isinstance(bound, int):
            return bound
        match = re.fullmatch(r"\$result\[c(\d+)\]\[(\d+)\]\[ID\]", bound)
        assert match is not None
        command, index = int(match[1]), int(match[2])
        ids = self._returned[command] if command < len(self._returned) else []
        return ids[index] if index < len(ids) else 1
