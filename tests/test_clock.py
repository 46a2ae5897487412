"""The system clock, and the manual clock of the tests."""

import asyncio
import time

import pytest

from gateway.clock import SystemClock
from tests.clock import ManualClock


async def test_the_system_clock_returns_system_time() -> None:
    clock = SystemClock()
    assert abs(clock.now() - time.time()) < 5
    assert abs(clock.monotonic() - time.monotonic()) < 5
    assert clock.monotonic() <= clock.monotonic()


@pytest.mark.parametrize("seconds", [0, -5])
async def test_a_sleep_of_zero_yields_once(seconds: float) -> None:
    ran: list[str] = []
    asyncio.get_running_loop().call_soon(ran.append, "other")
    await SystemClock().sleep(seconds)
    assert ran == ["other"]


async def test_a_timeout_cancels_its_block() -> None:
    with pytest.raises(TimeoutError):
        async with SystemClock().timeout(0):
            await asyncio.Event().wait()


async def test_a_block_that_ends_in_time_is_not_cancelled() -> None:
    async with SystemClock().timeout(1000):
        await asyncio.sleep(0)


async def test_manual_sleepers_wake_in_order_at_their_own_times() -> None:
    clock = ManualClock(start=100)
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((name, clock.now()))

    async with asyncio.TaskGroup() as group:
        for name, seconds in (("third", 3.0), ("first", 1.0), ("second", 2.0), ("also first", 1.0)):
            group.create_task(sleeper(name, seconds))
        await clock.settle()
        assert clock.next_at == 101
        await clock.advance(2.5)
        assert woken == [("first", 101), ("also first", 101), ("second", 102)]
        assert (clock.now(), clock.monotonic()) == (102.5, 102.5)
        await clock.advance(1)
    assert woken[3:] == [("third", 103)]


async def test_manual_sleeper_that_sleeps_again_wakes_in_the_same_advance() -> None:
    clock = ManualClock(start=0)
    times: list[float] = []

    async def ticking() -> None:
        for _ in range(3):
            await clock.sleep(10)
            times.append(clock.now())

    ticker = asyncio.create_task(ticking())
    await clock.advance(30)
    assert times == [10, 20, 30]
    await ticker


async def test_manual_timeout_cancels_only_running_blocks() -> None:
    clock = ManualClock(start=0)

    async def late() -> None:
        async with clock.timeout(5):
            await clock.sleep(10)

    async def in_time() -> str:
        async with clock.timeout(5):
            await clock.sleep(4)
        await clock.sleep(10)
        return "done"

    late_task, timely_task = asyncio.create_task(late()), asyncio.create_task(in_time())
    await clock.advance(20)
    assert await timely_task == "done"
    with pytest.raises(TimeoutError):
        await late_task


async def test_manual_cancelled_sleeper_is_skipped() -> None:
    clock = ManualClock(start=0)
    sleeper = asyncio.create_task(clock.sleep(5))
    await clock.settle()
    sleeper.cancel()
    await clock.advance(10)
    assert sleeper.cancelled()


async def test_manual_until_advances_only_as_far_as_needed() -> None:
    clock = ManualClock(start=0)

    async def slow() -> str:
        await clock.sleep(7)
        return "done"

    assert await clock.until(slow(), step_s=1) == "done"
    assert 7 <= clock.now() <= 8
    with pytest.raises(AssertionError, match="still waiting"):
        await clock.until(clock.sleep(1000), step_s=10, limit_s=50)
    await clock.advance(1000)
