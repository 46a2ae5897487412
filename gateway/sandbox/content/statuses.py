"""Statuses of a sandbox portal: the stages of all pipelines and the values of directories."""

import itertools
from collections.abc import Mapping

from gateway.sandbox.content.catalog import COMPANY, CONTACT, DEAL, DOCUMENT, SMART_INVOICE
from gateway.sandbox.tables.table import Row, Table

COLOURS = {"S": "#7BD500", "F": "#FF5752", None: "#39A8EF"}  # by semantics

# STATUS_ID, name, semantics.
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


def make_statuses(categories: Mapping[int, Table]) -> Table:
    """Make the statuses of every ENTITY_ID, in the form of crm.status.list.

    Source: [docs] api-reference/crm/status/crm-status-list.md
    """
    rows = [
        *_stages("STATUS", "", _LEAD_STAGES),
        *_stages("QUOTE_STATUS", "", _QUOTE_STAGES),
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


def stage_entity(entity_type_id: int, category_id: int) -> tuple[str, str]:
    """The ENTITY_ID of the stages of one pipeline, and the prefix of their STATUS_IDs.

    Source: [docs] api-reference/crm/status/crm-status-entity-types.md
    """
    if entity_type_id == DEAL:
        return (f"DEAL_STAGE_{category_id}", f"C{category_id}:") if category_id else ("DEAL_STAGE", "")
    kinds = {SMART_INVOICE: "SMART_INVOICE", DOCUMENT: "SMART_DOCUMENT"}
    kind = kinds.get(entity_type_id, f"DYNAMIC_{entity_type_id}")
    return f"{kind}_STAGE_{category_id}", f"DT{entity_type_id}_{category_id}:"


def make_stages(entity_type_id: int, category_id: int) -> list[Row]:
    """The stages of one pipeline. Contacts and companies have none."""
    if entity_type_id in (CONTACT, COMPANY):
        return []
    stages = {DEAL: _STAGES, SMART_INVOICE: _INVOICE_STAGES}.get(entity_type_id, _ITEM_STAGES)
    return _stages(*stage_entity(entity_type_id, category_id), stages, category_id)


def _stages(
    entity_id: str, prefix: str, stages: tuple[tuple[str, str, str | None], ...], category_id: int = 0
) -> list[Row]:
    rows: list[Row] = []
    for position, (code, name, semantics) in enumerate(stages, start=1):
        is_first_failure = semantics == "F" and rows[-1]["SEMANTICS"] != "F"
        row = _status(entity_id, prefix + code, name, position, is_system=code in _SYSTEM_NAMES)
        row["CATEGORY_ID"] = str(category_id) if category_id else None
        row = as_stage(row, semantics, COLOURS[semantics])
        rows.append(row | {"EXTRA": {**row["EXTRA"], "SEMANTICS": "failure"}} if is_first_failure else row)
    return rows


def as_stage(row: Row, semantics: str | None, colour: str) -> Row:
    """A status with the columns that only stages have. A failure is one that is not the main one of its pipeline."""
    kind = {"S": "success", "F": "apology", None: "process"}[semantics]
    return {**row, "COLOR": colour, "SEMANTICS": semantics, "EXTRA": {"SEMANTICS": kind, "COLOR": colour}}


def _directory(entity_id: str, values: tuple[tuple[str, str], ...]) -> list[Row]:
    return [
        _status(entity_id, code, name, position, is_system=not code.startswith("UC_"))
        for position, (code, name) in enumerate(values, start=1)
    ]


def _status(entity_id: str, status_id: str, name: str, position: int, *, is_system: bool) -> Row:
    row = new_status(entity_id, status_id, name, position * 10)
    return {**row, "NAME_INIT": name, "SYSTEM": "Y"} if is_system else row


def new_status(entity_id: str, status_id: str, name: str, sort: int) -> Row:
    """A value of a directory that a user has added, without its ID."""
    return {
        "ENTITY_ID": entity_id,
        "STATUS_ID": status_id,
        "NAME": name,
        "NAME_INIT": "",
        "SORT": str(sort),
        "SYSTEM": "N",
        "CATEGORY_ID": None,
        "COLOR": None,
        "SEMANTICS": None,
    }
