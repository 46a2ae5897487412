"""One `ListSpec` per list method: its paging, where its rows and their ids are, and how it is ordered and filtered.

Lists whose rows have no usable id (crm.dealcategory.stage.list, crm.status.entity.types, placement.list) are not
supported. Source of the specs: methods.md 12 and the section named at each (b24restdocs api-reference/).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from gateway.bitrix.errors import PortalBroken
from gateway.bitrix.protocol.v2 import Answer, Params

Row = dict[str, object]

CLASSIC_ENTITIES = ("lead", "deal", "contact", "company", "quote", "invoice")

LOGIC = "logic"
MAX_ID_DIGITS = 19
COMPOSITE_BASE = 10**4  # a composite id has four decimal digits for every column but the first
MAX_ID = 2**63 - 1  # the largest integer of SQLite, far above any id of a portal


class Paging(StrEnum):
    """How a complete list is read: by ranges of ids, by offset, or in one answer."""

    KEYSET = "keyset"
    OFFSET = "offset"
    UNPAGED = "unpaged"


@dataclass(frozen=True)
class ListSpec:
    """How to request one list method, and where its rows are in the answer."""

    paging: Paging
    wrapper: str | None = None  # the key under `result` that holds the rows; None if `result` is the rows
    id_key: str = "ID"  # the id's name in rows
    filter_id_key: str = "ID"  # the id's name in filters and orders
    composite: tuple[str, ...] = ()  # columns that identify a row without an id; all but the first have small values
    filter_key: str = "filter"
    nested: bool = False  # filters may hold groups of conditions, each with its own `logic`
    total_is_right: bool = True  # `total` never exceeds the number of rows
    order_in_strings: bool = False  # the order is two strings, `sort` and `order`, instead of an `order` object

    def ordered(self, direction: str) -> dict[str, object]:
        """The parameters that order the list by id. *direction* is "ASC" or "DESC"."""
        if self.order_in_strings:
            return {"sort": self.filter_id_key, "order": direction}
        return {"order": dict.fromkeys(self.composite or (self.filter_id_key,), direction)}

    def has_logic(self, conditions: Mapping[str, object]) -> bool:
        """Whether the filter *conditions* are joined by their own `logic`; a condition added beside them may not apply.

        Source: protocol.md 6.2, methods.md 5.3 (b24restdocs api-reference/crm/universal/crm-item-list.md)
        """
        return self.nested and any(name.lower() == LOGIC for name in conditions)

    def filtered(self, params: Params, id_conditions: Params) -> dict[str, object]:
        """*params* with *id_conditions* (value by operator) added to the filter. A filter with `logic` is nested.

        Raises:
            ValueError: the filter already has one of these conditions.
        """
        return self.limited(
            params, {f"{operator}{self.filter_id_key}": value for operator, value in id_conditions.items()}
        )

    def limited(self, params: Params, added: Params) -> dict[str, object]:
        """*params* with the conditions *added* to the filter. A filter with `logic` is nested.

        Raises:
            ValueError: the filter already has one of these conditions.
        """
        conditions = params.get(self.filter_key, {})
        if isinstance(conditions, dict) and self.has_logic(conditions):
            conditions = {"0": conditions}
        if not isinstance(conditions, dict) or added.keys() & conditions.keys():
            raise ValueError(f"{self.filter_key} is not an object, or already bounds the id")
        return {**params, self.filter_key: {**conditions, **added}}

    def reference(self, label: str, index: int) -> str:
        """The reference to the id of row *index* (from 0) of command *label*, for later commands of the same batch.

        Source: protocol.md 8.4 (b24restdocs settings/how-to-call-rest-api/batch.md)
        """
        wrapper = "" if self.wrapper is None else f"[{self.wrapper}]"
        return f"$result[{label}]{wrapper}[{index}][{self.id_key}]"

    def rows(self, answer: Answer) -> list[tuple[int, Row]]:
        """The rows of *answer* with their ids, in the answer's order.

        Raises:
            PortalBroken: the rows are not a list (PHP sends a list with removed entries as an object), or lack an id.
        """
        rows = answer.result
        if self.wrapper is not None:
            rows = rows.get(self.wrapper) if isinstance(rows, dict) else None
        if not isinstance(rows, list):
            raise PortalBroken("the rows are not a list")
        return list(zip(self.ids(rows), rows, strict=True))

    def ids(self, rows: Iterable[object]) -> list[int]:
        """The id of each of *rows*: its id column, or one number composed of the columns of a composite key.

        Composite ids sort like their columns, the first column first.

        Raises:
            PortalBroken: a row has no usable id.
        """
        if self.composite:
            return [self._composite_id(row) for row in rows]
        key = self.id_key
        return [decode_row_id(row, key) for row in rows]

    def _composite_id(self, row: object) -> int:
        """
        Raises:
            PortalBroken: a column is missing, or too large for a unique id that fits into SQLite.
        """
        composite_id, *others = [decode_row_id(row, key) for key in self.composite]
        for key, value in zip(self.composite[1:], others, strict=True):
            if value >= COMPOSITE_BASE:
                raise PortalBroken(f"a row whose {key} is {value}, too large for a composite id")
            composite_id = composite_id * COMPOSITE_BASE + value
        if composite_id > MAX_ID:
            raise PortalBroken(f"a row whose {self.composite[0]} is too large for a composite id")
        return composite_id


def decode_row_id(row: object, key: str) -> int:
    """The id of a list's *row* under *key*. Classic methods send digits, newer ones a number.

    Raises:
        PortalBroken: the row has no usable id.
    """
    value = row.get(key) if type(row) is dict else None
    if type(value) is str and len(value) <= MAX_ID_DIGITS and value.isascii() and value.isdigit():
        value = int(value)
    if type(value) is int and 0 <= value <= MAX_ID:
        return value
    raise PortalBroken(f"a row without a usable {key}")


_CLASSIC = ListSpec(Paging.KEYSET)
_USERS = ListSpec(Paging.KEYSET, filter_key="FILTER", order_in_strings=True)
_BY_OFFSET = ListSpec(Paging.OFFSET)


def _controller(paging: Paging, wrapper: str, *, nested: bool = False) -> ListSpec:
    return ListSpec(paging, wrapper=wrapper, id_key="id", filter_id_key="id", nested=nested)


LIST_SPECS: dict[str, ListSpec] = {
    # methods.md 1: user/user-get.md, user/user-search.md, departments/department-get.md
    "user.get": _USERS,
    "user.search": _USERS,
    "department.get": ListSpec(Paging.OFFSET, order_in_strings=True),  # it only filters by equality
    # methods.md 3: crm/status/, crm/universal/{category,user-defined-object-types}/, crm/outdated/category-old/
    "crm.status.list": ListSpec(Paging.UNPAGED),
    "crm.category.list": _controller(Paging.UNPAGED, "categories"),
    "crm.dealcategory.list": _BY_OFFSET,
    "crm.type.list": _controller(Paging.OFFSET, "types", nested=True),
    # methods.md 4: crm/{leads,deals,contacts,companies}/; crm/quote/, crm/outdated/invoice/ work alike
    **dict.fromkeys((f"crm.{entity}.list" for entity in CLASSIC_ENTITIES), _CLASSIC),
    # methods.md 14: crm/timeline/comments/crm-timeline-comment-list.md; it only filters by the owner
    "crm.timeline.comment.list": _BY_OFFSET,
    # methods.md 4.5: crm/universal/product-rows/crm-item-productrow-list.md
    "crm.item.productrow.list": _controller(Paging.OFFSET, "productRows"),
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
        total_is_right=False,  # always 50 on live portals
    ),
    # methods.md 8: disk/storage/, disk/folder/
    "disk.storage.getlist": _CLASSIC,
    "disk.folder.getchildren": _CLASSIC,
    # methods.md 9: events/event-offline-list.md
    "event.offline.list": _CLASSIC,
    # methods.md 11: tasks/tasks-task-list.md; rows and filters spell columns differently
    "tasks.task.list": ListSpec(Paging.KEYSET, wrapper="tasks", id_key="id"),
}
