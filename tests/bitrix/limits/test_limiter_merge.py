"""Gates that turn out to be before one portal become one."""

import asyncio

import pytest

from gateway.bitrix.errors import (
    OperatingLimitReached,
)
from gateway.bitrix.limits.limiter import Lane, PortalGate
from gateway.errors import TooBusy
from tests.bitrix.limits.burst import CAPACITY, LEAK, START, Burst, QuickClock, refusals, run


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
