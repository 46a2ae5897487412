"""The walk against a portal in memory: any table, any fault, any change, either pace."""

import asyncio
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import aclosing
from itertools import accumulate
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.bitrix.errors import (
    AccessDenied,
    OperatingLimitReached,
    PortalBroken,
    PortalError,
    PortalFailing,
    PortalUnreachable,
    QueryLimitExceeded,
    WalkFailed,
)
from gateway.bitrix.lists.batch_size import MAX_BATCH_S
from gateway.bitrix.lists.list_specs import Row
from gateway.bitrix.lists.page import Page
from gateway.bitrix.lists.page_reader import Pace
from gateway.bitrix.lists.walk import walk
from gateway.bitrix.protocol.v2 import Answer, Command
from tests.bitrix.lists.memory_portal import MemoryPortal
from tests.bitrix.lists.walks import USERS, clusters, ids_of, read

PACES = st.sampled_from(Pace)

FAULTS = (
    PortalFailing("INTERNAL_SERVER_ERROR"),
    PortalBroken("not JSON"),
    PortalUnreachable("the connection was dropped", sent=True),
    QueryLimitExceeded("QUERY_LIMIT_EXCEEDED", status=200),
    OperatingLimitReached("OPERATION_TIME_LIMIT"),
)
BAD_PAGES = (
    Answer({"0": {"ID": "1"}, "2": {"ID": "3"}}),
    Answer([{"ID": "0"}]),
    Answer([{"ID": str(10**15)}] * 2),
    Answer([{"ID": str(10**15)}, {"ID": "7"}]),
    Answer("nothing"),
)


@st.composite
def tables(draw: st.DrawFn) -> list[int]:
    """Ids of all kinds of lists: dense, with holes here and there, in clusters, with gulfs, and of telling lengths."""
    rng = Random(draw(st.integers(0, 10**6)))
    rows = draw(st.sampled_from((0, 1, 49, 50, 51, 100, 101, 777, 2500, 2551, 6000)) | st.integers(0, 4000))
    first = draw(st.sampled_from((1, 1000, 10**12)))
    kind = draw(st.sampled_from(("dense", "holes", "clusters", "gulfs", "curve")))
    ids: Iterable[int]
    if kind == "dense":
        ids = range(rows)
    elif kind == "holes":
        ids = accumulate(rng.randint(1, 6) for _ in range(rows))
    elif kind == "clusters":
        ids = clusters(rows, 0.6, rng, run=draw(st.sampled_from((5, 40, 900))))
    elif kind == "gulfs":
        ids = accumulate(rng.choice((3, 50, 10**5)) if rng.random() < 0.02 else 1 for _ in range(rows))
    else:
        ids = (place**3 for place in range(rows))
    return [first + one for one in ids]


def follow_on(pages: list[Page[list[Row]]], cursor: int) -> bool:
    return [page.after for page in pages] == [cursor, *(page.upto for page in pages[:-1])] and pages[-1].upto is None


@given(tables(), PACES, st.floats(0, 1))
@settings(max_examples=150, deadline=None)
def test_every_row_beyond_the_cursor_comes_once_in_order(ids: list[int], pace: Pace, share: float) -> None:
    cursor = ids[int(share * (len(ids) - 1))] if ids and share > 0.5 else 0
    portal = MemoryPortal(ids, bucket=40)
    pages = asyncio.run(read(portal, cursor=cursor, pace=pace))
    assert ids_of(pages) == [row_id for row_id in ids if row_id > cursor]
    assert follow_on(pages, cursor)
    assert portal.commands <= 4 * math.ceil(len(ids) / 50) + 250


@given(tables(), PACES, st.integers(0, 10**6), st.floats(0, 0.3))
@settings(max_examples=100, deadline=None)
def test_faults_that_pass_lose_and_double_nothing(ids: list[int], pace: Pace, seed: int, share: float) -> None:
    rng = Random(seed)
    hit: set[object] = set()

    def fail_once(_number: int, command: Command) -> PortalError | Answer | None:
        filter_ = str(command.params["FILTER"])
        if rng.random() > share or filter_ in hit:
            return None
        hit.add(filter_)
        return rng.choice((*FAULTS, *BAD_PAGES))

    def break_off(number: int, _commands: object) -> PortalError | None:
        return rng.choice(FAULTS) if number and rng.random() < share / 3 and number not in hit else None

    portal = MemoryPortal(ids, outcome=fail_once, broken=break_off, bucket=40)
    cursor, got = 0, list[int]()
    for _ in range(50):
        try:
            pages = asyncio.run(read_into(portal, got, cursor, pace))
        except WalkFailed as failed:  # too many faults in a row: it must say where to go on from
            cursor = failed.cursor
            portal = MemoryPortal(ids, outcome=fail_once, bucket=40)
        else:
            assert pages[-1].upto is None
            break
    assert got == ids


async def read_into(portal: MemoryPortal, got: list[int], cursor: int, pace: Pace) -> list[Page[list[Row]]]:
    pages = []
    async with aclosing(walk(portal, USERS, cursor=cursor, pace=pace)) as found:
        async for page in found:
            got += ids_of([page])
            pages.append(page)
    return pages


@given(tables(), PACES, st.integers(0, 10**6))
@settings(max_examples=100, deadline=None)
def test_changes_meanwhile_touch_no_row_that_stays(ids: list[int], pace: Pace, seed: int) -> None:
    rng = Random(seed)
    gone: set[int] = set()
    top = max(ids, default=0)

    def change(number: int) -> None:
        if number % 3 == 0 and portal.ids:
            gone.add(victim := rng.choice(portal.ids))
            portal.remove(victim)
        if number % 5 == 0:
            portal.add(rng.randint(1, top + 100), top + rng.randint(1, 200))

    portal = MemoryPortal(ids, before=change, bucket=40)
    got = ids_of(asyncio.run(read(portal, pace=pace)))
    assert got == sorted(set(got))
    assert set(got) >= set(ids) - gone


@given(tables().filter(lambda ids: len(ids) > 200), PACES, st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_a_range_that_fails_for_good_ends_the_walk_just_before_it(ids: list[int], pace: Pace, seed: int) -> None:
    wall = Random(seed).choice(ids[100:])

    def refuse(_number: int, command: Command) -> PortalError | None:
        bounds: object = command.params["FILTER"]
        assert isinstance(bounds, dict)
        covers = isinstance(bounds[">ID"], int) and bounds[">ID"] < wall <= bounds.get("<=ID", 0)
        return AccessDenied("ACCESS_DENIED") if covers else None

    got: list[int] = []
    with pytest.raises(WalkFailed) as caught:
        asyncio.run(read_into(MemoryPortal(ids, outcome=refuse, bucket=40), got, 0, pace))
    assert got == [row_id for row_id in ids if row_id <= caught.value.cursor]
    assert caught.value.cursor < wall
    asyncio.run(read_into(MemoryPortal(ids), got, caught.value.cursor, pace))
    assert got == ids


async def test_a_list_that_keeps_growing_is_read_to_the_largest_id_of_the_second_round() -> None:
    portal = MemoryPortal(range(1, 301), before=lambda _number: portal.add(*range(top(), top() + 200)))

    def top() -> int:
        return portal.ids[-1] + 1

    pages = await asyncio.wait_for(read(portal), 20)
    assert follow_on(pages, 0)
    assert ids_of(pages) == list(range(1, len(ids_of(pages)) + 1))


CLUSTERED = {holes: clusters(30_000, holes, Random(5)) for holes in (0.35, 0.7)}


@pytest.mark.parametrize(
    ("ids", "requests", "commands"),
    [
        (range(1, 2501), 1.1, 1.1),
        (range(1, 20_001), 1.1, 1.1),
        (range(1, 100_001), 1.1, 1.1),
        (CLUSTERED[0.35], 1.5, 1.3),
        (CLUSTERED[0.7], 1.5, 1.3),
        ([one * 5 // 3 for one in range(1, 20_001)], 1.5, 1.3),
    ],
    ids=["dense", "dense, longer", "dense, long", "a third missing", "most missing", "missing here and there"],
)
async def test_a_thrifty_walk_takes_hardly_more_than_it_must(
    ids: Iterable[int], requests: float, commands: float
) -> None:
    portal = MemoryPortal(ids, command_s=0.04, bucket=45)
    assert ids_of(await read(portal)) == portal.ids
    rows = len(portal.ids)
    assert portal.requests <= requests * math.ceil(rows / 2500) + 3
    assert portal.commands <= commands * math.ceil(rows / 50)


class Watched(MemoryPortal):
    """Takes 40 ms a command, has the bucket of a common tariff, and remembers when it gave how many rows."""

    def __init__(self, ids: Iterable[int]) -> None:
        super().__init__(ids, command_s=0.04, bucket=45)
        self.given_at: Counter[float] = Counter()

    def _answer(self, command: Command) -> Answer | PortalError:
        answer = super()._answer(command)
        assert isinstance(answer, Answer)
        assert isinstance(answer.result, list)
        self.given_at[round(self.clock.time, 6)] += len(answer.result)
        return answer


LONG = {
    "dense": range(1, 100_001),
    "a third missing": clusters(100_000, 0.35, Random(1)),
    "most missing": clusters(100_000, 0.7, Random(1)),
    "most missing here and there": sorted(Random(1).sample(range(1, 333_333), 100_000)),
}


@pytest.mark.parametrize(
    ("ids", "pace", "seconds", "requests", "commands"),
    [
        ("dense", Pace.EAGER, 5.2, 47, 2050),
        ("a third missing", Pace.EAGER, 5.2, 50, 2200),
        ("most missing", Pace.EAGER, 5.5, 52, 2300),
        ("most missing here and there", Pace.EAGER, 5.2, 50, 2150),
        ("dense", Pace.THRIFTY, 15, 44, 2050),
        ("a third missing", Pace.THRIFTY, 15, 48, 2200),
        ("most missing", Pace.THRIFTY, 18, 51, 2300),
        ("most missing here and there", Pace.THRIFTY, 16, 48, 2150),
    ],
)
async def test_a_long_list_takes_few_seconds_requests_and_commands(
    ids: str, pace: Pace, seconds: float, requests: int, commands: int
) -> None:
    portal = Watched(LONG[ids])
    assert ids_of(await read(portal, pace=pace)) == portal.ids
    assert portal.clock.time <= seconds
    assert portal.requests <= requests
    assert portal.commands <= commands
    assert max(portal.given_at.values()) <= Pace.THRIFTY.window_rows  # however many batches there are side by side


async def test_an_eager_walk_spends_the_room_there_is_and_no_more() -> None:
    thrifty, eager = (MemoryPortal(CLUSTERED[0.35][:5000], command_s=0.04, bucket=40) for _ in range(2))
    await read(thrifty)
    await read(eager, pace=Pace.EAGER)
    assert eager.clock.time < thrifty.clock.time / 2
    assert eager.requests <= 40 + 2 * eager.clock.time + 1


class WithoutRoom(MemoryPortal):
    """Lets every request wait for a moment."""

    def room(self) -> int:
        return 0


async def test_an_eager_walk_without_room_is_thrifty() -> None:
    thrifty, eager = MemoryPortal(range(1, 5001), places=1), WithoutRoom(range(1, 5001), places=1)
    assert ids_of(await read(eager, pace=Pace.EAGER)) == ids_of(await read(thrifty))
    assert eager.requests == thrifty.requests


@pytest.mark.parametrize("pace", Pace)
async def test_a_slow_reader_slows_the_portal_down(pace: Pace) -> None:
    ids = CLUSTERED[0.35]
    portal = MemoryPortal([*ids, *(ids[-1] + one for one in range(1, 250_001))])
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


async def test_a_reader_that_leaves_ends_what_is_under_way() -> None:
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
    def too_long(number: int, _commands: Sequence[Command]) -> PortalError | None:
        if number == 1:
            portal.clock.time += 70
            return PortalUnreachable("no response within 70 s", sent=True)
        return None

    portal = MemoryPortal(range(1, 50_001), broken=too_long, command_s=0.01)
    assert ids_of(await read(portal)) == portal.ids
    timed_out = portal.asked[1]
    again = next(batch for batch in portal.asked[2:] if timed_out[1] in batch)
    assert len(again) <= len(timed_out) / 2
    assert max(map(len, portal.asked[2:])) == 50


async def test_a_batch_stays_short_where_commands_take_long() -> None:
    portal = MemoryPortal(range(1, 10_001), command_s=1.0)
    await read(portal)
    assert {len(commands) for commands in portal.asked[3:]} <= set(range(1, int(MAX_BATCH_S) + 1))


async def test_commands_that_failed_go_again_together_ahead_of_new_ones() -> None:
    failing = set(range(100, 105))
    portal = MemoryPortal(
        range(1, 50_001),
        outcome=lambda number, _command: PortalFailing("INTERNAL_SERVER_ERROR") if number in failing else None,
        command_s=0.04,
    )
    assert ids_of(await read(portal)) == portal.ids
    commands = [command for batch in portal.asked for command in batch]
    failed = [commands[number] for number in sorted(failing)]
    _, again = (batch for batch in portal.asked if failed[0] in batch)
    assert again[: len(failed)] == failed


class WithoutReferences(MemoryPortal):
    """Follows no reference from one command to another: what should begin after a row begins at the start."""

    def _resolved(self, bound: int | str) -> int:
        return bound if isinstance(bound, int) else 1


@pytest.mark.parametrize("pace", Pace)
async def test_a_page_that_does_not_begin_where_its_chain_goes_on_does_not_count(pace: Pace) -> None:
    portal = WithoutReferences(CLUSTERED[0.7], bucket=40)
    assert ids_of(await read(portal, pace=pace)) == portal.ids
    assert portal.commands <= 2.5 * math.ceil(len(portal.ids) / 50)
