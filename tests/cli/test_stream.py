"""The command `stream`: rows on stdout, progress and errors on stderr."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import orjson
import pytest
from aiohttp import web
from click.testing import Result

from gateway.sandbox.settings import SandboxSettings
from tests.cli.conftest import Command, Invoke, reached
from tests.gateway import Gateway, Sandbox
from tests.support.records import change_sync
from tests.support.rogue import listening

LIST = "crm.deal.list"


@pytest.fixture
def sandbox_settings(sandbox_settings: SandboxSettings) -> SandboxSettings:
    return replace(sandbox_settings, deals=1300, users=5)


@pytest.fixture
def stream(command: Command) -> Command:
    return partial(command, "stream")


def ids_of(result: Result) -> list[int]:
    return [int(orjson.loads(line)["ID"]) for line in result.stdout.splitlines()]


async def test_stdout_contains_all_rows_and_nothing_else(stream: Command, sandbox: Sandbox) -> None:
    result = await stream("deals")
    assert result.exit_code == 0, result.output
    assert ids_of(result) == sorted(sandbox.portal.data.tables["deals"])
    assert result.stderr == "deals: 1,300 rows, complete\n"


async def test_options_become_query_parameters(stream: Command, sandbox: Sandbox) -> None:
    ids = sorted(sandbox.portal.data.tables["deals"])
    result = await stream(
        "deals",
        f"--cursor={ids[99]}",
        "--limit=10",
        "--select=TITLE",
        "--pace=thrifty",
        f'--filter={{"<ID": {ids[200]}}}',
    )
    assert result.exit_code == 0, result.output
    assert ids_of(result) == ids[100:110]
    assert set(orjson.loads(result.stdout.splitlines()[0])) == {"ID", "TITLE"}
    assert result.stderr == f"deals: 10 rows, limit reached; continue with --cursor {ids[109]}\n"
    third = await stream("tasks", "--version=3", "--limit=1")
    assert isinstance(orjson.loads(third.stdout)["id"], int)
    assert (await stream("items/2", "--limit=1")).exit_code == 0


async def test_an_empty_list_is_a_success(stream: Command) -> None:
    result = await stream("deals", "--cursor=999999999")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "deals: 0 rows, complete\n")


async def test_one_row_is_in_the_singular(stream: Command, sandbox: Sandbox) -> None:
    last = max(sandbox.portal.data.tables["deals"])
    assert (await stream("deals", f"--cursor={last - 1}")).stderr == "deals: 1 row, complete\n"


async def test_a_broken_stream_exits_with_status_1_and_a_cursor(stream: Command, sandbox: Sandbox) -> None:
    sandbox.portal.fault(f"{LIST}:error=ACCESS_DENIED*@9")
    first = await stream("deals")
    assert first.exit_code == 1
    message, _, cursor = first.stderr.strip().rpartition(" ")
    assert message == (
        f"Error: deals: {LIST} could not be read beyond id {cursor}: ACCESS_DENIED: Scripted fault. "
        "Continue with --cursor"
    )
    sandbox.portal.clear_faults()
    rest = await stream("deals", f"--cursor={cursor}")
    assert ids_of(first) + ids_of(rest) == sorted(sandbox.portal.data.tables["deals"])


async def test_the_mirror_is_a_source_of_rows(stream: Command, connected: Gateway, sandbox: Sandbox) -> None:
    refused = await stream("deals", "--source=mirror")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "not mirrored" in refused.stderr
    await change_sync(connected, "deals", enabled=True)
    await connected.synced("deals")
    first = await stream("deals", "--source=mirror", "--limit=2", '--filter=[["ID", ">", 5]]', "--select=TITLE")
    assert first.exit_code == 0, first.output
    assert [sorted(orjson.loads(line)) for line in first.stdout.splitlines()] == [["TITLE", "id"]] * 2
    rest = await stream("deals", "--source=mirror", "--cursor=7")
    assert [orjson.loads(line)["id"] for line in rest.stdout.splitlines()] == [
        row_id for row_id in sorted(sandbox.portal.data.tables["deals"]) if row_id > 7
    ]


async def test_an_error_response_is_shown(stream: Command) -> None:
    result = await stream("deals", "--filter={")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "Error: GET /bitrix/stream/deals failed with status 400: "
        "filter: must be JSON: unexpected end of data (line 1, column 2)\n"
    )


@pytest.mark.parametrize("command", [("stream", "deals"), ("sync", "users")])
async def test_a_server_that_is_not_a_gateway_is_reported(invoke: Invoke, command: tuple[str, str]) -> None:
    async def page(_request: web.Request) -> web.Response:
        return web.Response(status=404, text="<html>", content_type="text/html")

    async with listening(page) as origin:
        result = await asyncio.to_thread(invoke, *command, "--account=acme", *reached(origin))
    assert (result.exit_code, result.stderr) == (1, f"Error: the server at {origin} is not a gateway\n")


def test_an_unreachable_gateway_is_reported(invoke: Invoke, ports: Callable[[], int]) -> None:
    result = invoke("stream", "deals", "--account=1", *reached(f"http://127.0.0.1:{ports()}"))
    assert result.exit_code == 1
    assert "cannot reach a gateway at http://127.0.0.1:" in result.stderr


@asynccontextmanager
async def dying_gateway(body: bytes) -> AsyncIterator[str]:
    """The origin of a gateway that sends *body*, the start of a stream, and then closes the connection."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n")
        writer.write(b"%x\r\n%b\r\n" % (len(body), body))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("last", [b"", b'{"ID":"9","TIT'], ids=["between rows", "within a row"])
async def test_a_lost_connection_leaves_whole_rows_and_a_cursor(invoke: Invoke, last: bytes) -> None:
    rows = b'{"ID":"5"}\n{"ID":"7"}\n'
    async with dying_gateway(rows + last) as origin:
        result = await asyncio.to_thread(invoke, "stream", "deals", "--account=1", *reached(origin))
    assert result.exit_code == 1
    assert result.stdout_bytes == rows
    assert result.stderr == "Error: deals: the connection to the gateway was lost. Continue with --cursor 7\n"


async def test_a_closed_stdout_ends_it_quietly(connected: Gateway) -> None:
    typed = [sys.executable, "-m", "gateway", "stream", "deals", "--account=acme", *reached(connected.origin)]
    command = f'{{ {" ".join(typed)}; echo "status $?" >&2; }} | head -n 1'
    process = await asyncio.create_subprocess_shell(
        command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, errors = await connected.clock.until(process.communicate())
    assert errors == b"status 141\n", "as after SIGPIPE"
    assert orjson.loads(out)["ID"]
