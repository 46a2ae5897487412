"""Smart processes and pipelines of a sandbox portal."""

import itertools
from collections.abc import Container, Iterator

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
            new_category(DEAL, 0, "Общая", 300, is_default=True),
            new_category(DEAL, 2, "Розница", 200),
            new_category(DEAL, 7, "Оптовые продажи 📦", 200),
        ],
        CONTACT: [new_category(CONTACT, 1, "Контакты", 500, is_default=True)],
        COMPANY: [
            new_category(COMPANY, 2, "Компании", 500, is_default=True),
            new_category(COMPANY, 4, "Подрядчики", 500),
        ],
        SMART_INVOICE: [
            new_category(SMART_INVOICE, 5, "Счета", 500, is_default=True),
            new_category(SMART_INVOICE, 9, "Авансы", 500),
        ],
        DOCUMENT: [new_category(DOCUMENT, 6, "Документы", 500, is_default=True)],
    }
    numbers = itertools.count(12)
    tables = {entity_type_id: Table({row["id"]: row for row in rows}) for entity_type_id, rows in categories.items()}
    return tables | {row["entityTypeId"]: make_pipelines(row, numbers) for row in types.values()}


def make_pipelines(type_row: Row, numbers: Iterator[int]) -> Table:
    """Make the pipelines of a smart process: two if it may have several. *numbers* are their ids."""
    names = ("Общая", "Филиалы") if type_row["isCategoriesEnabled"] == "Y" else ("Общая",)
    type_id = type_row["entityTypeId"]
    rows = [new_category(type_id, next(numbers), name, 500, is_default=name == "Общая") for name in names]
    return Table({row["id"]: row for row in rows})


def blank_type(type_id: int, used: Container[int], time: str) -> Row:
    """The initial columns of a new smart process: its switches, and the lowest entityTypeId from 1030 not in *used*.

    Source: [docs] api-reference/crm/universal/user-defined-object-types/crm-type-add.md
    """
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


def new_category(entity_type_id: int, category_id: int, name: str, sort: int, *, is_default: bool = False) -> Row:
    """A pipeline in the form of crm.category.list. Only those of deals have an origin.

    Source: [docs] api-reference/crm/universal/category/crm-category-add.md
    """
    row: Row = {
        "id": category_id,
        "name": name,
        "sort": sort,
        "entityTypeId": entity_type_id,
        "isDefault": "Y" if is_default else "N",
    }
    if entity_type_id != DEAL:
        return {**row, "code": "", "isSystem": "N"}
    # The deal pipeline 0 is not stored in the portal's table: it has no origin.
    return row if category_id == 0 else {**row, "originId": "", "originatorId": ""}
