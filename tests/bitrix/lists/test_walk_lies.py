"""The walk against a portal that lies, or fails in part: what it costs, and that no row is lost by it."""

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
    """The numbers of the commands that were the samples of a survey: what comes after the two of the head."""
    opening, survey = portal.asked[:2]
    return range(len(opening) + 2, len(opening) + len(survey))


@pytest.mark.parametrize("pace", Pace)
@pytest.mark.parametrize("told", [None, 0, -7, 1, 500, 10**6, 10**12])
async def test_a_count_that_is_not_true_costs_no_row(told: int | None, pace: Pace) -> None:
    portal = MemoryPortal(CLUSTERED, total=lambda _rows: told, bucket=10**6)
    assert ids_of(await read(portal, pace=pace)) == portal.ids


@pytest.mark.parametrize("times", [0.01, 0.1, 10, 100])
async def test_a_count_that_is_far_from_what_comes_is_believed_no_longer(times: float) -> None:
    sparse = range(1, 2_000_001, 100)
    portal = MemoryPortal(sparse, total=lambda rows: int(rows * times), command_s=0.04)
    assert ids_of(await read(portal)) == portal.ids
    assert portal.commands <= 4 * 400


async def test_a_list_that_cannot_be_counted_is_read_without() -> None:
    def refuse(_number: int, command: Command) -> PortalError | None:
        return FAILING if command.params["start"] == 0 else None

    portal = MemoryPortal(CLUSTERED, outcome=refuse)
    assert ids_of(await read(portal)) == portal.ids
    assert portal.commands <= 1.3 * 400


@pytest.mark.parametrize("pace", Pace)
async def test_a_first_page_that_is_short_for_no_reason_is_asked_for_again(pace: Pace) -> None:
    def cut(number: int, _command: Command) -> Answer | None:
        return Answer([{"ID": str(row_id)} for row_id in CLUSTERED[:30]]) if number == 0 else None

    portal = MemoryPortal(CLUSTERED, outcome=cut)
    assert ids_of(await read(portal, pace=pace)) == portal.ids


async def test_a_first_page_that_stays_short_for_no_reason_is_a_failure() -> None:
    def cut(_number: int, command: Command) -> Answer | None:
        first = command.params["order"] == "ASC" and ">ID" in str(command.params) and "<=ID" not in str(command.params)
        return Answer([{"ID": str(row_id)} for row_id in CLUSTERED[:30]]) if first else None

    with pytest.raises(WalkFailed) as failed:
        await read(MemoryPortal(CLUSTERED, outcome=cut))
    assert isinstance(failed.value.cause, PortalBroken)


async def test_rows_that_come_between_the_two_first_pages_are_no_contradiction() -> None:
    portal = MemoryPortal(range(1, 31), before=lambda number: portal.add(31, 32) if number == 1 else None)
    assert ids_of(await read(portal)) == list(range(1, 31))


async def test_one_garbled_page_of_a_chain_leaves_the_others_chained() -> None:
    garbled = [Answer({"0": {"ID": "1"}, "2": {"ID": "3"}}), Answer("nothing")]

    def garble(number: int, _command: Command) -> Answer | None:
        return garbled[number // 40 % 2] if number in (40, 80) else None

    sound, portal = (MemoryPortal(CLUSTERED, command_s=0.04, outcome=one) for one in (lambda *_: None, garble))
    await read(sound)
    assert ids_of(await read(portal)) == portal.ids
    assert portal.requests <= sound.requests + 3


@pytest.mark.parametrize("pace", Pace)
@pytest.mark.parametrize("limit", [60, 1000, 5000])
async def test_hardly_more_is_asked_for_than_is_wanted(pace: Pace, limit: int) -> None:
    portal, rows = MemoryPortal(clusters(100_000, 0.35, Random(1)), command_s=0.04, bucket=43), list[Row]()
    async with aclosing(walk(portal, ListCall("user.get"), pace=pace, limit=limit)) as pages:
        async for page in pages:
            rows += page.rows
            if len(rows) >= limit:
                break
    assert [int(str(row["ID"])) for row in rows] == portal.ids[: len(rows)]
    assert portal.commands <= 2 * limit / 50 + 20


async def test_a_limit_ends_nothing_by_itself() -> None:
    portal = MemoryPortal(CLUSTERED)
    async with aclosing(walk(portal, ListCall("user.get"), limit=700)) as pages:
        assert ids_of([page async for page in pages]) == portal.ids


async def test_batches_are_made_smaller_where_large_ones_fail() -> None:
    def too_large(_number: int, commands: Sequence[Command]) -> PortalError | None:
        return PortalBroken("more than 1000 bytes") if len(commands) > 20 else None

    portal = MemoryPortal(CLUSTERED, broken=too_large, command_s=0.04)
    assert ids_of(await read(portal)) == portal.ids
    assert portal.commands <= 5 * 400


@pytest.mark.parametrize("pace", Pace)
@pytest.mark.parametrize(("most", "since"), [(20, 0), (1, 0), (1, 5)])
async def test_batches_whose_answers_are_too_large_go_again_in_smaller_ones_at_once(
    pace: Pace, most: int, since: int
) -> None:
    def too_large(number: int, commands: Sequence[Command]) -> PortalError | None:
        return AnswerTooLarge("1000 bytes") if number >= since and len(commands) > most and opened(commands) else None

    portal = MemoryPortal(CLUSTERED, broken=too_large, command_s=0.04)
    sound = MemoryPortal(CLUSTERED, command_s=0.04)
    assert ids_of(await read(portal, pace=pace)) == ids_of(await read(sound, pace=pace)) == portal.ids
    assert portal.commands <= 4 * sound.commands
    assert portal.busy_s <= 4 * sound.busy_s


async def test_a_page_that_is_too_large_by_itself_fails_the_walk_where_it_stands() -> None:
    end = CLUSTERED[12_000]

    def too_large(_number: int, commands: Sequence[Command]) -> PortalError | None:
        beyond = [bound for bound in map(bound_of, commands) if isinstance(bound, int) and bound > end]
        return AnswerTooLarge("1000 bytes") if beyond and opened(commands) else None

    portal = MemoryPortal(CLUSTERED, broken=too_large)
    with pytest.raises(WalkFailed, match=r"the portal's answer is too large: more than 1000 bytes$") as failed:
        await read(portal)
    assert CLUSTERED[6_000] <= failed.value.cursor <= CLUSTERED[12_100]
    assert portal.requests <= 400


def bound_of(command: Command) -> object:
    """The id beyond which *command* asks for rows."""
    conditions = command.params["FILTER"]
    assert isinstance(conditions, dict)
    return conditions[">ID"]


def opened(commands: Sequence[Command]) -> bool:
    """Whether the walk is past its opening, whose two commands are asked for by the client's own rules."""
    return "DESC" not in str(commands)


async def test_samples_that_fail_hold_nothing_up_and_are_no_cause_of_a_later_failure() -> None:
    sound = MemoryPortal(CLUSTERED, command_s=0.04)
    await read(sound)
    samples, end = samples_of(sound), CLUSTERED[12_000]
    assert samples

    def fail(number: int, _command: Command) -> PortalError | None:
        return AccessDenied("no samples") if number in samples else None

    def fail_later(number: int, command: Command) -> PortalError | None:
        conditions = command.params["FILTER"]
        assert isinstance(conditions, dict)
        beyond = conditions[">ID"]
        return fail(number, command) or (FAILING if isinstance(beyond, int) and beyond > end else None)

    portal = MemoryPortal(CLUSTERED, command_s=0.04, outcome=fail)
    assert ids_of(await read(portal)) == portal.ids
    assert portal.clock.time <= sound.clock.time + 2
    with pytest.raises(WalkFailed) as failed:
        await read(MemoryPortal(CLUSTERED, outcome=fail_later))
    assert failed.value.cause is FAILING


async def test_what_is_held_back_weighs_no_more_than_is_allowed() -> None:
    held, most_held = set[int](), 0

    def heavy(rows: list[Row]) -> bytes:
        nonlocal most_held
        held.update(int(str(row["ID"])) for row in rows)
        most_held = max(most_held, len(held))
        return bytes(1000 * len(rows))

    portal = MemoryPortal(clusters(100_000, 0.35, Random(1)), command_s=0.04)
    ids = list[int]()
    heavily = walk(portal, ListCall("user.get"), pace=Pace.EAGER, render=heavy, weight=lambda: 5_000_000)
    async with aclosing(heavily) as pages:
        async for page in pages:
            ids += page.ids
            held.difference_update(page.ids)
    assert ids == portal.ids
    assert most_held <= 2 * 5_000 + 2 * 2_500
