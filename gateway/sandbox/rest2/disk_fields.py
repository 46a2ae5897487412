"""The fields of storages, folders and files, and the lists of them, which filter by some of these fields only."""

from collections.abc import Iterable, Mapping

from gateway.sandbox.query.filters import OPERATORS, Kind, Schema, read_filter
from gateway.sandbox.query.listing import Page, find, read_order
from gateway.sandbox.rest2.method import Call, Param, page_window
from gateway.sandbox.tables.table import Row, Table

LIST_PARAMS = (Param("filter", "array"), Param("order", "array"), Param("start"))
_KINDS = {"integer": Kind.NUMBER, "string": Kind.TEXT, "enum": Kind.TEXT, "datetime": Kind.DATE}


def _described(fields: str) -> dict[str, Row]:
    """Descriptors from ``NAME type``; a name that ends in ``-`` is not for filters."""
    pairs = [field.split() for field in fields.split(";")]
    return {
        name.removesuffix("-"): {"TYPE": kind, "USE_IN_FILTER": not name.endswith("-"), "USE_IN_SHOW": True}
        for name, kind in pairs
    }


_HEAD = "ID integer; NAME string; TYPE enum; CODE string; STORAGE_ID integer"
_TIMES = "CREATE_TIME datetime; UPDATE_TIME datetime; DELETE_TIME datetime"
_PEOPLE = "CREATED_BY- integer; UPDATED_BY- integer; DELETED_BY- integer"
_CONTENT = "GLOBAL_CONTENT_VERSION- integer; FILE_ID- integer; SIZE- integer"

# Source: [docs] api-reference/disk/storage/disk-storage-get-fields.md, folder/disk-folder-get-fields.md,
# file/disk-file-get-fields.md
STORAGE_FIELDS = _described(
    "ID integer; NAME string; CODE string; MODULE_ID- string; ENTITY_TYPE string; ENTITY_ID string; "
    "ROOT_OBJECT_ID- integer"
)
FOLDER_FIELDS = _described(
    f"{_HEAD}; REAL_OBJECT_ID- integer; PARENT_ID integer; {_TIMES}; {_PEOPLE}; DELETED_TYPE enum"
)
FILE_FIELDS = _described(f"{_HEAD}; PARENT_ID integer; {_TIMES}; {_PEOPLE}; {_CONTENT}; DELETED_TYPE enum")
OBJECT_FIELDS = {**FOLDER_FIELDS, **FILE_FIELDS}
# Source: methods.md, section 8.2
VERSION_FIELDS = _described(
    "ID integer; OBJECT_ID- integer; SIZE integer; NAME string; GLOBAL_CONTENT_VERSION- integer; CREATE_TIME datetime; "
    "CREATED_BY integer"
)


def find_page(
    call: Call, rows: Iterable[Row], fields: Mapping[str, Row], order: Mapping[str, str] | None = None
) -> Page:
    """One page of *rows*. A filter by any other field is ignored. *order* replaces that of the call.

    Source: methods.md, section 8.1
    """
    wanted = read_order(call.params.get("order", {}) if order is None else order, _schema(fields))
    filterable = {name: field for name, field in fields.items() if field["USE_IN_FILTER"]}
    conditions = read_filter(call.params.get("filter", {}), _schema(filterable))
    table = Table({int(row["ID"]): row for row in rows})
    return find(table, conditions, wanted, _schema(fields), page_window(call, whole_pages=True))


def _schema(fields: Mapping[str, Row]) -> Schema:
    columns = {name: _KINDS[field["TYPE"]] for name, field in fields.items()}
    return Schema(columns, key="ID", operators=OPERATORS)
