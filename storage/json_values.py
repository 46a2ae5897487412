"""The comparable values of a record's fields, read from its JSON by SQLite.

A value has one normal form whatever the portal's spelling, so that plain comparisons of SQLite are right:

    TEXT     text; a number becomes its digits
    NUMBER   a number; of "1000|RUB" the amount
    TIME     Unix seconds; a text without a zone is in the portal's
    DAY      YYYY-MM-DD, the calendar day as the portal writes it
    FLAG     1 or 0; other letters of a `char` field stay text
    FILE     the file's id as text, or what the portal gives instead

A field is empty, NULL here, if it is missing, null, "", [] or false (a single FLAG's false is 0), or has no such form.

Source: protocol.md 3.2 (b24restdocs api-reference/data-types.md)
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Literal

import orjson

Column = Literal["category", "stage", "person", "contact", "company", "modified", "portal_row_id"]
SqlValue = str | int | float
Sql = tuple[str, tuple[SqlValue, ...]]
"""A text of SQL, and the values of its parameters in order."""

EMPTY = "-1e999"
"""What stands for an empty field in ``mirror_values``: -Infinity, which sorts before every value."""


class Kind(Enum):
    """How the values of a field compare."""

    TEXT = auto()
    NUMBER = auto()
    TIME = auto()
    DAY = auto()
    FLAG = auto()
    FILE = auto()


@dataclass(frozen=True)
class QueryField:
    """A field of a list's records, and where its values are.

    *name* is its key in the row. *multifield*: its elements are objects such as phones, compared by their ``VALUE``.
    *column* is its typed column, *index_id* its index in ``mirror_values``; without either it is read from the JSON.
    """

    name: str
    kind: Kind
    multiple: bool = False
    multifield: bool = False
    column: Column | None = None
    index_id: int | None = None

    @property
    def path(self) -> str:
        """The path to the field for SQLite's JSON functions. Any name is valid."""
        return f"$.{orjson.dumps(self.name).decode()}"


_FILLED = "node.type NOT IN ('null', 'false') AND node.value <> '' AND NOT (node.type = 'array' AND node.value = '[]')"
_DATE = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*"
_VALUES = {
    Kind.TEXT: f"CASE WHEN {_FILLED} THEN CAST(node.value AS TEXT) END",
    Kind.NUMBER: (
        "CASE WHEN node.type <> 'false' AND (node.value GLOB '[0-9]*' OR node.value GLOB '[-+.][0-9]*'"
        f" OR node.value GLOB '[-+].[0-9]*') THEN nullif(CAST(node.value AS NUMERIC), {EMPTY}) END"
    ),
    Kind.TIME: (
        f"CASE WHEN node.value GLOB '{_DATE}' THEN unixepoch(node.value)"
        " - CASE WHEN substr(node.value, 11) GLOB '*[-+Zz]*' THEN 0 ELSE ? END END"
    ),
    Kind.DAY: f"CASE WHEN node.value GLOB '{_DATE}' THEN substr(node.value, 1, 10) END",
    Kind.FLAG: (
        "CASE WHEN node.value IN (1, '1', 'Y') THEN 1 WHEN node.value IN (0, '0', 'N') THEN 0"
        f" WHEN {_FILLED} THEN CAST(node.value AS TEXT) END"
    ),
    Kind.FILE: (
        "CASE WHEN node.type = 'object' THEN CAST(ifnull(node.value ->> '$.id', node.value) AS TEXT)"
        f" WHEN {_FILLED} THEN CAST(node.value AS TEXT) END"
    ),
}
_MULTIFIELD = (
    "CASE WHEN node.type = 'object' THEN nullif(CAST(node.value ->> '$.VALUE' AS TEXT), '')"
    f" WHEN {_FILLED} THEN CAST(node.value AS TEXT) END"
)


def element_value(field: QueryField, zone_s: int) -> Sql:
    """The normalised value of one element of *field*: a row ``node`` of json_each or json_tree. NULL if it is empty."""
    if field.multifield:
        return _MULTIFIELD, ()
    text = _VALUES[field.kind]
    if field.multiple and field.kind is Kind.FLAG:  # portals send false for an empty multiple field
        text = f"CASE WHEN node.type <> 'false' THEN {text} END"
    return text, (zone_s,) if field.kind is Kind.TIME else ()


def value_expression(field: QueryField, zone_s: int) -> Sql:
    """The normalised value of *field*, which must not be multiple, of a row of ``mirror_rows``. NULL if it is empty.

    *zone_s* is how far the portal's times are ahead of UTC.
    """
    text, zone = element_value(field, zone_s)
    # The first row of json_tree is the field itself. The cast: SQLite reads a BLOB as JSONB, and as text only if it is
    # no JSONB. Source: sqlite.org/json1.html
    return f"(SELECT {text} FROM json_tree(CAST(tail AS TEXT), ?) AS node LIMIT 1)", (*zone, field.path)


def values_statement(field: QueryField, zone_s: int, rows: str, parameters: tuple[SqlValue, ...]) -> Sql:
    """The SELECT of value, portal_row_id and row_id that fills ``mirror_values`` for *field*.

    It returns each value of a row once, or EMPTY if the field is empty there. *rows*, with its *parameters*, is the
    condition on ``mirror_rows``.
    """
    if not field.multiple:
        text, values = value_expression(field, zone_s)
        return (
            f"SELECT ifnull({text}, {EMPTY}) AS value, portal_row_id, row_id FROM mirror_rows WHERE {rows}",
            (*values, *parameters),
        )
    text, zone = element_value(field, zone_s)
    return (
        f"SELECT DISTINCT ifnull({text}, {EMPTY}) AS value, portal_row_id, row_id FROM mirror_rows"
        f" LEFT JOIN json_each(CAST(tail AS TEXT), ?) AS node ON {text} IS NOT NULL WHERE {rows}",
        (*zone, field.path, *zone, *parameters),
    )
