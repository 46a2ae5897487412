"""disk.file.search: folders and files by their names.

Source: methods.md, section 8.2
"""

from collections.abc import Mapping

from gateway.sandbox.content.disk.names import name_key
from gateway.sandbox.content.disk.objects import APPLICATION, FILE, FOLDER, LIVE
from gateway.sandbox.content.disk.rights import Level
from gateway.sandbox.errors import CallError
from gateway.sandbox.php import Value, as_id, entries_of, is_array
from gateway.sandbox.rest2.disk_calls import SCOPES, DiskCall, access_denied
from gateway.sandbox.rest2.method import Answer, Call, Method
from gateway.sandbox.tables.table import Row

_QUERY_CHARS = range(3, 256)
_KINDS = {FILE: (FILE,), FOLDER: (FOLDER,), "all": (FILE, FOLDER)}
_FILTERS = ("STORAGE_ID", "FOLDER_ID")
_LAST_START = 1000


def search(call: Call) -> Answer:
    """Return up to 50 folders and files whose names contain the query, newest first, without a total."""
    asked = DiskCall(call)
    query, kinds = asked.sent.get("query"), _KINDS.get(str(asked.sent.get("type", "all")).lower())
    if not isinstance(query, str) or len(query.strip()) not in _QUERY_CHARS:
        raise _invalid("query", "INVALID_QUERY")
    if kinds is None:
        raise _invalid("type", "INVALID_TYPE")
    within = _read_filter(asked)
    start = min(max(as_id(asked.sent.get("start", 0)), 0), _LAST_START)
    wanted = name_key(query.strip())
    found = [
        row
        for row in map(asked.disk.objects.__getitem__, sorted(asked.disk.objects, reverse=True))
        if row["TYPE"] in kinds
        and row["DELETED_TYPE"] == LIVE
        and row["PARENT_ID"] is not None
        and wanted in name_key(row["NAME"])
        and (within is None or within["ID"] in {above["ID"] for above in asked.disk.path(row)[:-1]})
        and asked.may(row, Level.READ)
    ]
    end = start + call.page_rows
    rows = [asked.shown(row) for row in found[start:end]]
    return Answer(rows, next=end if end < min(len(found), _LAST_START + 1) else None)


def _read_filter(asked: DiskCall) -> Row | None:
    """The folder to search below, None for all of Disk.

    Raises:
        CallError: the filter is malformed, or names a storage or a folder that cannot be searched.
    """
    value = asked.sent.get("filter") or {}
    conditions: Mapping[str, Value] = entries_of(value) if is_array(value) else {"": value}
    if not set(conditions) <= set(_FILTERS) or any(as_id(item) <= 0 for item in conditions.values()):
        raise _invalid("filter", "INVALID_FILTER")
    folder = None
    if "STORAGE_ID" in conditions:
        storage = asked.disk.storages.get(as_id(conditions["STORAGE_ID"]))
        if storage is None:
            raise CallError("NOT_FOUND", "Storage is not found. (NOT_FOUND).")
        if storage["ENTITY_TYPE"] == APPLICATION:
            raise CallError("UNSUPPORTED_STORAGE", "Storage is not supported. (UNSUPPORTED_STORAGE).")
        folder = asked.root_of(storage)
    if "FOLDER_ID" in conditions:
        storage_root, folder = folder, asked.disk.objects.get(as_id(conditions["FOLDER_ID"]))
        is_outside = folder and storage_root and folder["STORAGE_ID"] != storage_root["STORAGE_ID"]
        if folder is None or folder["TYPE"] != FOLDER or folder["DELETED_TYPE"] != LIVE or is_outside:
            raise CallError("NOT_FOUND", "Folder is not found. (NOT_FOUND).")
    if folder is not None and not asked.may(folder, Level.READ):
        raise access_denied()
    return folder


def _invalid(name: str, code: str) -> CallError:
    return CallError(code, f"Search {name} is invalid. ({code}).")


METHODS = (Method("disk.file.search", search, SCOPES),)
