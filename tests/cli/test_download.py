"""The command `download`: complete files under safe names, or nothing."""

import asyncio
import os
import re
import signal
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web

from gateway.cli.download import download_files
from gateway.cli.remote_file import SILENCE_S
from gateway.cli.saved_files import Destination
from gateway.settings.config import load_config
from tests.cli.conftest import Command, Invoke, Spawn, reached
from tests.clock import ManualClock
from tests.gateway import Gateway, Sandbox
from tests.support.disk import root_of, uploaded
from tests.support.rogue import listening

CONTENT = bytes(range(256)) * 1000
LARGE = bytes(range(256)) * (5 * 1024 * 1024 // 256)

Store = Callable[..., Any]


@pytest.fixture(autouse=True)
def _empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory without the database."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


@pytest.fixture
def store(connected: Gateway, sandbox: Sandbox) -> Store:
    """Store a file on the portal; its id."""

    async def put(name: str, content: bytes = CONTENT) -> int:
        (line,) = await uploaded(connected, root_of(sandbox), (name, content))
        return int(line["id"])

    return put


def files_here(directory: str = ".") -> dict[str, bytes]:
    """The contents of all files in a directory, by name, also of hidden ones."""
    return {path.name: path.read_bytes() for path in Path(directory).iterdir() if path.is_file()}


def write(name: str, content: bytes) -> None:
    Path(name).write_bytes(content)


def rename(sandbox: Sandbox, file_id: int, name: str) -> None:
    """Give a file a name that the portal would not accept."""
    disk = sandbox.portal.data.disk
    disk.change(disk.objects[file_id], {"NAME": name})


async def fetch(origin: str, file_id: int, clock: ManualClock, token: str = "") -> Any:
    """Download a file into the working directory with pauses that are those of *clock*. Return its line."""
    lines: list[Any] = []
    config = load_config({"GATEWAY_PORT": origin.rpartition(":")[2]})
    destination = Destination(Path(), None, force=False)
    await clock.until(download_files(config, token, [file_id], destination, clock, lines.append))
    (line,) = lines
    return line


async def test_files_are_stored_under_their_names(command: Command, store: Store) -> None:
    contents = {"отчёт 🌷.txt": CONTENT, "empty": b"", "видео.mp4": LARGE, "a;b=\"c'%20.txt": b"quotes"}
    ids = [await store(*each) for each in contents.items()]
    result = await command("download", *map(str, ids))
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    assert result.stdout.splitlines() == [f"{file_id}\t{name}" for file_id, name in zip(ids, contents, strict=True)]
    assert files_here() == contents


async def test_files_go_to_a_directory_or_a_file(command: Command, store: Store) -> None:
    file_id = await store("a.txt", b"text")
    os.mkdir("папка")
    result = await command("download", str(file_id), "--to=папка", "--json")
    assert orjson.loads(result.stdout) == {"id": file_id, "name": "a.txt", "size": 4, "path": "папка/a.txt"}
    result = await command("download", str(file_id), "--output=папка/b.txt")
    assert result.stdout == f"{file_id}\tпапка/b.txt\n"
    assert files_here("папка") == {"a.txt": b"text", "b.txt": b"text"}


async def test_stdout_gets_the_content_and_nothing_else(command: Command, store: Store) -> None:
    result = await command("download", str(await store("a.bin", LARGE)), "--output=-")
    assert (result.exit_code, result.stdout_bytes, result.stderr) == (0, LARGE, "")


async def test_stdout_that_fails_is_one_line(command: Command) -> None:
    result = await command("download", "999999", "--output", "-")
    assert (result.exit_code, result.stdout) == (1, "")
    assert re.fullmatch(r"Error: GET /bitrix/files/999999/content failed with status 404: .*\n", result.stderr)


async def test_a_new_file_has_the_usual_permissions(command: Command, store: Store) -> None:
    mask = os.umask(0o027)
    try:
        await command("download", str(await store("a.txt")))
    finally:
        os.umask(mask)
    assert stat.S_IMODE(os.stat("a.txt").st_mode) == 0o640


async def test_a_file_that_exists_is_replaced_only_with_force(command: Command, store: Store) -> None:
    file_id = str(await store("a.txt", b"new"))
    write("a.txt", b"old")
    refused = await command("download", file_id)
    assert (refused.exit_code, refused.stdout, files_here()["a.txt"]) == (1, "", b"old")
    assert refused.stderr.splitlines()[0] == f"{file_id}: not_saved: a.txt exists: give --force to replace it"
    forced = await command("download", file_id, "--force")
    assert (forced.exit_code, files_here()["a.txt"]) == (0, b"new")


@pytest.mark.parametrize("force", [(), ("--force",)])
async def test_files_of_one_name_do_not_replace_each_other(
    command: Command, sandbox: Sandbox, store: Store, force: tuple[str, ...]
) -> None:
    first, second = await store("a.txt", b"1"), await store("b.txt", b"2")
    rename(sandbox, second, "a.txt")
    result = await command("download", str(first), str(second), *force)
    assert (result.exit_code, files_here()["a.txt"]) == (1, b"1")
    assert f"{second}: not_saved: a.txt is another file of this download" in result.stderr


async def test_what_is_no_regular_file_is_never_replaced(command: Command, store: Store) -> None:
    file_id = str(await store("a.txt"))
    os.mkdir("a.txt")
    os.symlink("nowhere", "link")
    os.mkfifo("pipe")
    for arguments, name in (((), "a.txt"), (("--output=pipe",), "pipe"), (("--output=link",), "link")):
        result = await command("download", file_id, "--force", *arguments)
        assert (result.exit_code, f"not_saved: {name} exists" in result.stderr) == (1, True), result.output


async def test_one_failed_file_does_not_stop_the_others(command: Command, store: Store) -> None:
    first, last = await store("a.txt"), await store("b.txt")
    result = await command("download", str(first), "999999", str(last), "--json")
    assert result.exit_code == 1
    lines = [orjson.loads(line) for line in result.stdout.splitlines()]
    assert [(line["id"], "error" in line) for line in lines] == [(first, False), (999999, True), (last, False)]
    assert lines[1]["error"]["status"] == 404
    failed, end = result.stderr.splitlines()
    assert failed.startswith("999999: ")
    assert end == "Error: 1 of 3 files failed"


@pytest.mark.parametrize("missing", ["ETag", "Content-Length"])
async def test_a_response_that_cannot_be_checked_is_refused(clock: ManualClock, missing: str) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={} if missing == "ETag" else {"ETag": '"1"'})
        if missing == "ETag":
            response.content_length = 0
        await response.prepare(request)
        return response

    async with listening(answer) as origin:
        line = await fetch(origin, 7, clock)
    assert (line["error"]["code"], files_here()) == ("content_broken", {})


HOSTILE = {
    "../../escaped.txt": "escaped.txt",
    "/etc/passwd": "passwd",
    "..\\..\\windows.txt": "windows.txt",
    "two\r\nlines\x1b[31m\t.txt": "two__lines_[31m_.txt",
    "quo\"te's;.txt": "quo\"te's;.txt",
    "100%41.txt": "100%41.txt",
    "-rf": "-rf",
    "nul\0.txt": "nul_.txt",
    " spaces ": "spaces",
}


@pytest.mark.parametrize(("name", "stored"), HOSTILE.items(), ids=map(repr, HOSTILE))
async def test_a_hostile_name_stays_in_the_directory(
    command: Command, sandbox: Sandbox, store: Store, name: str, stored: str
) -> None:
    file_id = await store("a.txt", b"text")
    rename(sandbox, file_id, name)
    os.mkdir("here")
    result = await command("download", str(file_id), "--to=here", "--force")
    assert result.exit_code == 0, result.output
    assert files_here("here") == {stored: b"text"}
    assert files_here() == {}
    assert result.stdout == f"{file_id}\there/{stored}\n"


async def test_a_name_that_is_too_long_here_needs_another(command: Command, store: Store) -> None:
    file_id = await store("я" * 200)
    result = await command("download", str(file_id))
    assert (result.exit_code, "File name too long" in result.stderr) == (1, True)
    assert (await command("download", str(file_id), "--output=short")).exit_code == 0


@pytest.mark.parametrize("fault", ["download:cut", "download:slow=100000", "download:502", "disk.file.get:502"])
async def test_faults_of_the_portal_are_overcome(
    connected: Gateway, sandbox: Sandbox, store: Store, fault: str
) -> None:
    file_id = await store("a.bin", LARGE)
    sandbox.portal.fault(fault)
    line = await fetch(connected.origin, file_id, connected.clock, connected.token())
    assert "error" not in line, line
    assert files_here()["a.bin"] == LARGE


async def test_a_download_that_is_cut_is_continued_where_it_was(
    connected: Gateway, sandbox: Sandbox, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    file_id = await store("a.bin", LARGE)
    sandbox.portal.fault("download:cut")
    sandbox.portal.calls.clear()
    await fetch(connected.origin, file_id, connected.clock, connected.token())
    assert files_here()["a.bin"] == LARGE
    assert sandbox.portal.calls["download"] == 2
    assert "the connection to the gateway was lost; trying again in 1 s" in capsys.readouterr().err


@pytest.mark.parametrize("size", [len(LARGE), 1000])
async def test_a_download_that_is_always_cut_leaves_nothing(
    connected: Gateway, sandbox: Sandbox, store: Store, size: int, capsys: pytest.CaptureFixture[str]
) -> None:
    file_id = await store("a.bin", LARGE[:size])
    sandbox.portal.fault("download:cut*")
    line = await fetch(connected.origin, file_id, connected.clock, connected.token())
    assert line["error"]["code"] == "portal_broken"  # the portal sends the first half again
    assert files_here() == {}
    assert capsys.readouterr().err.count("trying again") == 4


class Cutting:
    """A gateway that closes the connection after a half of what is asked for, *cuts* times."""

    def __init__(self, content: bytes, *, cuts: int, tag: str = '"1"', changed: str = '"1"') -> None:
        self.content = content
        self.cuts = cuts
        self.tags = [tag] + [changed] * cuts
        self.asked: list[tuple[str | None, str | None]] = []

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.headers.get("Range"), request.headers.get("If-Range")))
        tag = self.tags[len(self.asked) - 1]
        asked, if_tag = self.asked[-1]
        first = int(asked[len("bytes=") : -1]) if asked and if_tag == tag else 0
        part = self.content[first:]
        headers = {"ETag": tag, "Content-Disposition": 'attachment; filename="a.bin"'}
        if first:
            headers["Content-Range"] = f"bytes {first}-{len(self.content) - 1}/{len(self.content)}"
        response = web.StreamResponse(status=206 if first else 200, headers=headers)
        response.content_length = len(part)
        await response.prepare(request)
        await response.write(part if len(self.asked) > self.cuts else part[: len(part) // 2])
        if len(self.asked) <= self.cuts and request.transport is not None:
            request.transport.close()
        return response


async def test_only_the_missing_part_is_asked_for_again(clock: ManualClock) -> None:
    gateway = Cutting(CONTENT, cuts=3)
    async with listening(gateway.answer) as origin:
        line = await fetch(origin, 7, clock)
    assert "error" not in line, line
    assert files_here()["a.bin"] == CONTENT
    assert gateway.asked[0] == (None, None)
    starts = [int(str(asked)[len("bytes=") : -1]) for asked, _ in gateway.asked[1:]]
    assert starts == sorted(starts)
    assert starts[0] > 0
    assert {tag for _, tag in gateway.asked[1:]} == {'"1"'}


async def test_a_gateway_that_restarts_in_the_middle_is_waited_for(
    clock: ManualClock, capsys: pytest.CaptureFixture[str]
) -> None:
    half = len(CONTENT) // 2
    head = 'ETag: "1"\r\nContent-Disposition: attachment; filename="a.bin"\r\nContent-Length: '
    rest = f"Content-Range: bytes {half}-{len(CONTENT) - 1}/{len(CONTENT)}\r\n{head}{half}"
    answers = [f"HTTP/1.1 200 OK\r\n{head}{len(CONTENT)}", f"HTTP/1.1 206 Partial Content\r\n{rest}"]
    parts = [CONTENT[:half], CONTENT[half:]]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.close()
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"{answers.pop(0)}\r\n\r\n".encode() + parts.pop(0))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    fetching = asyncio.create_task(fetch(f"http://127.0.0.1:{port}", 7, clock))
    await clock.sleep(2)
    server = await asyncio.start_server(answer, "127.0.0.1", port)
    line = await fetching
    assert "error" not in line, line
    assert files_here() == {"a.bin": CONTENT}
    assert "cannot reach a gateway" in capsys.readouterr().err


@pytest.mark.parametrize("sent", [0, len(CONTENT) // 2])
async def test_a_gateway_that_falls_silent_is_asked_again(
    clock: ManualClock, capsys: pytest.CaptureFixture[str], sent: int
) -> None:
    gone = asyncio.Event()
    gateway = Cutting(CONTENT, cuts=0)

    async def answer(request: web.Request) -> web.StreamResponse:
        if gateway.asked:
            return await gateway.answer(request)
        response = web.StreamResponse(headers={"ETag": '"1"', "Content-Disposition": 'attachment; filename="a.bin"'})
        response.content_length = len(CONTENT)
        gateway.asked.append((None, None))
        if sent:
            await response.prepare(request)
            await response.write(CONTENT[:sent])
        await gone.wait()
        return response

    gateway.tags *= 2
    started = clock.monotonic()
    async with listening(answer) as origin:
        line = await fetch(origin, 7, clock)
        gone.set()
    assert "error" not in line, line
    assert files_here() == {"a.bin": CONTENT}
    assert gateway.asked[1][0] == (f"bytes={sent}-" if sent else None)
    assert SILENCE_S <= clock.monotonic() - started < SILENCE_S + 10
    assert "the gateway has sent nothing for 120 s; trying again in 1 s" in capsys.readouterr().err


async def test_a_file_that_changes_is_not_stored_half_and_half(clock: ManualClock) -> None:
    gateway = Cutting(CONTENT, cuts=1, changed='"2"')
    async with listening(gateway.answer) as origin:
        line = await fetch(origin, 7, clock)
    assert line["error"]["code"] == "content_broken"
    assert "changed" in line["error"]["description"]
    assert files_here() == {}


async def test_a_full_disk_is_reported_and_leaves_nothing(connected: Gateway, spawn: Spawn, store: Store) -> None:
    file_id = await store("a.bin", LARGE)
    typed = ("download", str(file_id), "--account=acme", *reached(connected.origin))
    download = await spawn(*typed, files="ulimit -f 100")  # files of at most 51,200 bytes
    status, output = await connected.clock.until(download.end())
    assert status == 1
    assert f"{file_id}: not_saved: a.bin: File too large" in output
    assert files_here() == {}


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_a_signal_leaves_nothing(
    connected: Gateway, sandbox: Sandbox, spawn: Spawn, store: Store, number: int, expected: int
) -> None:
    file_id = await store("a.bin", LARGE)
    sandbox.portal.fault("download:slow=100000")
    download = await spawn("download", str(file_id), "--account=acme", *reached(connected.origin))
    while not files_here():
        await asyncio.sleep(0)
        await connected.clock.settle()
    status, output = await connected.clock.until(download.end(number))
    assert (status, output) == (expected, "")
    assert files_here() == {}


async def test_progress_is_shown_on_a_terminal_only(
    connected: Gateway, store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await store("[bold]a\u202e.bin", LARGE), await store("b.bin", LARGE)
    await fetch(connected.origin, second, connected.clock, connected.token())
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")
    await fetch(connected.origin, first, connected.clock, connected.token())
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "[bold]a\\u202e.bin" in captured.err
    assert "5.0/5.0 MiB" in captured.err


async def test_an_unreachable_gateway_is_reported(invoke: Invoke, ports: Callable[[], int]) -> None:
    origin = f"http://127.0.0.1:{ports()}"
    result = await asyncio.to_thread(invoke, "download", "7", "--account=1", *reached(origin))
    assert result.exit_code == 1
    assert f"7: request_failed: cannot reach a gateway at {origin}" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "mistake"),
    [
        ((), "Missing argument 'ID...'"),
        (("0",), "is not in the range"),
        (("x",), "not a valid integer"),
        (("7", "8", "7"), "7 given twice"),
        (("7", "8", "--output=a"), "--output takes one ID"),
        (("7", "--output=a", "--to=."), "--output cannot be combined with --to"),
        (("7", "--output=-", "--json"), "--output - cannot be combined with --json"),
        (("7", "--output=absent/a"), "there is no directory absent"),
        (("7", "--output=."), "is a directory"),
        (("7", "--to=absent"), "does not exist"),
    ],
)
def test_incorrect_usage_exits_with_status_2(invoke: Invoke, arguments: tuple[str, ...], mistake: str) -> None:
    result = invoke("download", *arguments, "--account=1")
    assert (result.exit_code, mistake in result.stderr) == (2, True), result.output
