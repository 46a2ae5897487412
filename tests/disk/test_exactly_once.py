"""Two hundred uploads to a portal that drops connections, cuts bodies, loses answers and refuses calls."""

import asyncio
import os
import random
from collections import Counter
from pathlib import Path

from handlers.app_keys import SPOOL
from tests.gateway import Gateway, Sandbox
from tests.support.disk import FILES, facts, facts_of, files_in, form_of, random_files, root_of, spooled_files

REQUESTS, FILES_EACH = 8, 25
FAULTS = (
    "disk.folder.uploadfile:drop*8%",
    "disk.folder.uploadfile:cut*8%",
    "disk.folder.uploadfile:lost*8%",
    "disk.folder.uploadfile:qle*5%",
    "disk.folder.uploadfile:502*5%",
    "upload:body_cut=1000*20%",
    "upload:lost*20%",
    "upload:drop*10%",
    "upload:qle*5%",
    "disk.folder.getchildren:502*10%",
)


async def test_each_file_is_stored_once_or_told_as_failed(connected: Gateway, sandbox: Sandbox, tmp_path: Path) -> None:
    await connected.restart(GATEWAY_BUCKET_CAPACITY="10000", GATEWAY_BUCKET_LEAK_PER_S="1000", GATEWAY_MAX_WAIT_S="300")
    folder, chance = root_of(sandbox), random.Random(8)
    forms = [random_files(chance, FILES_EACH, f"{number}-") for number in range(REQUESTS)]
    for fault in FAULTS:
        sandbox.portal.fault(fault)
    posts = [connected.post(f"{FILES}?folder={folder}", data=form_of(files)) for files in forms]
    answers = await connected.clock.until(asyncio.gather(*posts))
    assert {answer.status for answer in answers} == {200}, [answer.body for answer in answers if answer.status != 200]
    told = [
        (content, line)
        for files, answer in zip(forms, answers, strict=True)
        for (_, content), line in zip(files, answer.json["files"], strict=True)
    ]
    uploaded = {line["id"]: facts(content) for content, line in told if "id" in line}
    unknown = [facts(content) for content, line in told if line.get("error", {}).get("code") == "outcome_unknown"]
    stored = Counter(files_in(sandbox, folder).values())
    assert {file_id: facts_of(sandbox, file_id) for file_id in uploaded} == uploaded
    assert len(uploaded) == sum("id" in line for _, line in told)
    assert max(stored.values()) == 1
    assert set(stored) - set(uploaded.values()) <= set(unknown)
    assert len(uploaded) > len(told) / 2
    assert not connected.app[SPOOL].held_bytes
    assert not spooled_files(os.getpid(), tmp_path)
