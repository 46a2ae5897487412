"""kill -9 while files are uploaded to a portal that fails: a caller who repeats what was not told doubles nothing."""

import asyncio
import random
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.crash.house import Died, House, until
from tests.gateway import Sandbox
from tests.support.disk import FILES, facts, facts_of, files_in, form_of, random_files, root_of, spooled_files

CALLERS, FILES_EACH, KILLS = 8, 25, 12
MAX_UPLOADS_BEFORE_KILL, LATEST_KILL_S = 30, 1.0
FAULTS = (
    *("disk.folder.uploadfile:cut*5%", "disk.folder.uploadfile:lost*5%", "disk.folder.uploadfile:drop*2%"),
    *("disk.folder.uploadfile:qle*5%", "upload:lost*20%", "upload:body_cut=1000*10%"),
)
RESTART_S = 0.02
UPLOAD, TAKEN = "disk.folder.uploadfile", "DISK_OBJ_22000"


@dataclass
class Caller:
    """A caller who sends files until each was told as stored: as new, or as there already."""

    house: House
    folder: int
    waiting: dict[str, bytes]
    told: dict[str, int] = field(default_factory=dict)  # ids of new files, by name
    taken: list[str] = field(default_factory=list)
    unanswered: int = 0

    async def send_all(self) -> None:
        while self.waiting:
            try:
                form = form_of(list(self.waiting.items()))
                answer = await self.house.post(f"{FILES}?folder={self.folder}&unique=0", data=form)
            except Died:
                self.unanswered += 1
                await asyncio.sleep(RESTART_S)
                continue
            assert answer.status == 200, answer.body
            for name, line in zip(list(self.waiting), answer.json["files"], strict=True):
                self.hear(name, line)

    def hear(self, name: str, line: dict[str, Any]) -> None:
        """Learn what became of a file. One that failed is sent again."""
        if "id" in line:
            self.told[name] = line["id"]
        elif line["error"]["code"] == TAKEN:
            self.taken.append(name)
        else:
            return
        del self.waiting[name]


async def some_uploads(sandbox: Sandbox, number: int) -> None:
    """Return once the portal has received so many more, or LATEST_KILL_S have passed."""
    calls = sandbox.portal.calls
    wanted = calls[UPLOAD] + number
    with suppress(TimeoutError):
        async with asyncio.timeout(LATEST_KILL_S):
            await until(lambda: calls[UPLOAD] >= wanted)


@pytest.mark.timeout(120)
async def test_kill_while_files_are_uploaded(house: House, sandbox: Sandbox, tmp_path: Path) -> None:
    spool, folder, chance = tmp_path / "spool", root_of(sandbox), random.Random(12)
    spool.mkdir()
    house.environ |= {"GATEWAY_SPOOL_DIR": str(spool), "GATEWAY_BUCKET_LEAK_PER_S": "10000"}
    await house.start()
    await house.connect(sandbox.webhook)
    for fault in FAULTS:
        sandbox.portal.fault(fault)
    callers = [Caller(house, folder, dict(random_files(chance, FILES_EACH, f"{each}-"))) for each in range(CALLERS)]
    sent = {name: facts(content) for caller in callers for name, content in caller.waiting.items()}
    sending = asyncio.gather(*(caller.send_all() for caller in callers))
    kills = 0
    while kills < KILLS and any(caller.waiting for caller in callers):
        await some_uploads(sandbox, chance.randint(1, MAX_UPLOADS_BEFORE_KILL))
        await house.end(signal.SIGKILL)
        kills += 1
        assert list(spool.iterdir()) == []
        await house.start()
    sandbox.portal.clear_faults()
    await house.end(signal.SIGKILL)  # what it still waits for is lost
    await house.start()
    await sending
    assert files_in(sandbox, folder) == sent
    for caller in callers:
        assert {name: facts_of(sandbox, file_id) for name, file_id in caller.told.items()} == {
            name: sent[name] for name in caller.told
        }
    assert sum(caller.unanswered for caller in callers) >= kills
    assert any(caller.taken for caller in callers)
    assert list(spool.iterdir()) == []
    assert spooled_files(house.pid, spool) == 0
