"""Limiters of portals that turn out to be the same are merged."""

import asyncio

import pytest

from gateway.bitrix.errors import OperatingLimitReached
from gateway.bitrix.limits.limiter import PortalLimiter
from gateway.bitrix.limits.request_queue import Priority
from gateway.errors import TooBusy
from tests.bitrix.limits.burst import CAPACITY, LEAK, START, Burst, QuickClock, a_request, refusals, run


def test_merged_limiters_add_up_and_both_remain_usable() -> None:
    async def play() -> None:
        burst, other = Burst(), Burst()
        other.clock = burst.clock
        other.limiter = PortalLimiter(burst.clock, CAPACITY, LEAK, 32)
        first = [burst.make(Priority.INTERACTIVE) for _ in range(30)]
        others = [other.make(Priority.INTERACTIVE, duration_s=5) for _ in range(50)]
        await burst.clock.settle()
        assert (len(burst.sent), len(other.sent)) == (30, 32)
        burst.limiter.merge(other.limiter)
        burst.limiter.merge(other.limiter)
        assert burst.limiter.level == other.limiter.level == 62
        await burst.clock.advance(4)
        assert len(other.sent) == 32  # its waiting requests are still queued
        await burst.clock.until(asyncio.gather(*first, *others))
        assert refusals(sorted(burst.sent_at + other.sent_at)[62:], CAPACITY, LEAK, 0.5) == 0
        await burst.clock.advance(60)
        assert burst.limiter.room(Priority.INTERACTIVE) == other.limiter.room(Priority.INTERACTIVE) == 48

    run(play)


async def test_merged_limiters_are_not_idle_while_both_are_in_use() -> None:
    clock = QuickClock(START)
    limiter, other = PortalLimiter(clock, CAPACITY, LEAK, 32), PortalLimiter(clock, CAPACITY, LEAK, 32)
    assert (limiter.is_idle, other.is_idle) == (True, True)
    limiter.merge(other)
    assert (limiter.is_idle, other.is_idle) == (False, False)
    del other
    assert limiter.is_idle


@pytest.mark.parametrize("last", [False, True])
def test_merged_limiters_stay_together_in_later_merges(last: bool) -> None:
    async def play() -> None:
        clock = QuickClock(START)
        limiters = [PortalLimiter(clock, CAPACITY, LEAK, 32) for _ in range(4)]
        async with limiters[1].slot(a_request()), limiters[2].slot(a_request()):
            limiters[1].merge(limiters[2])
            limiters[0].merge(limiters[2 if last else 1])
            limiters[3].merge(limiters[1 if last else 2])
            assert {limiter.level for limiter in limiters} == {2}
            limiters[2].record("app", "profile", OperatingLimitReached("OPERATION_TIME_LIMIT"))
            for limiter in limiters:
                with pytest.raises(TooBusy):
                    await limiter.wait_for_budget("app", {"profile"}, 30)
            async with limiters[0].slot(a_request(methods={"scope"})):
                assert {limiter.room(Priority.INTERACTIVE) for limiter in limiters} == {29}
        await clock.advance(60)
        assert {limiter.room(Priority.INTERACTIVE) for limiter in limiters} == {32}

    run(play)
