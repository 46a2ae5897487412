"""Callers who send files slowly, or leave before the answer: the room for their files becomes free."""

import asyncio
import os
from asyncio import StreamReader, StreamWriter
from pathlib import Path

import pytest

from gateway.disk.uploads import SIDE_BY_SIDE
from handlers.app_keys import SPOOL
from handlers.http.sender_watch import (
    LOOK_S,
    MIN_BYTES_PER_S,
    RATE_WINDOW_S,
    STALL_S,
    STALLED,
    TOO_LATE,
    TOO_SLOW,
    TOTAL_S,
)
from tests.gateway import CONTRACT, Answer, Gateway, Sandbox
from tests.support.disk import FILES, facts, files_in, root_of, spooled_files
from tests.support.raw import Dial, read_answer

PART = b'--b\r\nContent-Disposition: form-data; name="f"; filename="%s"\r\n\r\n'
HEAD, END = PART % b"a.txt", b"\r\n--b--\r\n"
MIB = 1024 * 1024


class Sender:
    """A caller who sends a form piece by piece."""

    def __init__(self, gateway: Gateway, reader: StreamReader, writer: StreamWriter, path: str) -> None:
        self._clock = gateway.clock
        self._answer = asyncio.ensure_future(reader.read())
        self._writer = writer
        self._path = path

    @property
    def is_answered(self) -> bool:
        return self._answer.done()

    async def send(self, data: bytes, *, pause_s: float = 0) -> None:
        """Send *data*, which the gateway then receives; then wait."""
        self._writer.write(data)
        await self._clock.settle()
        await self._clock.advance(pause_s)

    async def answer(self) -> Answer:
        """Return the answer, which is valid."""
        answer = read_answer(await self._clock.until(self._answer), "POST")
        CONTRACT.check("POST", self._path, answer.status, answer.headers, answer.body)
        return answer

    async def leave(self) -> None:
        """Close the connection."""
        self._answer.cancel()
        self._writer.transport.abort()
        await self._clock.settle()


@pytest.fixture
async def folder(connected: Gateway, sandbox: Sandbox) -> int:
    assert connected.origin
    sandbox.portal.calls.clear()
    return root_of(sandbox)


@pytest.fixture
async def sender(connected: Gateway, dial: Dial, folder: int) -> Sender:
    """A caller who has sent the head of a request for 4 MiB."""
    return await begin(connected, dial, folder, 4 * MIB)


async def begin(connected: Gateway, dial: Dial, folder: int, size: int) -> Sender:
    """Send the head of a request with a form of *size* bytes."""
    path = f"{FILES}?folder={folder}"
    reader, writer = await dial()
    sender = Sender(connected, reader, writer, path)
    lines = [f"POST {path} HTTP/1.1", "Host: gateway", f"Authorization: Bearer {connected.token()}"]
    lines += ["Content-Type: multipart/form-data; boundary=b", f"Content-Length: {size}", "Connection: close"]
    await sender.send("\r\n".join([*lines, "", ""]).encode())
    return sender


def is_free(gateway: Gateway, directory: Path) -> bool:
    """Whether no received file takes room any more."""
    return not gateway.app[SPOOL].held_bytes and not spooled_files(os.getpid(), directory)


@pytest.mark.parametrize("sent", [b"", b"--b", HEAD[:40], HEAD, HEAD + b"x" * MIB])
async def test_a_sender_who_stalls_is_told_408(
    connected: Gateway, sandbox: Sandbox, sender: Sender, tmp_path: Path, sent: bytes
) -> None:
    await sender.send(sent, pause_s=STALL_S - 0.1)
    assert not sender.is_answered
    await sender.send(b"", pause_s=LOOK_S + 0.1)
    answer = await sender.answer()
    assert (answer.status, answer.json["detail"], answer.headers["Connection"]) == (408, STALLED, "close")
    assert (is_free(connected, tmp_path), sandbox.portal.calls.total()) == (True, 0)


@pytest.mark.parametrize("sent", [b"", HEAD[:10], HEAD])
async def test_a_sender_of_a_byte_now_and_then_is_told_408(
    connected: Gateway, sandbox: Sandbox, sender: Sender, tmp_path: Path, sent: bytes
) -> None:
    await sender.send(sent)
    for _ in range(round(RATE_WINDOW_S / 20)):
        assert not sender.is_answered
        await sender.send(b"x", pause_s=20)
    answer = await sender.answer()
    assert (answer.status, answer.json["detail"], answer.headers["Connection"]) == (408, TOO_SLOW, "close")
    assert (is_free(connected, tmp_path), sandbox.portal.calls.total()) == (True, 0)


async def test_a_sender_may_not_become_slow_after_a_fast_start(sender: Sender) -> None:
    await sender.send(HEAD + b"x" * 2 * MIB, pause_s=RATE_WINDOW_S / 3)
    for _ in range(4):
        assert not sender.is_answered
        await sender.send(b"x", pause_s=RATE_WINDOW_S / 3)
    await sender.send(b"x", pause_s=RATE_WINDOW_S / 3)
    assert (await sender.answer()).json["detail"] == TOO_SLOW


async def test_a_sender_above_the_minimum_rate_may_take_his_time(
    connected: Gateway, sandbox: Sandbox, sender: Sender, folder: int, tmp_path: Path
) -> None:
    content = bytes(range(256)) * (4 * MIB // 256)
    content = content[: 4 * MIB - len(HEAD) - len(END)]
    form, step_s = HEAD + content + END, STALL_S - 1
    step = round((MIN_BYTES_PER_S + 512) * step_s)
    for at in range(0, len(form), step):
        assert not sender.is_answered
        await sender.send(form[at : at + step], pause_s=step_s)
    assert (await sender.answer()).status == 200
    assert files_in(sandbox, folder) == {"a.txt": facts(content)}
    assert is_free(connected, tmp_path)


async def test_a_sender_has_an_hour_for_the_whole_form(
    connected: Gateway, sandbox: Sandbox, dial: Dial, folder: int, tmp_path: Path
) -> None:
    sender = await begin(connected, dial, folder, 50 * MIB)
    step_s = STALL_S - 1
    step = b"x" * round((MIN_BYTES_PER_S + 512) * step_s)
    await sender.send(HEAD)
    for _ in range(int(TOTAL_S / step_s)):
        await sender.send(step, pause_s=step_s)
        assert not sender.is_answered
    await sender.send(step, pause_s=step_s + LOOK_S)
    answer = await sender.answer()
    assert (answer.status, answer.json["detail"], answer.headers["Connection"]) == (408, TOO_LATE, "close")
    assert (is_free(connected, tmp_path), sandbox.portal.calls.total()) == (True, 0)


async def test_a_sender_of_a_form_that_never_begins_is_told_413(sandbox: Sandbox, sender: Sender) -> None:
    await sender.send((b"x" * 99 + b"\n") * 25_000, pause_s=LOOK_S)
    answer = await sender.answer()
    assert (answer.status, answer.headers["Connection"]) == (413, "close")
    assert sandbox.portal.calls.total() == 0


async def test_a_sender_who_leaves_frees_the_room_at_once(
    connected: Gateway, sandbox: Sandbox, sender: Sender, tmp_path: Path
) -> None:
    await sender.send(HEAD + b"x" * MIB + b"\r\n" + PART % b"b.txt" + b"x" * MIB)
    assert (connected.app[SPOOL].held_bytes > MIB, spooled_files(os.getpid(), tmp_path)) == (True, 2)
    await sender.leave()
    assert (is_free(connected, tmp_path), sandbox.portal.calls.total()) == (True, 0)


async def test_files_of_a_caller_who_leaves_meanwhile_are_uploaded_to_the_end(
    connected: Gateway, sandbox: Sandbox, sender: Sender, folder: int, tmp_path: Path
) -> None:
    names = [f"{number}.txt" for number in range(40)]
    form = b"".join(PART % name.encode() + name.encode() + b"\r\n" for name in names)
    filler = b"x" * (4 * MIB - len(form) - len(HEAD) - len(END))
    sandbox.portal.hold("disk.folder.uploadfile")
    await sender.send(form + HEAD + filler + END)
    assert (sandbox.portal.calls["disk.folder.uploadfile"], spooled_files(os.getpid(), tmp_path)) == (SIDE_BY_SIDE, 41)
    await sender.leave()
    sandbox.portal.faults.release("disk.folder.uploadfile")
    await connected.clock.settle()
    assert files_in(sandbox, folder) == {name: facts(name.encode()) for name in names} | {"a.txt": facts(filler)}
    assert is_free(connected, tmp_path)
