"""The two forms of a CRM record: strings in the old methods; numbers and camel case names in crm.item."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

from gateway.sandbox.content.entities import DATES, MULTIFIELDS, NUMERIC, Field, Fields
from gateway.sandbox.php import Value, as_number, is_whole
from gateway.sandbox.tables.table import Row

# Source: [docs] api-reference/crm/universal/index.md; [srv] crm/lib/service/factory.
_OTHER_NAMES = {
    "DATE_CREATE": "createdTime",
    "DATE_MODIFY": "updatedTime",
    "CREATED_BY_ID": "createdBy",
    "MODIFY_BY_ID": "updatedBy",
    "MOVED_BY_ID": "movedBy",
    "STATUS_ID": "stageId",
    "STATUS_SEMANTIC_ID": "stageSemanticId",
    "COMPANY_TYPE": "typeId",
}
_REGULAR = re.compile(r"[A-Z_]+|UF_CRM_\d{1,4}_([\d_]+|[A-Z_]+)")


def item_name(name: str) -> str:
    """A field's name in crm.item: ``assignedById``, ``ufCrm13_1713790201``, ``ufCrm_1713790201``.

    Source: [docs] api-reference/crm/universal/index.md; [srv] crm/lib/service/converter.php
    """
    if name in _OTHER_NAMES:
        return _OTHER_NAMES[name]
    if name.startswith("UF_") and not _REGULAR.fullmatch(name):
        return "ufCrm_" + name.removeprefix("UF_CRM_")
    camel = re.sub(r"_([a-z])", lambda found: found[1].upper(), name.lower())
    return re.sub(r"(?<=[a-zA-Z])_(?=\d)", "", camel)


@lru_cache(64)
def item_names(fields: Fields, original: bool) -> dict[str, Field]:
    """The fields by their names in crm.item. Of two equal names the later field keeps its original name.

    With *original* all custom fields keep their original names.
    """
    named: dict[str, Field] = {}
    for field in fields:
        shown = field.name if original and field.is_custom else item_name(field.name)
        named[field.name if shown in named else shown] = field
    return named


@dataclass(frozen=True)
class ClassicView:
    """The columns of a row in the form of the old lists. An empty multifield is omitted."""

    columns: frozenset[str]

    def __call__(self, row: Row) -> Row:
        columns = self.columns
        return {
            name: value
            for name, value in row.items()
            if name in columns and (value is not None or name not in MULTIFIELDS)
        }

    def reads(self, column: str) -> bool:
        return column in self.columns


@dataclass(frozen=True)
class ItemView:
    """The columns of a row in the form of crm.item. *columns* holds the shown and stored name and the type.

    With *multifields* the values of phones, e-mail addresses and other multifields are added as ``fm``.
    """

    columns: tuple[tuple[str, str, str], ...]
    multifields: bool

    def reads(self, column: str) -> bool:
        return column in self._by_stored or (self.multifields and column in MULTIFIELDS)

    @cached_property
    def files(self) -> tuple[tuple[str, str], ...]:
        """The shown and stored names of the files."""
        return tuple((shown, stored) for shown, stored, kind in self.columns if kind == "file")

    @cached_property
    def _by_stored(self) -> Mapping[str, tuple[str, str]]:
        return {stored: (shown, kind) for shown, stored, kind in self.columns}

    def __call__(self, row: Row) -> Row:
        known, item = self._by_stored, {}
        for stored, value in row.items():
            if found := known.get(stored):
                item[found[0]] = item_value(value, found[1])
        if self.multifields and "PHONE" in row:
            item["fm"] = [_multivalue(entry) for name in MULTIFIELDS for entry in row.get(name) or []]
        return item


def item_value(value: Value, kind: str) -> Value:
    """A value of the old lists in the form of crm.item.

    Source: [docs] api-reference/crm/universal/crm-item-get.md
    """
    if isinstance(value, list):
        return [item_value(entry, kind) for entry in value]
    if value is False and kind != "boolean":  # an empty multiple field
        return []
    if kind == "double":
        number = None if value in (None, "") else as_number(value)
        return int(number) if number is not None and is_whole(number) else number
    if kind in NUMERIC:
        return None if value in (None, "") else int(as_number(value))
    if kind in DATES:
        return value or None
    return "NY"[value] if isinstance(value, bool) else value


def _multivalue(entry: Row) -> Row:
    return {
        "id": int(entry["ID"]),
        "valueType": entry["VALUE_TYPE"],
        "value": entry["VALUE"],
        "typeId": entry["TYPE_ID"],
    }
