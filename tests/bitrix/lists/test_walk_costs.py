"""What a walk costs in requests, commands, seconds and rows held back; measured on a portal in memory."""

import asyncio
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import aclosing
from random import Random

import pytest

from gateway.bitrix.errors import PortalError, PortalFailing, PortalUnreachable
from gateway.bitrix.lists.batch_size import MAX_BATCH_S
from gateway.bitrix.lists.page_reader import Pace
from gateway.bitrix.lists.walk import walk
from gateway.bitrix.protocol.v2 import Answer, Command
from tests.bitrix.lists.memory_portal import MemoryPortal
from tests.bitrix.lists.walks import USERS, clusters, ids_of, read

CLUSTERED = {holes: clusters(30_000, holes, Random(5)) for holes in (0.35, 0.7)}


@pytest.mark.parametrize(
    ("ids", "requests", "commands"),
    [
        (range(1, 2501), 1.1, 1.1),
        (range(1, 20_001), 1.1, 1.1),
        (range(1, 100_001), 1.1, 1.1),
        (CLUSTERED[0.35], 1.5, 1.3),
        (CLUSTERED[0.7], 1.5, 1.3),
        ([number * 5 // 3 for number in range(1, 20_001)], 1.5, 1.3),
    ],
    ids=["dense", "dense, longer", "dense, long", "a third missing", "most missing", "missing one by one"],
)
async def test_a_thrifty_walk_takes_hardly_more_than_full_batches(
    ids: Iterable[int], requests: float, commands: float
) -> None:
    portal = MemoryPortal(ids, command_s=0.04, bucket=45)
    assert ids_of(await read(portal)) == portal.ids
    rows = len(portal.ids)
    assert portal.requests <= requests * math.ceil(rows / 2500) + 3
    assert portal.commands <= commands * math.ceil(rows / 50)


class RecordingPortal(MemoryPortal):
    """Takes 40 ms per command, has the bucket of a common tariff, and records how many rows it returned when."""

    def __init__(self, ids: Iterable[int]) -> None:
        super().__init__(ids, command_s=0.04, bucket=45)
        self.returned_at: Counter[float] = Counter()

    def _answer(self, command: Command) -> Answer | PortalError:
        answer = super()._answer(command)
        assert isinstance(answer, Answer)
        assert isinstance(answer.result, list)
        self.returned_at[round(self.clock.time, 6)] += len(answer.result)
        return answer


LONG = {
    "dense": range(1, 100_001),
    "a third missing": clusters(100_000, 0.35, Random(1)),
    "most missing": clusters(100_000, 0.7, Random(1)),
    "most missing one by one": sorted(Random(1).sample(range(1, 333_333), 100_000)),
}


@pytest.mark.parametrize(
    ("ids", "pace", "seconds", "requests", "commands"),
    [
        ("dense", Pace.EAGER, 5.2, 47, 2050),
        ("a third missing", Pace.EAGER, 5.2, 50, 2200),
        ("most missing", Pace.EAGER, 5.5, 52, 2300),
        ("most missing one by one", Pace.EAGER, 5.2, 50, 2150),
        ("dense", Pace.THRIFTY, 15, 44, 2050),
        ("a third missing", Pace.THRIFTY, 15, 48, 2200),
        ("most missing", Pace.THRIFTY, 18, 51, 2300),
        ("most missing one by one", Pace.THRIFTY, 16, 48, 2150),
    ],
)
async def test_a_long_list_takes_few_seconds_requests_and_commands(
    ids: str, pace: Pace, seconds: float, requests: int, commands: int
) -> None:
    portal = RecordingPortal(LONG[ids])
    assert ids_of(await read(portal, pace=pace)) == portal.ids
    assert portal.clock.time <= seconds
    assert portal.requests <= requests
    assert portal.commands <= commands
    # rows returned at the same moment, however many batches are in flight
    assert max(portal.returned_at.values()) <= Pace.THRIFTY.window_rows


async def test_an_eager_walk_spends_all_the_room_and_no_more() -> None:
    thrifty, eager = (MemoryPortal(CLUSTERED[0.35][:5000], command_s=0.04, bucket=40) for _ in range(2))
    await read(thrifty)
    await read(eager, pace=Pace.EAGER)
    assert eager.clock.time < thrifty.clock.time / 2
    assert eager.requests <= 40 + 2 * eager.clock.time + 1


class WithoutRoom(MemoryPortal):
    """Makes every request wait for a moment."""

    def room(self) -> int:
        return 0


async def test_an_eager_walk_without_room_is_thrifty() -> None:
    thrifty, eager = MemoryPortal(range(1, 5001), slots=1), WithoutRoom(range(1, 5001), slots=1)
    assert ids_of(await read(eager, pace=Pace.EAGER)) == ids_of(await read(thrifty))
    assert eager.requests == thrifty.requests


@pytest.mark.parametrize("pace", Pace)
async def test_a_slow_reader_slows_the_walk_down(pace: Pace) -> None:
    ids = CLUSTERED[0.35]
    portal = MemoryPortal([*ids, *(ids[-1] + offset for offset in range(1, 250_001))])
    async with aclosing(walk(portal, USERS, pace=pace)) as pages:
        read_rows = 0
        async for page in pages:
            read_rows += len(page.rows)
            await asyncio.sleep(0)
            assert portal.commands * 50 <= read_rows + 2.5 * pace.window_rows + 5000
            if read_rows > 5000:
                break
        for _ in range(2000):
            await asyncio.sleep(0)
        assert portal.commands * 50 <= read_rows + 2.5 * pace.window_rows + 5000


async def test_closing_the_iterator_cancels_the_requests_in_flight() -> None:
    portal = MemoryPortal(range(1, 50_001), command_s=0.5)
    async with aclosing(walk(portal, USERS)) as pages:
        await anext(pages)
        portal.clock.stopped = True
        following = asyncio.ensure_future(anext(pages))
        for _ in range(20):
            await asyncio.sleep(0)
        assert portal.running > 0
        following.cancel()
        with pytest.raises(asyncio.CancelledError):
            await following
    assert portal.running == 0


async def test_a_batch_that_timed_out_is_halved_and_batches_grow_again() -> None:
    def time_out(number: int, _commands: Sequence[Command]) -> PortalError | None:
        if number == 1:
            portal.clock.time += 70
            return PortalUnreachable("no response within 70 s", sent=True)
        return None

    portal = MemoryPortal(range(1, 50_001), broken=time_out, command_s=0.01)
    assert ids_of(await read(portal)) == portal.ids
    timed_out = portal.batches[1]
    retried = next(batch for batch in portal.batches[2:] if timed_out[1] in batch)
    assert len(retried) <= len(timed_out) / 2
    assert max(map(len, portal.batches[2:])) == 50


async def test_batches_of_slow_commands_stay_short() -> None:
    portal = MemoryPortal(range(1, 10_001), command_s=1.0)
    await read(portal)
    assert {len(commands) for commands in portal.batches[3:]} <= set(range(1, int(MAX_BATCH_S) + 1))


async def test_failed_commands_are_retried_together_before_new_ones() -> None:
    failing = set(range(100, 105))
    portal = MemoryPortal(
        range(1, 50_001),
        outcome=lambda number, _command: PortalFailing("INTERNAL_SERVER_ERROR") if number in failing else None,
        command_s=0.04,
    )
    assert ids_of(await read(portal)) == portal.ids
    commands = [command for batch in portal.batches for command in batch]
    failed = [commands[number] for number in sorted(failing)]
    _, retried = (batch for batch in portal.batches if failed[0] in batch)
    assert retried[: len(failed)] == failed


class WithoutReferences(MemoryPortal):
    """Resolves no references: a command that should start after a row starts at the beginning of the list."""

    def _resolved(self, bound: int | str) -> int:
        return bound if isinstance(bound, int) else 1


@pytest.mark.parametrize("pace", Pace)
async def test_a_page_whose_reference_did_not_resolve_is_ignored(pace: Pace) -> None:
    portal = WithoutReferences(CLUSTERED[0.7], bucket=40)
    assert ids_of(await read(portal, pace=pace)) == portal.ids
    assert portal.commands <= 2.5 * math.ceil(len(portal.ids) / 50)
