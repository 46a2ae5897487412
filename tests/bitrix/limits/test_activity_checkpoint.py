"""What a limiter leaves of itself, and goes on from."""

import asyncio

import pytest

from gateway.bitrix.limits.limiter import PortalLimiter
from gateway.bitrix.limits.request_queue import Priority
from tests.bitrix.limits.burst import CAPACITY, LEAK, START, QuickClock


async def test_a_mark_is_kept_before_anything_is_sent_and_once_a_second_while_busy() -> None:
    clock = QuickClock(START)
    limiter = PortalLimiter(clock, CAPACITY, LEAK, 32)
    marks: list[float] = []
    kept = asyncio.Event()

    async def save(now: float) -> None:
        await kept.wait()
        marks.append(now)

    limiter.keep_marks(save)
    sent: list[float] = []

    async def request() -> None:
        async with limiter.place(Priority.INTERACTIVE):
            sent.append(clock.now())

    crowd = [asyncio.create_task(request()) for _ in range(10)]
    await clock.settle()
    assert not sent
    kept.set()
    await asyncio.gather(*crowd)
    assert (marks, sent) == ([START], [START] * 10)
    for _ in range(12):
        await clock.advance(0.25)
        await request()
    assert marks == [START, START + 1, START + 2, START + 3]
    clock.wall_shift_s = -100
    await request()
    assert marks[-1] == START + 3 - 100


@pytest.mark.parametrize("takes_s", [0.5, 1.0, 1.2, 7.0])
async def test_marks_that_are_slow_to_be_kept_slow_requests_down_and_do_not_stop_them(takes_s: float) -> None:
    clock = QuickClock(START)
    limiter = PortalLimiter(clock, CAPACITY, LEAK, 32)
    marks: list[float] = []

    async def save(mark: float) -> None:
        await clock.sleep(takes_s)
        marks.append(mark)

    limiter.keep_marks(save)
    for _ in range(5):
        began = clock.now()
        async with asyncio.timeout(5):
            await clock.until(request_through(limiter), step_s=0.25)
        assert clock.now() - began <= 2 * takes_s + 0.5
        assert clock.now() < marks[-1] + 1, "after a crash, more than the mark's second would count for nothing"
        await clock.advance(2)
    assert len(marks) <= 6


async def request_through(limiter: PortalLimiter) -> None:
    async with limiter.place(Priority.INTERACTIVE):
        pass


async def test_a_request_whose_mark_is_not_kept_is_not_sent_and_takes_no_room() -> None:
    limiter = PortalLimiter(QuickClock(START), CAPACITY, LEAK, 32)

    async def fail(_now: float) -> None:
        raise OSError("the disk is full")

    limiter.keep_marks(fail)
    with pytest.raises(OSError, match="full"):
        async with limiter.place(Priority.INTERACTIVE):
            pytest.fail("it was sent")
    assert (limiter.level, limiter.room(Priority.INTERACTIVE)) == (0, 32)


@pytest.mark.parametrize(
    ("level", "marked_s_ago", "restored"),
    [(40, 10, 20), (40, 60, 0), (40, -5, 51), (None, 0, 51), (None, 1, 51), (None, 3.5, 47), (None, -100, 51)],
)
def test_a_gate_goes_on_from_what_an_earlier_one_left(level: float | None, marked_s_ago: float, restored: int) -> None:
    limiter = PortalLimiter(QuickClock(START), CAPACITY, LEAK, 32)
    limiter.restore(level, START - marked_s_ago)
    assert limiter.level == restored
