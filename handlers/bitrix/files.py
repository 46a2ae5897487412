"""Uploads of files to a portal's Disk."""

from aiohttp import web

from gateway.disk.objects import DiskFile, content_address
from gateway.disk.uploads import Outcome
from gateway.errors import GatewayError, InvalidInput
from gateway.schemas import NOT_POSITIVE
from handlers.app_keys import SPOOL, UPLOADS
from handlers.bitrix.account_loading import load_authorized_account
from handlers.bitrix.multipart import ReceivedFile, received_files
from handlers.http.errors import command_error
from handlers.http.query import is_digits, one_value
from handlers.http.responses import json_response

UPLOAD_PARAMETERS = ("folder", "unique")


async def upload_files(request: web.Request) -> web.Response:
    """POST /bitrix/files"""
    folder_id, unique = folder_of(request), wants_unique_names(request)
    account = await load_authorized_account(request)
    async with received_files(request, request.app[SPOOL]) as files:
        contents = [each.file.content(each.name) for each in files]
        outcomes = await request.app[UPLOADS].upload(account, folder_id, contents, unique=unique)
        shown = [show_outcome(file, outcome) for file, outcome in zip(files, outcomes, strict=True)]
    return json_response({"files": shown, "failed": sum(isinstance(each, GatewayError) for each in outcomes)})


def folder_of(request: web.Request) -> int:
    """Return the folder that the query names.

    Raises:
        InvalidInput: It names none.
    """
    value = one_value(request.query, "folder")
    if value is None:
        raise InvalidInput.of_parameter("folder", "required", "must name the folder to upload to")
    if not (is_digits(value) and int(value) > 0):
        raise InvalidInput.of_parameter("folder", "invalid_value", NOT_POSITIVE)
    return int(value)


def wants_unique_names(request: web.Request) -> bool:
    """Return whether files whose names are taken get other names, which is the default.

    Raises:
        InvalidInput: The parameter is neither 0 nor 1.
    """
    value = one_value(request.query, "unique")
    if value not in (None, "0", "1"):
        raise InvalidInput.of_parameter("unique", "invalid_value", "must be 0 or 1")
    return value != "0"


def show_outcome(file: ReceivedFile, outcome: Outcome) -> dict[str, object]:
    """Return what became of a file."""
    if isinstance(outcome, DiskFile):
        shown = {"name": outcome.name, "id": outcome.id, "size": outcome.size}
        return {**shown, "url": content_address(outcome.id), "page": outcome.page or None}
    return {"name": file.name, "error": command_error(outcome)}
