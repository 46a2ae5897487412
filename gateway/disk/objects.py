"""Files and folders as a portal describes them. Source: methods.md, section 8 (b24restdocs api-reference/disk/)"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.bitrix.errors import PortalBroken

Shown = dict[str, Any]
"""An object of Disk as callers see it: the portal's fields, without the address with the credential, and ours."""
SECRET = "DOWNLOAD_URL"  # has the credential in it. Source: methods.md 8.4


@dataclass(frozen=True)
class DiskFile:
    """A file of Disk: its id, name and size in bytes, and the page that shows it."""

    id: int
    name: str
    size: int
    page: str


def decode_file(row: object) -> DiskFile:
    """Return the file that a portal's object describes.

    Raises:
        PortalBroken: it is not the object of a file.
    """
    found: Mapping[str, Any] = row if isinstance(row, Mapping) else {}
    try:
        return DiskFile(int(found["ID"]), str(found["NAME"]), int(found["SIZE"]), str(found.get("DETAIL_URL") or ""))
    except (KeyError, TypeError, ValueError) as error:
        raise PortalBroken("an object of Disk without an id, a name or a size") from error


def content_address(file_id: int) -> str:
    """Return the address of a file's content at the gateway."""
    return f"/bitrix/files/{file_id}/content"


def show_object(row: object) -> Shown:
    """Return a portal's object with its `id` as a number, and for a file the `url` of its content at the gateway.

    Raises:
        PortalBroken: it is no object with an id.
    """
    found: Mapping[str, Any] = row if isinstance(row, Mapping) else {}
    try:
        object_id = int(found["ID"])
    except (KeyError, TypeError, ValueError) as error:
        raise PortalBroken("an object of Disk without an id") from error
    shown = {name: value for name, value in found.items() if name != SECRET}
    shown["id"] = object_id
    if SECRET in found:
        shown["url"] = content_address(object_id)
    return shown
