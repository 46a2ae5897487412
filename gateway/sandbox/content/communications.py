"""Phones and e-mail addresses of records: how they compare, and where a generated one occurs."""

import re
from collections.abc import Iterator

from gateway.sandbox.content.entities import Entity
from gateway.sandbox.tables.generated import GeneratedTable
from gateway.sandbox.tables.table import Row

_TAIL_DIGITS = 10  # of a phone, without the prefix of the country
_ID_DIGITS = range(7, _TAIL_DIGITS + 1)  # of the id at the end of a generated phone
_EXTENSION = re.compile(r"(?:доб|ext|[;,#x]).*", re.IGNORECASE | re.DOTALL)


def comparable_value(kind: str, value: str) -> str:
    """The part of a PHONE or EMAIL that two records have in common if they are duplicates; empty for an invalid one.

    Of a phone these are its last digits without the extension and the prefix of the country.
    Source: [docs] api-reference/crm/duplicates/crm-duplicate-find-by-comm.md
    """
    if kind == "EMAIL":
        return value.strip().casefold()
    return re.sub(r"\D", "", _EXTENSION.sub("", value))[-_TAIL_DIGITS:]


def find_records(entity: Entity, table: GeneratedTable, kind: str, values: set[str]) -> list[int]:
    """The ids of records with a PHONE or EMAIL among comparable *values*, ascending.

    Only changed rows are read in full: the id of an unchanged row follows from its generated value.
    """
    candidates = {row_id for value in values for row_id in _generated_ids(entity, kind, value)}
    candidates.update(table.changed_ids)
    return sorted(row_id for row_id in candidates if row_id in table and _has_value(table, row_id, kind, values))


def _has_value(table: GeneratedTable, row_id: int, kind: str, values: set[str]) -> bool:
    entries: list[Row] | None = table.read_columns(row_id, frozenset({kind})).get(kind)
    return any(comparable_value(kind, str(entry["VALUE"])) in values for entry in entries or ())


def _generated_ids(entity: Entity, kind: str, value: str) -> Iterator[int]:
    """The ids whose generated phone or e-mail address may be *value*. See `content.records` for their form."""
    if kind == "PHONE":
        yield from {int(value[-digits:]) for digits in _ID_DIGITS if len(value) == _TAIL_DIGITS}
    elif found := re.fullmatch(rf"{entity.table}(\d{{1,10}})@example\.com", value, re.ASCII):
        yield int(found[1])
