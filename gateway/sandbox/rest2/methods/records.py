"""The old CRM methods: crm.lead.list and its siblings, get and fields."""

from collections.abc import Mapping
from functools import lru_cache, partial

from gateway.sandbox.content.catalog import COMPANY, CONTACT, DEAL, LEAD, QUOTE
from gateway.sandbox.content.entities import MULTIFIELDS, OLD_INVOICE, REFERENCES, Entity, Field, Fields
from gateway.sandbox.errors import CallError, access_denied
from gateway.sandbox.php import Value, as_id, entries_of
from gateway.sandbox.query.filters import Schema, read_filter
from gateway.sandbox.query.listing import find, read_order
from gateway.sandbox.rest2.file_addresses import FileAddresses
from gateway.sandbox.rest2.method import Answer, Call, Method, Param, page_window
from gateway.sandbox.rest2.views import ClassicView
from gateway.sandbox.tables.table import Row, Table

_CRM = ("crm",)
_CLASSIC = {
    "lead": LEAD,
    "deal": DEAL,
    "contact": CONTACT,
    "company": COMPANY,
    "quote": QUOTE,
    "invoice": OLD_INVOICE,
}
_EXACT_TYPES = {"crm_status", "crm_company", "crm_contact", "crm_multifield"}


def list_records(type_id: int, call: Call) -> Answer:
    """Return one page of records. Unknown names in filter, order and select are ignored.

    Source: [docs] api-reference/crm/deals/crm-deal-list.md and its siblings
    """
    check_access(type_id, call)
    fields = call.data.entities[type_id].fields(call.data.userfields)
    schema = _schema(fields)
    page = find(
        call.data.records[type_id],
        read_filter(call.params.get("filter", {}), schema),
        read_order(call.params.get("order", {}), schema),
        schema,
        page_window(call, whole_pages=True),
        ClassicView(_selected(_names(call.params.get("select", [])), fields)),
    )
    if call.data.record_files:
        FileAddresses(call.request, call.data.links).show_classic_files(
            type_id, _files(fields), dict(zip(page.ids, page.rows, strict=True))
        )
    return Answer.of_page(page)


def get_record(type_id: int, call: Call) -> Answer:
    """Return one record with all its fields.

    Source: [docs] api-reference/crm/deals/crm-deal-get.md and its siblings
    """
    row_id = positive_id(call)
    check_access(type_id, call)
    row = call.data.records[type_id].get(row_id)
    if row is None:
        raise CallError("", "Not found")
    fields = call.data.entities[type_id].fields(call.data.userfields)
    shown = ClassicView(frozenset(field.name for field in fields if _is_shown(field)))(row)
    FileAddresses(call.request, call.data.links).show_classic_files(type_id, _files(fields), {row_id: shown})
    return Answer(shown)


def positive_id(call: Call) -> int:
    """The parameter ``id``.

    Raises:
        CallError: it is not a positive number.
    """
    row_id = as_id(call.params.get("id"))
    if row_id < 1:
        raise CallError("", "ID is not defined or invalid.")
    return row_id


def check_access(type_id: int, call: Call) -> None:
    """Check that the caller may use records of this type.

    Raises:
        CallError: "Access denied."
    """
    if type_id in call.data.denied:
        raise access_denied()


def describe_fields(type_id: int, call: Call) -> Answer:
    """Return all fields by name.

    Source: [docs] api-reference/crm/deals/crm-deal-fields.md and its siblings
    """
    entity = call.data.entities[type_id]
    descriptions = described(entity, call.data.userfields)
    return Answer({field.name: row for field, row in descriptions.items() if "x" not in field.flags})


def described(entity: Entity, userfields: Mapping[str, Table]) -> dict[Field, Row]:
    """All fields of an entity in the form of the ``*.fields`` methods.

    Source: [docs] api-reference/crm/companies/crm-company-fields.md, crm/universal/crm-item-fields.md
    """
    custom = {row["FIELD_NAME"]: row for row in userfields[entity.userfields].values()}
    return {field: _described(field, custom.get(field.name)) for field in entity.fields(userfields)}


def _described(field: Field, custom: Row | None) -> Row:
    """A field, for a custom one with the row of ``*.userfield.list`` that defines it."""
    row: Row = {
        "type": field.type,
        "isRequired": "*" in field.flags,
        "isReadOnly": "r" in field.flags,
        "isImmutable": "i" in field.flags,
        "isMultiple": field.is_multiple,
        "isDynamic": field.is_custom,
    }
    if "d" in field.flags:
        row["isDeprecated"] = True
    if field.values:
        row["statusType"] = field.values
    if custom is not None and "LIST" in custom:
        row["items"] = [{"ID": choice["ID"], "VALUE": choice["VALUE"]} for choice in custom["LIST"]]
    row["title"] = field.name if field.is_custom else field.name.replace("_", " ").capitalize()
    if custom is not None:
        row |= dict.fromkeys(("listLabel", "formLabel", "filterLabel"), field.label or field.name)
        row["settings"] = custom["SETTINGS"]
    elif settings := _settings(field):
        row["settings"] = settings
    return row


def _settings(field: Field) -> Row:
    """The ``settings`` of a field that refers to records of one type, else nothing."""
    if field.type == "crm_entity":
        return {"parentEntityTypeId": int(field.name.removeprefix("PARENT_ID_"))}
    if field.type not in REFERENCES or any(flag in field.flags for flag in "mdn"):
        return {}
    parent = {"parentEntityTypeId": REFERENCES[field.type]}
    if field.name == "MYCOMPANY_ID":
        return {"isMyCompany": True, **parent, "isEmbeddedEditorEnabled": True}
    return parent


def _is_shown(field: Field) -> bool:
    """Whether the old methods include the field in rows. Other fields of many values have separate methods."""
    return field.name in MULTIFIELDS or field.is_custom or not field.is_multiple


@lru_cache(64)
def _files(fields: Fields) -> tuple[Field, ...]:
    return tuple(field for field in fields if field.type == "file")


@lru_cache(64)
def _schema(fields: Fields) -> Schema:
    known = [field for field in fields if _is_shown(field)]
    return Schema(
        columns={field.name: field.kind for field in known},
        key="ID",
        exact=frozenset(field.name for field in known if field.type in _EXACT_TYPES),
    )


def _names(select: Value) -> frozenset[str]:
    return frozenset(map(str, entries_of(select).values())) or frozenset(("*", "UF_*"))


@lru_cache(256)
def _selected(names: frozenset[str], fields: Fields) -> frozenset[str]:
    """The columns that a ``select`` of these *names* returns. Multifields must be named, and add the ID.

    Source: [docs] settings/how-to-call-rest-api/list-methods-pecularities.md
    """
    columns = set()
    for field in fields:
        mask = "" if field.name in MULTIFIELDS else "UF_*" if field.is_custom else "*"
        if _is_shown(field) and (field.name in names or mask in names):
            columns.add(field.name)
    return frozenset(columns | {"ID"} if columns.intersection(MULTIFIELDS) else columns)


_LIST_PARAMS = (Param("order", "array"), Param("filter", "array"), Param("select", "array"), Param("start"))

METHODS = tuple(
    method
    for name, type_id in _CLASSIC.items()
    for method in (
        Method(f"crm.{name}.list", partial(list_records, type_id), _CRM, _LIST_PARAMS),
        Method(f"crm.{name}.get", partial(get_record, type_id), _CRM, (Param("id"),)),
        Method(f"crm.{name}.fields", partial(describe_fields, type_id), _CRM),
    )
)
