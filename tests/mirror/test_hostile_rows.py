"""Rows and errors from hostile portals: invalid ids are rejected, and terminal escapes are not printed."""

import logging
from collections.abc import Callable, Iterator
from io import StringIO

import pytest
import structlog

from gateway.log import configure_logging
from gateway.sandbox.behaviour.row_faults import DOUBLED, ESCAPES, IDS
from tests.gateway import RESOURCES, Gateway, Sandbox


@pytest.mark.parametrize("how", [*IDS, DOUBLED])
@pytest.mark.parametrize("resource", RESOURCES)
async def test_a_sync_rejects_invalid_ids(limited: Gateway, sandbox: Sandbox, resource: str, how: str) -> None:
    before = await limited.rows(resource)
    for method in (
        "user.get",
        "crm.status.list",
        "crm.category.list",
        "userfieldconfig.list",
        "crm.deal.userfield.list",
    ):
        sandbox.portal.fault(f"{method}:ids={how}*")
    (run,) = await limited.sync(resource)
    reason = "the list changed while it was read" if how == DOUBLED else "a row without a usable"
    if how == DOUBLED and resource == "users":
        reason = "a page that does not ascend"
    assert (run["state"], reason in run["error"]) == ("failed", True)
    assert await limited.rows(resource) == before


@pytest.mark.parametrize("how", [*IDS, DOUBLED])
@pytest.mark.parametrize("method", ["crm.deal.list", "tasks.task.list", "main.eventlog.tail"])
async def test_a_stream_rejects_rows_with_invalid_ids(
    limited: Gateway, sandbox: Sandbox, method: str, how: str
) -> None:
    sandbox.portal.fault(f"{method}:ids={how}*")
    resource = {"crm.deal.list": "deals", "tasks.task.list": "tasks", "main.eventlog.tail": "eventlog"}[method]
    answer = await limited.clock.until(limited.get(f"/bitrix/stream/{resource}"))
    assert (answer.status, answer.json["code"]) == (502, "portal_broken")


@pytest.fixture(params=["console", "json"])
def logged(request: pytest.FixtureRequest) -> Iterator[Callable[[], str]]:
    """Everything logged during the test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = StringIO()
    configure_logging("debug", request.param, stream)
    root.handlers[:] = [*handlers, *root.handlers]
    yield stream.getvalue
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


async def test_terminal_escapes_from_a_portal_reach_neither_log_nor_errors(
    limited: Gateway, sandbox: Sandbox, logged: Callable[[], str]
) -> None:
    sandbox.portal.fault("user.get:escapes400*")
    sandbox.portal.fault("batch:escapes400*1@1")
    sandbox.portal.fault("tasks.task.list:escapes400*")
    (run,) = await limited.sync("users")
    answers = [
        await limited.clock.until(ask)
        for ask in (
            limited.post("/bitrix/call/user.get", json={}),
            limited.post("/bitrix/batch", json={"commands": [{"method": "user.get"}]}),
            limited.post("/bitrix/v3/tasks.task.list", json={}),
            limited.get("/bitrix/stream/users"),
            limited.get("/bitrix/sync/users"),
        )
    ]
    texts = [run["error"], *flat([answer.json for answer in answers])]
    assert any("\\x1b]0;owned" in text for text in texts)
    assert all(text.isprintable() for text in texts)
    lines = logged()
    assert "\\x1b]0;owned" in lines or "\\\\x1b]0;owned" in lines
    assert all(character == "\n" or character.isprintable() for character in lines)
    assert not any(line.startswith("2026-01-01") for line in lines.splitlines())


async def test_terminal_escapes_in_names_are_kept_as_data_and_not_logged(
    limited: Gateway, sandbox: Sandbox, logged: Callable[[], str]
) -> None:
    for method in ("user.get", "crm.status.list", "crm.category.list", "crm.deal.list"):
        sandbox.portal.fault(f"{method}:escapes*")
    runs = await limited.sync("users", "steps")
    assert [run["error"] for run in runs] == [None, None]
    users = await limited.rows("users")
    assert users[0]["name"].endswith(ESCAPES)
    assert (await limited.stream("deals")).rows[0]["TITLE"].endswith(ESCAPES)
    assert all(character == "\n" or character.isprintable() for character in logged())


def flat(value: object) -> list[str]:
    """Every text in *value*."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [text for one in value for text in flat(one)]
    return [value] if isinstance(value, str) else []
