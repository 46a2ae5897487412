"""Any interleaving of changes on the portal with syncs, faults and kills ends with a mirror that equals the portal."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings

from tests.support.sync_model import SCRIPTS, Step, play


@pytest.mark.timeout(240)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SCRIPTS)
def test_the_mirror_ends_equal_to_the_portal_and_never_shows_what_it_never_had(script: list[Step]) -> None:
    asyncio.run(play(script))
