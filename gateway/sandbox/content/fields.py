"""The custom fields of a sandbox portal: every type on every entity, and more than one page on deals."""

import itertools
from collections.abc import Iterator

from gateway.sandbox.php import as_array
from gateway.sandbox.tables.table import Row, Table

ENTITIES = (
    "CRM_LEAD", "CRM_DEAL", "CRM_CONTACT", "CRM_COMPANY", "CRM_QUOTE", "CRM_REQUISITE", "CRM_INVOICE",
    "CRM_SMART_INVOICE", "CRM_SMART_DOCUMENT",
)  # fmt: skip
DEAL_FIELDS = 64

LANGUAGES = (
    "ar", "br", "de", "en", "fr", "hi", "id", "in", "it", "ja", "kz", "la", "ms", "pl", "ru", "sc", "tc", "th", "tr",
    "ua", "vn",
)  # fmt: skip
LABELS = ("EDIT_FORM_LABEL", "LIST_COLUMN_LABEL", "LIST_FILTER_LABEL", "ERROR_MESSAGE", "HELP_MESSAGE")

# USER_TYPE_ID: name in Russian and English, SETTINGS.
# Source: [docs] api-reference/crm/universal/user-defined-fields/crm-userfield-types.md
_TYPES: dict[str, tuple[str, str, Row]] = {
    "string": (
        "Строка",
        "Text",
        {"SIZE": 20, "ROWS": 1, "REGEXP": "", "MIN_LENGTH": 0, "MAX_LENGTH": 0, "DEFAULT_VALUE": ""},
    ),
    "integer": ("Целое число", "Integer", {"SIZE": 20, "MIN_VALUE": 0, "MAX_VALUE": 0, "DEFAULT_VALUE": None}),
    "double": (
        "Площадь, м²",
        "Area, m²",
        {"PRECISION": 2, "SIZE": 20, "MIN_VALUE": 0, "MAX_VALUE": 0, "DEFAULT_VALUE": None},
    ),
    "boolean": (
        "Согласие ✅",
        "Consent ✅",
        {"DEFAULT_VALUE": 0, "DISPLAY": "CHECKBOX", "LABEL": ["", ""], "LABEL_CHECKBOX": "Да/Нет"},
    ),
    "datetime": (
        "Время встречи",
        "Meeting at",
        {"DEFAULT_VALUE": {"TYPE": "NONE", "VALUE": ""}, "USE_SECOND": "Y", "USE_TIMEZONE": "N"},
    ),
    "date": ("Дата замера", "Measured on", {"DEFAULT_VALUE": {"TYPE": "NONE", "VALUE": ""}}),
    "enumeration": (
        "Цвет",
        "Colour",
        {"DISPLAY": "LIST", "LIST_HEIGHT": 1, "CAPTION_NO_VALUE": "", "SHOW_NO_VALUE": "Y"},
    ),
    "iblock_section": (
        "Раздел каталога",
        "Section",
        {"DISPLAY": "LIST", "LIST_HEIGHT": 5, "IBLOCK_ID": 15, "DEFAULT_VALUE": "", "ACTIVE_FILTER": "N"},
    ),
    "iblock_element": (
        "Товар",
        "Element",
        {"DISPLAY": "LIST", "LIST_HEIGHT": 5, "IBLOCK_ID": 15, "DEFAULT_VALUE": "", "ACTIVE_FILTER": "N"},
    ),
    "employee": ("Замерщик", "Employee", {}),
    "crm_status": ("Отрасль", "Industry", {"ENTITY_TYPE": "INDUSTRY"}),
    "crm": ("Связь", "Relation", {"LEAD": "Y", "CONTACT": "Y", "COMPANY": "N", "DEAL": "Y"}),
    "address": ("Адрес объекта", "Address", {"SHOW_MAP": "Y"}),
    "money": ("Бюджет", "Budget", {"DEFAULT_VALUE": ""}),
    "url": (
        "Ссылка",
        "Link",
        {"POPUP": "Y", "SIZE": 20, "MIN_LENGTH": 0, "MAX_LENGTH": 0, "DEFAULT_VALUE": "", "ROWS": 1},
    ),
    "file": (
        "Смета",
        "Estimate",
        {
            "SIZE": 20,
            "LIST_WIDTH": 0,
            "LIST_HEIGHT": 0,
            "MAX_SHOW_SIZE": 0,
            "MAX_ALLOWED_SIZE": 0,
            "EXTENSIONS": [],
            "TARGET_BLANK": "Y",
        },
    ),
    "crm_pena_tag": ("Метка", "Tag", {}),
    "resourcebooking": ("Бронирование", "Booking", {"USE_USERS": "N", "USE_RESOURCES": "Y", "FULL_DAY": "N"}),
}

USER_TYPES = frozenset(_TYPES)


def make_userfields(types: Table) -> dict[str, Table]:
    """Make the custom fields of every entity: of every type, and at the end one of several files.

    A smart process is named by the id of its row: ``CRM_13``.

    Source: [docs] api-reference/crm/deals/user-defined-fields/crm-deal-userfield-list.md
    """
    numbers = itertools.count(201, 2)
    entities = (*ENTITIES, *(f"CRM_{type_id}" for type_id in types))
    tables = {entity_id: _fields_of(entity_id, numbers) for entity_id in entities}
    for entity_id, table in tables.items():
        row = _field(entity_id, next(numbers), "file", len(table)) | {"MULTIPLE": "Y", "MANDATORY": "N"}
        table[int(row["ID"])] = row
    return tables


def _fields_of(entity_id: str, numbers: Iterator[int]) -> Table:
    count = DEAL_FIELDS if entity_id == "CRM_DEAL" else len(_TYPES)
    kinds = itertools.islice(itertools.cycle(_TYPES), count)
    rows = [_field(entity_id, next(numbers), kind, position) for position, kind in enumerate(kinds)]
    return Table({int(row["ID"]): row for row in rows})


def _field(entity_id: str, field_id: int, kind: str, position: int) -> Row:
    russian, english, _ = _TYPES[kind]
    entity = entity_id.removeprefix("CRM_")
    prefix = f"UF_CRM_{entity}_" if entity.isdecimal() else "UF_CRM_"
    row = new_userfield(entity_id, field_id, f"{prefix}{1713790000 + field_id}", kind) | {
        "XML_ID": None if position % 3 else f"EXT_{field_id}",
        "SORT": str(100 + 50 * (position // 10)),
        "MULTIPLE": "Y" if position % 5 == 4 else "N",
        "MANDATORY": "Y" if position % 8 == 0 else "N",
        "SHOW_FILTER": "NIES"[position % 4],
        "SHOW_IN_LIST": "Y",
    }
    if position % 7 != 6:  # one field in seven has no labels
        row |= {name: {"ru": russian, "en": english} for name in LABELS[:3]}
    if kind == "enumeration":
        row["LIST"] = [
            new_choice(field_id * 10 + place, value, 10 * (place + 1))
            for place, value in enumerate(("Белый", "Чёрный", "Другой 🎨"))
        ]
    return row


def new_userfield(entity_id: str, field_id: int, name: str, kind: str) -> Row:
    """A new custom field of a type in `USER_TYPES` with the default settings and no labels.

    Source: [docs] api-reference/crm/deals/user-defined-fields/crm-deal-userfield-add.md
    """
    row: Row = {
        "ID": str(field_id),
        "ENTITY_ID": entity_id,
        "FIELD_NAME": name,
        "USER_TYPE_ID": kind,
        "XML_ID": None,
        "SORT": "100",
        "MULTIPLE": "N",
        "MANDATORY": "N",
        "SHOW_FILTER": "N",
        "SHOW_IN_LIST": "N",
        "EDIT_IN_LIST": "Y",
        "IS_SEARCHABLE": "N",
        "SETTINGS": as_array(dict(_TYPES[kind][2])),
        **dict.fromkeys(LABELS),
    }
    return {**row, "LIST": []} if kind == "enumeration" else row


def new_choice(choice_id: int, value: str, sort: int) -> Row:
    """A choice of a list."""
    return {"ID": str(choice_id), "SORT": str(sort), "VALUE": value, "DEF": "N", "XML_ID": f"{choice_id:032x}"}
