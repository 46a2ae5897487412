"""userfieldconfig.*: the custom fields of all entities of a module, with camel case names."""

from functools import cache

from gateway.sandbox.content.fields import LABELS
from gateway.sandbox.content.structure import remove_userfield
from gateway.sandbox.errors import CallError
from gateway.sandbox.php import Value, as_array, as_id, entries_of, is_array
from gateway.sandbox.query.filters import WITH_NOT_LIKE, Schema, read_filter
from gateway.sandbox.query.listing import Page, find, read_order
from gateway.sandbox.rest2.descriptions import upper_name
from gateway.sandbox.rest2.method import Answer, Call, Method, Param, page_window
from gateway.sandbox.rest2.methods.userfield_types import TITLES
from gateway.sandbox.rest2.methods.userfields import FIELDS, require_name_and_type
from gateway.sandbox.rest2.userfield_edits import changed_userfield, create_userfield
from gateway.sandbox.tables.table import Row, Table

_SCOPES = ("userfieldconfig",)
_CONFIGS = Schema(FIELDS.columns, key="ID", strict=True, operators=WITH_NOT_LIKE)
_IGNORED = ("SHOW_IN_LIST", "LIST_COLUMN_LABEL", "LIST_FILTER_LABEL", "ERROR_MESSAGE", "LABEL")
_NO_VIEW = "You do not have permission to view user field settings"
_NO_CHANGE = "You cannot change the settings of the user field"
_NO_DELETE = "You cannot delete the user field"


def list_configs(call: Call) -> Answer:
    """Return one page of the custom fields of all entities of a module.

    ``select`` holds names or ``*``. Its key ``language`` adds the labels in that language, as maps.
    Source: [docs] api-reference/crm/universal/userfieldconfig/userfieldconfig-list.md
    """
    _check_module(call)
    names = entries_of(call.params.get("select", ["*"]))
    language = names.pop("language", None)
    page = _config_page(call)
    rows = [_as_config(row) | ({} if language is None else _labels_in(row, str(language))) for row in page.rows]
    if "*" not in names.values():
        rows = [{name: value for name, value in row.items() if name in names.values()} for row in rows]
    return Answer.of_page(page, {"fields": rows})


def _config_page(call: Call) -> Page:
    merged = Table({field_id: row for table in call.data.userfields.values() for field_id, row in table.items()})
    conditions = read_filter(_upper_names(call.params.get("filter", {})), _CONFIGS)
    order = read_order(_upper_names(call.params.get("order") or {"sort": "ASC", "id": "ASC"}), _CONFIGS)
    return find(merged, conditions, order, _CONFIGS, page_window(call, whole_pages=False))


def get_config(call: Call) -> Answer:
    """Return one custom field with its labels and the choices of a list.

    Source: [docs] api-reference/crm/universal/userfieldconfig/userfieldconfig-get.md
    """
    _check_module(call)
    return _answer(_requested(call, _NO_VIEW))


def add_config(call: Call) -> Answer:
    """Add a custom field, whose name starts with ``UF_`` and the entity, and return it.

    Source: [docs] api-reference/crm/universal/userfieldconfig/userfieldconfig-add.md
    """
    _check_module(call)
    call.require_administrator(CallError("", "Access denied"))
    given = _writable(call.params["field"])
    require_name_and_type(given)
    entity_id, name = str(given.get("ENTITY_ID") or ""), str(given["FIELD_NAME"]).upper()
    if entity_id not in call.data.userfields or not name.startswith(f"UF_{entity_id}_"):
        raise CallError("", "You cannot create custom fields")
    if any(row["FIELD_NAME"] == name for row in call.data.userfields[entity_id].values()):
        raise CallError("", f"Field {name} already exists")
    return _answer(create_userfield(call.data, entity_id, name, {**given, "SHOW_IN_LIST": "Y"}))


def update_config(call: Call) -> Answer:
    """Change the passed characteristics of a custom field and return it.

    A list gets exactly the choices of ``enum``, if ``userTypeId`` is passed with it.
    Source: [docs] api-reference/crm/universal/userfieldconfig/userfieldconfig-update.md
    """
    _check_module(call)
    call.require_administrator(CallError("", _NO_CHANGE))
    row = _requested(call, _NO_CHANGE)
    given = _writable(call.params.get("field", {}))
    if given.get("USER_TYPE_ID") != "enumeration":
        given.pop("LIST", None)
    if "LIST" in given and "LIST" in row:
        kept = {str(as_id(item.get("ID"))) for item in given["LIST"]}
        given["LIST"] += [{"ID": choice["ID"], "DEL": "Y"} for choice in row["LIST"] if choice["ID"] not in kept]
    row = changed_userfield(call.data, row, given)
    call.data.userfields[row["ENTITY_ID"]][int(row["ID"])] = row
    return _answer(row)


def delete_config(call: Call) -> Answer:
    """Delete a custom field and its values.

    Source: [docs] api-reference/crm/universal/userfieldconfig/userfieldconfig-delete.md
    """
    _check_module(call)
    call.require_administrator(CallError("", _NO_DELETE))
    remove_userfield(call.data, _requested(call, _NO_DELETE))
    return Answer(None)


def list_config_types(call: Call) -> Answer:
    """Return the types of custom fields.

    Source: [docs] api-reference/crm/universal/userfieldconfig/userfieldconfig-get-types.md
    """
    _check_module(call)
    types = {kind: {"userTypeId": kind, "description": title} for kind, title in TITLES.items()}
    return Answer({"types": types})


def _check_module(call: Call) -> None:
    module = call.params["moduleId"]
    if module not in call.caller.scopes:
        raise CallError("", f"The current method required more scopes. ({module})")
    if module != "crm":
        raise CallError("", "No settings for UserFieldAccess")


def _requested(call: Call, refusal: str) -> Row:
    for table in call.data.userfields.values():
        if call.params["id"] in table:
            return table[call.params["id"]]
    raise CallError("", refusal)


def _upper_names(entries: Value) -> dict[str, Value]:
    """``fieldName`` as ``FIELD_NAME``: the tables store classic names."""
    return {upper_name(name): value for name, value in entries_of(entries).items()}


def _writable(field: Value) -> dict[str, Value]:
    """The characteristics that these methods write, by classic names."""
    given = {name: value for name, value in _upper_names(field).items() if name not in _IGNORED}
    if is_array(given.get("ENUM")):
        given["LIST"] = [_upper_names(item) for item in entries_of(given["ENUM"]).values() if is_array(item)]
    return given


def _answer(row: Row) -> Answer:
    config = _as_config(row) | _labels(row)
    if "LIST" in row:
        config["enum"] = [
            {
                "id": choice["ID"],
                "userFieldId": row["ID"],
                "value": choice["VALUE"],
                "def": choice["DEF"],
                "sort": choice["SORT"],
                "xmlId": choice["XML_ID"],
            }
            for choice in row["LIST"]
        ]
    return Answer({"field": config})


def _as_config(row: Row) -> Row:
    """A custom field by camel case names, without labels and choices."""
    return {_camel(name): value for name, value in row.items() if name not in LABELS and name != "LIST"}


def _labels_in(row: Row, language: str) -> Row:
    """The labels of a custom field in one language; null if there is none."""
    texts = {name: (row.get(name) or {}).get(language) for name in LABELS}
    labels = {_camel(name): None if text is None else {language: text} for name, text in texts.items()}
    return {"languageId": {language: language}, **labels}


def _labels(row: Row) -> Row:
    """The labels of a custom field in all languages that have any."""
    labels = {name: row.get(name) or {} for name in LABELS}
    languages = dict.fromkeys(language for label in labels.values() for language, text in label.items() if text)
    return {
        "languageId": as_array({language: language for language in languages}),
        **{
            _camel(name): as_array({language: label.get(language) or None for language in languages})
            for name, label in labels.items()
        },
    }


@cache
def _camel(name: str) -> str:
    first, *others = name.lower().split("_")
    return first + "".join(word.capitalize() for word in others)


_MODULE, _ID = Param("moduleId", "string", required=True), Param("id", "int", required=True)
_LIST_PARAMS = (Param("select", "array"), Param("order", "array"), Param("filter", "array"), Param("start", "int"))

METHODS = (
    Method("userfieldconfig.list", list_configs, _SCOPES, (_MODULE, *_LIST_PARAMS), exact=True),
    Method("userfieldconfig.get", get_config, _SCOPES, (_MODULE, _ID), exact=True),
    Method("userfieldconfig.add", add_config, _SCOPES, (_MODULE, Param("field", "array", required=True)), exact=True),
    Method("userfieldconfig.update", update_config, _SCOPES, (_MODULE, _ID, Param("field", "array")), exact=True),
    Method("userfieldconfig.delete", delete_config, _SCOPES, (_MODULE, _ID), exact=True),
    Method("userfieldconfig.gettypes", list_config_types, _SCOPES, (_MODULE,), exact=True),
)
