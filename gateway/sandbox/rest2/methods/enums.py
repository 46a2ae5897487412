"""crm.enum.*: the fixed values of the CRM."""

from functools import partial

from gateway.sandbox.content.requisites import ADDRESS_KINDS
from gateway.sandbox.php import Value
from gateway.sandbox.rest2.method import Answer, Call, Method
from gateway.sandbox.tables.table import Row

_FIELDS = {
    "ID": ("int", "ID"),
    "NAME": ("string", "Название"),
    "SYMBOL_CODE": ("string", "Символьный код"),
    "SYMBOL_CODE_SHORT": ("string", "Краткий символьный код"),
}

# Source: [docs] api-reference/crm/auxiliary/enum/index.md; the pages of activities and contents are in its folder
# outdated.
_VALUES: dict[str, dict[int, str]] = {
    "addresstype": ADDRESS_KINDS,
    "contenttype": {0: "", 1: "Plain text", 2: "bbCode", 3: "HTML"},
    "activitytype": {
        0: "",
        1: "Встреча",
        2: "Звонок",
        3: "Задача",
        4: "Письмо",
        5: "Действие",
        6: "Пользовательское действие",
    },
    "activitypriority": {0: "", 1: "низкая", 2: "средняя", 3: "высокая"},
    "activitydirection": {0: "", 1: "Входящее", 2: "Исходящее"},
    "activitynotifytype": {0: "", 1: "мин.", 2: "ч.", 3: "дн."},
    "activitystatus": {0: "", 1: "Ожидается", 2: "Завершено", 3: "Завершено автоматически"},
    "settings.mode": {1: "Классическая CRM", 2: "Простая CRM"},
}
_OWNERS = (
    (1, "Лид", "LEAD", "L"),
    (2, "Сделка", "DEAL", "D"),
    (3, "Контакт", "CONTACT", "C"),
    (4, "Компания", "COMPANY", "CO"),
    (5, "Счёт (старая версия)", "INVOICE", "I"),
    (31, "Счёт", "SMART_INVOICE", "SI"),
    (7, "Предложение", "QUOTE", "Q"),
    (8, "Реквизиты", "REQUISITE", "RQ"),
    (36, "Документ", "SMART_DOCUMENT", "DO"),
    (39, "Документ компании", "SMART_B2E_DOC", "SBD"),
)


def list_values(values: dict[int, str], _call: Call) -> Answer:
    """Return the values of one enumeration, without pages. They have no symbol codes.

    Source: [docs] api-reference/crm/auxiliary/enum/crm-enum-address-type.md and its siblings
    """
    return Answer([_value(value_id, name, None, None) for value_id, name in values.items()])


def list_owner_types(call: Call) -> Answer:
    """Return the types of CRM objects, smart processes included.

    Source: [docs] api-reference/crm/auxiliary/enum/crm-enum-owner-type.md
    """
    numbers = [(row["entityTypeId"], row["title"]) for row in call.data.types.values()]
    items = [(type_id, title, f"DYNAMIC_{type_id}", f"T{type_id:x}") for type_id, title in numbers]
    return Answer([_value(*owner) for owner in (*_OWNERS, *items)])


def list_order_owner_types(_call: Call) -> Answer:
    """Return the types of objects that orders may belong to.

    Source: [docs] api-reference/crm/auxiliary/enum/crm-enum-get-order-owner-types.md
    """
    return Answer([{"attribute": "DYN", "code": "DEAL", "id": 2, "name": "Сделка"}])


def describe_fields(_call: Call) -> Answer:
    """Return the fields of a value of an enumeration.

    Source: [docs] api-reference/crm/auxiliary/enum/crm-enum-fields.md
    """
    flags = {"isRequired": False, "isReadOnly": True, "isImmutable": False, "isMultiple": False, "isDynamic": False}
    return Answer({name: {"type": kind, **flags, "title": title} for name, (kind, title) in _FIELDS.items()})


def _value(value_id: int, name: str, code: Value, short_code: Value) -> Row:
    return {"ID": value_id, "NAME": name, "SYMBOL_CODE": code, "SYMBOL_CODE_SHORT": short_code}


METHODS = (
    Method("crm.enum.fields", describe_fields, ("crm",)),
    Method("crm.enum.ownertype", list_owner_types, ("crm",)),
    Method("crm.enum.getorderownertypes", list_order_owner_types, ("crm",)),
    *(Method(f"crm.enum.{name}", partial(list_values, values), ("crm",)) for name, values in _VALUES.items()),
)
