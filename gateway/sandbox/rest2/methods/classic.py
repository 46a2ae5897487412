"""The rows of classic CRM objects such as requisites: how methods read ids, write fields and describe them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

from gateway.sandbox.content.entities import Entity, Field
from gateway.sandbox.content.portal_data import PortalData
from gateway.sandbox.content.records import iso_time
from gateway.sandbox.content.requisites import blank_row
from gateway.sandbox.errors import CallError
from gateway.sandbox.php import Value, as_bool, as_number, entries_of, is_array
from gateway.sandbox.query.filters import WITH_NOT_LIKE, Schema, read_filter
from gateway.sandbox.query.listing import find, read_order, select_columns
from gateway.sandbox.rest2.method import Answer, Call, Method, Param, page_window
from gateway.sandbox.rest2.methods.records import described
from gateway.sandbox.tables.table import Row, Table

LIST_PARAMS = (Param("select", "array"), Param("filter", "array"), Param("order", "array"), Param("start"))
FIELDS = Param("fields", "array")
_CRM = ("crm",)
_NO_USERFIELDS: Mapping[str, Table] = {"": Table()}


def refuse(text: str) -> NoReturn:
    """Raise the error of a classic method: an empty code with a *text*."""
    raise CallError("", text)


def refuse_invalid(name: str) -> NoReturn:
    refuse(f"{name} is not defined or invalid.")


def positive(value: Value) -> int:
    """An id by PHP's cast; 0 if it is not a positive number."""
    return 0 if is_array(value) else max(int(as_number(value)), 0)


def written(fields: Value, allowed: Mapping[str, Field]) -> Row:
    """The *fields* of a request as columns. Names other than *allowed* are ignored."""
    return {name: _stored(value, allowed[name]) for name, value in entries_of(fields).items() if name in allowed}


def writable(entity: Entity, data: PortalData, *, hidden: str) -> dict[str, Field]:
    """The fields that a client may write: those without the *hidden* flags ``r`` (read-only) or ``i`` (immutable)."""
    return {
        field.name: field
        for field in entity.fields(userfields_of(entity, data))
        if not any(flag in field.flags for flag in hidden)
    }


def userfields_of(entity: Entity, data: PortalData) -> Mapping[str, Table]:
    return data.userfields if entity.userfields else _NO_USERFIELDS


def describe_fields(entity: Entity, call: Call) -> Answer:
    """Return all fields by name.

    Source: [docs] api-reference/crm/requisites/universal/crm-requisite-fields.md and its siblings
    """
    descriptions = described(entity, userfields_of(entity, call.data))
    for row in descriptions.values():
        if "statusType" in row:
            row["statusType"] = [row["statusType"]]  # unlike in the fields of records
    return Answer({field.name: row for field, row in descriptions.items()})


def list_rows(entity: Entity, table: Table, call: Call, key: str = "ID") -> Answer:
    """Return one page of *table*. Without ``select`` rows have all columns; unknown names are ignored."""
    fields = entity.fields(userfields_of(entity, call.data))
    schema = Schema({field.name: field.kind for field in fields}, key, operators=WITH_NOT_LIKE)
    conditions = read_filter(call.params.get("filter", {}), schema)
    order = read_order(call.params.get("order", {}), schema)
    page = find(table, conditions, order, schema, page_window(call, whole_pages=True))
    names = [str(name) for name in entries_of(call.params.get("select") or ["*", "UF_*"]).values()]
    return Answer.of_page(page, [select_columns(row, names) for row in page.rows])


def _stored(value: Value, field: Field) -> Value:
    """*value* as the portal stores it: numbers are strings, a flag is ``Y`` or ``N``."""
    if field.is_multiple and is_array(value):
        return [_stored_text(item, field) for item in entries_of(value).values()]
    return _stored_text(value, field)


def _stored_text(value: Value, field: Field) -> str | None:
    if value is None:
        return None
    if field.type == "integer":
        return "0" if is_array(value) else str(int(as_number(value)))
    if field.type == "char":
        return "Y" if value in ("Y", "y", True) else "N"
    if isinstance(value, bool) or field.type == "boolean":
        return str(int(as_bool(value)))
    return "" if is_array(value) else str(value)


@dataclass(frozen=True)
class Collection:
    """One kind of object with ids and the five methods of its life.

    *title* names it in errors. *check_new* checks the columns of a new row and completes them; *check_row* checks
    whether the caller may use a row, *check_list* whether it may list them; *remove* deletes what depends on a row.
    They raise CallError.
    """

    prefix: str  # of its methods
    title: str
    entity: Entity
    table_of: Callable[[PortalData], Table]
    check_new: Callable[[Call, Row], None]
    check_row: Callable[[Call, Row], None]
    check_list: Callable[[Call], None]
    remove: Callable[[PortalData, int], None]

    def methods(self) -> tuple[Method, ...]:
        """The declarations of add, get, list, update, delete and fields."""
        row_id = Param("id")
        return (
            Method(f"{self.prefix}.add", self.add, _CRM, (FIELDS,)),
            Method(f"{self.prefix}.get", self.get, _CRM, (row_id,)),
            Method(f"{self.prefix}.list", self.list, _CRM, LIST_PARAMS),
            Method(f"{self.prefix}.update", self.update, _CRM, (row_id, FIELDS)),
            Method(f"{self.prefix}.delete", self.delete, _CRM, (row_id,)),
            Method(f"{self.prefix}.fields", partial(describe_fields, self.entity), _CRM),
        )

    def add(self, call: Call) -> Answer:
        """Add a row and return its id. Read-only and unknown fields are ignored.

        Source: [docs] api-reference/crm/requisites/universal/crm-requisite-add.md and its siblings
        """
        columns = written(call.params.get("fields", {}), writable(self.entity, call.data, hidden="r"))
        self.check_new(call, columns)
        table = self.table_of(call.data)
        row_id = table.next_id
        table[row_id] = {**blank_row(self.entity, row_id, call.now, call.caller.user_id), **columns}
        return Answer(row_id)

    def get(self, call: Call) -> Answer:
        """Return one row without its custom fields.

        Source: [docs] api-reference/crm/requisites/universal/crm-requisite-get.md and its siblings
        """
        _, row = self._found(call)
        return Answer(select_columns(row, ["*"]))

    def list(self, call: Call) -> Answer:
        """Return one page of rows.

        Source: [docs] api-reference/crm/requisites/universal/crm-requisite-list.md and its siblings
        """
        self.check_list(call)
        return list_rows(self.entity, self.table_of(call.data), call)

    def update(self, call: Call) -> Answer:
        """Change a row. Read-only, immutable and unknown fields are ignored.

        Source: [docs] api-reference/crm/requisites/universal/crm-requisite-update.md and its siblings
        """
        row_id, row = self._found(call)
        columns = written(call.params.get("fields", {}), writable(self.entity, call.data, hidden="ri"))
        stamps = {"DATE_MODIFY": iso_time(int(call.now)), "MODIFY_BY_ID": str(call.caller.user_id)}
        self.table_of(call.data)[row_id] = {**row, **columns, **stamps}
        return Answer(True)

    def delete(self, call: Call) -> Answer:
        """Delete a row with all that depends on it.

        Source: [docs] api-reference/crm/requisites/universal/crm-requisite-delete.md and its siblings
        """
        row_id, _ = self._found(call)
        self.remove(call.data, row_id)
        del self.table_of(call.data)[row_id]
        return Answer(True)

    def _found(self, call: Call) -> tuple[int, Row]:
        """The row that the call names with ``id``."""
        row_id = positive(call.params.get("id"))
        if not row_id:
            refuse_invalid("ID")
        row = self.table_of(call.data).get(row_id)
        if row is None:
            refuse(f"The {self.title} with ID '{row_id}' is not found")
        self.check_row(call, row)
        return row_id, row
