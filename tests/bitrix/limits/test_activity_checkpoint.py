"""The stored time of the last request, and the restored level of a bucket."""

import asyncio

import pytest

from gateway.bitrix.limits.limiter import PortalLimiter
from gateway.bitrix.limits.request_queue import Priority
from tests.bitrix.limits.burst import CAPACITY, LEAK, START, QuickClock, a_request


async def test_a_checkpoint_is_saved_before_the_first_request_and_once_a_second_while_busy() -> None:
    clock = QuickClock(START)
    limiter = PortalLimiter(clock, CAPACITY, LEAK, 32)
    checkpoints: list[float] = []
    saving_allowed = asyncio.Event()

    async def save(checkpoint: float) -> None:
        await saving_allowed.wait()
        checkpoints.append(checkpoint)

    limiter.save_checkpoints(save)
    sent: list[float] = []

    async def request() -> None:
        async with limiter.slot(a_request()):
            sent.append(clock.now())

    tasks = [asyncio.create_task(request()) for _ in range(10)]
    await clock.settle()
    assert not sent
    saving_allowed.set()
    await asyncio.gather(*tasks)
    assert (checkpoints, sent) == ([START], [START] * 10)
    for _ in range(12):
        await clock.advance(0.25)
        await request()
    assert checkpoints == [START, START + 1, START + 2, START + 3]
    clock.wall_shift_s = -100
    await request()
    assert checkpoints[-1] == START + 3 - 100


@pytest.mark.parametrize("save_s", [0.5, 1.0, 1.2, 7.0])
async def test_slow_saves_delay_requests_but_do_not_stop_them(save_s: float) -> None:
    clock = QuickClock(START)
    limiter = PortalLimiter(clock, CAPACITY, LEAK, 32)
    checkpoints: list[float] = []

    async def save(checkpoint: float) -> None:
        await clock.sleep(save_s)
        checkpoints.append(checkpoint)

    limiter.save_checkpoints(save)
    for _ in range(5):
        started_at = clock.now()
        async with asyncio.timeout(5):
            await clock.until(request_through(limiter), step_s=0.25)
        assert clock.now() - started_at <= 2 * save_s + 0.5
        assert clock.now() < checkpoints[-1] + 1, "a request was sent later than the checkpoint covers"
        await clock.advance(2)
    assert len(checkpoints) <= 6


async def request_through(limiter: PortalLimiter) -> None:
    async with limiter.slot(a_request()):
        pass


async def test_a_request_is_not_sent_and_takes_no_room_if_its_checkpoint_cannot_be_saved() -> None:
    limiter = PortalLimiter(QuickClock(START), CAPACITY, LEAK, 32)

    async def fail(_checkpoint: float) -> None:
        raise OSError("the disk is full")

    limiter.save_checkpoints(fail)
    with pytest.raises(OSError, match="full"):
        async with limiter.slot(a_request()):
            pytest.fail("the request was sent")
    assert (limiter.level, limiter.room(Priority.INTERACTIVE)) == (0, 32)


@pytest.mark.parametrize(
    ("level", "age_s", "restored"),
    [(40, 10, 20), (40, 60, 0), (40, -5, 51), (None, 0, 51), (None, 1, 51), (None, 3.5, 47), (None, -100, 51)],
)
def test_a_limiter_continues_from_the_level_of_an_earlier_one(level: float | None, age_s: float, restored: int) -> None:
    limiter = PortalLimiter(QuickClock(START), CAPACITY, LEAK, 32)
    limiter.restore(level, START - age_s)
    assert limiter.level == restored
