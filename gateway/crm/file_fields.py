"""The fields of records that hold files: those of the portal's type, and custom ones with ids or links of Disk files.

The CRM has no fields for files of Disk. All file fields are read and written by crm.item.*: the older methods delete
the files that an update does not send again. Source: methods.md 4.3, 5.7, 6.4 (b24restdocs api-reference/files/)
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from gateway.bitrix.errors import PortalBroken
from gateway.bitrix.lists.field_rules import CUSTOM
from gateway.bitrix.lists.list_fields import Field
from gateway.bitrix.lists.list_specs import Row
from gateway.bitrix.lists.suggestions import suggest_name
from gateway.bitrix.protocol.v2 import Command
from gateway.bitrix.rows.records import decode_integer
from gateway.crm.bodies import UNKNOWN_FIELD
from gateway.crm.stages import as_item
from gateway.errors import InvalidInput, NotFound
from gateway.mirror.resources import RecordType

FILE, ID, LINK = "file", "string", "url"  # the types of fields that hold files, their ids in Disk, and links to them
PARAMETER = "field"
TYPE_RULE = "must be of the type file, or a custom field of the type string or url"


@dataclass(frozen=True)
class FileField:
    """A field *name* of the *type* FILE, ID or LINK, which items call *item_name*."""

    name: str
    item_name: str
    type: str
    multiple: bool

    @property
    def is_disk(self) -> bool:
        """Whether its files are in Disk."""
        return self.type != FILE


@dataclass(frozen=True)
class StoredFile:
    """A file in a field of the type FILE. *address* is where a program gets its content, with the credential in it."""

    id: int
    address: str | None


def find_file_field(name: str, fields: Mapping[str, Field], record: RecordType, *, writes: bool) -> FileField:
    """The field of files with this name, which a request reads or *writes*.

    Raises:
        InvalidInput: there is none, or it cannot be written.
    """
    field = fields.get(name)
    if field is None:
        nearest = suggest_name(name, fields)
        question = "" if nearest is None else f"; did you mean {nearest!r}?"
        raise InvalidInput.of_parameter(PARAMETER, UNKNOWN_FIELD, f"unknown field {name[:64]!r}{question}")
    if not (field.type == FILE or (field.custom and field.type in (ID, LINK))):
        raise InvalidInput.of_parameter(PARAMETER, "invalid_value", f"{TYPE_RULE}; {name} is of the type {field.type}")
    if writes and (field.read_only or field.immutable):
        raise InvalidInput.of_parameter(PARAMETER, "read_only", f"names {name}, which is read-only")
    return _file_field(field, record)


def fields_with_contents(fields: Mapping[str, Field], record: RecordType) -> list[FileField]:
    """All fields of the type FILE."""
    return [_file_field(field, record) for field in fields.values() if field.type == FILE]


def read_item(record: RecordType, row_id: int) -> Command:
    """The call for a record with all its fields, in the form of an item."""
    return _as_named_item(record).command("get", id=row_id)


def update_item(record: RecordType, row_id: int, field: FileField, value: object) -> Command:
    """The call that gives a field of a record another *value*."""
    return _as_named_item(record).command("update", write=True, id=row_id, fields={field.item_name: value})


def decode_item(result: object) -> Row:
    """The record in the answer to `read_item` or `update_item`.

    Raises:
        PortalBroken: there is none.
    """
    item = result.get("item") if isinstance(result, Mapping) else None
    if not isinstance(item, dict):
        raise PortalBroken("an item is not an object")
    return item


def decode_files(item: Row, field: FileField) -> list[StoredFile]:
    """The files in a field of the type FILE, as the portal lists them.

    Raises:
        PortalBroken: one has no id.
    """
    value = item.get(field.item_name)
    entries = value if isinstance(value, list) else [value] if value else []
    return [_decode_file(entry) for entry in entries]


def decode_texts(item: Row, field: FileField) -> list[str]:
    """The values of a field of another type."""
    value = item.get(field.item_name)
    entries = value if isinstance(value, list) else [value]
    return [str(entry) for entry in entries if entry not in (None, "", False)]


def no_file(field: FileField, file_id: int) -> NotFound:
    """The error for a file that a field does not have."""
    return NotFound(f"fileId: {field.name} has no file {file_id}", code="file_not_found")


def _decode_file(entry: object) -> StoredFile:
    file_id = decode_integer(entry.get("id")) if isinstance(entry, Mapping) else None
    if file_id is None:
        raise PortalBroken("a file of a record without an id")
    address = entry.get("urlMachine") if isinstance(entry, Mapping) else None
    return StoredFile(file_id, address if isinstance(address, str) else None)


def _file_field(field: Field, record: RecordType) -> FileField:
    return FileField(field.name, _item_name(field.name, record), field.type, field.multiple)


def _item_name(name: str, record: RecordType) -> str:
    """What items call a field: custom fields keep their names, see `_as_named_item`, and PHOTO is photo.

    Source: methods.md 5.5 (b24restdocs api-reference/crm/universal/object-fields.md)
    """
    if record.is_item or name.startswith(CUSTOM):
        return name
    first, *others = name.lower().split("_")
    return first + "".join(map(str.capitalize, others))


def _as_named_item(record: RecordType) -> RecordType:
    """The same records as items, whose custom fields keep the names that they have for a record's own methods."""
    item = as_item(record)
    return item if record.is_item else replace(item, params={**item.params, "useOriginalUfNames": "Y"})
