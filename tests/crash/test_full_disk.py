"""A full disk: writes fail with an error, reads continue, nothing is lost, and writes resume when there is space."""

import asyncio
import json
import resource
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from tests.crash.house import House, house_at, until
from tests.crash.soundness import RULE, check_file, is_mirrored, is_stale
from tests.gateway import Sandbox

DISK_BYTES = 8 * 2**20
# In its own namespace: mounting needs no rights outside it, and the disk is unmounted when it ends.
OWN_NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount")
MOUNT = f'mount -t tmpfs -o size={DISK_BYTES} none "$0" && exec "$@"'
LARGE_RULE = RULE | {"TagsToAdd": {"deal": ["x" * 100_000]}}

Full = Callable[[], AbstractContextManager[None]]
"""A context in which the disk is full."""


def mounts(disk: Path) -> bool:
    """Return whether a small disk can be mounted here."""
    if shutil.which(OWN_NAMESPACE[0]) is None:
        return False
    return subprocess.run([*OWN_NAMESPACE, "sh", "-c", MOUNT, disk, "true"], capture_output=True).returncode == 0


def fill_up(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


@asynccontextmanager
async def on_small_disk(environ: dict[str, str], home: Path) -> AsyncIterator[tuple[House, Full]]:
    disk = home / "disk"
    disk.mkdir()
    if not mounts(disk):
        pytest.skip("no disk can be mounted here")
    environ["GATEWAY_DATABASE"] = str(disk / "gateway.db")
    async with house_at(environ, home, prefix=(*OWN_NAMESPACE, "sh", "-c", MOUNT, str(disk))) as house:
        filler = Path(f"/proc/{house.launcher_pid}/root{disk}/filler")

        @contextmanager
        def full() -> Iterator[None]:
            with pytest.raises(OSError, match="No space left"):
                fill_up(filler)
            yield
            filler.unlink()

        yield house, full


@asynccontextmanager
async def with_short_files(environ: dict[str, str], home: Path) -> AsyncIterator[tuple[House, Full]]:
    """Limit the size of the gateway's files to that of its largest file; discard its log."""
    async with house_at(environ, home) as house:
        house.log = Path("/dev/null")

        @contextmanager
        def full() -> Iterator[None]:
            longest = max(path.stat().st_size for path in home.glob("gateway.db*"))
            resource.prlimit(house.pid, resource.RLIMIT_FSIZE, (longest, resource.RLIM_INFINITY))
            yield
            if not house.ended:
                resource.prlimit(house.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

        yield house, full


async def writes_fail(house: House, quiz: int) -> bool:
    """Return whether rules cannot be written. *quiz* is the first quiz without rules."""
    while (await house.post(f"/bitrix/rules/{quiz}", json=LARGE_RULE)).status == 200:
        quiz += 1
    return (await house.post(f"/bitrix/rules/{quiz}", json=LARGE_RULE)).status == 500


def logged(house: House) -> str:
    """Return the log of the gateways of *house*."""
    lines = house.log.read_text()
    assert "sync is retrying" in lines
    return lines


async def why_it_waits(house: House, resource: str = "users") -> str:
    """Wait until the sync of *resource* waits, and return what it waits for."""
    while True:
        run = (await house.get(f"/bitrix/sync/{resource}")).json
        assert run["state"] == "running"
        if run["error"] is not None:
            return str(run["error"])
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("kind", [on_small_disk, with_short_files])
async def test_reads_continue_and_writes_resume_when_there_is_space(
    kind: Callable[[dict[str, str], Path], AbstractAsyncContextManager[tuple[House, Full]]],
    environ: dict[str, str],
    sandbox: Sandbox,
    tmp_path: Path,
) -> None:
    portal = sandbox.portal
    async with kind(environ, tmp_path) as (house, full):
        await house.start()
        await house.authorize(sandbox)
        await house.connect(sandbox.webhook, account="hook")
        assert await is_mirrored(house, sandbox)
        assert await is_mirrored(house, sandbox, "hook")
        assert (await house.post("/bitrix/rules/1", json=RULE)).status == 200

        portal.hold("user.get")
        calls_before = portal.calls["user.get"]
        assert (await house.patch("/bitrix/users")).status == 200
        await until(lambda: portal.calls["user.get"] > calls_before)
        portal.oauth.expire_access_tokens()
        renewals = len(portal.token_requests)
        with full():
            assert await writes_fail(house, quiz=2)
            portal.release("user.get")  # the next batch needs new tokens, which cannot be stored
            assert "the sync will resume automatically" in await why_it_waits(house)
            assert len(portal.token_requests) == renewals + 1
            refused = await house.post("/bitrix/call/profile")
            assert (refused.status, refused.json["code"]) == (503, "storage_unavailable")
            refused = await house.get("/bitrix/stream/users")
            assert (refused.status, refused.json["code"]) == (503, "storage_unavailable")
            assert (await house.post("/bitrix/call/profile", account="hook")).status == 200
            *_, end = (await house.get("/bitrix/stream/users", account="hook")).body.splitlines()
            assert json.loads(end)["complete"] is True
            unready = await house.get("/readyz")
            assert (unready.status, unready.json["status"]) == (503, "unavailable")
            assert unready.json["reason"].startswith("the database cannot be written: d")  # database or disk is full
            assert (await house.patch("/bitrix/steps")).status == 500
            assert await house.user_ids() == [row["ID"] for row in portal.data.users.values()]
            assert (await house.get("/bitrix/rules/1")).json["StageID"] == RULE["StageID"]
            assert (await house.get("/healthz")).status == 200

        assert (await house.get("/readyz")).status == 200
        assert (await house.finished_runs("users"))["users"]["state"] == "done"
        assert await is_mirrored(house, sandbox)
        assert not await is_stale(house)
        assert len(portal.token_requests) == renewals + 1  # the pair that could not be stored was kept in memory
        assert (await house.post("/bitrix/rules/999", json=RULE)).status == 200

        with full():
            assert await writes_fail(house, quiz=1000)
            assert await house.end(signal.SIGTERM) == 0
        await house.start()
        for quiz in (1, 999):
            assert (await house.get(f"/bitrix/rules/{quiz}")).json["StageID"] == RULE["StageID"]
        assert await is_mirrored(house, sandbox)
    if kind is on_small_disk:
        assert "Traceback" not in logged(house)


@pytest.mark.parametrize("deals", [8_000])
async def test_a_disk_that_fills_during_a_large_sync_leaves_whole_rows_and_the_sync_resumes(
    environ: dict[str, str], sandbox: Sandbox, tmp_path: Path, deals: int
) -> None:
    portal = sandbox.portal
    async with with_short_files(environ, tmp_path) as (house, full):
        await house.start()
        await house.connect(sandbox.webhook)
        assert await is_mirrored(house, sandbox)
        portal.hold("batch")
        enabling = asyncio.create_task(house.request("PUT", "/bitrix/sync/deals", json={"enabled": True}))
        batches = portal.calls["batch"]
        await until(lambda: portal.calls["batch"] > batches)
        portal.release("batch")  # the check of the rights
        portal.hold("batch")
        assert (await enabling).status == 200
        await until(lambda: portal.calls["batch"] > batches + 1)
        with full():
            portal.release("batch")
            assert "the sync will resume automatically" in await why_it_waits(house, "deals")
            page = await house.get("/bitrix/deals?size=1000")
            assert page.status == 200
            assert min(page.json["count"], 1000) == len(page.json["items"])
            assert page.json["count"] < deals
            assert (await house.get("/readyz")).status == 503
            assert await house.end(signal.SIGKILL) == -signal.SIGKILL
        check_file(house.database)
        await house.start()
        while (run := (await house.get("/bitrix/sync/deals")).json)["state"] != "done":
            assert run["state"] == "running"
            await asyncio.sleep(0.05)
        lines = (await house.get("/bitrix/stream/deals?source=mirror&select=ID")).body.splitlines()[:-1]
        assert [json.loads(line)["id"] for line in lines] == list(portal.data.tables["deals"])
