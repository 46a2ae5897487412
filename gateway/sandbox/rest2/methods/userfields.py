"""crm.*.userfield.*: the custom fields of each entity of the old methods."""

from functools import partial

from gateway.sandbox.content.fields import LABELS, LANGUAGES
from gateway.sandbox.content.structure import remove_userfield
from gateway.sandbox.errors import CallError, access_denied, not_an_array
from gateway.sandbox.php import Value, as_id, entries_of
from gateway.sandbox.query.filters import Kind, Schema, read_filter
from gateway.sandbox.query.listing import find, read_order
from gateway.sandbox.rest2.method import Answer, Call, Method, Param, page_window
from gateway.sandbox.rest2.userfield_edits import changed_userfield, create_userfield
from gateway.sandbox.tables.table import Row, Table

CLASSIC_ENTITIES = ("lead", "deal", "contact", "company", "quote", "requisite", "invoice")
PREFIX = "UF_CRM_"

_FLAGS = ("MULTIPLE", "MANDATORY", "SHOW_FILTER", "SHOW_IN_LIST", "EDIT_IN_LIST", "IS_SEARCHABLE")
FIELDS = Schema(
    columns={
        "ID": Kind.NUMBER,
        "SORT": Kind.NUMBER,
        **dict.fromkeys(("ENTITY_ID", "FIELD_NAME", "USER_TYPE_ID", "XML_ID", *_FLAGS), Kind.TEXT),
    },
    key="ID",
)
_DEFAULT_ORDER = {"SORT": "ASC", "ID": "ASC"}


def list_fields_of(entity: str, call: Call) -> Answer:
    """Return one page of an entity's custom fields, with a language in ``filter[LANG]`` also their labels as text.

    Source: [docs] api-reference/crm/deals/user-defined-fields/crm-deal-userfield-list.md and its siblings
    """
    return fields_page(call.data.userfields[f"CRM_{entity.upper()}"], call)


def fields_page(table: Table, call: Call) -> Answer:
    """One page of the custom fields in *table* for the filter and the order of a call."""
    conditions = entries_of(call.params.get("filter", {}))
    language = conditions.pop("LANG", None)
    order = call.params.get("order") or _DEFAULT_ORDER
    window = page_window(call, whole_pages=True)
    page = find(table, read_filter(conditions, FIELDS), read_order(order, FIELDS), FIELDS, window)
    return Answer.of_page(page, [_with_labels(row, language) for row in page.rows])


def _with_labels(row: Row, language: Value) -> Row:
    shown = dict(row)
    for name in LABELS:
        label = shown.pop(name, None)
        if language is not None:
            shown[name] = (label or {}).get(str(language))
    return shown


def get_field_of(entity: str, call: Call) -> Answer:
    """Return one custom field with its labels in all languages.

    Source: [docs] api-reference/crm/deals/user-defined-fields/crm-deal-userfield-get.md and its siblings
    """
    row = _requested(entity, call)
    labels = {name: row.get(name) or {} for name in LABELS}
    texts = {name: {key: label.get(key) or "" for key in LANGUAGES} for name, label in labels.items()}
    return Answer({**row, **texts})


def add_field_of(entity: str, call: Call) -> Answer:
    """Add a custom field and return its id. The fields may also be sent without ``fields`` around them.

    Source: [docs] api-reference/crm/deals/user-defined-fields/crm-deal-userfield-add.md and its siblings
    """
    call.require_administrator(access_denied())
    given = entries_of(call.params.get("fields", call.sent))
    require_name_and_type(given)
    row = create_userfield(call.data, _entity_id(entity), _full_name(str(given["FIELD_NAME"])), given)
    return Answer(int(row["ID"]))


def require_name_and_type(given: dict[str, Value]) -> None:
    """Refuse a new custom field without a type or a name."""
    for name in ("USER_TYPE_ID", "FIELD_NAME"):
        if not given.get(name):
            raise CallError("", f"The '{name}' field is not found.")


def _full_name(name: str) -> str:
    """``x`` and ``UF_X`` as ``UF_CRM_X``."""
    name = name.upper()
    return name if name.startswith(PREFIX) else PREFIX + name.removeprefix("UF_")


def update_field_of(entity: str, call: Call) -> Answer:
    """Change the passed characteristics of a custom field.

    Source: [docs] api-reference/crm/deals/user-defined-fields/crm-deal-userfield-update.md and its siblings
    """
    call.require_administrator(access_denied())
    if "fields" not in call.params:
        raise not_an_array("fields")
    row = changed_userfield(call.data, _requested(entity, call), entries_of(call.params["fields"]))
    call.data.userfields[_entity_id(entity)][int(row["ID"])] = row
    return Answer(True)


def delete_field_of(entity: str, call: Call) -> Answer:
    """Delete a custom field and its values.

    Source: [docs] api-reference/crm/deals/user-defined-fields/crm-deal-userfield-delete.md and its siblings
    """
    call.require_administrator(access_denied())
    remove_userfield(call.data, _requested(entity, call))
    return Answer(True)


def _entity_id(entity: str) -> str:
    return f"CRM_{entity.upper()}"


def _requested(entity: str, call: Call) -> Row:
    """The custom field with the requested id. One of another entity is refused like one without access."""
    field_id = as_id(call.params.get("id"))
    if field_id < 1:
        raise CallError("", "ID is not defined or invalid.")
    row = call.data.userfields[_entity_id(entity)].get(field_id)
    if row is None:
        if any(field_id in table for table in call.data.userfields.values()):
            raise access_denied()
        raise CallError("ERROR_NOT_FOUND", f"The entity with ID '{field_id}' is not found")
    return row


_ID, _NEW_FIELDS = Param("id"), Param("fields", "array")
_LIST_PARAMS = (Param("order", "array"), Param("filter", "array"), Param("start"))

METHODS = tuple(
    Method(f"crm.{entity}.userfield.{verb}", partial(run, entity), ("crm",), params)
    for entity in CLASSIC_ENTITIES
    for verb, run, params in (
        ("list", list_fields_of, _LIST_PARAMS),
        ("get", get_field_of, (_ID,)),
        ("add", add_field_of, (_NEW_FIELDS,)),
        ("update", update_field_of, (_ID, _NEW_FIELDS)),
        ("delete", delete_field_of, (_ID,)),
    )
)
