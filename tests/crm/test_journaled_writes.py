"""A write has at most one effect on a model portal, whatever is lost, refused, failing, stopped and repeated."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum
from sqlite3 import Connection
from typing import Any, TypeVar, cast

import pysqlite3
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.accounts.directory import AccountDirectory
from gateway.bitrix.errors import AccessDenied, OutcomeUnknown, PortalBroken, PortalUnreachable
from gateway.bitrix.outcomes import SETTLED_S
from gateway.crm.journaled import JournaledWrites, Served
from gateway.errors import GatewayError
from storage.database import Database, migrations
from storage.errors import StorageError, StorageUnavailable
from storage.records import Account, Portal
from storage.write_journal import StoredAnswer, Write, WriteJournal
from tests.clock import ManualClock

ACCOUNT = Account(1, "acme", Portal(1, "p", None), "https://p", "webhook", b"", False, False, 0, 0, None, None, None)
TURNS = 40  # of the loop, after which only the clock can wake somebody
T = TypeVar("T")


class Sent(Enum):
    """What becomes of a write."""

    ANSWERED = "executed"
    SLOW = "executed after a while"
    LOST = "executed, the answer is lost"
    LATE = "the connection is lost, and it is executed after a while"
    DROPPED = "lost before it is executed"
    REFUSED = "refused"
    UNREACHABLE = "not sent"


class Stored(Enum):
    """What becomes of a transaction."""

    DONE = "stored"
    FAILED = "not stored"


Script = list[Any]


class ModelPortal:
    """Creates records, each with its origin and the key of its request. Without faults once the scripts are played."""

    def __init__(self, clock: ManualClock, sends: Script, looks: Script) -> None:
        self.records: dict[int, tuple[str, str]] = {}
        self.unknown: Counter[str] = Counter()  # answers to writes, by key, that were lost
        self.blind: Counter[str] = Counter()  # look-ups, by key, that failed
        self._clock, self._sends, self._looks = clock, sends, looks
        self._running: set[asyncio.Task[int]] = set()

    def effects(self, key: str) -> int:
        return sum(created_by == key for _, created_by in self.records.values())

    async def create(self, key: str, origin: str) -> int:
        outcome = self._sends.pop() if self._sends else Sent.ANSWERED
        await asyncio.sleep(0)
        if outcome is Sent.REFUSED:
            raise AccessDenied("ACCESS_DENIED")
        if outcome is Sent.UNREACHABLE:
            raise PortalUnreachable("refused", sent=False)
        if outcome is not Sent.DROPPED:
            delay_s = SETTLED_S - 1 if outcome in (Sent.SLOW, Sent.LATE) else 0
            executing = asyncio.create_task(self._execute(key, origin, delay_s))  # it goes on without its client
            self._running.add(executing)
            if outcome is not Sent.LATE:
                row_id = await asyncio.shield(executing)
            if outcome in (Sent.ANSWERED, Sent.SLOW):
                return row_id
        self.unknown[key] += 1
        raise OutcomeUnknown(PortalUnreachable("lost", sent=True))

    async def _execute(self, key: str, origin: str, delay_s: float) -> int:
        await self._clock.sleep(delay_s)
        row_id = len(self.records) + 1
        self.records[row_id] = (origin, key)
        await asyncio.sleep(0)
        return row_id

    async def find(self, key: str, origin: str) -> int | None:
        fails = self._looks.pop() if self._looks else False
        await asyncio.sleep(0)
        if fails:
            self.blind[key] += 1
            raise PortalBroken("HTML")
        return next((row_id for row_id, (created, _) in self.records.items() if created == origin), None)


class ModelDatabase:
    """SQLite in memory, whose transactions may fail."""

    def __init__(self, connection: Connection, stores: Script) -> None:
        self._connection, self._stores = connection, stores
        self.failures = 0

    async def write_durably(self, work: Callable[..., T], *args: object) -> T:
        await asyncio.sleep(0)
        if self._stores and self._stores.pop() is Stored.FAILED:
            self.failures += 1
            raise StorageUnavailable("disk I/O error")
        result = work(self._connection, *args)
        await asyncio.sleep(0)  # the process may end between a commit and what follows it
        return result

    write = write_durably

    async def read(self, work: Callable[..., T], *args: object) -> T:
        return work(self._connection, *args)


class NoDirectory:
    """The directory of an account whose credential works."""

    @asynccontextmanager
    async def mark_stale_on_auth_failure(self, _account: Account) -> AsyncIterator[None]:
        yield


@dataclass
class World:
    """Callers, one gateway after another on one database, and a portal."""

    connection: Connection
    sends: Script
    looks: Script
    stores: Script
    can_look_up: bool
    clock: ManualClock = field(default_factory=ManualClock)
    calls: Counter[str] = field(default_factory=Counter)  # requests by key
    answers: dict[str, StoredAnswer] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)  # keys whose last request was refused
    performed: set[str] = field(default_factory=set)  # keys with an answer that is not a replay
    callers: dict[asyncio.Task[None], str] = field(default_factory=dict)
    failed: list[BaseException] = field(default_factory=list)  # checks of callers
    stops: int = 0
    origins: int = 0

    async def start(self) -> None:
        self.connection.execute("DELETE FROM writes")
        self.portal = ModelPortal(self.clock, self.sends, self.looks)
        self.database = ModelDatabase(self.connection, self.stores)
        await self._open()

    async def _open(self) -> None:
        journal = WriteJournal(cast(Database, self.database))
        self.gateway = JournaledWrites(journal, cast(AccountDirectory, NoDirectory()), self.clock)
        await self.gateway.open()

    def call(self, key: str) -> None:
        """Let a caller send a request with *key*."""
        self.refused.discard(key)
        self.calls[key] += 1
        caller = asyncio.create_task(self._call(key, self.calls[key]))
        self.callers[caller] = key
        caller.add_done_callback(self._ended)

    def _ended(self, caller: asyncio.Task[None]) -> None:
        del self.callers[caller]
        if not caller.cancelled() and (error := caller.exception()) is not None:
            self.failed.append(error)

    async def _call(self, key: str, number: int) -> None:
        try:
            served = await self._perform(key)
        except OutcomeUnknown:
            # The repetition was lost too, or it was the first sending after a stop or after an end that was not stored.
            sendings = self.portal.unknown[key] + self.stops + self.database.failures
            assert not self.can_look_up or self.portal.blind[key] or sendings >= 2
        except GatewayError:
            assert self.portal.effects(key) == 0
            if number == self.calls[key]:  # else a later request has begun before this caller heard of its refusal
                self.refused.add(key)
        except StorageError:
            pass  # nothing was sent, if it was the first request with its key
        else:
            assert self.portal.effects(key) == 1
            # Only one answer is no replay. A replay may overtake it, if its caller comes when the write has ended.
            assert served.replayed or self.database.failures or key not in self.performed
            if not served.replayed:
                self.performed.add(key)
            assert self.answers.setdefault(key, served.answer) == served.answer

    async def _perform(self, key: str) -> Served:
        async def work(write: Write) -> StoredAnswer:
            async def send() -> int:
                return await self.portal.create(key, write.origin)

            async def look_up() -> int | None:
                return await self.portal.find(key, write.origin)

            row_id = await self.gateway.carry_out(ACCOUNT, write, send, look_up if self.can_look_up else None)
            return StoredAnswer(201, f"/bitrix/deals/{row_id}")

        self.origins += 1
        return await self.gateway.perform(ACCOUNT, key, "POST", "deals", key, f"origin {self.origins}", work)

    async def run(self, turns: int = TURNS) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)

    async def elapse(self, seconds: float) -> None:
        until = self.clock.monotonic() + seconds
        await self.run()
        while (at := self.clock.next_at) is not None and at <= until:
            self.clock.elapse(at - self.clock.monotonic())
            await self.run()
        self.clock.elapse(until - self.clock.monotonic())

    async def leave(self) -> None:
        """Let all callers leave."""
        for caller in self.callers:
            caller.cancel()
        await asyncio.gather(*self.callers, return_exceptions=True)

    async def stop(self) -> None:
        """End the gateway wherever it is, and start another one."""
        self.stops += 1
        await self.leave()
        await self.gateway.close()
        await self._open()

    def check(self, keys: Sequence[str]) -> None:
        for error in self.failed:
            raise error
        for key in keys:
            assert self.portal.effects(key) <= 1
        for key, answer in self.answers.items():
            row_id = int(str(answer.location).rpartition("/")[2])
            assert self.portal.records[row_id][1] == key
        for key in self.refused - set(self.callers.values()):
            assert self.portal.effects(key) == 0
            (rows,) = self.connection.execute("SELECT count(*) FROM writes WHERE idempotency_key = ?", [key]).fetchone()
            assert rows == 0 or self.database.failures


KEYS = ("a", "b")
STEPS = st.one_of(
    st.tuples(st.just("call"), st.sampled_from(KEYS)),
    st.tuples(st.just("run"), st.integers(1, 12)),
    st.tuples(st.just("elapse"), st.sampled_from([1, 30, SETTLED_S])),
    st.tuples(st.sampled_from(["leave", "stop"])),
)
CONNECTION = pysqlite3.connect(":memory:", isolation_level=None)
CONNECTION.executescript("".join(sql for _, sql in migrations()))
CONNECTION.execute("PRAGMA foreign_keys = OFF")


@settings(max_examples=400)
@given(
    steps=st.lists(STEPS, max_size=20),
    sends=st.lists(st.sampled_from(Sent), max_size=8),
    looks=st.lists(st.booleans(), max_size=8),
    stores=st.lists(st.sampled_from(Stored), max_size=6) | st.just([]),
    can_look_up=st.booleans(),
)
@example(steps=[("call", "a"), ("run", 7), ("call", "a")], sends=[Sent.REFUSED], looks=[], stores=[], can_look_up=False)
@example(
    steps=[("call", "a"), ("run", 6), ("call", "a"), ("call", "b")],
    sends=[Sent.LATE, Sent.ANSWERED, Sent.REFUSED],
    looks=[],
    stores=[Stored.FAILED, Stored.DONE],
    can_look_up=True,
)
def test_a_write_is_carried_out_at_most_once(
    steps: list[tuple[Any, ...]], sends: Script, looks: Script, stores: Script, can_look_up: bool
) -> None:
    async def scenario() -> None:
        world = World(CONNECTION, sends, looks, stores, can_look_up)
        await world.start()
        for name, *args in steps:
            if (waiting := getattr(world, name)(*args)) is not None:
                await waiting
            world.check(KEYS)
        await world.elapse(10 * SETTLED_S)
        world.check(KEYS)
        assert not world.callers
        for script in (sends, looks, stores):
            script.clear()
        for key in KEYS:
            world.call(key)
            await world.elapse(10 * SETTLED_S)
            world.check(KEYS)
            assert key in world.answers or not can_look_up

    asyncio.run(scenario())
