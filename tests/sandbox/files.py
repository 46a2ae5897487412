"""Files of CRM records in tests: the file fields of an entity, contents in base64, downloads."""

import base64
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientSession
from yarl import URL

from gateway.sandbox.portal import SandboxPortal


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


def file_field(portal: SandboxPortal, type_id: int, *, multiple: bool) -> str:
    """The original name of the entity's first custom file field, single or multiple."""
    rows = portal.data.userfields[portal.data.entities[type_id].userfields].values()
    wanted = ("file", "Y" if multiple else "N")
    return next(str(row["FIELD_NAME"]) for row in rows if (row["USER_TYPE_ID"], row["MULTIPLE"]) == wanted)


@dataclass(frozen=True)
class Downloaded:
    status: int
    content: bytes
    headers: dict[str, str]


async def download(session: ClientSession, address: str, **headers: Any) -> Downloaded:
    """GET an address unchanged."""
    async with session.get(URL(address, encoded=True), headers=headers, allow_redirects=False) as response:
        return Downloaded(response.status, await response.read(), dict(response.headers))


def contents(portal: SandboxPortal) -> list[bytes]:
    """The contents on disk."""
    files = portal.data.record_files
    return [file.blob.path.read_bytes() for number in range(30_001, 30_100) if (file := files.get(str(number)))]
