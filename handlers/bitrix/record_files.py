"""The files in fields of records."""

from collections.abc import Iterator
from functools import partial
from urllib.parse import quote

from aiohttp import web

from gateway.bitrix.lists.list_specs import Row
from gateway.crm.file_fields import (
    FILE,
    ID,
    PARAMETER,
    FileField,
    decode_files,
    decode_texts,
    fields_with_contents,
    find_file_field,
)
from gateway.crm.record_files import MAX_BYTES
from gateway.disk.objects import content_address
from gateway.errors import InvalidInput
from gateway.fields.service import KnownFields
from gateway.mirror.field_access import with_known_fields
from gateway.mirror.resources import Resource, record_type
from handlers.app_keys import DISK_ATTACHMENTS, RECORD_FILES, SPOOL
from handlers.bitrix.account_loading import load_authorized_account
from handlers.bitrix.downloads import StoredContent, send_content
from handlers.bitrix.fields import access_fields, requested_resource
from handlers.bitrix.files import UPLOAD_PARAMETERS, destination_of, show_outcome
from handlers.bitrix.lists import respond_items
from handlers.bitrix.multipart import ReceivedFile, received_files
from handlers.bitrix.records import record_id
from handlers.http.errors import HttpError
from handlers.http.keys import CLOCK
from handlers.http.query import is_digits, one_value, zero_or_one
from handlers.http.responses import json_response
from storage.records import Account

FIELD = (PARAMETER,)
ADD_PARAMETERS = (PARAMETER, *UPLOAD_PARAMETERS)
ONLY_DISK = "is only valid for a field with files of Disk, not for one of the type file"
ONLY_CONTENTS = "must be of the type file; contents of Disk files are at /bitrix/files/{id}/content"
EMPTY = "must not be empty: portals take no empty files in fields"


async def list_record_files(request: web.Request) -> web.Response:
    """GET /bitrix/{resource}/{id}/files"""
    resource, row_id = requested_resource(request), record_id(request)
    name = required_field(request) if PARAMETER in request.query else None
    account = await load_authorized_account(request)
    if name is None:
        known = (await access_fields(request, account, resource)).known
        fields = fields_with_contents(known.fields, record_type(resource))
    else:
        fields = [(await load_file_field(request, account, resource, name, writes=False))[0]]
    item = await request.app[RECORD_FILES].read(account, resource, row_id)
    return respond_items([file for field in fields for file in show_files(item, resource, row_id, field)])


async def add_record_files(request: web.Request) -> web.Response:
    """POST /bitrix/{resource}/{id}/files"""
    resource, row_id, name = requested_resource(request), record_id(request), required_field(request)
    account = await load_authorized_account(request)
    field, known = await load_file_field(request, account, resource, name, writes=True)
    unique = zero_or_one(request.query, "unique", default=True)
    if not field.is_disk:
        refuse_destination(request)
    destination = destination_of(request) if field.is_disk else None
    async with received_files(request, request.app[SPOOL]) as files:
        check_files(files, field)
        contents = [each.file.content(each.name) for each in files]
        if destination is None:
            ids = await request.app[RECORD_FILES].add(account, resource, row_id, field, contents)
            shown = [
                {**show_file(resource, row_id, field, file_id), "name": file.name, "size": file.file.size}
                for file, file_id in zip(files, ids, strict=True)
            ]
        else:
            uploaded = await request.app[DISK_ATTACHMENTS].add(
                account, resource, row_id, field, known, destination, contents, unique=unique
            )
            shown = [show_outcome(file, outcome) for file, outcome in zip(files, uploaded, strict=True)]
    return json_response({"files": shown, "failed": 0})


async def get_record_content(request: web.Request) -> web.StreamResponse:
    """GET /bitrix/{resource}/{id}/files/{fileId}/content"""
    resource, row_id, name = requested_resource(request), record_id(request), required_field(request)
    file_id = record_id(request, "fileId")
    account = await load_authorized_account(request)
    field, _ = await load_file_field(request, account, resource, name, writes=False)
    if field.is_disk:
        raise InvalidInput.of_parameter(PARAMETER, "invalid_value", ONLY_CONTENTS)
    service = request.app[RECORD_FILES]
    file = await service.find(account, resource, row_id, field, file_id)
    version = f"{resource.name}-{row_id}-{field.name}-{file_id}"  # the content of a file never changes
    opening = partial(service.open, account, resource, row_id, field, file)
    return await send_content(request, account, StoredContent(opening, version))


async def remove_record_file(request: web.Request) -> web.Response:
    """DELETE /bitrix/{resource}/{id}/files/{fileId}"""
    resource, row_id, name = requested_resource(request), record_id(request), required_field(request)
    file_id = record_id(request, "fileId")
    account = await load_authorized_account(request)
    field, known = await load_file_field(request, account, resource, name, writes=True)
    if field.is_disk:
        await request.app[DISK_ATTACHMENTS].remove(account, resource, row_id, field, known, file_id)
    else:
        await request.app[RECORD_FILES].remove(account, resource, row_id, field, file_id)
    return web.Response(status=204)


def required_field(request: web.Request) -> str:
    """Return the name of a field in the query.

    Raises:
        InvalidInput: There is none.
    """
    name = one_value(request.query, PARAMETER)
    if not name:
        raise InvalidInput.of_parameter(PARAMETER, "required", "must name a field with files")
    return name


async def load_file_field(
    request: web.Request, account: Account, resource: Resource, name: str, *, writes: bool
) -> tuple[FileField, KnownFields]:
    """Return the field of this name, and all fields.

    Raises:
        InvalidInput: It holds no files, or cannot be written.
        PortalError: The fields could not be fetched.
    """

    async def find(known: KnownFields) -> tuple[FileField, KnownFields]:
        return find_file_field(name, known.fields, record_type(resource), writes=writes), known

    return await with_known_fields(await access_fields(request, account, resource), request.app[CLOCK], find)


def refuse_destination(request: web.Request) -> None:
    """
    Raises:
        InvalidInput: The query says where in Disk files go to.
    """
    for parameter in UPLOAD_PARAMETERS:
        if parameter in request.query:
            raise InvalidInput.of_parameter(parameter, "invalid_value", ONLY_DISK)


def check_files(files: list[ReceivedFile], field: FileField) -> None:
    """Check that a field takes *files*.

    Raises:
        InvalidInput: There are several for a field with one, or one is empty and the field has contents.
        HttpError: 413: They are too large for one update.
    """
    if len(files) > 1 and not field.multiple:
        raise InvalidInput.of_field("/1", "too_many", f"{field.name} has only one file")
    if field.is_disk:
        return
    for number, file in enumerate(files):
        if not file.file.size:
            raise InvalidInput.of_field(f"/{number}", "empty", EMPTY)
    if sum(file.file.size for file in files) > MAX_BYTES:
        raise HttpError(413, f"body: the files of one field must have at most {MAX_BYTES:,} bytes")


def show_files(item: Row, resource: Resource, row_id: int, field: FileField) -> Iterator[dict[str, object]]:
    """Yield the files of a field as callers see them, without the addresses with the credential."""
    if field.type == FILE:
        for file in decode_files(item, field):
            yield {"field": field.name, **show_file(resource, row_id, field, file.id)}
        return
    for text in decode_texts(item, field):
        if field.type != ID:
            yield {"field": field.name, "link": text}
        elif is_digits(text):
            yield {"field": field.name, "id": int(text), "url": content_address(int(text))}


def show_file(resource: Resource, row_id: int, field: FileField, file_id: int) -> dict[str, object]:
    """Return the id of a content, and its address at the gateway."""
    name = quote(field.name, safe="")
    return {"id": file_id, "url": f"/bitrix/{resource.name}/{row_id}/files/{file_id}/content?field={name}"}
