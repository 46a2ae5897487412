"""Files whose upload was not answered are found again: no file is lost, doubled or told to another caller."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import pytest

from gateway.bitrix.outcomes import SETTLED_S
from gateway.disk.lost_uploads import MAX_PAGES, TOLERANCE_S
from gateway.disk.uploads import SIDE_BY_SIDE
from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.settings import SandboxSettings
from tests.clock import ManualClock
from tests.gateway import Answer, Gateway, Sandbox, serve_sandbox
from tests.support.disk import FILES, facts, facts_of, files_in, form_of, root_of, store_file, upload, uploaded

UPLOAD, CHILDREN = "disk.folder.uploadfile", "disk.folder.getchildren"
PAGE = 50


class OtherClock:
    """*clock* as another machine shows it: its wall time is *ahead_s* seconds ahead."""

    def __init__(self, clock: ManualClock, ahead_s: int) -> None:
        self._clock = clock
        self._ahead_s = ahead_s

    def now(self) -> float:
        return self._clock.now() + self._ahead_s

    def monotonic(self) -> float:
        return self._clock.monotonic()

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)

    def timeout(self, seconds: float) -> AbstractAsyncContextManager[object]:
        return self._clock.timeout(seconds)


@pytest.fixture
def ahead_s() -> int:
    """By how much the portal's clock is ahead of the gateway's."""
    return 0


@pytest.fixture
async def sandbox(sandbox_settings: SandboxSettings, clock: ManualClock, ahead_s: int) -> AsyncIterator[Sandbox]:
    async with serve_sandbox(SandboxPortal(sandbox_settings, OtherClock(clock, ahead_s))) as running:
        yield running


@pytest.fixture
def folder(connected: Gateway, sandbox: Sandbox) -> int:
    """A folder of an account that is connected by webhook."""
    assert connected.origin
    return root_of(sandbox)


def sending(gateway: Gateway, folder_id: int, *files: tuple[str, bytes]) -> asyncio.Task[Answer]:
    return asyncio.create_task(gateway.post(f"{FILES}?folder={folder_id}", data=form_of(list(files))))


async def added_folder(gateway: Gateway, parent_id: int) -> int:
    answer = await gateway.post(f"/bitrix/folders/{parent_id}/folders", json={"name": "other"})
    return int(answer.json["id"])


async def test_a_file_with_a_number_in_its_name_is_not_told_as_another(
    connected: Gateway, sandbox: Sandbox, folder: int
) -> None:
    files = [("a.txt", b"1"), ("a (1).txt", b"2"), ("a (1) (1).txt", b"3")]
    sandbox.portal.fault(f"{UPLOAD}:drop")  # the first does not arrive
    sandbox.portal.fault(f"{UPLOAD}:cut*2")
    sandbox.portal.hold(CHILDREN)
    call = sending(connected, folder, *files)
    await connected.clock.settle()
    sandbox.portal.release(CHILDREN)
    lines = (await connected.clock.until(call)).json["files"]
    assert [facts_of(sandbox, line["id"]) for line in lines] == [facts(content) for _, content in files]
    assert files_in(sandbox, folder) == {name: facts(content) for name, content in files}


async def test_callers_at_once_are_not_told_the_same_file(connected: Gateway, sandbox: Sandbox, folder: int) -> None:
    await connected.restart(GATEWAY_MAX_WAIT_S="300")
    sandbox.portal.fault(f"{UPLOAD}:drop")
    calls = [sending(connected, folder, (name, b"x")) for name in ("a.txt", "a (1).txt", "a.txt")]
    answers = await connected.clock.until(asyncio.gather(*calls))
    ids = {answer.json["files"][0]["id"] for answer in answers}
    assert (len(ids), len(files_in(sandbox, folder))) == (3, 3)


async def test_newer_files_do_not_hide_a_lost_one(connected: Gateway, sandbox: Sandbox, folder: int) -> None:
    sandbox.portal.fault(f"{UPLOAD}:cut")
    sandbox.portal.hold(CHILDREN)
    call = sending(connected, folder, ("p.jpg", b"x"))
    await connected.clock.settle()
    for number in range(PAGE + 10):
        store_file(sandbox, folder, f"p{number}.jpg", b"x")
    sandbox.portal.release(CHILDREN)
    (line,) = (await connected.clock.until(call)).json["files"]
    assert line["name"] == "p.jpg"
    assert "p (1).jpg" not in files_in(sandbox, folder)
    assert sandbox.portal.calls[CHILDREN] == 2


async def test_a_look_up_does_not_go_on_to_older_files(connected: Gateway, sandbox: Sandbox, folder: int) -> None:
    for number in range(3 * PAGE):
        store_file(sandbox, folder, f"p{number}.jpg", b"x")
    await connected.clock.advance(60)
    sandbox.portal.fault(f"{UPLOAD}:drop")
    await uploaded(connected, folder, ("p.jpg", b"x"))
    assert sandbox.portal.calls[CHILDREN] == 2  # at once and a minute later


async def test_a_file_among_too_many_new_ones_is_not_sent_again(
    connected: Gateway, sandbox: Sandbox, folder: int
) -> None:
    sandbox.portal.fault(f"{UPLOAD}:cut")
    sandbox.portal.hold(CHILDREN)
    call = sending(connected, folder, ("p.jpg", b"x"))
    await connected.clock.settle()
    for number in range(MAX_PAGES * PAGE):
        store_file(sandbox, folder, f"p{number}.jpg", b"x")
    sandbox.portal.release(CHILDREN)
    (line,) = (await connected.clock.until(call)).json["files"]
    assert line["error"]["code"] == "outcome_unknown"
    assert sandbox.portal.calls[UPLOAD] == 1


@pytest.mark.parametrize("ahead_s", [-86_400, 0, 86_400])
async def test_a_lost_file_is_found_whatever_the_clocks_show(
    connected: Gateway, sandbox: Sandbox, folder: int, clock: ManualClock, ahead_s: int
) -> None:
    assert sandbox.portal.now() - clock.now() == ahead_s
    sandbox.portal.fault(f"{UPLOAD}:cut")
    await uploaded(connected, folder, ("a.txt", b"x"))
    assert (sandbox.portal.calls[UPLOAD], files_in(sandbox, folder)) == (1, {"a.txt": facts(b"x")})


@pytest.mark.parametrize("ahead_s", [-86_400, 0, 86_400])
async def test_an_older_file_of_somebody_else_is_not_told(
    connected: Gateway, sandbox: Sandbox, folder: int, clock: ManualClock, ahead_s: int
) -> None:
    assert sandbox.portal.now() - clock.now() == ahead_s
    store_file(sandbox, folder, "a.txt", b"1")
    await clock.advance(TOLERANCE_S + 2)
    sandbox.portal.fault(f"{UPLOAD}:drop")
    (line,) = await uploaded(connected, folder, ("a.txt", b"2"))
    assert (line["name"], facts_of(sandbox, line["id"])) == ("a (1).txt", facts(b"2"))


async def test_a_file_of_somebody_else_that_came_before_the_own_was_sent_is_not_told(
    connected: Gateway, sandbox: Sandbox, folder: int, clock: ManualClock
) -> None:
    sandbox.portal.hold(UPLOAD)
    sandbox.portal.fault(f"{UPLOAD}:drop@1")
    calls = [sending(connected, folder, ("a.txt", b"1")), sending(connected, folder, ("a.txt", b"2"))]
    await clock.settle()
    store_file(sandbox, folder, "a.txt", b"3")
    await clock.advance(TOLERANCE_S + 2)  # the second caller waits for the first
    sandbox.portal.release(UPLOAD)
    await clock.until(asyncio.gather(*calls))
    assert sorted(files_in(sandbox, folder).values()) == sorted(map(facts, (b"1", b"2", b"3")))


async def test_the_same_file_in_another_folder_does_not_wait(
    connected: Gateway, sandbox: Sandbox, folder: int, clock: ManualClock
) -> None:
    other = await added_folder(connected, folder)
    sandbox.portal.fault(f"{UPLOAD}:drop")
    waiting = sending(connected, folder, ("a.txt", b"x"))
    await clock.settle()
    started_at = clock.monotonic()
    await uploaded(connected, other, ("a.txt", b"x"))
    assert clock.monotonic() - started_at < SETTLED_S / 2
    assert not waiting.done()
    assert (await clock.until(waiting)).json["failed"] == 0


async def test_a_caller_waits_for_an_equal_file_no_longer_than_callers_may(
    connected: Gateway, sandbox: Sandbox, folder: int, clock: ManualClock
) -> None:
    await connected.restart(GATEWAY_MAX_WAIT_S="5")
    sandbox.portal.fault(f"{UPLOAD}:drop")
    waiting = sending(connected, folder, ("a.txt", b"x"))
    await clock.settle()
    started_at = clock.monotonic()
    answer = await upload(connected, folder, [("a.txt", b"x"), ("b.txt", b"x")])
    assert (answer.status, answer.headers["Retry-After"], answer.json["code"]) == (429, str(SETTLED_S), "too_busy")
    assert 5 <= clock.monotonic() - started_at < 7
    assert files_in(sandbox, folder) == {}
    assert (await clock.until(waiting)).json["failed"] == 0


async def test_the_others_do_not_wait_for_a_lost_answer(
    connected: Gateway, sandbox: Sandbox, folder: int, clock: ManualClock
) -> None:
    sandbox.portal.fault(f"{UPLOAD}:drop*{SIDE_BY_SIDE}")
    files = [(f"{number}.txt", b"x") for number in range(40)]
    call = sending(connected, folder, *files)
    await clock.advance(SETTLED_S / 2)
    assert (len(files_in(sandbox, folder)), call.done()) == (40 - SIDE_BY_SIDE, False)
    assert (await clock.until(call)).json["failed"] == 0
    assert files_in(sandbox, folder).keys() == {name for name, _ in files}
