"""Storages, folders and files of a portal's Disk."""

from functools import partial
from http import HTTPStatus
from typing import Any

from aiohttp import web

from gateway.disk.drive import DiskPage
from gateway.disk.form import NAME_RULE, is_file_name
from gateway.errors import InvalidInput
from gateway.schemas import ClosedBody, PositiveInteger, StrictField
from handlers.app_keys import DRIVE
from handlers.bitrix.account_loading import load_authorized_account
from handlers.bitrix.downloads import StoredContent, send_content
from handlers.bitrix.records import record_id
from handlers.http.bodies import load_body
from handlers.http.query import is_digits, one_value, zero_or_one
from handlers.http.responses import json_response

CURSOR, TRASH = ("cursor",), ("trash",)


class Name(StrictField):
    """The name of a file or folder."""

    rule = f"must be a name {NAME_RULE}"

    def accepts(self, value: Any) -> bool:
        return isinstance(value, str) and is_file_name(value)


class FolderBody(ClosedBody):
    """A new folder."""

    name = Name()


class FileBody(ClosedBody):
    """Changes of a file. What is absent stays as it is."""

    name = Name(required=False)
    folder = PositiveInteger(required=False)


async def list_storages(request: web.Request) -> web.Response:
    """GET /bitrix/storages"""
    start = cursor_of(request)
    return respond_page(await request.app[DRIVE].storages(await load_authorized_account(request), start))


async def get_storage(request: web.Request) -> web.Response:
    """GET /bitrix/storages/{id}"""
    storage_id = record_id(request)
    return json_response(await request.app[DRIVE].storage(await load_authorized_account(request), storage_id))


async def get_folder(request: web.Request) -> web.Response:
    """GET /bitrix/folders/{id}"""
    folder_id, start = record_id(request), cursor_of(request)
    account = await load_authorized_account(request)
    folder = await request.app[DRIVE].folder(account, folder_id)
    return respond_page(await request.app[DRIVE].children(account, folder_id, start), folder=folder)


async def add_folder(request: web.Request) -> web.Response:
    """POST /bitrix/folders/{id}/folders"""
    folder_id = record_id(request)
    body = await load_body(request, FolderBody())
    account = await load_authorized_account(request)
    folder = await request.app[DRIVE].add_folder(account, folder_id, body["name"])
    response = json_response(folder)
    response.set_status(HTTPStatus.CREATED)
    response.headers["Location"] = f"/bitrix/folders/{folder['id']}"
    return response


async def get_file(request: web.Request) -> web.Response:
    """GET /bitrix/files/{id}"""
    file_id = record_id(request)
    return json_response(await request.app[DRIVE].file(await load_authorized_account(request), file_id))


async def get_content(request: web.Request) -> web.StreamResponse:
    """GET /bitrix/files/{id}/content"""
    file_id = record_id(request)
    account, drive = await load_authorized_account(request), request.app[DRIVE]
    content = await drive.content(account, file_id)
    stored = StoredContent(
        partial(drive.download, account, content), content.version, content.file.name, content.file.size
    )
    return await send_content(request, account, stored)


async def change_file(request: web.Request) -> web.Response:
    """PATCH /bitrix/files/{id}"""
    file_id = record_id(request)
    body = await load_body(request, FileBody())
    if not body:
        raise InvalidInput.of_field("", "required", "must have a name or a folder")
    account, drive = await load_authorized_account(request), request.app[DRIVE]
    if "folder" not in body:
        changed = await drive.rename(account, file_id, body["name"])
    elif "name" not in body:
        changed = await drive.move(account, file_id, body["folder"])
    else:
        changed = await drive.move_and_rename(account, file_id, body["folder"], body["name"])
    return json_response(changed)


async def delete_file(request: web.Request) -> web.Response:
    """DELETE /bitrix/files/{id}"""
    file_id = record_id(request)
    trash = zero_or_one(request.query, "trash", default=True)
    await request.app[DRIVE].delete(await load_authorized_account(request), file_id, trash=trash)
    return web.Response(status=HTTPStatus.NO_CONTENT)


def cursor_of(request: web.Request) -> int:
    """Return where the wanted part of a list begins: 0, or the `next` of an earlier part.

    Raises:
        InvalidInput: The cursor is none.
    """
    value = one_value(request.query, "cursor")
    if value in (None, ""):
        return 0
    if not is_digits(value):
        raise InvalidInput.of_parameter("cursor", "invalid_value", "must be the next of an earlier part of the list")
    return int(value)


def respond_page(page: DiskPage, **more: object) -> web.Response:
    """Return the response with a part of a list."""
    return json_response({**more, "items": page.items, "next": None if page.next is None else str(page.next)})
