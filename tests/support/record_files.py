"""Files in fields of records: sent to the gateway, and what the portal has of them."""

import hashlib
from typing import Any
from urllib.parse import quote

from tests.gateway import Answer, Gateway, Sandbox
from tests.support.disk import form_of
from tests.support.records import portal_ids


async def ask(gateway: Gateway, method: str, path: str, **options: Any) -> Answer:
    """Send a request, and let the time pass that it waits."""
    return await gateway.clock.until(gateway.request(method, f"/bitrix/{path}", **options))


async def field_of(gateway: Gateway, resource: str, kind: str, *, multiple: bool) -> str:
    """The name of a custom field of records."""
    fields = (await ask(gateway, "GET", f"{resource}/fields")).json["items"]
    fitting = [field for field in fields if (field["type"], field["multiple"]) == (kind, multiple)]
    return next(str(field["name"]) for field in fitting if field["name"].upper().startswith("UF"))


async def attach(gateway: Gateway, record: str, field: str, files: list[tuple[str, bytes]], **query: object) -> Answer:
    """Add *files* to a field of a *record*, such as ``deals/1``."""
    parameters = "".join(f"&{name}={quote(str(value))}" for name, value in query.items())
    return await ask(gateway, "POST", f"{record}/files?field={field}{parameters}", data=form_of(files))


async def attached(gateway: Gateway, record: str, field: str, *files: tuple[str, bytes], **query: object) -> list[Any]:
    """Add *files*, and return their lines."""
    answer = await attach(gateway, record, field, list(files), **query)
    assert (answer.status, answer.json["failed"]) == (200, 0), answer.body
    lines: list[Any] = answer.json["files"]
    return lines


async def listed(gateway: Gateway, path: str, field: str | None = None) -> list[Any]:
    """The files of a record, or of one of its fields."""
    answer = await ask(gateway, "GET", f"{path}/files" + ("" if field is None else f"?field={field}"))
    assert answer.status == 200, answer.body
    items: list[Any] = answer.json["items"]
    return items


def contents(sandbox: Sandbox) -> list[bytes]:
    """The contents of all files in fields of the portal's records, in the order in which they were stored."""
    files = sandbox.portal.data.record_files
    stored = [file for number in range(30_001, 30_400) if (file := files.get(str(number)))]
    assert len(stored) == len(files)
    assert all(hashlib.sha256(file.blob.path.read_bytes()).hexdigest() == file.blob.sha256 for file in stored)
    return [file.blob.path.read_bytes() for file in stored]


def first_record(sandbox: Sandbox, resource: str) -> str:
    """The path of a record."""
    return f"{resource}/{portal_ids(sandbox, resource)[0]}"
