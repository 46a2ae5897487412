"""Conditions on mirrored records, and the SQL that evaluates them.

A field is read from the fastest place that has it: a typed column of the row, the table of indexed values, or the row's
JSON. All three hold the same normalised values (`storage.json_values`), so all three find the same rows.

Every expression is true or false, never NULL: `!=` and negative groups are exact opposites.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from storage.json_values import EMPTY, QueryField, Sql, SqlValue, element_value, value_expression

Operator = Literal["=", "!=", ">", ">=", "<", "<=", "in", "between"]


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


def fields_of(condition: Comparison | Group | None) -> list[QueryField]:
    """The fields of a condition, in its order."""
    if condition is None:
        return []
    if isinstance(condition, Comparison):
        return [condition.field]
    return [field for part in condition.conditions for field in fields_of(part)]


IsUnselective = Callable[[Sql], bool]
"""Whether a condition on the table of indexed values holds for so many rows that they are not worth collecting."""


def compile_condition(condition: Comparison | Group, zone_s: int, is_unselective: IsUnselective) -> Sql:
    """The expression for a WHERE clause in whose scope are the columns of ``mirror_rows``.

    *zone_s* is how far the portal's times are ahead of UTC. A comparison of a typed column can use an index. That of an
    indexed field collects all rows that match, or if *is_unselective* says so, looks at the values of each row.
    """
    if isinstance(condition, Comparison):
        return _compile_comparison(condition, zone_s, is_unselective)
    if not condition.conditions:
        return ("0" if condition.any != condition.negative else "1"), ()
    parts = [compile_condition(part, zone_s, is_unselective) for part in condition.conditions]
    text = _join([text for text, _ in parts], "OR" if condition.any else "AND")
    return (f"NOT ({text})" if condition.negative else text), tuple(value for _, values in parts for value in values)


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


def _compile_comparison(comparison: Comparison, zone_s: int, is_unselective: IsUnselective) -> Sql:
    field, operator, values = comparison.field, comparison.operator, comparison.values
    present = tuple(value for value in values if value is not None)
    alternatives = []
    if present:
        alternatives.append(_has_value(field, operator, present, zone_s, is_unselective))
    if len(present) < len(values):
        alternatives.append(_is_empty(field, zone_s, is_unselective))
    text = _join([text for text, _ in alternatives], "OR") if alternatives else "0"
    return (f"NOT ({text})" if operator == "!=" else text), tuple(value for _, part in alternatives for value in part)


def _has_value(
    field: QueryField,
    operator: Operator,
    values: tuple[SqlValue, ...],
    zone_s: int,
    is_unselective: IsUnselective,
) -> Sql:
    """Whether the field, or any value of a multiple one, passes the test. ``!=`` tests for equality, as ``=`` does."""
    test = _test(operator, len(values))
    if field.column:
        return f"({field.column} IS NOT NULL AND {field.column} {test})", values
    if field.index_id is not None:
        not_empty = f" AND value > {EMPTY}" if operator in ("<", "<=") else ""
        return _indexed((f"index_id = ? AND value {test}{not_empty}", (field.index_id, *values)), is_unselective)
    if field.multiple:
        element, zone = element_value(field, zone_s)
        return (
            f"EXISTS (SELECT 1 FROM json_each(CAST(tail AS TEXT), ?) AS node WHERE {element} {test})",
            (field.path, *zone, *values),
        )
    text, parameters = value_expression(field, zone_s)
    return f"ifnull({text} {test}, 0)", (*parameters, *values)


def _is_empty(field: QueryField, zone_s: int, is_unselective: IsUnselective) -> Sql:
    if field.column:
        return f"{field.column} IS NULL", ()
    if field.index_id is not None:
        return _indexed((f"index_id = ? AND value = {EMPTY}", (field.index_id,)), is_unselective)
    if field.multiple:
        element, zone = element_value(field, zone_s)
        return (
            f"NOT EXISTS (SELECT 1 FROM json_each(CAST(tail AS TEXT), ?) AS node WHERE {element} IS NOT NULL)",
            (field.path, *zone),
        )
    text, parameters = value_expression(field, zone_s)
    return f"{text} IS NULL", parameters


def _indexed(found: Sql, is_unselective: IsUnselective) -> Sql:
    """Whether the row has an indexed value for which the condition *found* holds."""
    text, parameters = found
    if is_unselective(found):
        own = "mirror_values.row_id = mirror_rows.row_id"
        return f"EXISTS (SELECT 1 FROM mirror_values WHERE {own} AND {text})", parameters
    return f"row_id IN (SELECT row_id FROM mirror_values WHERE {text})", parameters


def _test(operator: Operator, values: int) -> str:
    """What follows the tested value in SQL."""
    if operator == "in":
        return f"IN ({', '.join('?' * values)})"
    if operator == "between":
        return "BETWEEN ? AND ?"
    return "= ?" if operator == "!=" else f"{operator} ?"
