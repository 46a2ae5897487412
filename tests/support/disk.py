"""Files sent to the gateway, and what the portal's Disk has of them."""

import hashlib
import random
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp

from gateway.bitrix.file_transfers import INLINE_BYTES
from tests.gateway import Answer, Gateway, Sandbox

FILES = "/bitrix/files"
SMALL_BYTES, LARGE_BYTES = 64 * 1024, INLINE_BYTES + 1


def root_of(sandbox: Sandbox) -> int:
    """The root folder of the company's drive."""
    (storage,) = [each for each in sandbox.portal.data.disk.storages.values() if each["ENTITY_TYPE"] == "common"]
    return int(storage["ROOT_OBJECT_ID"])


def files_in(sandbox: Sandbox, folder_id: int) -> dict[str, tuple[int, str]]:
    """The size and the SHA-256 of each file in a folder, by its name."""
    disk = sandbox.portal.data.disk
    rows = [row for row in disk.children(folder_id) if row["TYPE"] == "file"]
    return {row["NAME"]: (int(row["SIZE"]), disk.blobs[int(row["FILE_ID"])].sha256) for row in rows}


def store_file(sandbox: Sandbox, folder_id: int, name: str, content: bytes) -> None:
    """Add a file to a folder, as somebody else does."""
    disk = sandbox.portal.data.disk
    disk.add_file(disk.objects[folder_id], name, disk.blobs.store([content]), 1, sandbox.portal.now())


def facts_of(sandbox: Sandbox, file_id: int) -> tuple[int, str]:
    """The size and the SHA-256 of a file."""
    disk = sandbox.portal.data.disk
    row = disk.objects[file_id]
    return int(row["SIZE"]), disk.blobs[int(row["FILE_ID"])].sha256


def facts(content: bytes) -> tuple[int, str]:
    return len(content), hashlib.sha256(content).hexdigest()


def form_of(files: list[tuple[str, bytes]]) -> aiohttp.FormData:
    """A form with *files*, whose names are sent as they are, as browsers do."""
    form = aiohttp.FormData(quote_fields=False)
    for number, (name, content) in enumerate(files):
        form.add_field(f"file{number}", BytesIO(content), filename=name, content_type="application/octet-stream")
    return form


def random_files(chance: random.Random, number: int, prefix: str) -> list[tuple[str, bytes]]:
    """Different files. Most are sent within the call; the first is sent in two steps."""
    sizes = [LARGE_BYTES, *(chance.randint(1, SMALL_BYTES) for _ in range(number - 1))]
    return [(f"{prefix}{at}.bin", chance.randbytes(size)) for at, size in enumerate(sizes)]


async def upload(gateway: Gateway, folder_id: object, files: list[tuple[str, bytes]], **query: object) -> Answer:
    """Upload *files* while the clock advances."""
    parameters = "".join(f"&{name}={quote(str(value))}" for name, value in query.items())
    path = f"{FILES}?folder={folder_id}{parameters}"
    return await gateway.clock.until(gateway.post(path, data=form_of(files)))


async def uploaded(gateway: Gateway, folder_id: int, *files: tuple[str, bytes]) -> list[Any]:
    """Upload *files*, and return their lines."""
    answer = await upload(gateway, folder_id, list(files))
    assert (answer.status, answer.json["failed"]) == (200, 0), answer.body
    lines: list[Any] = answer.json["files"]
    return lines


def spooled_files(pid: int, directory: Path) -> int:
    """The number of files without names that a process has open in *directory*. Source: proc(5), /proc/PID/fd"""
    found = 0
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            target = str(descriptor.readlink())
            found += target.startswith(f"{directory}/") and target.endswith(" (deleted)")
    return found
