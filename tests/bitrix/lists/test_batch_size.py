"""How a walk spends the portal's budget: evenly, on full batches, and with few unused commands."""

from collections.abc import Callable, Sequence
from contextlib import aclosing
from random import Random

import pytest

from gateway.bitrix.errors import PortalError
from gateway.bitrix.lists.page import ListCall
from gateway.bitrix.lists.page_reader import Pace
from gateway.bitrix.lists.walk import walk
from gateway.bitrix.protocol.v2 import Answer, Command
from tests.bitrix.lists.memory_portal import MemoryPortal
from tests.bitrix.lists.walks import clusters

USERS = ListCall("user.get")
COMMAND_S = 0.04
BATCH_S = 50 * COMMAND_S
ROWS = 250_000
IDS = clusters(ROWS, 0.35, Random(1))
BUCKET, LEAK = 40, 2.0


class RecordingPortal(MemoryPortal):
    """Records when requests are sent, and how many rows it returned, repeated ones included."""

    def __init__(
        self,
        ids: Sequence[int],
        *,
        delay_s: float = 0.0,
        latency_s: float = 0.0,
        command_s: float = COMMAND_S,
        counted_s: float = 0.0,
        bucket: float = 10**9,
        leak_per_s: float = LEAK,
    ) -> None:
        super().__init__(ids, command_s=command_s, counted_s=counted_s, bucket=bucket, leak_per_s=leak_per_s, slots=28)
        self._delay_s = delay_s
        self._latency_s = latency_s
        self.sent_at: list[float] = []
        self.returned = 0

    async def attempt(self, commands: Sequence[Command], sent: Callable[[float], None]) -> list[Answer | PortalError]:
        def on_sent(waited_s: float) -> None:
            self.sent_at.append(self.clock.time)
            sent(waited_s)

        await self.clock.sleep(self._delay_s)
        answers = await super().attempt(commands, on_sent)
        await self.clock.sleep(self._latency_s)
        return answers

    def _answer(self, command: Command) -> Answer | PortalError:
        answer = super()._answer(command)
        assert isinstance(answer, Answer)
        assert isinstance(answer.result, list)
        self.returned += len(answer.result)
        return answer


async def max_held_rows(portal: RecordingPortal, pace: Pace = Pace.EAGER) -> int:
    """Read the whole list; return the maximum number of rows that were held back."""
    held = rows = 0
    async with aclosing(walk(portal, USERS, pace=pace)) as pages:
        async for page in pages:
            rows += len(page.rows)
            held = max(held, portal.returned - rows)
    assert rows == len(portal.ids)
    return held


@pytest.fixture
def scarce() -> RecordingPortal:
    """A portal whose bucket holds less than half of the requests that the list needs."""
    return RecordingPortal(IDS, bucket=BUCKET)


async def test_a_scarce_budget_is_spent_evenly_and_completely(scarce: RecordingPortal) -> None:
    assert await max_held_rows(scarce) <= 30_000
    assert scarce.clock.time <= (scarce.requests - BUCKET) / LEAK + 2 * BATCH_S
    assert sum(at <= scarce.clock.time / 2 for at in scarce.sent_at) <= 0.6 * scarce.requests
    assert scarce.max_running <= 12  # of 28 slots


async def test_a_scarce_budget_is_spent_evenly_by_short_batches_too() -> None:
    portal = RecordingPortal(IDS[:60_000], command_s=2.0, bucket=BUCKET, leak_per_s=0.5)
    await max_held_rows(portal)
    assert sum(at <= portal.clock.time / 2 for at in portal.sent_at) <= 0.6 * portal.requests
    assert portal.max_running <= 20  # of 28 slots


async def test_a_sufficient_budget_is_spent_at_once() -> None:
    portal = RecordingPortal(IDS[:50_000], bucket=BUCKET)
    await max_held_rows(portal)
    assert portal.max_running > 20
    assert portal.clock.time <= 5


async def test_batches_in_flight_together_are_equally_long() -> None:
    portal = RecordingPortal(IDS[:5000], bucket=BUCKET)
    await max_held_rows(portal)
    assert portal.requests <= 35
    assert portal.clock.time <= 0.6


async def test_remainders_are_read_by_short_chains_while_there_is_room() -> None:
    portal = RecordingPortal(clusters(12_000, 0.6, Random(1), run=900), command_s=0.3, bucket=BUCKET)
    await max_held_rows(portal)
    assert portal.clock.time <= 16


async def test_network_latency_does_not_make_batches_longer() -> None:
    portal = RecordingPortal(range(1, 20_001), latency_s=0.4, bucket=BUCKET)
    await max_held_rows(portal)
    assert max(map(len, portal.batches)) <= 25
    assert portal.clock.time <= 4


class SlowingDown(RecordingPortal):
    """Takes a second per command from the fourth second on."""

    async def attempt(self, commands: Sequence[Command], sent: Callable[[float], None]) -> list[Answer | PortalError]:
        if self.clock.time > 3:
            self._command_s = 1.0
        return await super().attempt(commands, sent)


async def test_batches_get_shorter_after_the_first_slow_one() -> None:
    portal = SlowingDown(IDS[:100_000])
    await max_held_rows(portal, Pace.THRIFTY)
    slow = [(at, len(commands)) for at, commands in zip(portal.sent_at, portal.batches, strict=True) if at > 3]
    first_answer_at = min(at + commands for at, commands in slow)
    later = [commands for at, commands in slow if at >= first_answer_at]
    assert later
    assert max(later) <= 20


async def test_a_list_of_falling_density_takes_few_unused_requests() -> None:
    portal = RecordingPortal([place**3 for place in range(1, 60_001)])
    await max_held_rows(portal, Pace.THRIFTY)
    assert portal.requests <= 2 * len(portal.ids) / 2500


@pytest.mark.parametrize("pace", Pace)
async def test_the_distance_between_cursor_and_first_id_costs_nothing(pace: Pace) -> None:
    near, far = (RecordingPortal([row_id + start for row_id in IDS[:20_000]], bucket=BUCKET) for start in (0, 10**6))
    await max_held_rows(near, pace)
    await max_held_rows(far, pace)
    assert (far.clock.time, far.requests, far.commands) == (near.clock.time, near.requests, near.commands)


async def test_a_scarce_budget_leaves_hardly_a_command_unused(scarce: RecordingPortal) -> None:
    await max_held_rows(scarce)
    assert scarce.commands <= 1.045 * ROWS / 50
    assert scarce.requests <= 1.05 * ROWS / 2500 + 5


async def test_small_delays_of_requests_do_not_add_up() -> None:
    portal = RecordingPortal(IDS, bucket=BUCKET, delay_s=0.2)
    await max_held_rows(portal)
    assert portal.clock.time <= (portal.requests - BUCKET) / LEAK + 2 * BATCH_S


async def test_the_time_to_count_rows_is_not_mistaken_for_that_of_a_command() -> None:
    plain, counting = RecordingPortal(IDS[:100_000]), RecordingPortal(IDS[:100_000], counted_s=6.0)
    await max_held_rows(plain)
    await max_held_rows(counting)
    assert counting.clock.time <= plain.clock.time + 6.5


async def test_a_slow_opening_shortens_the_first_batch() -> None:
    portal = RecordingPortal(range(1, 2501), command_s=1.0)
    await max_held_rows(portal, Pace.THRIFTY)
    assert max(map(len, portal.batches)) <= 20


async def test_a_slow_survey_shortens_the_next_batch() -> None:
    portal = RecordingPortal(IDS[:20_000], counted_s=60.0)
    await max_held_rows(portal, Pace.THRIFTY)
    survey, following = portal.batches[1:3]
    assert len(following) <= 20 / (60 / len(survey))
