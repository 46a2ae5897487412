"""Who is let through the gate, and when: against a model of the portal's own counter, on a clock of ours."""

import asyncio
import math
from collections.abc import Callable, Coroutine
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
from gateway.bitrix.gate import Lane, OutOfOperatingTime, PortalGate
from gateway.bitrix.wire import Answer
from gateway.errors import TooBusy
from tests.clock import ManualClock
from tests.unit.bitrix.test_limits import refusals

CAPACITY, LEAK, KEPT = 50, 2.0, {Lane.INTERACTIVE: 0, Lane.BACKGROUND: 5}
START = 1_800_000_000.0


class QuickClock(ManualClock):
    """For tests without sockets: nothing needs real time to settle."""

    async def settle(self) -> None:
        for _ in range(8):
            await asyncio.sleep(0)


class Burst:
    """Requests through a gate: when each was made, and when sent."""

    def __init__(self, concurrency: int = 1000) -> None:
        self.clock = QuickClock(START)
        self.gate = PortalGate(self.clock, CAPACITY, LEAK, concurrency)
        self.concurrency = concurrency
        self.sent: list[tuple[Lane, int]] = []
        self.moments: list[float] = []
        self.waiting: dict[Lane, list[int]] = {lane: [] for lane in Lane}
        self.in_flight = 0
        self._number = 0

    def make(self, lane: Lane, *, takes_s: float = 0.0, max_wait_s: float | None = None) -> asyncio.Task[None]:
        self._number += 1
        return asyncio.create_task(self._request(lane, self._number, takes_s, max_wait_s))

    async def _request(self, lane: Lane, number: int, takes_s: float, max_wait_s: float | None) -> None:
        self.waiting[lane].append(number)
        try:
            async with self.gate.place(lane, max_wait_s=max_wait_s):
                assert self.waiting[lane][0] == number, "first come, first served"
                assert lane is Lane.INTERACTIVE or not self.waiting[Lane.INTERACTIVE], "callers go first"
                self.waiting[lane].remove(number)
                self.sent.append((lane, number))
                self.moments.append(self.clock.monotonic())
                self.in_flight += 1
                try:
                    await self.clock.sleep(takes_s)
                finally:
                    self.in_flight -= 1
        finally:
            if number in self.waiting[lane]:
                self.waiting[lane].remove(number)

    def check_not_idle(self) -> None:
        """Whoever waits has a reason: the portal's counter, were its second ours, or enough in flight."""
        counter, drained = 0.0, START
        for moment in [*self.moments, self.clock.monotonic()]:
            ticks = math.floor(moment - self.moments[0]) - math.floor(drained - self.moments[0]) if self.moments else 0
            counter, drained = max(counter - ticks * LEAK, 0.0) + 1, moment  # the last one is who waits
        for lane, waiting in self.waiting.items():
            limit = self.concurrency if lane is Lane.INTERACTIVE else self.concurrency * 7 // 8
            if waiting and self.in_flight < max(limit - 1, 1):
                assert counter > CAPACITY - LEAK - KEPT[lane]


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


ARRIVALS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.0, 0.0, 0.1, 0.37, 1.0, 2.6]),  # since the one before
        st.sampled_from(Lane),
        st.sampled_from([0.0, 0.2, 3.3]),  # in flight
        st.sampled_from([None, None, None, 0.0, 0.5, 4.0]),  # cancelled after
    ),
    min_size=30,
    max_size=130,
)


@settings(max_examples=20, deadline=None)
@given(ARRIVALS, st.sampled_from([3, 32, 1000]), st.floats(0, 0.999))
def test_whatever_comes_the_portal_refuses_nothing_and_no_room_is_left_unused(
    arrivals: list[tuple[float, Lane, float, float | None]], concurrency: int, phase: float
) -> None:
    async def play() -> None:
        burst = Burst(concurrency)
        tasks, leaving = [], []
        for pause, lane, takes_s, cancelled_after in arrivals:
            if pause:
                await burst.clock.advance(pause)
                burst.check_not_idle()
            task = burst.make(lane, takes_s=takes_s)
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
        assert burst.gate.level == 0
        assert burst.gate.room(Lane.INTERACTIVE) == min(concurrency, CAPACITY - LEAK)

    run(play)


async def cancel_later(clock: ManualClock, task: asyncio.Task[None], seconds: float) -> None:
    await clock.sleep(seconds)
    task.cancel()


def test_a_thousand_in_the_background_do_not_delay_a_caller() -> None:
    async def play() -> None:
        burst = Burst(32)
        crowd = [burst.make(Lane.BACKGROUND) for _ in range(1000)]
        waits = []
        for _ in range(20):
            await burst.clock.advance(2.3)
            asked = burst.clock.monotonic()
            caller = burst.make(Lane.INTERACTIVE)
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
        crowd = [burst.make(Lane.BACKGROUND) for _ in range(1000)]
        await burst.clock.settle()
        assert len(burst.sent) == 43
        callers = [burst.make(Lane.INTERACTIVE) for _ in range(7)]
        await burst.clock.settle()
        assert [caller.done() for caller in callers] == [True] * 5 + [False] * 2
        await burst.clock.advance(1)
        assert all(caller.done() for caller in callers)
        for task in crowd:
            task.cancel()

    run(play)


@pytest.mark.parametrize("lane", Lane)
@pytest.mark.parametrize(("before", "requests"), [(0, 1), (0, 43), (0, 100), (30, 20), (60, 1), (60, 50)])
def test_how_long_the_last_of_many_will_wait_can_be_foreseen(lane: Lane, before: int, requests: int) -> None:
    async def play() -> None:
        burst = Burst()
        for _ in range(before):
            burst.make(lane)
        await burst.clock.advance(0.4)
        foreseen_s, asked = burst.gate.wait(lane, requests), burst.clock.monotonic()
        *_, last = [burst.make(lane) for _ in range(requests)]
        await burst.clock.until(last)
        assert burst.moments[-1] - asked == pytest.approx(foreseen_s)

    run(play)


def test_background_work_leaves_callers_places_in_flight() -> None:
    async def play() -> None:
        burst = Burst(8)
        crowd = [burst.make(Lane.BACKGROUND, takes_s=60) for _ in range(20)]
        await burst.clock.settle()
        assert (burst.in_flight, burst.gate.room(Lane.BACKGROUND), burst.gate.room(Lane.INTERACTIVE)) == (7, 0, 1)
        await burst.clock.until(burst.make(Lane.INTERACTIVE))
        for task in crowd:
            task.cancel()

    run(play)


def test_who_would_wait_too_long_is_told_for_how_long_and_takes_no_room() -> None:
    async def play() -> None:
        burst = Burst()
        crowd = [burst.make(Lane.INTERACTIVE) for _ in range(48 + 60)]  # the last of them waits for 30 s
        await burst.clock.advance(0.4)
        assert await asyncio.gather(*crowd[:48]) == [None] * 48
        with pytest.raises(TooBusy) as caught:
            await burst.make(Lane.INTERACTIVE, max_wait_s=30)
        assert caught.value.retry_after_s == 31  # 30.6, in whole seconds
        await burst.clock.until(burst.make(Lane.INTERACTIVE, max_wait_s=31))
        assert len(burst.moments) == 48 + 60 + 1

    run(play)


def test_who_is_held_up_by_requests_in_flight_gives_up_in_time_and_leaves_its_place() -> None:
    async def play() -> None:
        burst = Burst(1)
        long = burst.make(Lane.INTERACTIVE, takes_s=50)
        await burst.clock.settle()
        impatient = burst.make(Lane.INTERACTIVE, max_wait_s=5)
        patient = burst.make(Lane.INTERACTIVE)
        await burst.clock.advance(10)
        with pytest.raises(TooBusy):
            await impatient
        await burst.clock.until(asyncio.gather(long, patient))
        assert len(burst.moments) == 2

    run(play)


def test_a_refusal_holds_back_those_who_wait_until_the_portal_has_drained() -> None:
    async def play() -> None:
        burst = Burst()
        await burst.make(Lane.INTERACTIVE)
        burst.gate.heed("app", "profile", QueryLimitExceeded("QUERY_LIMIT_EXCEEDED", status=200))
        caller = burst.make(Lane.INTERACTIVE)
        await burst.clock.advance(1.9)
        assert not caller.done()
        await burst.clock.advance(0.1)
        assert caller.done()

    run(play)


@pytest.mark.parametrize(
    "failure", [PortalFailing("", status=500), PortalUnreachable("not in time", sent=True), PortalBroken("HTML", 502)]
)
def test_a_portal_that_fails_is_sent_less_at_once(failure: Any) -> None:
    gate = PortalGate(QuickClock(START), CAPACITY, LEAK, 32)
    gate.landed({"profile"}, 1, failure, started_at=START)
    assert gate.room(Lane.INTERACTIVE) == 16


@pytest.mark.parametrize(
    "refusal", [QueryLimitExceeded("QUERY_LIMIT_EXCEEDED", status=503), PortalUnreachable("no connection", sent=False)]
)
def test_a_portal_that_refuses_is_not_overburdened(refusal: Any) -> None:
    gate = PortalGate(QuickClock(START), CAPACITY, LEAK, 32)
    gate.landed({"profile"}, 1, refusal, started_at=START)
    assert gate.room(Lane.INTERACTIVE) == 32


def test_a_method_out_of_operating_time_rests_alone_and_for_one_credential() -> None:
    async def play() -> None:
        clock = QuickClock(START)
        gate = PortalGate(clock, CAPACITY, LEAK, 32, operating_limit_s=100)
        gate.heed("app", "crm.deal.list", Answer([], operating_s=90, operating_reset_at=START + 40))
        assert await gate.rest("app", {"crm.lead.list"}, 0) == await gate.rest("webhook", {"crm.deal.list"}, 0) == 0
        with pytest.raises(TooBusy) as caught:
            await gate.rest("app", {"batch", "CRM.deal.list"}, 30)
        assert caught.value.retry_after_s == 40
        assert await clock.until(gate.rest("app", {"crm.deal.list"})) == 40

    run(play)


def test_a_request_whose_method_runs_out_of_time_while_it_stands_in_line_is_not_sent() -> None:
    async def play() -> None:
        burst = Burst()
        await asyncio.gather(*(burst.make(Lane.INTERACTIVE) for _ in range(48)))

        async def request() -> None:
            async with burst.gate.place(Lane.INTERACTIVE, budgets=("app", {"user.get"})):
                raise AssertionError("it was sent")

        waiting = asyncio.create_task(request())
        await burst.clock.advance(0.5)
        burst.gate.heed("app", "user.get", Answer([], operating_s=470, operating_reset_at=START + 40))
        await burst.clock.advance(0.5)
        with pytest.raises(OutOfOperatingTime):
            await waiting
        assert (burst.gate.level, burst.gate.room(Lane.INTERACTIVE)) == (46, 2)

    run(play)


def test_what_goes_again_goes_first_in_its_lane() -> None:
    async def play() -> None:
        burst = Burst()
        await asyncio.gather(*(burst.make(Lane.INTERACTIVE) for _ in range(48)))
        crowd = [burst.make(lane) for lane in Lane for _ in range(50)]
        await burst.clock.settle()
        sent: list[Lane] = []

        async def again(lane: Lane) -> None:
            async with burst.gate.place(lane, again=True, max_wait_s=26 if lane is Lane.BACKGROUND else 1):
                sent.append(lane)

        refused = [asyncio.create_task(again(lane)) for lane in Lane]
        await burst.clock.advance(1)
        assert (sent, len(burst.sent)) == ([Lane.INTERACTIVE], 49)
        with pytest.raises(TooBusy):  # callers and their reserve take longer
            await refused[1]
        for task in crowd:
            task.cancel()

    run(play)


def test_a_blocked_method_rests_where_no_answer_has_told_until_when() -> None:
    async def play() -> None:
        clock = QuickClock(START)
        gate = PortalGate(clock, CAPACITY, LEAK, 32)
        gate.heed("app", "user.get", OperatingLimitReached("OPERATION_TIME_LIMIT", status=429))
        assert await clock.until(gate.rest("app", {"user.get"})) == 60

    run(play)


def test_gates_that_are_one_add_up_and_both_names_stay_good() -> None:
    async def play() -> None:
        burst, other = Burst(), Burst()
        other.clock = burst.clock
        other.gate = PortalGate(burst.clock, CAPACITY, LEAK, 32)
        first = [burst.make(Lane.INTERACTIVE) for _ in range(30)]
        others = [other.make(Lane.INTERACTIVE, takes_s=5) for _ in range(50)]
        await burst.clock.settle()
        assert (len(burst.sent), len(other.sent)) == (30, 32)
        burst.gate.join(other.gate)
        burst.gate.join(other.gate)
        assert burst.gate.level == other.gate.level == 62
        await burst.clock.advance(4)
        assert len(other.sent) == 32  # those who waited there wait here
        await burst.clock.until(asyncio.gather(*first, *others))
        assert refusals(sorted(burst.moments + other.moments)[62:], CAPACITY, LEAK, 0.5) == 0
        await burst.clock.advance(60)
        assert burst.gate.room(Lane.INTERACTIVE) == other.gate.room(Lane.INTERACTIVE) == 48

    run(play)


@pytest.mark.parametrize("last", [False, True])
def test_gates_that_were_one_before_stay_one(last: bool) -> None:
    async def play() -> None:
        clock = QuickClock(START)
        gates = [PortalGate(clock, CAPACITY, LEAK, 32) for _ in range(4)]
        async with gates[1].place(Lane.INTERACTIVE), gates[2].place(Lane.INTERACTIVE):
            gates[1].join(gates[2])
            gates[0].join(gates[2 if last else 1])
            gates[3].join(gates[1 if last else 2])
            assert {gate.level for gate in gates} == {2}
            gates[2].heed("app", "profile", OperatingLimitReached("OPERATION_TIME_LIMIT"))
            for gate in gates:
                with pytest.raises(TooBusy):
                    await gate.rest("app", {"profile"}, 30)
            async with gates[0].place(Lane.INTERACTIVE):
                assert {gate.room(Lane.INTERACTIVE) for gate in gates} == {29}
        await clock.advance(60)
        assert {gate.room(Lane.INTERACTIVE) for gate in gates} == {32}

    run(play)


async def test_a_mark_is_kept_before_anything_is_sent_and_once_a_second_while_busy() -> None:
    clock = QuickClock(START)
    gate = PortalGate(clock, CAPACITY, LEAK, 32)
    marks: list[float] = []
    kept = asyncio.Event()

    async def save(now: float) -> None:
        await kept.wait()
        marks.append(now)

    gate.keep_marks(save)
    sent: list[float] = []

    async def request() -> None:
        async with gate.place(Lane.INTERACTIVE):
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
    gate = PortalGate(clock, CAPACITY, LEAK, 32)
    marks: list[float] = []

    async def save(mark: float) -> None:
        await clock.sleep(takes_s)
        marks.append(mark)

    gate.keep_marks(save)
    for _ in range(5):
        began = clock.now()
        async with asyncio.timeout(5):
            await clock.until(request_through(gate), step_s=0.25)
        assert clock.now() - began <= 2 * takes_s + 0.5
        assert clock.now() < marks[-1] + 1, "after a crash, more than the mark's second would count for nothing"
        await clock.advance(2)
    assert len(marks) <= 6


async def request_through(gate: PortalGate) -> None:
    async with gate.place(Lane.INTERACTIVE):
        pass


async def test_a_request_whose_mark_is_not_kept_is_not_sent_and_takes_no_room() -> None:
    gate = PortalGate(QuickClock(START), CAPACITY, LEAK, 32)

    async def fail(_now: float) -> None:
        raise OSError("the disk is full")

    gate.keep_marks(fail)
    with pytest.raises(OSError, match="full"):
        async with gate.place(Lane.INTERACTIVE):
            pytest.fail("it was sent")
    assert (gate.level, gate.room(Lane.INTERACTIVE)) == (0, 32)


@pytest.mark.parametrize(
    ("level", "marked_s_ago", "restored"),
    [(40, 10, 20), (40, 60, 0), (40, -5, 51), (None, 0, 51), (None, 1, 51), (None, 3.5, 47), (None, -100, 51)],
)
def test_a_gate_goes_on_from_what_an_earlier_one_left(level: float | None, marked_s_ago: float, restored: int) -> None:
    gate = PortalGate(QuickClock(START), CAPACITY, LEAK, 32)
    gate.restore(level, START - marked_s_ago)
    assert gate.level == restored
