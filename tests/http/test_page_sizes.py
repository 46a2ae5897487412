"""Portals whose pages are shorter than documented or requested: every row arrives, or the failure says why."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.sandbox.portal import SandboxSettings
from tests.gateway import Gateway, Sandbox


@pytest.fixture
def sizes() -> dict[str, Any]:
    """Settings of the sandbox portal that differ from those of other tests."""
    return {}


@pytest.fixture
def sandbox_settings(sandbox_settings: SandboxSettings, sizes: dict[str, Any]) -> SandboxSettings:
    return replace(sandbox_settings, **{"tariff": "off", **sizes})


def asked(sandbox: Sandbox, method: str) -> int:
    """How many calls of *method* the portal saw, and forgets."""
    calls = sandbox.portal.calls[method]
    sandbox.portal.calls.clear()
    return calls


class TestRest3:
    """Streams that read REST 3.0."""

    @pytest.mark.parametrize(
        ("sizes", "requests"),
        [
            ({"tasks": 0}, 1),
            ({"tasks": 49}, 2),
            ({"tasks": 50}, 2),
            ({"tasks": 51}, 2),
            ({"tasks": 300}, 7),
            ({"tasks": 310}, 7),
            ({"tasks": 100, "rest3_page_rows": 7}, 15),
            ({"tasks": 300, "rest3_page_rows": 1000}, 2),
        ],
        ids=str,
    )
    async def test_tasks_are_read_to_the_end_whatever_the_page_size(
        self, connected: Gateway, sandbox: Sandbox, requests: int
    ) -> None:
        told = await connected.stream("tasks", version="3")
        assert told.ids == list(sandbox.portal.data.tasks)
        assert (told.end["count"], told.end["complete"]) == (len(told.ids), True)
        assert asked(sandbox, "tasks.task.list") == requests

    @pytest.mark.parametrize(
        ("sizes", "requests"),
        [
            ({"eventlog": 120}, 2),
            ({"eventlog": 1000}, 2),
            ({"eventlog": 2500}, 3),
            ({"eventlog": 120, "rest3_page_rows": 50}, 3),
            ({"eventlog": 100, "rest3_page_rows": 50}, 3),
        ],
        ids=str,
    )
    async def test_the_event_log_is_read_to_the_end_whatever_the_page_size(
        self, connected: Gateway, sandbox: Sandbox, requests: int
    ) -> None:
        told = await connected.stream("eventlog")
        assert told.ids == list(sandbox.portal.data.eventlog)
        assert told.end["complete"] is True
        assert asked(sandbox, "main.eventlog.tail") == requests

    @pytest.mark.parametrize("sizes", [{"tasks": 300}])
    async def test_a_reading_goes_on_from_any_cursor(self, connected: Gateway, sandbox: Sandbox) -> None:
        every = list(sandbox.portal.data.tasks)
        first = await connected.stream("tasks", version="3", limit=130)
        rest = await connected.stream("tasks", version="3", cursor=first.end["cursor"])
        assert first.ids + rest.ids == every
        assert (first.end["complete"], rest.end["complete"]) == (False, True)
