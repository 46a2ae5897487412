"""Conditions on mirrored records, and the SQL that evaluates them.

A field is read from the fastest place that has it: a typed column of the row, the table of indexed values, or the row's
JSON. All three hold the same normalised values (`storage.json_values`), so all three find the same rows.

Every expression is true or false, never NULL: `!=` and negative groups are exact opposites.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from storage.json_values import EMPTY, Column, QueryField, Sql, SqlValue, element_value, value_expression

Operator = Literal["=", "!=", ">", ">=", "<", "<=", "in", "between"]

FALSE = "+0"  # because of a plain 0, SQLite drops all other conditions, and then refuses the index that needs them


@dataclass(frozen=True)
class Comparison:
    """One condition on a field.

    *values* are in the normal form of the field's kind. None stands for an empty field; only ``=``, ``!=`` and ``in``
    take it. A multiple field matches if any of its values does; with ``!=``, if none of them is equal.
    """

    field: QueryField
    operator: Operator
    values: tuple[SqlValue | None, ...]


@dataclass(frozen=True)
class Group:
    """Conditions of which *any*, or else all, must hold; *negative* is the opposite.

    All of no conditions is true, any of none is false.
    """

    any: bool
    negative: bool
    conditions: tuple["Comparison | Group", ...]


def comparisons(condition: Comparison | Group | None) -> list[Comparison]:
    """All comparisons of a condition, in its order."""
    if condition is None:
        return []
    if isinstance(condition, Comparison):
        return [condition]
    return [comparison for part in condition.conditions for comparison in comparisons(part)]


def conjuncts(condition: Comparison | Group | None) -> list[Comparison]:
    """The comparisons that every matching row meets."""
    if isinstance(condition, Comparison):
        return [condition]
    if condition is None or condition.any or condition.negative:
        return []
    return [comparison for part in condition.conditions for comparison in conjuncts(part)]


@dataclass(frozen=True)
class Index:
    """An index of ``mirror_rows`` by list and one typed column. It has the rows for which *holds* is true."""

    name: str
    holds: str


INDEXES: dict[Column, Index] = {
    "category": Index("mirror_rows_by_category", "deleted = 0 AND category IS NOT NULL"),
    "stage": Index("mirror_rows_by_stage", "deleted = 0 AND stage IS NOT NULL"),
    "person": Index("mirror_rows_by_person", "deleted = 0 AND person IS NOT NULL"),
    "contact": Index("mirror_rows_by_contact", "deleted = 0 AND contact IS NOT NULL"),
    "company": Index("mirror_rows_by_company", "deleted = 0 AND company IS NOT NULL"),
    "modified": Index("mirror_rows_by_modified", "deleted = 0 AND changed IS NOT NULL"),  # true of all records
    "portal_row_id": Index("mirror_rows_by_portal_row", "part = 0"),  # true of all records
}


def is_found_by_index(comparison: Comparison) -> bool:
    """Whether an index, or the table of indexed values, finds the rows that match."""
    if comparison.field.column is None:
        return comparison.field.index_id is not None and comparison.operator != "!="
    return comparison.operator != "!=" and bool(comparison.values) and None not in comparison.values


@dataclass(frozen=True)
class Scope:
    """Where conditions are evaluated: a list, whose portal's times are *zone_s* ahead of UTC.

    *collects* tells whether a SELECT of row ids finds so few rows that they are worth collecting before others are
    looked at.
    """

    list_id: int
    zone_s: int
    collects: Callable[[Sql], bool]


@dataclass(frozen=True)
class Compiled:
    """An expression for a WHERE clause in whose scope are the columns of ``mirror_rows``.

    *collected*: only rows that it collects can match.
    """

    text: str
    parameters: tuple[SqlValue, ...] = ()
    collected: bool = False


def compile_condition(condition: Comparison | Group, scope: Scope) -> Compiled:
    """The expression that is true for the rows of *scope* that meet *condition*, and false for all others.

    A comparison that an index finds collects the rows that match, or if they are many, looks at each row.
    """
    if isinstance(condition, Comparison):
        return _compile_comparison(condition, scope)
    if not condition.conditions:
        return Compiled(FALSE if condition.any != condition.negative else "1")
    parts = [compile_condition(part, scope) for part in condition.conditions]
    joined = _join([part.text for part in parts], "OR" if condition.any else "AND")
    text = f"NOT ({joined})" if condition.negative else joined
    collected = (all if condition.any else any)(part.collected for part in parts) and not condition.negative
    return Compiled(text, tuple(value for part in parts for value in part.parameters), collected)


def order_expression(field: QueryField, zone_s: int) -> Sql:
    """The expression by which rows are ordered: empty values come first ascending, last descending.

    *field* must not be multiple.
    """
    return (field.column, ()) if field.column else value_expression(field, zone_s)


def _join(parts: Sequence[str], word: str) -> str:
    """Join as a balanced tree: SQLite refuses expressions deeper than 1,000."""
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    return f"({_join(parts[:middle], word)} {word} {_join(parts[middle:], word)})"


def _compile_comparison(comparison: Comparison, scope: Scope) -> Compiled:
    if is_found_by_index(comparison) and scope.collects(rows := matching_rows(comparison, scope.list_id)):
        return Compiled(f"row_id IN ({rows[0]})", rows[1], collected=True)
    field, operator, values = comparison.field, comparison.operator, comparison.values
    present = tuple(value for value in values if value is not None)
    alternatives = []
    if present:
        alternatives.append(_has_value(field, operator, present, scope.zone_s))
    if len(present) < len(values):
        alternatives.append(_is_empty(field, scope.zone_s))
    text = _join([text for text, _ in alternatives], "OR") if alternatives else FALSE
    parameters = tuple(value for _, part in alternatives for value in part)
    return Compiled(f"NOT ({text})" if operator == "!=" else text, parameters)


def matching_rows(comparison: Comparison, list_id: int) -> Sql:
    """The SELECT of the ids of the rows of a list that match *comparison*, which an index finds."""
    field, operator, values = comparison.field, comparison.operator, comparison.values
    if field.column is not None:
        index = INDEXES[field.column]
        rows = f"mirror_rows INDEXED BY {index.name} WHERE list_id = ? AND {index.holds}"
        present = tuple(value for value in values if value is not None)
        return f"SELECT row_id FROM {rows} AND {field.column} {_test(operator, values)}", (list_id, *present)
    text, parameters = _indexed_values(field, operator, values)
    return f"SELECT row_id FROM mirror_values WHERE {text}", parameters


def _indexed_values(field: QueryField, operator: Operator, values: Sequence[SqlValue | None]) -> Sql:
    """The condition on ``mirror_values`` of an indexed field's values that pass the test, with None for empty ones."""
    assert field.index_id is not None
    not_empty = f" AND value > {EMPTY}" if operator in ("<", "<=") else ""
    present = tuple(value for value in values if value is not None)
    return f"index_id = ? AND value {_test(operator, values)}{not_empty}", (field.index_id, *present)


def _has_value(field: QueryField, operator: Operator, values: tuple[SqlValue, ...], zone_s: int) -> Sql:
    """Whether the field, or any value of a multiple one, passes the test. ``!=`` tests for equality, as ``=`` does."""
    test = _test(operator, values)
    if field.column:
        return f"({field.column} IS NOT NULL AND {field.column} {test})", values
    if field.index_id is not None:
        return _has_indexed(field, operator, values)
    if field.multiple:
        element, zone = element_value(field, zone_s)
        return (
            f"EXISTS (SELECT 1 FROM json_each(CAST(tail AS TEXT), ?) AS node WHERE {element} {test})",
            (field.path, *zone, *values),
        )
    text, parameters = value_expression(field, zone_s)
    return f"ifnull({text} {test}, 0)", (*parameters, *values)


def _is_empty(field: QueryField, zone_s: int) -> Sql:
    if field.column:
        return f"{field.column} IS NULL", ()
    if field.index_id is not None:
        return _has_indexed(field, "=", (None,))
    if field.multiple:
        element, zone = element_value(field, zone_s)
        return (
            f"NOT EXISTS (SELECT 1 FROM json_each(CAST(tail AS TEXT), ?) AS node WHERE {element} IS NOT NULL)",
            (field.path, *zone),
        )
    text, parameters = value_expression(field, zone_s)
    return f"{text} IS NULL", parameters


def _has_indexed(field: QueryField, operator: Operator, values: Sequence[SqlValue | None]) -> Sql:
    text, parameters = _indexed_values(field, operator, values)
    own = "mirror_values.row_id = mirror_rows.row_id"
    return f"EXISTS (SELECT 1 FROM mirror_values WHERE {own} AND {text})", parameters


def _test(operator: Operator, values: Sequence[SqlValue | None]) -> str:
    """What follows the tested value in SQL; EMPTY stands for None."""
    shown = [EMPTY if value is None else "?" for value in values]
    if operator == "in":
        return f"IN ({', '.join(shown)})"
    if operator == "between":
        return f"BETWEEN {shown[0]} AND {shown[1]}"
    return f"= {shown[0]}" if operator == "!=" else f"{operator} {shown[0]}"
