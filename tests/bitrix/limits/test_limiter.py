"""When the limiter sends requests, against a model of the portal's counter, on a manual clock."""

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
from gateway.bitrix.limits.limiter import OperatingTimeSpent, PortalLimiter
from gateway.bitrix.limits.request_queue import Priority
from gateway.bitrix.protocol.v2 import Answer
from gateway.errors import TooBusy
from tests.bitrix.limits.burst import CAPACITY, LEAK, START, Burst, QuickClock, a_request, refusals, run
from tests.clock import ManualClock

ARRIVALS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.0, 0.0, 0.1, 0.37, 1.0, 2.6]),  # since the previous one
        st.sampled_from(Priority),
        st.sampled_from([0.0, 0.2, 3.3]),  # duration
        st.sampled_from([None, None, None, 0.0, 0.5, 4.0]),  # cancelled after
    ),
    min_size=30,
    max_size=130,
)


@settings(max_examples=20)
@given(ARRIVALS, st.sampled_from([3, 32, 1000]), st.floats(0, 0.999))
def test_the_portal_refuses_nothing_and_no_room_is_left_unused(
    arrivals: list[tuple[float, Priority, float, float | None]], concurrency: int, phase: float
) -> None:
    async def play() -> None:
        burst = Burst(concurrency)
        tasks, cancellations = [], []
        for pause, priority, duration_s, cancelled_after_s in arrivals:
            if pause:
                await burst.clock.advance(pause)
                burst.check_not_idle()
            task = burst.make(priority, duration_s=duration_s)
            tasks.append(task)
            if cancelled_after_s is not None:
                cancellations.append(asyncio.create_task(cancel_later(burst.clock, task, cancelled_after_s)))
        for _ in range(400):
            if all(task.done() for task in tasks):
                break
            await burst.clock.advance(1.0)
            burst.check_not_idle()
        assert all(task.done() for task in tasks)
        assert not burst.sent_at or refusals(burst.sent_at, CAPACITY, LEAK, phase) == 0
        await burst.clock.advance(60)
        await asyncio.gather(*cancellations)
        assert burst.limiter.level == 0
        assert burst.limiter.room(Priority.INTERACTIVE) == min(concurrency, CAPACITY - LEAK)

    run(play)


async def cancel_later(clock: ManualClock, task: asyncio.Task[None], seconds: float) -> None:
    await clock.sleep(seconds)
    task.cancel()


def test_a_thousand_background_requests_do_not_delay_a_caller() -> None:
    async def play() -> None:
        burst = Burst(32)
        tasks = [burst.make(Priority.BACKGROUND) for _ in range(1000)]
        waits = []
        for _ in range(20):
            await burst.clock.advance(2.3)
            made_at = burst.clock.monotonic()
            caller = burst.make(Priority.INTERACTIVE)
            while not caller.done():
                await burst.clock.advance(0.1)
            waits.append(burst.clock.monotonic() - made_at)
        assert max(waits) <= 0.1
        assert refusals(burst.sent_at, CAPACITY, LEAK, 0.5) == 0
        for task in tasks:
            task.cancel()

    run(play)


def test_callers_beyond_the_reserve_wait_for_the_next_drain_whatever_waits_in_the_background() -> None:
    async def play() -> None:
        burst = Burst()
        tasks = [burst.make(Priority.BACKGROUND) for _ in range(1000)]
        await burst.clock.settle()
        assert len(burst.sent) == 43
        callers = [burst.make(Priority.INTERACTIVE) for _ in range(7)]
        await burst.clock.settle()
        assert [caller.done() for caller in callers] == [True] * 5 + [False] * 2
        await burst.clock.advance(1)
        assert all(caller.done() for caller in callers)
        for task in tasks:
            task.cancel()

    run(play)


@pytest.mark.parametrize("priority", Priority)
@pytest.mark.parametrize(("before", "requests"), [(0, 1), (0, 43), (0, 100), (30, 20), (60, 1), (60, 50)])
def test_the_wait_of_the_last_of_many_requests_is_predicted(priority: Priority, before: int, requests: int) -> None:
    async def play() -> None:
        burst = Burst()
        for _ in range(before):
            burst.make(priority)
        await burst.clock.advance(0.4)
        predicted_s, made_at = burst.limiter.wait_s(priority, requests), burst.clock.monotonic()
        *_, last = [burst.make(priority) for _ in range(requests)]
        await burst.clock.until(last)
        assert burst.sent_at[-1] - made_at == pytest.approx(predicted_s)

    run(play)


def test_background_requests_leave_concurrency_for_callers() -> None:
    async def play() -> None:
        burst = Burst(8)
        tasks = [burst.make(Priority.BACKGROUND, duration_s=60) for _ in range(20)]
        await burst.clock.settle()
        assert (burst.in_flight, burst.limiter.room(Priority.BACKGROUND), burst.limiter.room(Priority.INTERACTIVE)) == (
            7,
            0,
            1,
        )
        await burst.clock.until(burst.make(Priority.INTERACTIVE))
        for task in tasks:
            task.cancel()

    run(play)


def test_a_request_that_would_wait_too_long_is_refused_with_the_wait_and_takes_no_room() -> None:
    async def play() -> None:
        burst = Burst()
        tasks = [burst.make(Priority.INTERACTIVE) for _ in range(48 + 60)]  # the last one waits for 30 s
        await burst.clock.advance(0.4)
        assert await asyncio.gather(*tasks[:48]) == [None] * 48
        with pytest.raises(TooBusy) as caught:
            await burst.make(Priority.INTERACTIVE, max_wait_s=30)
        assert caught.value.retry_after_s == 31  # 30.6, in whole seconds
        await burst.clock.until(burst.make(Priority.INTERACTIVE, max_wait_s=31))
        assert len(burst.sent_at) == 48 + 60 + 1

    run(play)


def test_a_request_delayed_by_others_in_flight_is_refused_in_time_and_leaves_the_queue() -> None:
    async def play() -> None:
        burst = Burst(1)
        slow = burst.make(Priority.INTERACTIVE, duration_s=50)
        await burst.clock.settle()
        impatient = burst.make(Priority.INTERACTIVE, max_wait_s=5)
        patient = burst.make(Priority.INTERACTIVE)
        await burst.clock.advance(10)
        with pytest.raises(TooBusy):
            await impatient
        await burst.clock.until(asyncio.gather(slow, patient))
        assert len(burst.sent_at) == 2

    run(play)


def test_after_a_refusal_requests_wait_until_the_portal_has_drained() -> None:
    async def play() -> None:
        burst = Burst()
        await burst.make(Priority.INTERACTIVE)
        burst.limiter.record("app", "profile", QueryLimitExceeded("QUERY_LIMIT_EXCEEDED", status=200))
        caller = burst.make(Priority.INTERACTIVE)
        await burst.clock.advance(1.9)
        assert not caller.done()
        await burst.clock.advance(0.1)
        assert caller.done()

    run(play)


@pytest.mark.parametrize(
    "failure", [PortalFailing("", status=500), PortalUnreachable("not in time", sent=True), PortalBroken("HTML", 502)]
)
def test_a_failure_of_the_portal_lowers_the_concurrency(failure: Any) -> None:
    limiter = PortalLimiter(QuickClock(START), CAPACITY, LEAK, 32)
    limiter.record_load(a_request(), failure, started_at=START)
    assert limiter.room(Priority.INTERACTIVE) == 16


@pytest.mark.parametrize(
    "refusal", [QueryLimitExceeded("QUERY_LIMIT_EXCEEDED", status=503), PortalUnreachable("no connection", sent=False)]
)
def test_a_refusal_does_not_lower_the_concurrency(refusal: Any) -> None:
    limiter = PortalLimiter(QuickClock(START), CAPACITY, LEAK, 32)
    limiter.record_load(a_request(), refusal, started_at=START)
    assert limiter.room(Priority.INTERACTIVE) == 32


def test_a_method_out_of_operating_time_is_paused_alone_and_for_one_credential() -> None:
    async def play() -> None:
        clock = QuickClock(START)
        limiter = PortalLimiter(clock, CAPACITY, LEAK, 32, operating_limit_s=100)
        limiter.record("app", "crm.deal.list", Answer([], operating_s=90, operating_reset_at=START + 40))
        assert (
            await limiter.wait_for_budget("app", {"crm.lead.list"}, 0)
            == await limiter.wait_for_budget("webhook", {"crm.deal.list"}, 0)
            == 0
        )
        with pytest.raises(TooBusy) as caught:
            await limiter.wait_for_budget("app", {"batch", "CRM.deal.list"}, 30)
        assert caught.value.retry_after_s == 40
        assert await clock.until(limiter.wait_for_budget("app", {"crm.deal.list"})) == 40

    run(play)


def test_a_request_is_not_sent_if_its_method_runs_out_of_operating_time_in_the_queue() -> None:
    async def play() -> None:
        burst = Burst()
        await asyncio.gather(*(burst.make(Priority.INTERACTIVE) for _ in range(48)))

        async def request() -> None:
            async with burst.limiter.slot(a_request(methods={"user.get"})):
                raise AssertionError("the request was sent")

        waiting = asyncio.create_task(request())
        await burst.clock.advance(0.5)
        burst.limiter.record("app", "user.get", Answer([], operating_s=470, operating_reset_at=START + 40))
        await burst.clock.advance(0.5)
        with pytest.raises(OperatingTimeSpent):
            await waiting
        assert (burst.limiter.level, burst.limiter.room(Priority.INTERACTIVE)) == (46, 2)

    run(play)


def test_a_repeated_request_goes_first_in_its_priority() -> None:
    async def play() -> None:
        burst = Burst()
        await asyncio.gather(*(burst.make(Priority.INTERACTIVE) for _ in range(48)))
        tasks = [burst.make(priority) for priority in Priority for _ in range(50)]
        await burst.clock.settle()
        sent: list[Priority] = []

        async def repeat(priority: Priority) -> None:
            max_wait_s = 26 if priority is Priority.BACKGROUND else 1
            async with burst.limiter.slot(a_request(priority, is_repeated=True, max_wait_s=max_wait_s)):
                sent.append(priority)

        repeated = [asyncio.create_task(repeat(priority)) for priority in Priority]
        await burst.clock.advance(1)
        assert (sent, len(burst.sent)) == ([Priority.INTERACTIVE], 49)
        with pytest.raises(TooBusy):  # callers and their reserve go first
            await repeated[1]
        for task in tasks:
            task.cancel()

    run(play)


def test_a_blocked_method_is_paused_for_a_minute_if_the_reset_time_is_unknown() -> None:
    async def play() -> None:
        clock = QuickClock(START)
        limiter = PortalLimiter(clock, CAPACITY, LEAK, 32)
        limiter.record("app", "user.get", OperatingLimitReached("OPERATION_TIME_LIMIT", status=429))
        assert await clock.until(limiter.wait_for_budget("app", {"user.get"})) == 60

    run(play)
