"""Streams of portals that fail: every row once and in order, or the error and the cursor from which to resume."""

from dataclasses import replace

import aiohttp
import pysqlite3
import pytest

from gateway.sandbox.settings import SandboxSettings
from handlers.app_keys import CREDENTIALS
from tests.gateway import Gateway, Sandbox, authorize
from tests.support.stored import database
from tests.support.streaming import resumed_ids

LIST = "crm.deal.list"
DEALS = 4000
STREAM = "/bitrix/stream/deals"
OPENING, SURVEY = 2, 6  # commands of the first and the second batch; the third one is full
COMMANDS = {"first": OPENING + SURVEY, "tenth": OPENING + SURVEY + 9, "last": OPENING + SURVEY + 49}


@pytest.fixture
def sandbox_settings(sandbox_settings: SandboxSettings) -> SandboxSettings:
    return replace(sandbox_settings, deals=DEALS, eventlog=4500, users=5)


@pytest.fixture
def ids(sandbox: Sandbox) -> list[int]:
    """The ids of all deals, ascending."""
    return sorted(sandbox.portal.data.tables["deals"])


@pytest.mark.parametrize("command", ["opening", "survey", *COMMANDS])
@pytest.mark.parametrize("fault", ["json500", "otl"])
async def test_a_command_that_fails_once_loses_no_row(
    connected: Gateway, sandbox: Sandbox, ids: list[int], command: str, fault: str
) -> None:
    number = {"opening": 0, "survey": OPENING, **COMMANDS}[command]
    sandbox.portal.fault(f"{LIST}:{fault}@{number}")
    stream = await connected.stream("deals", pace="thrifty")
    assert not list(sandbox.portal.faults)
    assert stream.ids == ids
    assert stream.end == {"count": DEALS, "complete": True, "cursor": ids[-1]}


@pytest.mark.parametrize("command", COMMANDS)
async def test_a_command_that_fails_permanently_ends_the_stream_at_its_cursor(
    connected: Gateway, sandbox: Sandbox, ids: list[int], command: str
) -> None:
    sandbox.portal.fault(f"{LIST}:error=ACCESS_DENIED*@{COMMANDS[command]}")
    stream = await connected.stream("deals", pace="thrifty")
    cursor = stream.end["cursor"]
    assert stream.end == {
        "error": f"{LIST} could not be read beyond id {cursor}: ACCESS_DENIED: Scripted fault",
        "code": "walk_failed",
        "cursor": cursor,
    }
    assert stream.ids == [row_id for row_id in ids if row_id <= cursor]
    sandbox.portal.clear_faults()
    assert await resumed_ids(connected, stream) == ids


@pytest.mark.parametrize("fault", ["qle200", "html500"])
@pytest.mark.parametrize("request_number", [0, 2])
async def test_a_rate_limited_or_unreadable_request_is_retried(
    connected: Gateway, sandbox: Sandbox, ids: list[int], fault: str, request_number: int
) -> None:
    sandbox.portal.fault(f"batch:{fault}@{request_number}")
    stream = await connected.stream("deals")
    assert not list(sandbox.portal.faults)
    assert (stream.ids, stream.end["complete"]) == (ids, True)


async def test_a_stream_waits_for_the_operating_time_of_its_method(
    connected: Gateway, sandbox: Sandbox, ids: list[int]
) -> None:
    sandbox.portal.fault(f"{LIST}:busy=500@12")
    began = connected.clock.now()
    stream = await connected.stream("deals", step_s=20)
    assert (stream.ids, stream.end["complete"]) == (ids, True)
    assert connected.clock.now() - began > 300


async def test_a_token_that_expires_during_a_stream_is_refreshed(gateway: Gateway, sandbox: Sandbox) -> None:
    await authorize(gateway, sandbox)
    await gateway.synced()
    ids = sorted(sandbox.portal.data.tables["deals"])
    for after in (1, 3):
        sandbox.portal.fault(f"batch:expired_token@{after}")
    renewals = len(sandbox.portal.token_requests)
    stream = await gateway.stream("deals")
    assert (stream.ids, stream.end["complete"]) == (ids, True)
    assert 1 <= len(sandbox.portal.token_requests) - renewals <= 2


async def test_a_credential_revoked_during_a_stream_ends_it_and_makes_the_account_stale(
    gateway: Gateway, sandbox: Sandbox
) -> None:
    await authorize(gateway, sandbox)
    await gateway.synced()
    ids = sorted(sandbox.portal.data.tables["deals"])
    sandbox.portal.fault("batch:expired_token*@1")
    sandbox.portal.fault("oauth.token:invalid_grant*")
    stream = await gateway.stream("deals")
    assert stream.end["error"].startswith(f"{LIST} could not be read beyond id {stream.end['cursor']}: invalid_grant")
    assert (await gateway.get("/bitrix/account")).json["stale"] is True
    await gateway.app[CREDENTIALS].finish_pending()  # finish waiting token requests before the faults are cleared
    sandbox.portal.clear_faults()
    assert (await authorize(gateway, sandbox)).status == 302
    await gateway.synced()
    assert await resumed_ids(gateway, stream) == ids


@pytest.mark.parametrize("fault", ["drop", "cut", "truncated"])
@pytest.mark.parametrize("request_number", [0, 2])
async def test_a_request_whose_connection_drops_is_retried(
    connected: Gateway, sandbox: Sandbox, ids: list[int], fault: str, request_number: int
) -> None:
    sandbox.portal.fault(f"batch:{fault}@{request_number}")
    stream = await connected.stream("deals")
    assert not list(sandbox.portal.faults)
    assert (stream.ids, stream.end["complete"]) == (ids, True)


@pytest.mark.parametrize("fault", ["drop", "html500"])
async def test_a_portal_that_stays_unreachable_ends_the_stream_with_a_cursor(
    connected: Gateway, sandbox: Sandbox, ids: list[int], fault: str
) -> None:
    sandbox.portal.fault(f"batch:{fault}*@1")
    stream = await connected.stream("deals")
    assert stream.end["code"] == "walk_failed"
    assert stream.ids == [row_id for row_id in ids if row_id <= stream.end["cursor"]]
    assert stream.ids
    sandbox.portal.clear_faults()
    assert await resumed_ids(connected, stream) == ids


@pytest.mark.parametrize("request_number", [0, 2])
async def test_a_stream_waits_for_a_portal_that_takes_a_minute(
    connected: Gateway, sandbox: Sandbox, ids: list[int], request_number: int
) -> None:
    sandbox.portal.fault(f"batch:delay=61@{request_number}")
    stream = await connected.stream("deals", pace="thrifty")
    assert (stream.ids, stream.end["complete"]) == (ids, True)


@pytest.mark.parametrize("fault", ["json500", "cut", "otl", "delay=61"])
async def test_a_rest_3_list_is_complete_after_each_fault(connected: Gateway, sandbox: Sandbox, fault: str) -> None:
    sandbox.portal.fault(f"main.eventlog.tail:{fault}@2")
    stream = await connected.stream("eventlog")
    assert not list(sandbox.portal.faults)
    assert stream.ids == sorted(sandbox.portal.data.tables["eventlog"])
    assert stream.end["complete"] is True


async def test_a_rest_3_list_that_fails_permanently_ends_with_a_cursor(connected: Gateway, sandbox: Sandbox) -> None:
    sandbox.portal.fault("main.eventlog.tail:error=ACCESS_DENIED*@2")
    stream = await connected.stream("eventlog")
    ids = sorted(sandbox.portal.data.tables["eventlog"])
    assert stream.ids == ids[:2000]
    assert stream.end["cursor"] == ids[1999]
    assert stream.end["error"].startswith(f"main.eventlog.tail could not be read beyond id {ids[1999]}: ")
    sandbox.portal.clear_faults()
    assert await resumed_ids(connected, stream, "eventlog") == ids


async def test_an_internal_error_during_a_stream_aborts_the_connection_and_is_logged(
    gateway: Gateway, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    await authorize(gateway, sandbox)
    await gateway.synced()
    sandbox.portal.fault("batch:delay=5*@1")
    async with gateway.opened(STREAM) as response:
        await response.content.readline()
        connection = pysqlite3.connect(database(gateway))
        connection.execute("ALTER TABLE accounts RENAME TO elsewhere")
        connection.close()
        sandbox.portal.clear_faults()
        sandbox.portal.fault("batch:expired_token*")
        sandbox.portal.fault("oauth.token:invalid_grant*")
        with pytest.raises(aiohttp.ClientPayloadError):
            await gateway.clock.until(response.read())
    assert "request failed outside the middleware" in caplog.text
