"""The command `upload`: files reach the portal unchanged, and each has its line."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web

from gateway.cli.local_files import LocalFile, check_files
from gateway.cli.upload import upload_files
from gateway.cli.upload_form import PART_BYTES, UploadForm, split_files
from gateway.disk.form import MAX_FILE_BYTES, MAX_FILES
from gateway.settings.config import load_config
from handlers.app_keys import SPOOL
from tests.cli.conftest import Command, Invoke, Spawn, reached
from tests.clock import ManualClock
from tests.gateway import Gateway, Sandbox
from tests.support.disk import facts, files_in, root_of
from tests.support.records import held
from tests.support.rogue import listening

LARGE = bytes(range(256)) * (5 * 1024 * 1024 // 256)  # sent to the portal in two steps


@pytest.fixture
def folder(sandbox: Sandbox) -> int:
    return root_of(sandbox)


def write(name: str, content: bytes = b"text") -> str:
    """Write a file in the working directory."""
    Path(name).write_bytes(content)
    return name


def lines_of(text: str) -> list[Any]:
    return [orjson.loads(line) for line in text.splitlines()]


def checked(*names: str) -> list[LocalFile]:
    files, mistakes = check_files(map(Path, names))
    assert mistakes == []
    return files


async def send(
    origin: str, files: Sequence[LocalFile], clock: ManualClock, *, token: str = "", folder: int = 1
) -> list[Any]:
    """Upload *files* with pauses that are those of *clock*. Return their lines."""
    lines: list[Any] = []
    config = load_config({"GATEWAY_PORT": origin.rpartition(":")[2]})
    await clock.until(upload_files(config, token, files, {"folder": str(folder)}, clock, lines.append))
    return lines


def codes_of(lines: list[Any]) -> list[str | None]:
    return [line.get("error", {}).get("code") for line in lines]


async def test_each_file_is_stored_and_has_a_line(command: Command, sandbox: Sandbox, folder: int) -> None:
    contents = {"отчёт 🌷.txt": "текст".encode(), "empty": b"", "video.mp4": LARGE, "-x;a=\"b'%20.txt": b"quotes"}
    result = await command("upload", f"--folder={folder}", "--", *(f"./{write(*each)}" for each in contents.items()))
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    assert files_in(sandbox, folder) == {name: facts(content) for name, content in contents.items()}
    shown = [line.split("\t") for line in result.stdout.splitlines()]
    assert [name for _, name in shown] == list(contents)
    assert len({int(file_id) for file_id, _ in shown}) == len(contents)


async def test_json_has_a_line_for_each_file(command: Command, folder: int) -> None:
    os.mkdir("папка")
    result = await command("upload", write("папка/a.txt"), write("b.txt", b"four"), f"--folder={folder}", "--json")
    assert result.exit_code == 0, result.output
    first, second = lines_of(result.stdout)
    assert (first["path"], first["name"], second["path"], second["size"]) == ("папка/a.txt", "a.txt", "b.txt", 4)
    assert first["url"] == f"/bitrix/files/{first['id']}/content"


async def test_a_taken_name_gets_a_number_or_is_refused(command: Command, sandbox: Sandbox, folder: int) -> None:
    write("a.txt")
    for _ in range(2):
        result = await command("upload", "a.txt", f"--folder={folder}")
    assert result.stdout.endswith("\ta (1).txt\n")
    refused = await command("upload", "a.txt", write("b.txt"), f"--folder={folder}", "--no-unique")
    assert refused.exit_code == 1
    assert refused.stdout.endswith("\tb.txt\n")
    failed, end = refused.stderr.splitlines()
    assert failed.startswith("a.txt: DISK_OBJ_22000: ")
    assert end == "Error: 1 of 2 files failed"
    assert files_in(sandbox, folder).keys() == {"a.txt", "a (1).txt", "b.txt"}


async def test_a_failed_file_is_a_line_of_json_too(command: Command, sandbox: Sandbox, folder: int) -> None:
    sandbox.portal.fault("disk.folder.uploadfile:error=NO_ROOM@1")
    result = await command("upload", write("a"), write("b"), write("c"), f"--folder={folder}", "--json")
    assert result.exit_code == 1
    lines = lines_of(result.stdout)
    assert [line["path"] for line in lines] == ["a", "b", "c"]
    assert sorted(map(str, codes_of(lines))) == ["NO_ROOM", "None", "None"]
    assert "NO_ROOM: Scripted fault" in result.stderr


@pytest.mark.parametrize("fault", ["upload:body_cut=1000", "upload:lost", "disk.folder.uploadfile:slow=10"])
async def test_files_are_stored_once_despite_faults_of_the_portal(
    command: Command, sandbox: Sandbox, folder: int, fault: str
) -> None:
    sandbox.portal.fault(fault)
    result = await command("upload", write("large.bin", LARGE), write("small.txt"), f"--folder={folder}")
    assert result.exit_code == 0, result.output
    assert files_in(sandbox, folder) == {"large.bin": facts(LARGE), "small.txt": facts(b"text")}


async def test_many_files_are_sent_in_several_requests(
    command: Command, connected: Gateway, sandbox: Sandbox, folder: int
) -> None:
    names = [write(f"{number:03}.txt") for number in range(2 * MAX_FILES + 1)]
    before = connected.requests
    result = await command("upload", *names, f"--folder={folder}")
    assert result.exit_code == 0, result.output
    assert [line.partition("\t")[2] for line in result.stdout.splitlines()] == names
    assert files_in(sandbox, folder).keys() == set(names)
    assert connected.requests - before == 3


def test_a_request_has_no_more_bytes_than_allowed() -> None:
    files = [LocalFile(Path(str(number)), size, (0, 0, 0, 0)) for number, size in enumerate([400, 600, 1000, 5000, 1])]
    groups = [[file.size for file in group] for group in split_files(files, 1000 + 2 * PART_BYTES)]
    assert groups == [[400, 600], [1000], [5000], [1]]
    assert [len(group) for group in split_files(files * 50, 10**9)] == [100, 100, 50]


async def test_the_length_of_a_form_is_known_beforehand() -> None:
    files = checked(write("a", b"x" * 3_000_000), write("и" * 127), write("empty", b""))
    sizes: list[int] = []
    form = UploadForm(files, sizes.append)
    body = b"".join([chunk async for chunk in form.chunks()])
    assert len(body) == int(form.headers["Content-Length"])
    assert len(body) - sum(file.size for file in files) < len(files) * PART_BYTES
    assert (form.is_sent, sizes[-1]) == (True, 3_000_004)


def make_wrong_files() -> list[str]:
    """Make files that cannot be uploaded; their paths, some of which do not exist."""
    Path("directory").mkdir()
    Path("dangling").symlink_to("nowhere")
    Path("loop").symlink_to("loop")
    os.mkfifo("pipe")
    with open("big", "wb") as big:
        big.truncate(MAX_FILE_BYTES + 1)
    named = [write(name) for name in ("a\\b", "two\nlines", os.fsdecode(b"\xff"), " ")]
    return ["directory", "absent", "dangling", "loop", "pipe", "big", "./good.txt", "-", *named]


async def test_all_mistakes_are_told_before_anything_is_sent(command: Command, connected: Gateway, folder: int) -> None:
    wrong = make_wrong_files()
    before = connected.requests
    result = await command("upload", write("good.txt"), f"--folder={folder}", "--", *wrong)
    assert (result.exit_code, result.stdout, connected.requests) == (2, "", before)
    assert result.stderr.splitlines()[-13:] == [
        "Error: nothing was sent:",
        "directory: is a directory",
        "absent: does not exist",
        "dangling: is a link to a file that does not exist",
        "loop: cannot be read: Too many levels of symbolic links",
        "pipe: is not a regular file",
        "big: has more than 52,428,800 bytes",
        "good.txt: is given twice",
        "-: standard input cannot be uploaded: its size is not known beforehand",
        "a\\b: must have a name without a backslash, which separates directories elsewhere",
        "two\\nlines: must have a name without control characters",
        "\\udcff: must have a name in UTF-8",
        " : must have a name that is not only spaces",
    ]


CHANGES: dict[str, tuple[Callable[[], object], str]] = {
    "grown": (lambda: write("changing.log", b"longer text"), "file_changed"),
    "shorter": (lambda: write("changing.log", b"t"), "file_changed"),
    "touched": (lambda: os.utime("changing.log", ns=(0, 0)), "file_changed"),
    "replaced": (lambda: os.replace(write("other"), "changing.log"), "file_changed"),
    "gone": (lambda: os.unlink("changing.log"), "file_unreadable"),
}


@pytest.mark.parametrize(("change", "code"), CHANGES.values(), ids=CHANGES)
async def test_a_file_that_changes_is_left_out(
    connected: Gateway, sandbox: Sandbox, folder: int, change: Callable[[], object], code: str
) -> None:
    files = checked(write("first.txt"), write("changing.log"), write("last.txt"))
    change()
    failed, *others = await send(connected.origin, files, connected.clock, token=connected.token(), folder=folder)
    assert failed["path"] == "changing.log"
    assert failed["error"]["code"] == code
    assert codes_of(others) == [None, None]
    assert files_in(sandbox, folder) == {"first.txt": facts(b"text"), "last.txt": facts(b"text")}


async def test_a_file_that_changes_while_it_is_read_ends_the_request(
    connected: Gateway, sandbox: Sandbox, folder: int
) -> None:
    (file,) = checked(write("growing.log", b"x" * 3_000_000))

    class Growing(LocalFile):
        """A file that grows after its first part was read."""

        def read(self, offset: int, length: int) -> bytes:
            data = super().read(offset, length)
            with self.path.open("ab") as log:
                log.write(b"more")
            return data

    growing = Growing(file.path, file.size, file.state)
    lines = await send(connected.origin, [growing], connected.clock, token=connected.token(), folder=folder)
    assert codes_of(lines) == ["file_changed"]
    assert files_in(sandbox, folder) == {}
    await connected.clock.settle()
    assert connected.app[SPOOL].held_bytes == 0


async def test_a_gateway_without_room_is_asked_again(
    connected: Gateway, sandbox: Sandbox, folder: int, capsys: pytest.CaptureFixture[str]
) -> None:
    spool = connected.app[SPOOL]
    spool.reserve(spool.max_bytes)
    started = connected.clock.now()

    async def free() -> None:
        await connected.clock.sleep(25)
        spool.held_bytes = 0

    files = checked(write("a.txt"))
    freeing = asyncio.create_task(free())
    lines = await send(connected.origin, files, connected.clock, token=connected.token(), folder=folder)
    await freeing
    assert codes_of(lines) == [None]
    assert files_in(sandbox, folder).keys() == {"a.txt"}
    assert 25 <= connected.clock.now() - started < 40
    assert capsys.readouterr().err.count("trying again in 10 s\n") == 3


async def test_a_gateway_that_stays_busy_is_given_up(
    connected: Gateway, folder: int, capsys: pytest.CaptureFixture[str]
) -> None:
    spool = connected.app[SPOOL]
    spool.reserve(spool.max_bytes)
    lines = await send(connected.origin, checked(write("a")), connected.clock, token=connected.token(), folder=folder)
    spool.held_bytes = 0
    assert (lines[0]["error"]["code"], lines[0]["error"]["status"]) == ("spool_full", 503)
    assert capsys.readouterr().err.count("trying again") == 4


async def test_a_pause_of_an_hour_is_not_waited_for(clock: ManualClock) -> None:
    async def busy(_request: web.Request) -> web.Response:
        problem = {"detail": "busy", "code": "too_busy"}
        return web.json_response(problem, status=429, headers={"Retry-After": "3600"})

    async with listening(busy) as origin:
        assert codes_of(await send(origin, checked(write("a")), clock)) == ["too_busy"]


async def test_a_request_that_is_refused_fails_its_files_and_sends_no_others(
    command: Command, connected: Gateway, folder: int
) -> None:
    names = [write(f"{number}") for number in range(MAX_FILES + 1)]
    await connected.delete("/bitrix/account")
    result = await command("upload", *names, f"--folder={folder}", "--json")
    assert result.exit_code == 1
    lines = lines_of(result.stdout)
    assert len(lines) == len(names)
    assert lines[0]["error"]["status"] == 404
    assert {line["error"]["code"] for line in lines[:-1]} == {lines[0]["error"]["code"]}
    assert lines[-1]["error"]["code"] == "not_sent"
    assert result.stderr.endswith("Error: 101 of 101 files failed\n")


async def test_a_form_larger_than_the_spool_is_refused_before_a_file_is_read(connected: Gateway, folder: int) -> None:
    await connected.restart(GATEWAY_SPOOL_BYTES="1000")
    files = checked(write("a", b"x" * 100_000))
    os.unlink("a")
    (line,) = await send(connected.origin, files, connected.clock, token=connected.token(), folder=folder)
    assert line["error"]["status"] == 413
    assert "GATEWAY_SPOOL_BYTES" in line["error"]["description"]


@asynccontextmanager
async def dying_gateway(read_bytes: int | None) -> AsyncIterator[tuple[str, list[int]]]:
    """A gateway that closes the connection after *read_bytes* of a form, or all. Its origin, and the sizes of forms."""
    forms: list[int] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        forms.append(int(head.partition("content-length: ")[2].partition("\r")[0]))
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        await reader.readexactly(forms[-1] if read_bytes is None else read_bytes)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", forms


async def test_a_connection_lost_after_the_form_leaves_the_outcome_unknown(invoke: Invoke) -> None:
    names = [write(f"{number}") for number in range(MAX_FILES + 1)]
    async with dying_gateway(None) as (origin, forms):
        result = await asyncio.to_thread(invoke, "upload", *names, "--folder=1", "--account=1", *reached(origin))
    assert (result.exit_code, result.stdout, len(forms)) == (1, "", 1)
    first, *_, last, _ = result.stderr.splitlines()
    assert first == "0: outcome_unknown: the connection to the gateway was lost after the form was sent"
    assert last == "100: not_sent: was not sent, because the request before failed"


async def test_a_connection_lost_within_the_form_is_tried_again(
    clock: ManualClock, capsys: pytest.CaptureFixture[str]
) -> None:
    async with dying_gateway(100) as (origin, forms):
        lines = await send(origin, checked(write("a", LARGE)), clock)
    assert codes_of(lines) == ["connection_lost"]
    assert len(forms) == 5
    notes = [f"the connection to the gateway was lost; trying again in {pause} s" for pause in (1, 2, 4, 8)]
    assert capsys.readouterr().err.splitlines() == notes


@pytest.mark.parametrize("status", [500, 502, 504])
async def test_a_failure_after_the_form_leaves_the_outcome_unknown(clock: ManualClock, status: int) -> None:
    async def fail(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(status=status, text="<html>", content_type="text/html")

    async with listening(fail) as origin:
        (line,) = await send(origin, checked(write("a")), clock)
    assert line["error"]["code"] == "outcome_unknown"
    assert f"status {status}" in line["error"]["description"]


async def test_an_unreachable_gateway_is_reported(invoke: Invoke, ports: Callable[[], int]) -> None:
    origin = f"http://127.0.0.1:{ports()}"
    result = await asyncio.to_thread(invoke, "upload", write("a"), "--folder=1", "--account=1", *reached(origin))
    assert result.exit_code == 1
    assert f"a: request_failed: cannot reach a gateway at {origin}" in result.stderr


async def test_progress_is_shown_on_a_terminal_only(
    connected: Gateway, folder: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    files = checked(write("[bold]a\u202e.bin", b"x" * 2_000_000))
    await send(connected.origin, files, connected.clock, token=connected.token(), folder=folder)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "200")
    await send(connected.origin, files, connected.clock, token=connected.token(), folder=folder)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "[bold]a\\u202e.bin" in captured.err
    assert "1.9/1.9 MiB" in captured.err


@pytest.mark.parametrize(
    "arguments", [("a",), ("--folder=1",), ("a", "--folder=0"), ("a", "--folder=x"), ("a", "--folder=1", "--fly")]
)
def test_incorrect_usage_exits_with_status_2(invoke: Invoke, arguments: tuple[str, ...]) -> None:
    write("a")
    result = invoke("upload", *arguments, "--account=1")
    assert (result.exit_code, "Usage:" in result.stderr) == (2, True)


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_a_signal_tells_the_files_that_may_be_stored(
    connected: Gateway, sandbox: Sandbox, spawn: Spawn, folder: int, number: int, expected: int
) -> None:
    sandbox.portal.fault("disk.folder.uploadfile:delay=60")
    typed = ("upload", write("a.txt"), f"--folder={folder}", "--account=acme", *reached(connected.origin))
    upload = await spawn(*typed)
    await connected.clock.until(held(connected, sandbox, "disk.folder.uploadfile"))
    status, output = await upload.end(number)
    assert status == expected
    assert output == "a.txt: outcome_unknown: stopped before the gateway answered\n"
