"""Who is let through the limiter, and when: against a model of the portal's own counter, on a clock of ours."""

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.bitrix.errors import (
    OperatingLimitReached,
    PortalBroken,
    PortalFailing,
    PortalUnreachable,
    QueryLimitExceeded,
)
from gateway.bitrix.limits.limiter import OutOfOperatingTime, PortalLimiter
from gateway.bitrix.limits.request_queue import Priority
from gateway.bitrix.protocol.v2 import Answer
from gateway.errors import TooBusy
from tests.bitrix.limits.burst import CAPACITY, LEAK, START, Burst, QuickClock, refusals, run
from tests.clock import ManualClock

ARRIVALS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.0, 0.0, 0.1, 0.37, 1.0, 2.6]),  # since the one before
        st.sampled_from(Priority),
        st.sampled_from([0.0, 0.2, 3.3]),  # in flight
        st.sampled_from([None, None, None, 0.0, 0.5, 4.0]),  # cancelled after
    ),
    min_size=30,
    max_size=130,
)


@settings(max_examples=20, deadline=None)
@given(ARRIVALS, st.sampled_from([3, 32, 1000]), st.floats(0, 0.999))
def test_whatever_comes_the_portal_refuses_nothing_and_no_room_is_left_unused(
    arrivals: list[tuple[float, Priority, float, float | None]], concurrency: int, phase: float
) -> None:
    async def play() -> None:
        burst = Burst(concurrency)
        tasks, leaving = [], []
        for pause, priority, takes_s, cancelled_after in arrivals:
            if pause:
                await burst.clock.advance(pause)
                burst.check_not_idle()
            task = burst.make(priority, takes_s=takes_s)
            tasks.append(task)
            if cancelled_after is not None:
                leaving.append(asyncio.create_task(cancel_later(burst.clock, task, cancelled_after)))
        for _ in range(400):
            if all(task.done() for task in tasks):
                break
            await burst.clock.advance(1.0)
            burst.check_not_idle()
        assert all(task.done() for task in tasks)
        assert not burst.moments or refusals(burst.moments, CAPACITY, LEAK, phase) == 0
        await burst.clock.advance(60)
        await asyncio.gather(*leaving)
        assert burst.limiter.level == 0
        assert burst.limiter.room(Priority.INTERACTIVE) == min(concurrency, CAPACITY - LEAK)

    run(play)


async def cancel_later(clock: ManualClock, task: asyncio.Task[None], seconds: float) -> None:
    await clock.sleep(seconds)
    task.cancel()


def test_a_thousand_in_the_background_do_not_delay_a_caller() -> None:
    async def play() -> None:
        burst = Burst(32)
        crowd = [burst.make(Priority.BACKGROUND) for _ in range(1000)]
        waits = []
        for _ in range(20):
            await burst.clock.advance(2.3)
            asked = burst.clock.monotonic()
            caller = burst.make(Priority.INTERACTIVE)
            while not caller.done():
                await burst.clock.advance(0.1)
            waits.append(burst.clock.monotonic() - asked)
        assert max(waits) <= 0.1
        assert refusals(burst.moments, CAPACITY, LEAK, 0.5) == 0
        for task in crowd:
            task.cancel()

    run(play)


def test_callers_past_the_reserve_wait_for_one_drain_at_a_time_whatever_waits_in_the_background() -> None:
    async def play() -> None:
        burst = Burst()
        crowd = [burst.make(Priority.BACKGROUND) for _ in range(1000)]
        await burst.clock.settle()
        assert len(burst.sent) == 43
        callers = [burst.make(Priority.INTERACTIVE) for _ in range(7)]
        await burst.clock.settle()
        assert [caller.done() for caller in callers] == [True] * 5 + [False] * 2
        await burst.clock.advance(1)
        assert all(caller.done() for caller in callers)
        for task in crowd:
            task.cancel()

    run(play)


@pytest.mark.parametrize("priority", Priority)
@pytest.mark.parametrize(("before", "requests"), [(0, 1), (0, 43), (0, 100), (30, 20), (60, 1), (60, 50)])
def test_how_long_the_last_of_many_will_wait_can_be_foreseen(priority: Priority, before: int, requests: int) -> None:
    async def play() -> None:
        burst = Burst()
        for _ in range(before):
            burst.make(priority)
        await burst.clock.advance(0.4)
        foreseen_s, asked = burst.limiter.wait(priority, requests), burst.clock.monotonic()
        *_, last = [burst.make(priority) for _ in range(requests)]
        await burst.clock.until(last)
        assert burst.moments[-1] - asked == pytest.approx(foreseen_s)

    run(play)


def test_background_work_leaves_callers_places_in_flight() -> None:
    async def play() -> None:
        burst = Burst(8)
        crowd = [burst.make(Priority.BACKGROUND, takes_s=60) for _ in range(20)]
        await burst.clock.settle()
        assert (burst.in_flight, burst.limiter.room(Priority.BACKGROUND), burst.limiter.room(Priority.INTERACTIVE)) == (
            7,
            0,
            1,
        )
        await burst.clock.until(burst.make(Priority.INTERACTIVE))
        for task in crowd:
            task.cancel()

    run(play)


def test_who_would_wait_too_long_is_told_for_how_long_and_takes_no_room() -> None:
    async def play() -> None:
        burst = Burst()
        crowd = [burst.make(Priority.INTERACTIVE) for _ in range(48 + 60)]  # the last of them waits for 30 s
        await burst.clock.advance(0.4)
        assert await asyncio.gather(*crowd[:48]) == [None] * 48
        with pytest.raises(TooBusy) as caught:
            await burst.make(Priority.INTERACTIVE, max_wait_s=30)
        assert caught.value.retry_after_s == 31  # 30.6, in whole seconds
        await burst.clock.until(burst.make(Priority.INTERACTIVE, max_wait_s=31))
        assert len(burst.moments) == 48 + 60 + 1

    run(play)


def test_who_is_held_up_by_requests_in_flight_gives_up_in_time_and_leaves_its_place() -> None:
    async def play() -> None:
        burst = Burst(1)
        long = burst.make(Priority.INTERACTIVE, takes_s=50)
        await burst.clock.settle()
        impatient = burst.make(Priority.INTERACTIVE, max_wait_s=5)
        patient = burst.make(Priority.INTERACTIVE)
        await burst.clock.advance(10)
        with pytest.raises(TooBusy):
            await impatient
        await burst.clock.until(asyncio.gather(long, patient))
        assert len(burst.moments) == 2

    run(play)


def test_a_refusal_holds_back_those_who_wait_until_the_portal_has_drained() -> None:
    async def play() -> None:
        burst = Burst()
        await burst.make(Priority.INTERACTIVE)
        burst.limiter.heed("app", "profile", QueryLimitExceeded("QUERY_LIMIT_EXCEEDED", status=200))
        caller = burst.make(Priority.INTERACTIVE)
        await burst.clock.advance(1.9)
        assert not caller.done()
        await burst.clock.advance(0.1)
        assert caller.done()

    run(play)


@pytest.mark.parametrize(
    "failure", [PortalFailing("", status=500), PortalUnreachable("not in time", sent=True), PortalBroken("HTML", 502)]
)
def test_a_portal_that_fails_is_sent_less_at_once(failure: Any) -> None:
    limiter = PortalLimiter(QuickClock(START), CAPACITY, LEAK, 32)
    limiter.landed({"profile"}, 1, failure, started_at=START)
    assert limiter.room(Priority.INTERACTIVE) == 16


@pytest.mark.parametrize(
    "refusal", [QueryLimitExceeded("QUERY_LIMIT_EXCEEDED", status=503), PortalUnreachable("no connection", sent=False)]
)
def test_a_portal_that_refuses_is_not_overburdened(refusal: Any) -> None:
    limiter = PortalLimiter(QuickClock(START), CAPACITY, LEAK, 32)
    limiter.landed({"profile"}, 1, refusal, started_at=START)
    assert limiter.room(Priority.INTERACTIVE) == 32


def test_a_method_out_of_operating_time_rests_alone_and_for_one_credential() -> None:
    async def play() -> None:
        clock = QuickClock(START)
        limiter = PortalLimiter(clock, CAPACITY, LEAK, 32, operating_limit_s=100)
        limiter.heed("app", "crm.deal.list", Answer([], operating_s=90, operating_reset_at=START + 40))
        assert (
            await limiter.rest("app", {"crm.lead.list"}, 0) == await limiter.rest("webhook", {"crm.deal.list"}, 0) == 0
        )
        with pytest.raises(TooBusy) as caught:
            await limiter.rest("app", {"batch", "CRM.deal.list"}, 30)
        assert caught.value.retry_after_s == 40
        assert await clock.until(limiter.rest("app", {"crm.deal.list"})) == 40

    run(play)


def test_a_request_whose_method_runs_out_of_time_while_it_stands_in_line_is_not_sent() -> None:
    async def play() -> None:
        burst = Burst()
        await asyncio.gather(*(burst.make(Priority.INTERACTIVE) for _ in range(48)))

        async def request() -> None:
            async with burst.limiter.place(Priority.INTERACTIVE, budgets=("app", {"user.get"})):
                raise AssertionError("it was sent")

        waiting = asyncio.create_task(request())
        await burst.clock.advance(0.5)
        burst.limiter.heed("app", "user.get", Answer([], operating_s=470, operating_reset_at=START + 40))
        await burst.clock.advance(0.5)
        with pytest.raises(OutOfOperatingTime):
            await waiting
        assert (burst.limiter.level, burst.limiter.room(Priority.INTERACTIVE)) == (46, 2)

    run(play)


def test_what_goes_again_goes_first_in_its_lane() -> None:
    async def play() -> None:
        burst = Burst()
        await asyncio.gather(*(burst.make(Priority.INTERACTIVE) for _ in range(48)))
        crowd = [burst.make(priority) for priority in Priority for _ in range(50)]
        await burst.clock.settle()
        sent: list[Priority] = []

        async def again(priority: Priority) -> None:
            async with burst.limiter.place(
                priority, again=True, max_wait_s=26 if priority is Priority.BACKGROUND else 1
            ):
                sent.append(priority)

        refused = [asyncio.create_task(again(priority)) for priority in Priority]
        await burst.clock.advance(1)
        assert (sent, len(burst.sent)) == ([Priority.INTERACTIVE], 49)
        with pytest.raises(TooBusy):  # callers and their reserve take longer
            await refused[1]
        for task in crowd:
            task.cancel()

    run(play)


def test_a_blocked_method_rests_where_no_answer_has_told_until_when() -> None:
    async def play() -> None:
        clock = QuickClock(START)
        limiter = PortalLimiter(clock, CAPACITY, LEAK, 32)
        limiter.heed("app", "user.get", OperatingLimitReached("OPERATION_TIME_LIMIT", status=429))
        assert await clock.until(limiter.rest("app", {"user.get"})) == 60

    run(play)
