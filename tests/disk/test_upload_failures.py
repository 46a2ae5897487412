"""Uploads that fail on our side, or take too long: one file does not affect the others."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.bitrix.file_transfers import INLINE_BYTES, MIN_BYTES_PER_S
from gateway.bitrix.outcomes import SETTLED_S
from gateway.bitrix.protocol.file_bodies import FileContent
from gateway.bitrix.transport.session import REQUEST_DEADLINE_S
from gateway.disk.objects import DiskFile
from gateway.disk.uploads import Outcome
from handlers.app_keys import DIRECTORY, UPLOADS
from tests.clock import ManualClock
from tests.gateway import Gateway, Sandbox
from tests.support.disk import FILES, facts, files_in, form_of, root_of, uploaded

UPLOAD = "disk.folder.uploadfile"
LARGE = bytes(range(256)) * (INLINE_BYTES // 256 + 4096)  # sent in two steps


@pytest.fixture
def folder(connected: Gateway, sandbox: Sandbox) -> int:
    """A folder of an account that is connected by webhook."""
    assert connected.origin
    sandbox.portal.calls.clear()
    return root_of(sandbox)


def content(name: str, failure: Exception | None = None) -> FileContent:
    """A file of one byte; reading it fails with *failure*."""

    async def chunks(_size: int) -> AsyncIterator[bytes]:
        if failure is not None:
            raise failure
        yield b"x"

    return FileContent(name, 1, chunks)


async def upload_contents(gateway: Gateway, folder_id: int, files: list[FileContent]) -> list[Outcome]:
    account = await gateway.app[DIRECTORY].require("acme")
    return await gateway.app[UPLOADS].upload(account, folder_id, files, unique=True)


def lose_content(directory: Path, size: int) -> None:
    """Empty the received file of this size, whose next read fails."""
    for descriptor in Path("/proc/self/fd").iterdir():
        is_received = descriptor.exists() and str(descriptor.readlink()).startswith(f"{directory}/")
        if is_received and descriptor.stat().st_size == size:
            os.truncate(descriptor, 0)
            return
    pytest.fail("no such file was received")


@pytest.mark.parametrize("failing", [0, 1])
async def test_an_unforeseen_failure_is_told_for_its_file_and_logged(
    connected: Gateway, sandbox: Sandbox, folder: int, caplog: pytest.LogCaptureFixture, failing: int
) -> None:
    files = [content(f"{number}", ValueError("unforeseen") if number == failing else None) for number in range(3)]
    outcomes = await connected.clock.until(upload_contents(connected, folder, files))
    failed = outcomes.pop(failing)
    assert not isinstance(failed, DiskFile)
    assert failed.code == "internal_error"
    assert all(isinstance(outcome, DiskFile) for outcome in outcomes)
    assert len(files_in(sandbox, folder)) == 2
    (record,) = [record for record in caplog.records if record.name == "gateway.disk.uploads"]
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ValueError)


async def test_a_cancelled_request_leaves_no_upload_behind(connected: Gateway, sandbox: Sandbox, folder: int) -> None:
    sandbox.portal.hold(UPLOAD)
    before = asyncio.all_tasks()
    call = asyncio.create_task(upload_contents(connected, folder, [content(f"{number}") for number in range(30)]))
    await connected.clock.settle()
    ours = {task for task in asyncio.all_tasks() - before if "UploadService" in str(task.get_coro())}
    assert len(ours) == 30
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert all(task.done() for task in ours)


@pytest.mark.parametrize("place", [0, 1])
async def test_a_file_that_cannot_be_read_is_told_at_once_and_not_sent_again(
    connected: Gateway, sandbox: Sandbox, folder: int, clock: ManualClock, tmp_path: Path, place: int
) -> None:
    files = [("small.txt", b"small")]
    files.insert(place, ("large.bin", LARGE))
    sandbox.portal.hold(UPLOAD)
    started_at = clock.monotonic()
    call = asyncio.create_task(connected.post(f"{FILES}?folder={folder}", data=form_of(files)))
    await clock.settle()
    lose_content(tmp_path, len(LARGE))
    sandbox.portal.release(UPLOAD)
    answer = await clock.until(call)
    lines = {name: line for (name, _), line in zip(files, answer.json["files"], strict=True)}
    assert lines["large.bin"]["error"]["code"] == "storage_unavailable"
    assert files_in(sandbox, folder) == {"small.txt": facts(b"small")}
    assert sandbox.portal.calls["disk.folder.getchildren"] == 0
    assert clock.monotonic() - started_at < SETTLED_S


async def test_a_large_file_may_take_longer_than_other_requests(
    connected: Gateway, sandbox: Sandbox, folder: int, clock: ManualClock
) -> None:
    deadline_s = REQUEST_DEADLINE_S + len(LARGE) / MIN_BYTES_PER_S
    sandbox.portal.fault(f"upload:body_slow={round(len(LARGE) / (deadline_s - 5))}")
    started_at = clock.monotonic()
    await uploaded(connected, folder, ("large.bin", LARGE))
    assert REQUEST_DEADLINE_S < clock.monotonic() - started_at < deadline_s
    assert sandbox.portal.calls["upload"] == 1


async def test_a_large_file_that_is_sent_too_slowly_is_given_up_and_sent_again(
    connected: Gateway, sandbox: Sandbox, folder: int, clock: ManualClock
) -> None:
    deadline_s = REQUEST_DEADLINE_S + len(LARGE) / MIN_BYTES_PER_S
    sandbox.portal.fault("upload:body_slow=1000")
    started_at = clock.monotonic()
    await uploaded(connected, folder, ("large.bin", LARGE))
    assert deadline_s + SETTLED_S <= clock.monotonic() - started_at < deadline_s + SETTLED_S + 5
    assert files_in(sandbox, folder) == {"large.bin": facts(LARGE)}
