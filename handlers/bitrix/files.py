"""Uploads of files to a portal's Disk."""

from aiohttp import web

from gateway.disk.folder_paths import Destination
from gateway.disk.form import NAME_RULE, is_file_name
from gateway.disk.objects import DiskFile, content_address
from gateway.disk.uploads import Outcome
from gateway.errors import GatewayError, InvalidInput
from handlers.app_keys import FOLDER_PATHS, SPOOL, UPLOADS
from handlers.bitrix.account_loading import load_authorized_account
from handlers.bitrix.multipart import ReceivedFile, received_files
from handlers.http.errors import command_error
from handlers.http.query import one_value, positive_or_none, zero_or_one
from handlers.http.responses import json_response

UPLOAD_PARAMETERS = ("folder", "storage", "path", "unique")
MAX_PATH_NAMES = 32
PATH_RULE = f"must be 1 to {MAX_PATH_NAMES} names of folders in UTF-8 with / between them, each {NAME_RULE}"
REPLACED = "\ufffd"  # what a byte of the query that is not UTF-8 is read as


async def upload_files(request: web.Request) -> web.Response:
    """POST /bitrix/files"""
    destination, unique = destination_of(request), zero_or_one(request.query, "unique", default=True)
    account = await load_authorized_account(request)
    async with received_files(request, request.app[SPOOL]) as files:
        folder_id = await request.app[FOLDER_PATHS].resolve(account, destination)
        contents = [each.file.content(each.name) for each in files]
        outcomes = await request.app[UPLOADS].upload(account, folder_id, contents, unique=unique)
        shown = [show_outcome(file, outcome) for file, outcome in zip(files, outcomes, strict=True)]
    return json_response({"files": shown, "failed": sum(isinstance(each, GatewayError) for each in outcomes)})


def destination_of(request: web.Request) -> Destination:
    """Return the folder that the query names, by its id or as the root of a storage, and the path below it.

    Raises:
        InvalidInput: It names none, or both, or the path is none.
    """
    folder_id, storage_id = positive_or_none(request.query, "folder"), positive_or_none(request.query, "storage")
    if folder_id is None and storage_id is None:
        rule = "must name the folder to upload to, unless storage names its storage"
        raise InvalidInput.of_parameter("folder", "required", rule)
    if folder_id is not None and storage_id is not None:
        raise InvalidInput.of_parameter("storage", "invalid_value", "must not come with folder")
    path = one_value(request.query, "path")
    return Destination(folder_id, storage_id, () if path is None else parse_path(path))


def parse_path(path: str) -> tuple[str, ...]:
    """Return the names of folders in *path*.

    Raises:
        InvalidInput: There are too many, or one cannot be a name.
    """
    names = tuple(path.split("/"))
    if len(names) > MAX_PATH_NAMES or REPLACED in path or not all(map(is_file_name, names)):
        raise InvalidInput.of_parameter("path", "invalid_value", PATH_RULE)
    return names


def show_outcome(file: ReceivedFile, outcome: Outcome) -> dict[str, object]:
    """Return what became of a file."""
    if isinstance(outcome, DiskFile):
        shown = {"name": outcome.name, "id": outcome.id, "size": outcome.size}
        return {**shown, "url": content_address(outcome.id), "page": outcome.page or None}
    return {"name": file.name, "error": command_error(outcome)}
