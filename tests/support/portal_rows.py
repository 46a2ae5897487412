"""The four mirrored lists: their tables on a portal, and the names of their properties in the API."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.sandbox.content.portal_data import PortalData
from gateway.sandbox.tables.table import Row, Table

DEAL = 2


@dataclass(frozen=True)
class Mirrored:
    """One list: its table on the portal, the method that reads it, and the names of its properties in the API."""

    name: str
    method: str
    table: Callable[[PortalData], Table]
    make: Callable[[int], Row]
    label: Callable[[str], dict[str, Any]]
    own_id: str = "ID"
    bitrix_id: str = "bitrixID"
    shown_label: str = "name"

    def fill(self, data: PortalData, count: int, *, first: int = 1) -> None:
        """Replace the rows of the list by *count* rows with ids from *first*."""
        of_its_kind = {"pipelines": data.categories.values(), "fields": data.userfields.values()}
        for table in of_its_kind.get(self.name, [self.table(data)]):
            table.clear()
        for row_id in range(first, first + count):
            self.add(data, row_id)

    def add(self, data: PortalData, row_id: int) -> None:
        """Add a row, labelled by its id."""
        self.table(data)[row_id] = self.make(row_id) | self.label(f"row {row_id}")

    def relabel(self, data: PortalData, row_id: int, text: str) -> None:
        """Change the label of a row on the portal."""
        self.table(data)[row_id] = self.table(data)[row_id] | self.label(text)

    def ids(self, rows: list[dict[str, Any]]) -> list[int]:
        """The portal's ids of listed *rows*."""
        return [int(row[self.bitrix_id]) for row in rows]

    def labels(self, rows: list[dict[str, Any]]) -> dict[int, str]:
        """The labels of listed *rows* by the portal's id."""
        return {int(row[self.bitrix_id]): row[self.shown_label] for row in rows}

    def identities(self, rows: list[dict[str, Any]]) -> dict[int, tuple[object, object]]:
        """The immutable properties of listed *rows*, id and createdAt, by the portal's id."""
        return {int(row[self.bitrix_id]): (row[self.own_id], row["createdAt"]) for row in rows}


def make_user(user_id: int) -> Row:
    return {"ID": str(user_id), "ACTIVE": True, "LAST_NAME": "", "EMAIL": f"user{user_id}@example.com"}


def make_status(status_id: int) -> Row:
    return {"ID": str(status_id), "ENTITY_ID": "SOURCE", "STATUS_ID": f"S{status_id}", "SORT": "10", "COLOR": None}


def make_category(category_id: int) -> Row:
    return {"id": category_id, "sort": 100, "entityTypeId": DEAL, "isDefault": "N"}


def make_userfield(field_id: int) -> Row:
    return {
        "ID": str(field_id),
        "ENTITY_ID": "CRM_DEAL",
        "FIELD_NAME": f"UF_CRM_{field_id}",
        "USER_TYPE_ID": "string",
        "SORT": "100",
        "MULTIPLE": "N",
        "MANDATORY": "N",
        "SETTINGS": [],
    }


USERS = Mirrored(
    "users",
    "user.get",
    lambda data: data.users,
    make_user,
    lambda text: {"NAME": text},
    own_id="id",
    bitrix_id="bitrixUserID",
)
STEPS = Mirrored("steps", "crm.status.list", lambda data: data.statuses, make_status, lambda text: {"NAME": text})
PIPELINES = Mirrored(
    "pipelines", "crm.category.list", lambda data: data.categories[DEAL], make_category, lambda text: {"name": text}
)
FIELDS = Mirrored(
    "fields",
    "crm.deal.userfield.list",
    lambda data: data.userfields["CRM_DEAL"],
    make_userfield,
    lambda text: {"EDIT_FORM_LABEL": {"ru": text}},
    shown_label="editFromLabel",
)
MIRRORED = (USERS, STEPS, PIPELINES, FIELDS)

each_list = pytest.mark.parametrize("mirrored", MIRRORED, ids=lambda mirrored: mirrored.name)


def fill_all(data: PortalData, count: int) -> None:
    """Fill each mirrored list with *count* rows."""
    for mirrored in MIRRORED:
        mirrored.fill(data, count)
