"""File values that a client writes into a CRM record, as a column with new files and the ids of those that stay."""

import re

from gateway.sandbox.content.entities import Field
from gateway.sandbox.content.record_files import NewFile, ids_of
from gateway.sandbox.content.records import blank_value
from gateway.sandbox.content.written_values import NotValid
from gateway.sandbox.php import Value, as_bool, as_id, entries_of, is_array

_CONTENT = re.compile(r"[A-Za-z0-9+/][^A-Za-z0-9+/]*[A-Za-z0-9+/]")  # the least base64 that is a byte


class NotSaved(Exception):
    """What a client wrote is no file: it has no name or no content."""


def classic_files(field: Field, value: Value, stored: Value) -> Value:
    """The column that *value* makes of the *stored* one, as the old methods read it.

    The new files of a multiple field are its new set: an entry with only an ``id`` is ignored and its file is deleted.

    Raises:
        NotValid: the field stays as it is.
    Source: [srv] crm/classes/general/restservice.php, tryInternalizeFileField; [observed]
        github.com/bitrix24/b24restdocs issue 11
    """
    if value is None:
        raise NotValid
    entries = value if field.is_multiple and isinstance(value, list) else [value]
    written = [entry for entry in entries if isinstance(entry, dict)]
    files = [file for entry in written if (file := _classic_file(entry.get("fileData")))]
    if field.is_multiple:
        return files or blank_value(field)
    if files:
        return files[0]
    if any(str(entry.get("remove")).upper() == "Y" and _id(entry) in ids_of(stored) for entry in written):
        return blank_value(field)
    raise NotValid


def item_files(field: Field, value: Value, stored: Value) -> Value:
    """The column that *value* makes of the *stored* one, as crm.item reads it: an array is the new set of files.

    ``{"id": n}`` keeps a file of the field. Another id is skipped, and resets a single field.

    Raises:
        NotValid: the field stays as it is.
        NotSaved: a new file has no content.
        TypeError: a multiple field got a single value.
    Source: [docs] api-reference/files/how-to-update-files.md; [srv] crm/lib/controller/item.php
    """
    if not as_bool(value):
        return blank_value(field)
    if field.is_multiple:
        if not is_array(value):
            raise TypeError
        files = [_item_file(entry, stored) for entry in entries_of(value).values() if is_array(entry)]
        return list(dict.fromkeys(file for file in files if file is not None)) or blank_value(field)
    if not is_array(value):
        raise NotValid
    return _item_file(value, stored) or blank_value(field)


def _classic_file(data: Value) -> NewFile | None:
    """The file of ``fileData``: a name and a content, or a content alone. None without a content."""
    parts = list(entries_of(data).values()) if is_array(data) else [data]
    name, content = parts[:2] if len(parts) > 1 else ("", *(parts or [""]))
    return _new_file(name, content)


def _item_file(value: Value, stored: Value) -> NewFile | str | None:
    """A new file or the id of a stored one; None for the id of another file."""
    entries = entries_of(value)
    if "id" in entries:
        file_id = _id(entries)
        return file_id if file_id in ids_of(stored) else None
    file = _new_file(*list(entries.values())[:2]) if len(entries) > 1 else None
    if file is None:
        raise NotSaved
    return file


def _new_file(name: Value, content: Value) -> NewFile | None:
    if not isinstance(content, str) or not _CONTENT.search(content):
        return None
    return NewFile(re.split(r"[/\\]", str(name))[-1] or "file", content)


def _id(entry: dict[str, Value]) -> str:
    return str(as_id(entry.get("id")))
