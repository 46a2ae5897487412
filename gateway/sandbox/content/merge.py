"""How a portal merges records of one type: which values fill gaps, and which are in conflict."""

from collections.abc import Iterable, Sequence

from gateway.sandbox.content.communications import comparable_value
from gateway.sandbox.content.entities import MULTIFIELDS, Field
from gateway.sandbox.php import Value, as_number
from gateway.sandbox.tables.table import Row

# Differences in fields of these types need no decision: the value of the main record remains.
_UNCONTESTED = {"user", "char", "boolean", "crm_status", "crm_category", "crm_currency"}


def merged(fields: Iterable[Field], rows: Sequence[Row]) -> Row | None:
    """The columns of the first of *rows* that change when the others are merged into it; None in case of a conflict.

    An empty field takes the value of another record; multiple fields take the values of all. Two different values of
    a field are a conflict, which a person has to resolve.
    Source: [docs] api-reference/crm/duplicates/crm-entity-merge-batch.md
    """
    changes: Row = {}
    for field in fields:
        if "r" in field.flags:
            continue
        values: list[Value] = [row.get(field.name) for row in rows]
        filled = [value for value in values if not _is_empty(value, field)]
        if field.is_multiple:
            value = _united(field.name, filled) or values[0]
        elif field.name == "COMMENTS":
            value = "\n".join(dict.fromkeys(filled)) or values[0]
        elif field.type in _UNCONTESTED or all(value == filled[0] for value in filled):
            value = filled[0] if filled else values[0]
        else:
            return None
        if value != values[0]:
            changes[field.name] = value
    has = {f"HAS_{name}": "Y" for name in MULTIFIELDS if changes.get(name) and f"HAS_{name}" in rows[0]}
    return {**changes, **has}


def _is_empty(value: Value, field: Field) -> bool:
    return not value or (field.type == "double" and as_number(value) == 0)


def _united(name: str, lists: Iterable[list[Value]]) -> list[Value]:
    """The values of all *lists* without repetitions."""
    found: dict[str, Value] = {}
    for value in (value for values in lists for value in values):
        key = comparable_value(name, value["VALUE"]) if name in ("PHONE", "EMAIL") else str(value)
        found.setdefault(key, value)
    return list(found.values())
