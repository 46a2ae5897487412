"""The walk against a portal with wrong counts and pages, or partial failures: no row is lost, and what it costs."""

from collections.abc import Sequence
from contextlib import aclosing
from random import Random

import pytest

from gateway.bitrix.errors import AccessDenied, AnswerTooLarge, PortalBroken, PortalError, PortalFailing, WalkFailed
from gateway.bitrix.lists.list_specs import Row
from gateway.bitrix.lists.page import ListCall
from gateway.bitrix.lists.page_reader import Pace
from gateway.bitrix.lists.walk import walk
from gateway.bitrix.protocol.v2 import Answer, Command
from tests.bitrix.lists.memory_portal import MemoryPortal
from tests.bitrix.lists.walks import clusters, ids_of, read

CLUSTERED = clusters(20_000, 0.35, Random(1))
FAILING = PortalFailing("INTERNAL_SERVER_ERROR")


def samples_of(portal: MemoryPortal) -> range:
    """The numbers of the commands that read the samples: those of the survey after the two of the head."""
    opening, survey = portal.batches[:2]
    return range(len(opening) + 2, len(opening) + len(survey))


@pytest.mark.parametrize("pace", Pace)
@pytest.mark.parametrize("count", [None, 0, -7, 1, 500, 10**6, 10**12])
async def test_a_wrong_count_loses_no_row(count: int | None, pace: Pace) -> None:
    portal = MemoryPortal(CLUSTERED, total=lambda _rows: count, bucket=10**6)
    assert ids_of(await read(portal, pace=pace)) == portal.ids


@pytest.mark.parametrize("factor", [0.01, 0.1, 10, 100])
async def test_a_count_far_from_the_observed_density_is_ignored(factor: float) -> None:
    sparse = range(1, 2_000_001, 100)
    portal = MemoryPortal(sparse, total=lambda rows: int(rows * factor), command_s=0.04)
    assert ids_of(await read(portal)) == portal.ids
    assert portal.commands <= 4 * 400


async def test_a_list_that_cannot_be_counted_is_read_without_a_count() -> None:
    def refuse(_number: int, command: Command) -> PortalError | None:
        return FAILING if command.params["start"] == 0 else None

    portal = MemoryPortal(CLUSTERED, outcome=refuse)
    assert ids_of(await read(portal)) == portal.ids
    assert portal.commands <= 1.3 * 400


@pytest.mark.parametrize("pace", Pace)
async def test_a_first_page_that_is_wrongly_short_is_requested_again(pace: Pace) -> None:
    def cut(number: int, _command: Command) -> Answer | None:
        return Answer([{"ID": str(row_id)} for row_id in CLUSTERED[:30]]) if number == 0 else None

    portal = MemoryPortal(CLUSTERED, outcome=cut)
    assert ids_of(await read(portal, pace=pace)) == portal.ids


async def test_a_first_page_that_stays_wrongly_short_fails_the_walk() -> None:
    def cut(_number: int, command: Command) -> Answer | None:
        first = command.params["order"] == "ASC" and ">ID" in str(command.params) and "<=ID" not in str(command.params)
        return Answer([{"ID": str(row_id)} for row_id in CLUSTERED[:30]]) if first else None

    with pytest.raises(WalkFailed) as failed:
        await read(MemoryPortal(CLUSTERED, outcome=cut))
    assert isinstance(failed.value.cause, PortalBroken)


async def test_rows_added_during_the_opening_are_not_a_contradiction() -> None:
    portal = MemoryPortal(range(1, 31), before=lambda number: portal.add(31, 32) if number == 1 else None)
    assert ids_of(await read(portal)) == list(range(1, 31))


async def test_one_malformed_page_does_not_disable_chains() -> None:
    malformed = [Answer({"0": {"ID": "1"}, "2": {"ID": "3"}}), Answer("nothing")]

    def break_pages(number: int, _command: Command) -> Answer | None:
        return malformed[number // 40 % 2] if number in (40, 80) else None

    healthy, portal = (
        MemoryPortal(CLUSTERED, command_s=0.04, outcome=outcome) for outcome in (lambda *_: None, break_pages)
    )
    await read(healthy)
    assert ids_of(await read(portal)) == portal.ids
    assert portal.requests <= healthy.requests + 3


@pytest.mark.parametrize("pace", Pace)
@pytest.mark.parametrize("limit", [60, 1000, 5000])
async def test_hardly_more_than_the_limit_is_requested(pace: Pace, limit: int) -> None:
    portal, rows = MemoryPortal(clusters(100_000, 0.35, Random(1)), command_s=0.04, bucket=43), list[Row]()
    async with aclosing(walk(portal, ListCall("user.get"), pace=pace, limit=limit)) as pages:
        async for page in pages:
            rows += page.rows
            if len(rows) >= limit:
                break
    assert [int(str(row["ID"])) for row in rows] == portal.ids[: len(rows)]
    assert portal.commands <= 2 * limit / 50 + 20


async def test_a_limit_does_not_end_the_walk() -> None:
    portal = MemoryPortal(CLUSTERED)
    async with aclosing(walk(portal, ListCall("user.get"), limit=700)) as pages:
        assert ids_of([page async for page in pages]) == portal.ids


async def test_batches_get_smaller_when_large_ones_fail() -> None:
    def too_large(_number: int, commands: Sequence[Command]) -> PortalError | None:
        return PortalBroken("more than 1000 bytes") if len(commands) > 20 else None

    portal = MemoryPortal(CLUSTERED, broken=too_large, command_s=0.04)
    assert ids_of(await read(portal)) == portal.ids
    assert portal.commands <= 5 * 400


@pytest.mark.parametrize("pace", Pace)
@pytest.mark.parametrize(("limit", "since"), [(20, 0), (1, 0), (1, 5)])
async def test_too_large_answers_are_retried_in_smaller_batches_at_once(pace: Pace, limit: int, since: int) -> None:
    def too_large(number: int, commands: Sequence[Command]) -> PortalError | None:
        fails = number >= since and len(commands) > limit and is_opened(commands)
        return AnswerTooLarge("1000 bytes") if fails else None

    portal = MemoryPortal(CLUSTERED, broken=too_large, command_s=0.04)
    healthy = MemoryPortal(CLUSTERED, command_s=0.04)
    assert ids_of(await read(portal, pace=pace)) == ids_of(await read(healthy, pace=pace)) == portal.ids
    assert portal.commands <= 4 * healthy.commands
    assert portal.busy_s <= 4 * healthy.busy_s


async def test_a_single_page_that_is_too_large_fails_the_walk_at_its_position() -> None:
    end = CLUSTERED[12_000]

    def too_large(_number: int, commands: Sequence[Command]) -> PortalError | None:
        after = [bound for bound in map(bound_of, commands) if isinstance(bound, int) and bound > end]
        return AnswerTooLarge("1000 bytes") if after and is_opened(commands) else None

    portal = MemoryPortal(CLUSTERED, broken=too_large)
    with pytest.raises(WalkFailed, match=r"the portal's answer is too large: more than 1000 bytes$") as failed:
        await read(portal)
    assert CLUSTERED[6_000] <= failed.value.cursor <= CLUSTERED[12_100]
    assert portal.requests <= 400


def bound_of(command: Command) -> object:
    """The id after which *command* reads, or a reference to it."""
    conditions = command.params["FILTER"]
    assert isinstance(conditions, dict)
    return conditions[">ID"]


def is_opened(commands: Sequence[Command]) -> bool:
    """Whether the opening is over. The client itself retries its two commands, by its own rules."""
    return "DESC" not in str(commands)


async def test_failed_samples_delay_nothing_and_are_not_the_cause_of_a_later_failure() -> None:
    healthy = MemoryPortal(CLUSTERED, command_s=0.04)
    await read(healthy)
    samples, end = samples_of(healthy), CLUSTERED[12_000]
    assert samples

    def fail(number: int, _command: Command) -> PortalError | None:
        return AccessDenied("no samples") if number in samples else None

    def fail_later(number: int, command: Command) -> PortalError | None:
        conditions = command.params["FILTER"]
        assert isinstance(conditions, dict)
        after = conditions[">ID"]
        return fail(number, command) or (FAILING if isinstance(after, int) and after > end else None)

    portal = MemoryPortal(CLUSTERED, command_s=0.04, outcome=fail)
    assert ids_of(await read(portal)) == portal.ids
    assert portal.clock.time <= healthy.clock.time + 2
    with pytest.raises(WalkFailed) as failed:
        await read(MemoryPortal(CLUSTERED, outcome=fail_later))
    assert failed.value.cause is FAILING


async def test_rows_held_back_stay_within_the_allowed_weight() -> None:
    held, max_held = set[int](), 0

    def render_heavy(rows: list[Row]) -> bytes:
        nonlocal max_held
        held.update(int(str(row["ID"])) for row in rows)
        max_held = max(max_held, len(held))
        return bytes(1000 * len(rows))

    portal = MemoryPortal(clusters(100_000, 0.35, Random(1)), command_s=0.04)
    ids = list[int]()
    heavy_walk = walk(portal, ListCall("user.get"), pace=Pace.EAGER, render=render_heavy, weight=lambda: 5_000_000)
    async with aclosing(heavy_walk) as pages:
        async for page in pages:
            ids += page.ids
            held.difference_update(page.ids)
    assert ids == portal.ids
    assert max_held <= 2 * 5_000 + 2 * 2_500
