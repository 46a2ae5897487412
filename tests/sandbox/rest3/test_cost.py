"""The cost of REST 3.0 lists."""

import pytest

from gateway.sandbox.behaviour.cost import CostModel
from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.settings import SandboxSettings
from tests.clock import ManualClock
from tests.sandbox.client import RestClient


@pytest.fixture
def settings() -> SandboxSettings:
    return SandboxSettings(users=10, cost=CostModel())


@pytest.mark.parametrize("method", ["tasks.task.list", "main.eventlog.list", "main.eventlog.tail"])
async def test_a_list_takes_as_long_as_in_rest2(
    rest3: RestClient, portal: SandboxPortal, clock: ManualClock, method: str
) -> None:
    answer = await clock.until(rest3.call(method), step_s=0.040)
    assert answer.status == 200
    assert portal.busy_s == pytest.approx(0.040)
