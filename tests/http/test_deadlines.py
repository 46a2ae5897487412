"""Deadlines of many items, served by one task."""

import logging

import pytest

from handlers.http.deadlines import Deadlines
from tests.clock import ManualClock


async def test_an_exception_for_one_item_does_not_stop_the_deadlines_of_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    expired = []

    def on_timeout(item: str) -> None:
        if item == "bad":
            raise ValueError(item)
        expired.append(item)

    clock = ManualClock()
    deadlines = Deadlines(clock, 10, on_timeout)
    deadlines.start("bad")
    deadlines.start("good")
    await clock.advance(10)
    assert expired == ["good"]
    deadlines.start("later")
    await clock.advance(10)
    assert expired == ["good", "later"]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    await deadlines.close()
