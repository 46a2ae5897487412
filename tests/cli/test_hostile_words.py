"""Commands that call the gateway escape terminal control sequences in error messages."""

import asyncio

import pytest
from aiohttp import web

from gateway.sandbox.behaviour.row_faults import ESCAPES
from tests.cli.conftest import Invoke
from tests.gateway import JWT_SECRET
from tests.support.rogue import listening


@pytest.mark.parametrize("command", [("sync", "users"), ("stream", "deals")])
@pytest.mark.parametrize("in_problem", [True, False])
async def test_an_error_response_is_one_printable_line(
    invoke: Invoke, command: tuple[str, ...], in_problem: bool
) -> None:
    async def refuse(_request: web.Request) -> web.Response:
        return web.json_response({"detail": ESCAPES} if in_problem else ESCAPES, status=502)

    async with listening(refuse) as origin:
        port = f"--port={origin.rpartition(':')[2]}"
        result = await asyncio.to_thread(invoke, *command, "--account=acme", port, f"--jwt-secret={JWT_SECRET}")
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert line.isprintable()
    assert "\\x1b]0;owned\\x07" in line


@pytest.mark.parametrize("command", [("upload", __file__, "--folder=1"), ("download", "7")])
async def test_an_error_of_a_file_is_one_printable_line(invoke: Invoke, command: tuple[str, ...]) -> None:
    async def refuse(_request: web.Request) -> web.Response:
        return web.json_response({"detail": ESCAPES, "code": ESCAPES}, status=400)

    async with listening(refuse) as origin:
        port = f"--port={origin.rpartition(':')[2]}"
        result = await asyncio.to_thread(invoke, *command, "--account=acme", port, f"--jwt-secret={JWT_SECRET}")
    line, end = result.stderr.splitlines()
    assert line.isprintable()
    assert line.count("\\x1b]0;owned\\x07") == 2
    assert end == "Error: 1 of 1 files failed"


@pytest.mark.parametrize("end", ['"error": %b', '"count": 1, "complete": false'])
async def test_the_last_line_of_a_stream_is_one_printable_line(invoke: Invoke, end: str) -> None:
    escaped = web.json_response(ESCAPES).text or ""
    last = f'{{{end.replace("%b", escaped)}, "cursor": {escaped}}}\n'

    async def stream(_request: web.Request) -> web.Response:
        return web.Response(text='{"ID": "7"}\n' + last)

    async with listening(stream) as origin:
        port = f"--port={origin.rpartition(':')[2]}"
        result = await asyncio.to_thread(
            invoke, "stream", "deals", "--account=acme", port, f"--jwt-secret={JWT_SECRET}"
        )
    assert result.stdout == '{"ID": "7"}\n'
    (line,) = result.stderr.splitlines()
    assert line.isprintable()
    assert "\\x1b]0;owned\\x07" in line
