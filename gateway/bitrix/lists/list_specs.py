"""What is peculiar to each list method: one row of facts a method, in one place.

Lists whose rows have no id of any kind (crm.dealcategory.stage.list, crm.status.entity.types, placement.list) are none
that can be read here. Source of the rows: methods.md 12, and the section named at each (b24restdocs api-reference/).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from gateway.bitrix.errors import PortalBroken
from gateway.bitrix.protocol.v2 import Answer, Params

Row = dict[str, object]

CLASSIC_ENTITIES = ("lead", "deal", "contact", "company", "quote", "invoice")

LOGIC = "logic"
ID_DIGITS = 19
COMPOSITE_BASE = 10**4  # a composite id has four digits for every column but the first
HIGHEST_ID = 2**63 - 1  # what a column of SQLite holds, far more than any portal counts to


class Paging(StrEnum):
    """How a list is read whole: by ranges of ids, by offset, or at once."""

    KEYSET = "keyset"
    OFFSET = "offset"
    UNPAGED = "unpaged"


@dataclass(frozen=True)
class ListSpec:
    """How one list method is asked, and where its rows lie in the answer."""

    paging: Paging
    wrapper: str | None = None  # the key under `result` that holds the rows; None where `result` is the rows
    id_key: str = "ID"  # of a row
    bound_key: str = "ID"  # the same in filters and orders
    composite: tuple[str, ...] = ()  # columns that make up the id of rows without one; all but the first are small
    filter_key: str = "filter"
    nested: bool = False  # filters may hold groups, each with the `logic` that joins its conditions
    total_is_right: bool = True  # whether `total` is never more than the number of rows
    order_in_strings: bool = False  # `sort` and `order` as two strings, instead of an `order` object

    def ordered(self, direction: str) -> dict[str, object]:
        """The parameters that order the list by id, *direction* "ASC" or "DESC"."""
        if self.order_in_strings:
            return {"sort": self.bound_key, "order": direction}
        return {"order": dict.fromkeys(self.composite or (self.bound_key,), direction)}

    def has_logic(self, given: Mapping[str, object]) -> bool:
        """Whether the filter *given* says itself how its conditions are joined: nothing beside them is sure to count.

        Source: protocol.md 6.2, methods.md 5.3 (b24restdocs api-reference/crm/universal/crm-item-list.md)
        """
        return self.nested and any(name.lower() == LOGIC for name in given)

    def filtered(self, params: Params, conditions: Params) -> dict[str, object]:
        """*params* with *conditions* on the id added to its filter, above the `logic` that it may have.

        Raises:
            ValueError: the filter has such a condition already.
        """
        given = params.get(self.filter_key, {})
        keys = {f"{operator}{self.bound_key}": value for operator, value in conditions.items()}
        if isinstance(given, dict) and self.has_logic(given):
            given = {"0": given}
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
        return list(zip(self.ids(rows), rows, strict=True))

    def ids(self, rows: Iterable[object]) -> list[int]:
        """The id of each of *rows*: its column, or one number made of the columns of a composite key.

        Composite ids are in the order of their columns, the first one first.

        Raises:
            PortalBroken: a row has no usable id.
        """
        if self.composite:
            return [self._composite_id(row) for row in rows]
        key = self.id_key
        return [row_id(row, key) for row in rows]

    def _composite_id(self, row: object) -> int:
        """
        Raises:
            PortalBroken: a column is missing, or so large that the number would not be unique, or not fit into SQLite.
        """
        number, *others = [row_id(row, key) for key in self.composite]
        for key, value in zip(self.composite[1:], others, strict=True):
            if value >= COMPOSITE_BASE:
                raise PortalBroken(f"a row whose {key} is {value}, too large for a composite id")
            number = number * COMPOSITE_BASE + value
        if number > HIGHEST_ID:
            raise PortalBroken(f"a row whose {self.composite[0]} is too large for a composite id")
        return number


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


_CLASSIC = ListSpec(Paging.KEYSET)
_USERS = ListSpec(Paging.KEYSET, filter_key="FILTER", order_in_strings=True)
_BY_OFFSET = ListSpec(Paging.OFFSET)


def _controller(paging: Paging, wrapper: str, *, nested: bool = False) -> ListSpec:
    return ListSpec(paging, wrapper=wrapper, id_key="id", bound_key="id", nested=nested)


METHODS: dict[str, ListSpec] = {
    # methods.md 1: user/user-get.md, user/user-search.md, departments/department-get.md
    "user.get": _USERS,
    "user.search": _USERS,
    "department.get": ListSpec(Paging.OFFSET, order_in_strings=True),  # it filters by equality alone
    # methods.md 3: crm/status/, crm/universal/{category,user-defined-object-types}/, crm/outdated/category-old/
    "crm.status.list": ListSpec(Paging.UNPAGED),
    "crm.category.list": _controller(Paging.UNPAGED, "categories"),
    "crm.dealcategory.list": _BY_OFFSET,
    "crm.type.list": _controller(Paging.OFFSET, "types", nested=True),
    # methods.md 4: crm/{leads,deals,contacts,companies}/; crm/quote/, crm/outdated/invoice/ are of the same family
    **dict.fromkeys((f"crm.{entity}.list" for entity in CLASSIC_ENTITIES), _CLASSIC),
    # methods.md 5.3: crm/universal/crm-item-list.md
    "crm.item.list": _controller(Paging.KEYSET, "items", nested=True),
    # methods.md 6.1 and 6.3: crm/*/userfield/, crm/universal/userfieldconfig/userfieldconfig-list.md
    **dict.fromkeys((f"crm.{entity}.userfield.list" for entity in (*CLASSIC_ENTITIES, "requisite")), _BY_OFFSET),
    "userfieldconfig.list": _controller(Paging.OFFSET, "fields"),
    # methods.md 7: crm/requisites/universal/, crm/requisites/presets/, crm/requisites/addresses/
    "crm.requisite.list": _CLASSIC,
    "crm.requisite.preset.list": _BY_OFFSET,
    "crm.address.list": ListSpec(
        Paging.OFFSET,
        composite=("ENTITY_ID", "ENTITY_TYPE_ID", "TYPE_ID"),
        total_is_right=False,  # 50 on live portals
    ),
    # methods.md 8: disk/storage/, disk/folder/
    "disk.storage.getlist": _CLASSIC,
    "disk.folder.getchildren": _CLASSIC,
    # methods.md 9: events/event-offline-list.md
    "event.offline.list": _CLASSIC,
    # methods.md 11: tasks/tasks-task-list.md; rows spell their columns otherwise than filters do
    "tasks.task.list": ListSpec(Paging.KEYSET, wrapper="tasks", id_key="id"),
}
