"""Streams in bad times: every row once and in order, or the exact error and the cursor from which the rest comes."""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlsplit

import aiohttp
import pysqlite3
import pytest

from gateway.accounts.service import SUSPENDED
from gateway.sandbox.content.changes import Change
from gateway.sandbox.settings import SandboxSettings
from handlers.app_keys import CONNECTIONS
from tests.gateway import Gateway, Sandbox, Streamed, authorize
from tests.support.stored import database

LIST = "crm.deal.list"
DEALS = 4000
STREAM = "/bitrix/stream/deals"
OPENING, SURVEY = 2, 6  # commands of a stream's first two batches; the third one is full
COMMANDS = {"first": OPENING + SURVEY, "tenth": OPENING + SURVEY + 9, "last": OPENING + SURVEY + 49}


@pytest.fixture
def sandbox_settings(sandbox_settings: SandboxSettings) -> SandboxSettings:
    return replace(sandbox_settings, deals=DEALS, eventlog=4500, users=5)


@pytest.fixture
def ids(sandbox: Sandbox) -> list[int]:
    """The deals that there are at first."""
    return sorted(sandbox.portal.data.tables["deals"])


async def completed(gateway: Gateway, first: Streamed, resource: str = "deals") -> list[int]:
    """The ids of *first*, which broke off, and of a stream that goes on from its cursor."""
    rest = await gateway.stream(resource, cursor=first.end["cursor"])
    assert rest.end["complete"] is True
    assert all(row_id <= first.end["cursor"] for row_id in first.ids)
    return first.ids + rest.ids


# Where a change is made, after the first pages have been read: in what was read, where it is read, beyond the end.
PLACES: dict[str, Callable[[list[int]], list[int]]] = {
    "below": lambda ids: ids[5:45],
    "inside": lambda ids: ids[1500:1700],
    "at the end": lambda ids: ids[-60:],
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("calls", [OPENING, 20])
async def test_rows_that_go_meanwhile_take_no_other_with_them(
    connected: Gateway, sandbox: Sandbox, ids: list[int], place: str, calls: int
) -> None:
    gone = PLACES[place](ids)
    sandbox.portal.change_after(LIST, calls, Change("deals", removed=tuple(gone)))
    told = await connected.stream("deals")
    assert not sandbox.portal.changes
    assert set(told.ids) >= set(ids) - set(gone)
    assert set(told.ids) <= set(ids)
    assert told.ids == sorted(set(told.ids))
    assert (told.end["count"], told.end["complete"]) == (len(told.rows), True)
    assert told.ids[-1] <= told.end["cursor"] <= ids[-1]


@pytest.mark.parametrize("place", ["below", "inside", "above"])
@pytest.mark.parametrize("calls", [OPENING, 20])
async def test_rows_that_come_meanwhile_push_no_other_out(
    connected: Gateway, sandbox: Sandbox, ids: list[int], place: str, calls: int
) -> None:
    if place == "above":
        new = list(range(ids[-1] + 1, ids[-1] + 131))
    else:
        low, high = (ids[0], ids[300]) if place == "below" else (ids[1200], ids[2000])
        new = sorted(set(range(low, high)) - set(ids))
    assert new
    sandbox.portal.change_after(LIST, calls, Change("deals", edited={row_id: {} for row_id in new}))
    told = await connected.stream("deals")
    assert not sandbox.portal.changes
    assert set(ids) <= set(told.ids) <= set(ids) | set(new)
    assert told.ids == sorted(set(told.ids))
    if place == "above":
        assert set(new) <= set(told.ids)
    assert told.end == {"count": len(told.rows), "complete": True, "cursor": told.ids[-1]}


@pytest.mark.parametrize("command", ["opening", "survey", *COMMANDS])
@pytest.mark.parametrize("fault", ["json500", "otl"])
async def test_one_command_that_fails_once_costs_no_row(
    connected: Gateway, sandbox: Sandbox, ids: list[int], command: str, fault: str
) -> None:
    number = {"opening": 0, "survey": OPENING, **COMMANDS}[command]
    sandbox.portal.fault(f"{LIST}:{fault}@{number}")
    told = await connected.stream("deals", pace="thrifty")
    assert not list(sandbox.portal.faults)
    assert told.ids == ids
    assert told.end == {"count": DEALS, "complete": True, "cursor": ids[-1]}


@pytest.mark.parametrize("command", COMMANDS)
async def test_one_command_that_fails_for_good_ends_the_stream_by_name_where_it_stands(
    connected: Gateway, sandbox: Sandbox, ids: list[int], command: str
) -> None:
    sandbox.portal.fault(f"{LIST}:error=ACCESS_DENIED*@{COMMANDS[command]}")
    told = await connected.stream("deals", pace="thrifty")
    cursor = told.end["cursor"]
    assert told.end == {
        "error": f"{LIST} could not be read beyond id {cursor}: ACCESS_DENIED: Scripted fault",
        "code": "walk_failed",
        "cursor": cursor,
    }
    assert told.ids == [row_id for row_id in ids if row_id <= cursor]
    sandbox.portal.clear_faults()
    assert await completed(connected, told) == ids


@pytest.mark.parametrize("fault", ["qle200", "html500"])
@pytest.mark.parametrize("request_number", [0, 2])
async def test_a_request_that_is_refused_or_garbled_is_made_again(
    connected: Gateway, sandbox: Sandbox, ids: list[int], fault: str, request_number: int
) -> None:
    sandbox.portal.fault(f"batch:{fault}@{request_number}")
    told = await connected.stream("deals")
    assert not list(sandbox.portal.faults)
    assert (told.ids, told.end["complete"]) == (ids, True)


async def test_a_list_method_out_of_its_operating_time_rests_and_goes_on(
    connected: Gateway, sandbox: Sandbox, ids: list[int]
) -> None:
    sandbox.portal.fault(f"{LIST}:busy=500@12")
    began = connected.clock.now()
    told = await connected.stream("deals", step_s=20)
    assert (told.ids, told.end["complete"]) == (ids, True)
    assert connected.clock.now() - began > 300


async def test_a_token_that_expires_in_the_middle_is_renewed_once(gateway: Gateway, sandbox: Sandbox) -> None:
    await authorize(gateway, sandbox)
    await gateway.synced()
    ids = sorted(sandbox.portal.data.tables["deals"])
    for after in (1, 3):
        sandbox.portal.fault(f"batch:expired_token@{after}")
    renewals = len(sandbox.portal.token_requests)
    told = await gateway.stream("deals")
    assert (told.ids, told.end["complete"]) == (ids, True)
    assert 1 <= len(sandbox.portal.token_requests) - renewals <= 2


async def test_a_credential_that_dies_in_the_middle_ends_the_stream_and_makes_the_account_stale(
    gateway: Gateway, sandbox: Sandbox
) -> None:
    await authorize(gateway, sandbox)
    await gateway.synced()
    ids = sorted(sandbox.portal.data.tables["deals"])
    sandbox.portal.fault("batch:expired_token*@1")
    sandbox.portal.fault("oauth.token:invalid_grant*")
    told = await gateway.stream("deals")
    assert told.end["error"].startswith(f"{LIST} could not be read beyond id {told.end['cursor']}: invalid_grant")
    assert (await gateway.get("/bitrix/account")).json["stale"] is True
    await gateway.app[CONNECTIONS].settle()  # or a renewal that has waited would find the faults gone
    sandbox.portal.clear_faults()
    assert (await authorize(gateway, sandbox)).status == 302
    await gateway.synced()
    assert await completed(gateway, told) == ids


@pytest.mark.parametrize("fault", ["drop", "cut", "truncated"])
@pytest.mark.parametrize("request_number", [0, 2])
async def test_a_connection_that_drops_before_within_or_after_an_answer_is_taken_up_again(
    connected: Gateway, sandbox: Sandbox, ids: list[int], fault: str, request_number: int
) -> None:
    sandbox.portal.fault(f"batch:{fault}@{request_number}")
    told = await connected.stream("deals")
    assert not list(sandbox.portal.faults)
    assert (told.ids, told.end["complete"]) == (ids, True)


@pytest.mark.parametrize("fault", ["drop", "html500"])
async def test_a_portal_that_has_gone_for_good_ends_the_stream_with_where_to_go_on(
    connected: Gateway, sandbox: Sandbox, ids: list[int], fault: str
) -> None:
    sandbox.portal.fault(f"batch:{fault}*@1")
    told = await connected.stream("deals")
    assert told.end["code"] == "walk_failed"
    assert told.ids == [row_id for row_id in ids if row_id <= told.end["cursor"]]
    assert told.ids
    sandbox.portal.clear_faults()
    assert await completed(connected, told) == ids


@pytest.mark.parametrize("request_number", [0, 2])
async def test_a_portal_that_sleeps_for_a_minute_is_waited_for(
    connected: Gateway, sandbox: Sandbox, ids: list[int], request_number: int
) -> None:
    sandbox.portal.fault(f"batch:delay=61@{request_number}")
    told = await connected.stream("deals", pace="thrifty")
    assert (told.ids, told.end["complete"]) == (ids, True)


@pytest.mark.parametrize("fault", ["json500", "cut", "otl", "delay=61"])
async def test_a_list_of_rest_3_is_read_on_after_each_fault(connected: Gateway, sandbox: Sandbox, fault: str) -> None:
    sandbox.portal.fault(f"main.eventlog.tail:{fault}@2")
    told = await connected.stream("eventlog")
    assert not list(sandbox.portal.faults)
    assert told.ids == sorted(sandbox.portal.data.tables["eventlog"])
    assert told.end["complete"] is True


async def test_a_list_of_rest_3_that_fails_for_good_says_where_to_go_on(connected: Gateway, sandbox: Sandbox) -> None:
    sandbox.portal.fault("main.eventlog.tail:error=ACCESS_DENIED*@2")
    told = await connected.stream("eventlog")
    ids = sorted(sandbox.portal.data.tables["eventlog"])
    assert told.ids == ids[:2000]
    assert told.end["cursor"] == ids[1999]
    assert told.end["error"].startswith(f"main.eventlog.tail could not be read beyond id {ids[1999]}: ")
    sandbox.portal.clear_faults()
    assert await completed(connected, told, "eventlog") == ids


async def test_rows_of_rest_3_that_go_and_come_meanwhile_shift_no_other(connected: Gateway, sandbox: Sandbox) -> None:
    ids = sorted(sandbox.portal.data.tables["eventlog"])
    gone = ids[100:200] + ids[2000:2100]
    sandbox.portal.change_after("main.eventlog.tail", 2, Change("eventlog", removed=tuple(gone)))
    told = await connected.stream("eventlog")
    assert told.ids == [row_id for row_id in ids if row_id not in gone[100:]]
    assert told.end["complete"] is True


@pytest.mark.parametrize("way", ["delete", "move", "stop"])
@pytest.mark.parametrize(("resource", "method"), [("deals", "batch"), ("eventlog", "main.eventlog.tail")])
async def test_a_stream_that_is_ended_says_so_in_its_last_line_and_can_be_gone_on_with(
    connected: Gateway, sandbox: Sandbox, other: Sandbox, way: str, resource: str, method: str
) -> None:
    ids = sorted(sandbox.portal.data.tables[resource])
    sandbox.portal.fault(f"{method}:delay=3000*@1")
    async with connected.opened(f"/bitrix/stream/{resource}") as response:
        first = await response.content.readline()
        if way == "delete":
            assert (await connected.delete("/bitrix/account")).status == 200
        elif way == "move":
            await connected.connect(other.webhook)
        else:
            await connected.app.shutdown()
        told = Streamed.of(first + await asyncio.wait_for(response.read(), 5))
    reason = "the gateway is shutting down" if way == "stop" else SUSPENDED
    assert told.end == {"error": reason, "code": "ended", "cursor": told.ids[-1]}
    assert told.ids == ids[: len(told.ids)]
    sandbox.portal.clear_faults()
    if way == "stop":
        await connected.restart()
    else:
        await connected.connect(sandbox.webhook)
    assert await completed(connected, told, resource) == ids
    await connected.clock.advance(3000)


async def test_a_gateway_that_is_being_stopped_opens_no_stream(connected: Gateway, sandbox: Sandbox) -> None:
    requests = sandbox.portal.http_requests
    await connected.app.shutdown()
    answer = await connected.get(f"{STREAM}?cursor=7")
    assert (answer.status, answer.json["code"]) == (503, "stopping")
    assert sandbox.portal.http_requests == requests


async def test_the_first_rows_come_before_the_last_page_has_been_read(
    connected: Gateway, sandbox: Sandbox, ids: list[int]
) -> None:
    sandbox.portal.fault("batch:delay=10*@1")
    async with connected.opened(STREAM) as response:
        first = [await response.content.readline() for _ in range(50)]
        assert len(sandbox.portal.data.tables["deals"]) > 50
        rest = await connected.clock.until(response.read())
    assert Streamed.of(b"".join(first) + rest).ids == ids


async def test_pages_that_take_their_time_are_read_side_by_side(connected: Gateway, sandbox: Sandbox) -> None:
    ids = sorted(sandbox.portal.data.tables["deals"])[:500]
    sandbox.portal.fault(f"{LIST}:delay=0.2*")
    began = connected.clock.now()
    told = await connected.stream("deals", step_s=0.02, filter={"<=ID": ids[-1]})
    assert told.ids == ids
    assert connected.clock.now() - began < 1.4  # one after another, ten pages would take 2 s


async def test_a_consumer_that_is_slow_gets_every_row(connected: Gateway, ids: list[int]) -> None:
    async with connected.opened(STREAM) as response:
        received = b""
        while piece := await response.content.read(200_000):
            received += piece
            await connected.clock.advance(1)
    assert Streamed.of(received).ids == ids


@pytest.mark.parametrize(("resource", "method"), [("deals", "batch"), ("eventlog", "main.eventlog.tail")])
async def test_a_consumer_that_leaves_while_the_portal_is_asked_ends_its_calls(
    connected: Gateway, sandbox: Sandbox, resource: str, method: str
) -> None:
    sandbox.portal.fault(f"{method}:delay=1*@1")
    async with connected.opened(f"/bitrix/stream/{resource}") as response:
        await response.content.readline()
        await connected.clock.settle()
        response.close()
    await connected.clock.advance(1)
    requests = sandbox.portal.http_requests
    await connected.clock.advance(100)
    assert sandbox.portal.http_requests == requests
    sandbox.portal.clear_faults()
    assert (await connected.stream(resource)).end["complete"] is True


async def test_an_account_that_goes_while_its_fields_are_asked_for_reads_no_list(
    connected: Gateway, sandbox: Sandbox
) -> None:
    sandbox.portal.hold("crm.deal.fields")
    streaming = asyncio.create_task(connected.stream("deals", filter={"!TITLE": ""}))
    while sandbox.portal.calls["crm.deal.fields"] == 0:
        await connected.clock.settle()
    assert (await connected.delete("/bitrix/account")).status == 200
    sandbox.portal.release("crm.deal.fields")
    assert await streaming == Streamed([], {"error": SUSPENDED, "code": "ended", "cursor": 0})
    assert sandbox.portal.calls[LIST] == 0


async def test_a_failure_of_the_gateway_itself_in_the_middle_breaks_the_connection_and_is_logged(
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


class TestConsumersThatDoNotRead:
    """Of a list that is far longer than what may be on its way."""

    @pytest.fixture
    def sandbox_settings(self, sandbox_settings: SandboxSettings) -> SandboxSettings:
        return replace(sandbox_settings, deals=80_000, eventlog=30_000, users=5, tariff="off")

    @pytest.mark.parametrize(
        ("path", "fewer_than"), [("deals?pace=thrifty", 80_000 // 50 // 2), ("eventlog", 30_000 // 1000)]
    )
    async def test_the_portal_is_asked_no_further_until_they_read_or_leave(
        self, connected: Gateway, sandbox: Sandbox, caplog: pytest.LogCaptureFixture, path: str, fewer_than: int
    ) -> None:
        commands = sandbox.portal.commands
        _, writer = await self._open(connected, path)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        asked = -1
        while asked != sandbox.portal.commands:
            asked = sandbox.portal.commands
            for _ in range(60):
                await connected.clock.advance(1)
        assert asked - commands < fewer_than
        writer.transport.abort()
        await connected.clock.advance(60)
        assert sandbox.portal.commands == asked
        assert "failed" not in caplog.text

    async def test_what_waits_for_all_of_them_together_is_bounded_by_its_bytes(
        self, connected: Gateway, sandbox: Sandbox
    ) -> None:
        await connected.restart(GATEWAY_STREAM_BUFFER_BYTES=str(4 * 1024 * 1024))  # some 3,000 deals
        commands, asked = sandbox.portal.commands, -1
        writers = [(await self._open(connected, "deals?pace=eager"))[1] for _ in range(2)]
        for writer in writers:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        while asked != sandbox.portal.commands:
            asked = sandbox.portal.commands
            for _ in range(60):
                await connected.clock.advance(1)
        assert asked - commands < 2 * (80_000 // 50) / 4
        for writer in writers:
            writer.transport.abort()

    @pytest.mark.parametrize(("pauses_s", "whole"), [(590, True), (610, False)])
    async def test_one_who_takes_nothing_for_ten_minutes_is_disconnected(
        self, connected: Gateway, sandbox: Sandbox, caplog: pytest.LogCaptureFixture, pauses_s: float, whole: bool
    ) -> None:
        reader, writer = await self._open(connected, "eventlog")
        asked = -1
        while asked != sandbox.portal.commands:
            asked = sandbox.portal.commands
            for _ in range(50):
                await connected.clock.settle()
        await connected.clock.advance(pauses_s)
        received = await connected.clock.until(reader.read(), step_s=0.02)
        assert received.endswith(b"0\r\n\r\n") is whole
        assert (sandbox.portal.commands > asked) is whole
        assert "failed" not in caplog.text
        writer.close()

    async def _open(self, gateway: Gateway, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A stream of which nothing has been read but the status."""
        reader, writer = await asyncio.open_connection(*urlsplit(gateway.origin).netloc.split(":"), limit=4096)
        head = (
            f"GET /bitrix/stream/{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            f"Authorization: Bearer {gateway.token()}\r\n\r\n"
        )
        writer.write(head.encode())
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        return reader, writer
