"""How a walk spends what the portal's bucket holds: evenly, on full batches, and on nothing that brings no rows."""

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


class Watched(MemoryPortal):
    """Takes note of when requests come, and of how many rows it has given, also those that go twice."""

    def __init__(
        self,
        ids: Sequence[int],
        *,
        late_s: float = 0.0,
        travels_s: float = 0.0,
        command_s: float = COMMAND_S,
        counted_s: float = 0.0,
        bucket: float = 10**9,
        leak_per_s: float = LEAK,
    ) -> None:
        super().__init__(ids, command_s=command_s, counted_s=counted_s, bucket=bucket, leak_per_s=leak_per_s, places=28)
        self._late_s = late_s
        self._travels_s = travels_s
        self.sent_at: list[float] = []
        self.given = 0

    async def attempt(self, commands: Sequence[Command], sent: Callable[[float], None]) -> list[Answer | PortalError]:
        def noted(rested_s: float) -> None:
            self.sent_at.append(self.clock.time)
            sent(rested_s)

        await self.clock.sleep(self._late_s)
        answers = await super().attempt(commands, noted)
        await self.clock.sleep(self._travels_s)
        return answers

    def _answer(self, command: Command) -> Answer | PortalError:
        answer = super()._answer(command)
        assert isinstance(answer, Answer)
        assert isinstance(answer.result, list)
        self.given += len(answer.result)
        return answer


async def held_by(portal: Watched, pace: Pace = Pace.EAGER) -> int:
    """Read all of the *portal*; how many rows waited at most for those before them."""
    held = rows = 0
    async with aclosing(walk(portal, USERS, pace=pace)) as pages:
        async for page in pages:
            rows += len(page.rows)
            held = max(held, portal.given - rows)
    assert rows == len(portal.ids)
    return held


@pytest.fixture
def scarce() -> Watched:
    """A portal whose bucket holds less than half of the requests that the list takes."""
    return Watched(IDS, bucket=BUCKET)


async def test_a_bucket_that_will_not_do_is_spent_evenly_and_to_its_end(scarce: Watched) -> None:
    assert await held_by(scarce) <= 30_000
    assert scarce.clock.time <= (scarce.requests - BUCKET) / LEAK + 2 * BATCH_S
    assert sum(at <= scarce.clock.time / 2 for at in scarce.sent_at) <= 0.6 * scarce.requests
    assert scarce.most_running <= 12  # of 28 places


async def test_a_bucket_that_will_not_do_is_spent_evenly_also_by_batches_that_have_to_be_short() -> None:
    portal = Watched(IDS[:60_000], command_s=2.0, bucket=BUCKET, leak_per_s=0.5)
    await held_by(portal)
    assert sum(at <= portal.clock.time / 2 for at in portal.sent_at) <= 0.6 * portal.requests
    assert portal.most_running <= 20  # of 28 places


async def test_a_bucket_that_will_do_is_spent_at_once() -> None:
    portal = Watched(IDS[:50_000], bucket=BUCKET)
    await held_by(portal)
    assert portal.most_running > 20
    assert portal.clock.time <= 5


async def test_no_batch_is_shorter_than_those_it_goes_beside() -> None:
    portal = Watched(IDS[:5000], bucket=BUCKET)
    await held_by(portal)
    assert portal.requests <= 35
    assert portal.clock.time <= 0.6


async def test_the_rest_of_a_range_is_no_reason_for_long_chains_where_there_is_room() -> None:
    portal = Watched(clusters(12_000, 0.6, Random(1), run=900), command_s=0.3, bucket=BUCKET)
    await held_by(portal)
    assert portal.clock.time <= 16


async def test_what_answers_take_to_travel_lets_no_batch_be_longer() -> None:
    portal = Watched(range(1, 20_001), travels_s=0.4, bucket=BUCKET)
    await held_by(portal)
    assert max(map(len, portal.asked)) <= 25
    assert portal.clock.time <= 4


class SlowingDown(Watched):
    """Takes a second a command after a while."""

    async def attempt(self, commands: Sequence[Command], sent: Callable[[float], None]) -> list[Answer | PortalError]:
        if self.clock.time > 3:
            self._command_s = 1.0
        return await super().attempt(commands, sent)


async def test_no_batch_takes_too_long_once_one_has_shown_that_the_portal_has_become_slow() -> None:
    portal = SlowingDown(IDS[:100_000])
    await held_by(portal, Pace.THRIFTY)
    slow = [(at, len(asked)) for at, asked in zip(portal.sent_at, portal.asked, strict=True) if at > 3]
    shown_at = min(at + commands for at, commands in slow)
    following = [commands for at, commands in slow if at >= shown_at]
    assert following
    assert max(following) <= 20


async def test_a_list_that_thins_out_more_and_more_takes_little_in_vain() -> None:
    portal = Watched([place**3 for place in range(1, 60_001)])
    await held_by(portal, Pace.THRIFTY)
    assert portal.requests <= 2 * len(portal.ids) / 2500


@pytest.mark.parametrize("pace", Pace)
async def test_a_list_takes_no_longer_where_its_ids_begin_far_from_the_cursor(pace: Pace) -> None:
    near, far = (Watched([row_id + begin for row_id in IDS[:20_000]], bucket=BUCKET) for begin in (0, 10**6))
    await held_by(near, pace)
    await held_by(far, pace)
    assert (far.clock.time, far.requests, far.commands) == (near.clock.time, near.requests, near.commands)


async def test_where_requests_are_scarce_hardly_a_command_is_in_vain(scarce: Watched) -> None:
    await held_by(scarce)
    assert scarce.commands <= 1.045 * ROWS / 50
    assert scarce.requests <= 1.05 * ROWS / 2500 + 5


async def test_requests_that_go_a_little_after_their_time_do_not_add_up() -> None:
    portal = Watched(IDS, bucket=BUCKET, late_s=0.2)
    await held_by(portal)
    assert portal.clock.time <= (portal.requests - BUCKET) / LEAK + 2 * BATCH_S


async def test_what_counting_takes_is_not_taken_for_what_a_command_takes() -> None:
    plain, counting = Watched(IDS[:100_000]), Watched(IDS[:100_000], counted_s=6.0)
    await held_by(plain)
    await held_by(counting)
    assert counting.clock.time <= plain.clock.time + 6.5


async def test_not_even_the_first_batch_takes_too_long_where_the_opening_did() -> None:
    portal = Watched(range(1, 2501), command_s=1.0)
    await held_by(portal, Pace.THRIFTY)
    assert max(map(len, portal.asked)) <= 20


async def test_a_portal_that_takes_long_is_asked_for_less_at_a_time_before_anything_else_is_known_of_it() -> None:
    portal = Watched(IDS[:20_000], counted_s=60.0)
    await held_by(portal, Pace.THRIFTY)
    survey, following = portal.asked[1:3]
    assert len(following) <= 20 / (60 / len(survey))
