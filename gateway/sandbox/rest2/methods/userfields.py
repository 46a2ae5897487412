"""Custom fields: crm.*.userfield.list of each entity, and userfieldconfig.list of all entities."""

from functools import cache, partial

from gateway.sandbox.content.fields import LABELS
from gateway.sandbox.errors import CallError
from gateway.sandbox.php import Value, entries_of
from gateway.sandbox.query.filters import WITH_NOT_LIKE, Kind, Schema, read_filter
from gateway.sandbox.query.listing import Page, find, read_order
from gateway.sandbox.rest2.method import Answer, Call, Method, Param, page_window
from gateway.sandbox.tables.table import Row, Table

CLASSIC_ENTITIES = ("lead", "deal", "contact", "company", "quote", "requisite", "invoice")

_FLAGS = ("MULTIPLE", "MANDATORY", "SHOW_FILTER", "SHOW_IN_LIST", "EDIT_IN_LIST", "IS_SEARCHABLE")
_FIELDS = Schema(
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
    page = find(table, read_filter(conditions, _FIELDS), read_order(order, _FIELDS), _FIELDS, window)
    return Answer.of_page(page, [_with_labels(row, language) for row in page.rows])


def _with_labels(row: Row, language: Value) -> Row:
    shown = dict(row)
    for name in LABELS:
        label = shown.pop(name, None)
        if language is not None:
            shown[name] = (label or {}).get(str(language))
    return shown


def list_configs(call: Call) -> Answer:
    """Return one page of the custom fields of all entities of a module.

    ``select`` holds names or ``*``. Its key ``language`` adds the labels in that language, as maps.
    Source: [docs] api-reference/crm/universal/userfieldconfig/userfieldconfig-list.md
    """
    module = call.params["moduleId"]
    if module not in call.caller.scopes:
        raise CallError("", f"The current method required more scopes. ({module})")
    if module != "crm":
        raise CallError("", "No settings for UserFieldAccess")
    names = entries_of(call.params.get("select", ["*"]))
    language = names.pop("language", None)
    page = _config_page(call)
    rows = [_as_config(row, language) for row in page.rows]
    if "*" not in names.values():
        rows = [{name: value for name, value in row.items() if name in names.values()} for row in rows]
    return Answer.of_page(page, {"fields": rows})


def _config_page(call: Call) -> Page:
    merged = Table({field_id: row for table in call.data.userfields.values() for field_id, row in table.items()})
    conditions = read_filter(_upper_names(call.params.get("filter", {})), _CONFIGS)
    order = read_order(_upper_names(call.params.get("order") or {"sort": "ASC", "id": "ASC"}), _CONFIGS)
    return find(merged, conditions, order, _CONFIGS, page_window(call, whole_pages=False))


_CONFIGS = Schema(_FIELDS.columns, key="ID", strict=True, operators=WITH_NOT_LIKE)


def _upper_names(entries: Value) -> dict[str, Value]:
    """``fieldName`` as ``FIELD_NAME``: the tables store classic names."""
    return {
        "".join(f"_{letter}" if letter.isupper() else letter for letter in name).upper(): value
        for name, value in entries_of(entries).items()
    }


def _as_config(row: Row, language: Value) -> Row:
    shown = dict(zip(map(_camel, row), row.values(), strict=True))
    shown.pop("list", None)
    labels = [(name, shown.pop(name, None)) for name in map(_camel, LABELS)]
    if language is not None:
        shown["languageId"] = {str(language): str(language)}
        for name, texts in labels:
            text = (texts or {}).get(str(language))
            shown[name] = None if text is None else {str(language): text}
    return shown


@cache
def _camel(name: str) -> str:
    first, *others = name.lower().split("_")
    return first + "".join(word.capitalize() for word in others)


METHODS = (
    *(
        Method(
            f"crm.{entity}.userfield.list",
            partial(list_fields_of, entity),
            ("crm",),
            (Param("order", "array"), Param("filter", "array"), Param("start")),
        )
        for entity in CLASSIC_ENTITIES
    ),
    Method(
        "userfieldconfig.list",
        list_configs,
        ("userfieldconfig",),
        (
            Param("moduleId", "string", required=True),
            Param("select", "array"),
            Param("order", "array"),
            Param("filter", "array"),
            Param("start", "int"),
        ),
        exact=True,
    ),
)
