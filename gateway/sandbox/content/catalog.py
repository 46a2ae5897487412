"""Smart processes, pipelines and statuses of a sandbox portal."""

import itertools
from collections.abc import Iterator

from gateway.sandbox.tables.table import Row, Table

LEAD, DEAL, CONTACT, COMPANY, QUOTE, SMART_INVOICE, DOCUMENT = 1, 2, 3, 4, 7, 31, 36
SMART_PROCESSES = (PURCHASE, EQUIPMENT, TRAINING) = 128, 156, 1036
FIXED_TYPES = (DEAL, CONTACT, COMPANY, SMART_INVOICE, DOCUMENT)  # have pipelines without being smart processes

FLAGS = (
    "isCategoriesEnabled", "isStagesEnabled", "isBeginCloseDatesEnabled", "isClientEnabled", "isUseInUserfieldEnabled",
    "isLinkWithProductsEnabled", "isMycompanyEnabled", "isDocumentsEnabled", "isSourceEnabled", "isObserversEnabled",
    "isRecyclebinEnabled", "isAutomationEnabled", "isBizProcEnabled", "isSetOpenPermissions", "isPaymentsEnabled",
    "isCountersEnabled",
)  # fmt: skip

# STATUS_ID, name, semantics. Colours and system flags follow from the semantics.
_STAGES = (
    ("NEW", "Новая", None),
    ("PREPARATION", "Подготовка документов", None),
    ("EXECUTING", "В работе 🚀", None),
    ("WON", "Сделка успешна", "S"),
    ("LOSE", "Сделка провалена", "F"),
    ("APOLOGY", "Анализ причины провала", "F"),
)
_LEAD_STAGES = (
    ("NEW", "Не обработан", None),
    ("IN_PROCESS", "В работе", None),
    ("CONVERTED", "Качественный лид", "S"),
    ("JUNK", "Некачественный лид", "F"),
)
_QUOTE_STAGES = (
    ("DRAFT", "Новое", None),
    ("SENT", "Отправлено клиенту", None),
    ("APPROVED", "Принято", "S"),
    ("DECLAINED", "Отклонено", "F"),
)
_INVOICE_STAGES = (("N", "Новый", None), ("S", "Отправлен", None), ("P", "Оплачен", "S"), ("D", "Не оплачен", "F"))
_ITEM_STAGES = (
    ("NEW", "Начало", None),
    ("PREPARATION", "Подготовка", None),
    ("CLIENT", "Согласование", None),
    ("SUCCESS", "Успех", "S"),
    ("FAIL", "Провал", "F"),
)

_DIRECTORIES = {
    "SOURCE": (
        ("CALL", "Звонок"),
        ("EMAIL", "Электронная почта"),
        ("WEB", "Веб-сайт"),
        ("UC_QUIZ01", "Квиз «Какой пол выбрать?» 🧩"),
    ),
    "CONTACT_TYPE": (("CLIENT", "Клиенты"), ("SUPPLIER", "Поставщики"), ("OTHER", "Другое")),
    "COMPANY_TYPE": (("CUSTOMER", "Клиент"), ("PARTNER", "Партнёр")),
    "DEAL_TYPE": (("SALE", "Продажа"), ("SERVICE", "Обслуживание")),
    "INDUSTRY": (("IT", "Информационные технологии"), ("OTHER", "Другое")),
    "EMPLOYEES": (("EMPLOYEES_1", "менее 50"), ("EMPLOYEES_2", "50-250")),
    "HONORIFIC": (("HNR_RU_1", "г-н"), ("HNR_RU_2", "г-жа")),
    "CALL_LIST": (("IN_WORK", "В работе"), ("SUCCESS", "Успешно")),
}

_SYSTEM_NAMES = {
    "NEW",
    "WON",
    "LOSE",
    "CONVERTED",
    "JUNK",
    "N",
    "P",
    "D",
    "SUCCESS",
    "FAIL",
    "DRAFT",
    "APPROVED",
    "DECLAINED",
}


def make_types() -> Table:
    """Make three smart processes in the form of crm.type.list. The row id and entityTypeId are different numbers.

    Source: [docs] api-reference/crm/universal/user-defined-object-types/crm-type-list.md
    """
    rows = (
        _type(3, PURCHASE, "Закупки", enabled=set(FLAGS) - {"isSetOpenPermissions", "isPaymentsEnabled"}),
        _type(13, EQUIPMENT, "Equipment 🛠", enabled={"isStagesEnabled"}),
        _type(
            17,
            TRAINING,
            "Обучение сотрудников",
            enabled={"isCategoriesEnabled", "isStagesEnabled", "isObserversEnabled"},
        ),
    )
    return Table({row["id"]: row for row in rows})


def make_categories(types: Table) -> dict[int, Table]:
    """Make the pipelines of every entity type that has any, in the form of crm.category.list.

    Deal pipelines have a separate numbering from 0, so one number may occur under two types.
    Source: [docs] api-reference/crm/universal/category/crm-category-list.md
    """
    categories = {
        DEAL: [
            _category(DEAL, 0, "Общая", 300, is_default=True),
            _category(DEAL, 2, "Розница", 200),
            _category(DEAL, 7, "Оптовые продажи 📦", 200),
        ],
        CONTACT: [_category(CONTACT, 1, "Контакты", 500, is_default=True)],
        COMPANY: [_category(COMPANY, 2, "Компании", 500, is_default=True), _category(COMPANY, 4, "Подрядчики", 500)],
        SMART_INVOICE: [
            _category(SMART_INVOICE, 5, "Счета", 500, is_default=True),
            _category(SMART_INVOICE, 9, "Авансы", 500),
        ],
        DOCUMENT: [_category(DOCUMENT, 6, "Документы", 500, is_default=True)],
    }
    numbers = itertools.count(12)
    tables = {entity_type_id: Table({row["id"]: row for row in rows}) for entity_type_id, rows in categories.items()}
    return tables | {row["entityTypeId"]: make_pipelines(row, numbers) for row in types.values()}


def make_pipelines(type_row: Row, numbers: Iterator[int]) -> Table:
    """Make the pipelines of a smart process: two if it may have several. *numbers* are their ids."""
    names = ("Общая", "Филиалы") if type_row["isCategoriesEnabled"] == "Y" else ("Общая",)
    rows = [
        {
            **_category(type_row["entityTypeId"], next(numbers), name, 500, is_default=name == "Общая"),
            "code": "",
            "isSystem": "N",
        }
        for name in names
    ]
    return Table({row["id"]: row for row in rows})


def make_statuses(categories: dict[int, Table]) -> Table:
    """Make the statuses of every ENTITY_ID, in the form of crm.status.list.

    Source: [docs] api-reference/crm/status/crm-status-list.md
    """
    rows = [
        *_stages("STATUS", _LEAD_STAGES),
        *_stages("QUOTE_STATUS", _QUOTE_STAGES),
        *(row for entity_id, values in _DIRECTORIES.items() for row in _directory(entity_id, values)),
    ]
    for entity_type_id, table in categories.items():
        for category_id in table:
            rows += make_stages(entity_type_id, category_id)
    return Table(
        {
            status_id: {"ID": str(status_id), **row}
            for status_id, row in zip(itertools.count(101, 2), rows, strict=False)
        }
    )


def blank_type(type_id: int, types: Table, time: str) -> Row:
    """The initial columns of a new smart process: all switches off, and the lowest free entityTypeId from 1030.

    Source: [docs] api-reference/crm/universal/user-defined-object-types/crm-type-add.md
    """
    used = {row["entityTypeId"] for row in types.values()}
    free = next(number for number in itertools.count(1030, 2) if number not in used)
    row = _type(type_id, free, f"Smart Process #{type_id}", enabled={"isSetOpenPermissions", "isStagesEnabled"})
    return {**row, "createdTime": time, "updatedTime": time}


def _type(type_id: int, entity_type_id: int, title: str, enabled: set[str]) -> Row:
    return {
        "id": type_id,
        "title": title,
        "code": "",
        "createdBy": 1,
        "entityTypeId": entity_type_id,
        "customSectionId": None,
        **{flag: "Y" if flag in enabled else "N" for flag in FLAGS},
        "createdTime": "2024-07-08T17:24:55+03:00",
        "updatedTime": "2024-07-08T17:24:55+03:00",
        "updatedBy": 1,
    }


def _category(entity_type_id: int, category_id: int, name: str, sort: int, *, is_default: bool = False) -> Row:
    row: Row = {
        "id": category_id,
        "name": name,
        "sort": sort,
        "entityTypeId": entity_type_id,
        "isDefault": "Y" if is_default else "N",
    }
    # The deal pipeline 0 is not stored in the portal's table: it has no origin.
    return row if category_id == 0 else {**row, "originId": "", "originatorId": ""}


def make_stages(entity_type_id: int, category_id: int) -> list[Row]:
    """The stages of one pipeline. Contacts and companies have none."""
    if entity_type_id in (CONTACT, COMPANY):
        return []
    if entity_type_id == DEAL and category_id == 0:
        return _stages("DEAL_STAGE", _STAGES)
    if entity_type_id == DEAL:
        return _stages(f"DEAL_STAGE_{category_id}", _STAGES, f"C{category_id}:", category_id)
    prefix = f"DT{entity_type_id}_{category_id}:"
    if entity_type_id == SMART_INVOICE:
        return _stages(f"SMART_INVOICE_STAGE_{category_id}", _INVOICE_STAGES, prefix, category_id)
    kind = "SMART_DOCUMENT" if entity_type_id == DOCUMENT else f"DYNAMIC_{entity_type_id}"
    return _stages(f"{kind}_STAGE_{category_id}", _ITEM_STAGES, prefix, category_id)


def _stages(
    entity_id: str, stages: tuple[tuple[str, str, str | None], ...], prefix: str = "", category_id: int = 0
) -> list[Row]:
    rows: list[Row] = []
    for position, (code, name, semantics) in enumerate(stages, start=1):
        colour = {"S": "#7BD500", "F": "#FF5752", None: "#39A8EF"}[semantics]
        first_failure = semantics == "F" and rows[-1]["SEMANTICS"] != "F"
        kind = {"S": "success", "F": "failure" if first_failure else "apology", None: "process"}[semantics]
        row = _status(entity_id, prefix + code, name, position, is_system=code in _SYSTEM_NAMES)
        row |= {"CATEGORY_ID": str(category_id) if category_id else None, "COLOR": colour, "SEMANTICS": semantics}
        rows.append({**row, "EXTRA": {"SEMANTICS": kind, "COLOR": colour}})
    return rows


def _directory(entity_id: str, values: tuple[tuple[str, str], ...]) -> list[Row]:
    return [
        _status(entity_id, code, name, position, is_system=not code.startswith("UC_"))
        for position, (code, name) in enumerate(values, start=1)
    ]


def _status(entity_id: str, status_id: str, name: str, position: int, *, is_system: bool) -> Row:
    return {
        "ENTITY_ID": entity_id,
        "STATUS_ID": status_id,
        "NAME": name,
        "NAME_INIT": name if is_system else "",
        "SORT": str(position * 10),
        "SYSTEM": "Y" if is_system else "N",
        "CATEGORY_ID": None,
        "COLOR": None,
        "SEMANTICS": None,
    }
