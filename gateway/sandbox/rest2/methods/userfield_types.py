"""crm.userfield.*: what custom fields there may be, and how they are described."""

from gateway.sandbox.content.fields import LABELS
from gateway.sandbox.errors import CallError
from gateway.sandbox.php import is_array
from gateway.sandbox.rest2.method import Answer, Call, Method, Param
from gateway.sandbox.tables.table import Row

_CRM = ("crm",)

# The standard types. Source: [docs] api-reference/crm/universal/user-defined-fields/crm-userfield-types.md
TITLES = {
    "string": "Строка",
    "integer": "Целое число",
    "double": "Число",
    "boolean": "Да/Нет",
    "enumeration": "Список",
    "datetime": "Дата со временем",
    "date": "Дата",
    "money": "Деньги",
    "url": "Ссылка",
    "address": "Адрес",
    "file": "Файл",
    "employee": "Привязка к сотруднику",
    "crm_status": "Привязка к справочникам CRM",
    "iblock_section": "Привязка к разделам инф. блоков",
    "iblock_element": "Привязка к элементам инф. блоков",
    "crm": "Привязка к элементам CRM",
}

_IBLOCK = {
    "IBLOCK_TYPE_ID": "string",
    "IBLOCK_ID": "string",
    "DEFAULT_VALUE": "string",
    "DISPLAY": "string",
    "LIST_HEIGHT": "int",
    "ACTIVE_FILTER": "char",
}
_SETTINGS: dict[str, dict[str, str]] = {
    "string": {"DEFAULT_VALUE": "string", "ROWS": "int"},
    "integer": {"DEFAULT_VALUE": "int"},
    "double": {"DEFAULT_VALUE": "double", "PRECISION": "int"},
    "boolean": {"DEFAULT_VALUE": "int", "DISPLAY": "string"},
    "datetime": {"DEFAULT_VALUE": "object"},
    "date": {"DEFAULT_VALUE": "object"},
    "enumeration": {"DISPLAY": "string", "LIST_HEIGHT": "int"},
    "iblock_section": _IBLOCK,
    "iblock_element": _IBLOCK,
    "crm_status": {"ENTITY_TYPE": "string"},
    "crm": dict.fromkeys(("LEAD", "CONTACT", "COMPANY", "DEAL"), "char"),
}


def list_userfield_types(_call: Call) -> Answer:
    """Return the types of custom fields.

    Source: [docs] api-reference/crm/universal/user-defined-fields/crm-userfield-types.md
    """
    return Answer([{"ID": kind, "title": title} for kind, title in TITLES.items()])


def describe_userfield(_call: Call) -> Answer:
    """Return the characteristics of a custom field.

    Source: [docs] api-reference/crm/universal/user-defined-fields/crm-userfield-fields.md
    """
    switches = ("MULTIPLE", "MANDATORY", "SHOW_FILTER", "SHOW_IN_LIST", "EDIT_IN_LIST", "IS_SEARCHABLE")
    return Answer(
        {
            "ID": {**_described("ID", "int"), "isReadOnly": True},
            **{
                name: {**_described(name, "string"), "isImmutable": True}
                for name in ("ENTITY_ID", "FIELD_NAME", "USER_TYPE_ID")
            },
            "XML_ID": _described("XML_ID", "string"),
            "SORT": _described("SORT", "int"),
            **{name: _described(name, "char") for name in switches},
            **{name: _described(name, "string") for name in LABELS},
            "LIST": {**_described("LIST", "uf_enum_element"), "isMultiple": True},
            "SETTINGS": _described("SETTINGS", "object"),
        }
    )


def describe_choice(_call: Call) -> Answer:
    """Return the characteristics of a choice of a list.

    Source: [docs] api-reference/crm/universal/user-defined-fields/crm-userfield-enumeration-fields.md
    """
    return Answer(
        {
            "ID": {**_described("ID", "int"), "isReadOnly": True},
            "SORT": _described("SORT", "int"),
            **{name: _described(name, "string") for name in ("VALUE", "DEF", "DEL")},
        }
    )


def describe_settings(call: Call) -> Answer:
    """Return the settings of a type of custom fields.

    Source: [docs] api-reference/crm/universal/user-defined-fields/crm-userfield-settings-fields.md
    """
    kind = call.params.get("type")
    if not kind or is_array(kind):
        raise CallError("", "Parameter 'type' is not specified or empty.")
    settings = _SETTINGS.get(str(kind), {})
    return Answer({name: _described(name, value_type) for name, value_type in settings.items()} or [])


def _described(name: str, value_type: str) -> Row:
    return {"type": value_type, "title": name.replace("_", " ").capitalize()}


METHODS = (
    Method("crm.userfield.types", list_userfield_types, _CRM),
    Method("crm.userfield.fields", describe_userfield, _CRM),
    Method("crm.userfield.enumeration.fields", describe_choice, _CRM),
    Method("crm.userfield.settings.fields", describe_settings, _CRM, (Param("type"),)),
)
