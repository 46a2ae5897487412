"""What is peculiar to each list method: one row of facts a method, in one place.

Source: methods.md 1, 3, 6 and 12 (b24restdocs api-reference/user/, api-reference/crm/)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from gateway.bitrix.errors import PortalBroken
from gateway.bitrix.wire import Answer, Params

Row = dict[str, object]

ID_DIGITS = 19
HIGHEST_ID = 2**63 - 1  # what a column of SQLite holds, far more than any portal counts to


READING = {
    *("aggregate", "count", "current", "documentation", "events", "fields", "find", "findbycomm", "get", "getfields"),
    *("getlist", "info", "list", "methods", "openapi", "profile", "scope", "search", "tail", "time", "types"),
}


def writes(method: str) -> bool:
    """Whether *method* may change something on the portal, for all that its name says."""
    return method.lower().rpartition(".")[2] not in READING


class Paging(StrEnum):
    """How a list is read whole: by ranges of ids, by offset, or at once."""

    KEYSET = "keyset"
    OFFSET = "offset"
    UNPAGED = "unpaged"


@dataclass(frozen=True)
class ListMethod:
    """How one list method is asked, and where its rows lie in the answer."""

    paging: Paging
    wrapper: str | None = None  # the key under `result` that holds the rows; None where `result` is the rows
    id_key: str = "ID"
    filter_key: str = "filter"
    order_in_strings: bool = False  # `sort` and `order` as two strings, instead of an `order` object

    def ordered(self, direction: str) -> dict[str, object]:
        """The parameters that order the list by id, *direction* "ASC" or "DESC"."""
        if self.order_in_strings:
            return {"sort": self.id_key, "order": direction}
        return {"order": {self.id_key: direction}}

    def filtered(self, params: Params, conditions: Params) -> dict[str, object]:
        """*params* with *conditions* on the id added to its filter.

        Raises:
            ValueError: the filter has such a condition already.
        """
        given = params.get(self.filter_key, {})
        keys = {f"{operator}{self.id_key}": value for operator, value in conditions.items()}
        if not isinstance(given, dict) or keys.keys() & given.keys():
            raise ValueError(f"{self.filter_key} is no object, or bounds the id itself")
        return {**params, self.filter_key: {**given, **keys}}

    def reference(self, label: str, row: int) -> str:
        """What stands for the id of *row*, from 0, of the command *label* in later commands of the same batch.

        Source: protocol.md 8.4 (b24restdocs settings/how-to-call-rest-api/batch.md)
        """
        wrapper = "" if self.wrapper is None else f"[{self.wrapper}]"
        return f"$result[{label}]{wrapper}[{row}][{self.id_key}]"

    def rows(self, answer: Answer) -> list[tuple[int, Row]]:
        """The rows of *answer* with their ids, in the order they came.

        Raises:
            PortalBroken: rows that are no list (a list out of which rows were taken comes as an object), or without id.
        """
        rows = answer.result
        if self.wrapper is not None:
            rows = rows.get(self.wrapper) if isinstance(rows, dict) else None
        if not isinstance(rows, list):
            raise PortalBroken("the rows are no list")
        return [(row_id(row, self.id_key), row) for row in rows]


def row_id(row: object, key: str) -> int:
    """The id of a list's *row* under *key*: classic methods give it as digits, newer ones as a number.

    Raises:
        PortalBroken: there is none.
    """
    value = row.get(key) if type(row) is dict else None
    if type(value) is str and len(value) <= ID_DIGITS and value.isascii() and value.isdigit():
        value = int(value)
    if type(value) is int and 0 <= value <= HIGHEST_ID:
        return value
    raise PortalBroken(f"a row without a usable {key}")


def _userfield_lists(entities: Sequence[str]) -> dict[str, ListMethod]:
    return {f"crm.{entity}.userfield.list": ListMethod(Paging.OFFSET) for entity in entities}


METHODS: dict[str, ListMethod] = {
    "user.get": ListMethod(Paging.KEYSET, filter_key="FILTER", order_in_strings=True),
    "crm.status.list": ListMethod(Paging.UNPAGED),
    "crm.category.list": ListMethod(Paging.UNPAGED, wrapper="categories", id_key="id"),
    "crm.type.list": ListMethod(Paging.OFFSET, wrapper="types", id_key="id"),
    "userfieldconfig.list": ListMethod(Paging.OFFSET, wrapper="fields", id_key="id"),
    **_userfield_lists(("lead", "deal", "contact", "company", "quote", "requisite", "invoice")),
}
