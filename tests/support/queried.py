"""A table of records in memory, to run compiled conditions on."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from sqlite3 import Connection
from typing import cast

import orjson
import pysqlite3

from storage.conditions import Comparison, Group, Scope, compile_condition
from storage.json_values import QueryField, values_statement

SCHEMA_SQL = Path(__file__).parents[2] / "storage" / "schema.sql"
INSERT_ROW = """
INSERT INTO mirror_rows (list_id, part, portal_row_id, block, head, tail, stage, category, person, modified, changed)
VALUES (1, 0, :id, 0, x'7d', :tail, :stage, :category, :person, :modified, 1)
"""
COLUMNS: Mapping[str, object] = {"stage": None, "category": None, "person": None, "modified": None}


class RecordTable:
    """The rows of list 1, of which a portal has the deals. Their portal ids count from 1, their row ids too."""

    def __init__(self) -> None:
        self.connection = cast(Connection, pysqlite3.connect(":memory:"))
        self.connection.executescript(SCHEMA_SQL.read_text(encoding="utf-8"))
        self.connection.execute("INSERT INTO mirror_lists VALUES (1, 1, 1, 'deals', 1, 0, 0)")
        self.connection.execute("INSERT INTO sync_settings (list_id, enabled) VALUES (1, 1)")

    def add(self, row: Mapping[str, object], **columns: object) -> None:
        """Add a record with the JSON *row* and values in typed *columns*."""
        (last,) = self.connection.execute("SELECT count(*) FROM mirror_rows").fetchone()
        tail = orjson.dumps({"id": last + 1, **row})
        self.connection.execute(INSERT_ROW, {"id": last + 1, "tail": tail, **COLUMNS, **columns})

    def index(self, field: QueryField, zone_s: int) -> None:
        """Fill the index of *field*."""
        text, values = values_statement(field, zone_s, "row_id BETWEEN ? AND ?", (1, 1_000_000))
        self.connection.execute(
            f"INSERT INTO mirror_values SELECT {field.index_id:d}, value, portal_row_id, row_id FROM ({text})", values
        )

    def find(self, condition: Comparison | Group, zone_s: int) -> list[int]:
        """The portal ids of the rows for which *condition* is true; it must be false for all others."""
        collected = self._find(condition, Scope(1, zone_s, lambda _: True))
        assert collected == self._find(condition, Scope(1, zone_s, lambda _: False))
        return collected

    def _find(self, condition: Comparison | Group, scope: Scope) -> list[int]:
        compiled = compile_condition(condition, scope)
        text, values = compiled.text, compiled.parameters
        found = self.connection.execute(f"SELECT portal_row_id, {text} FROM mirror_rows ORDER BY 1", values).fetchall()
        assert {truth for _, truth in found} <= {0, 1}
        where = self.connection.execute(f"SELECT portal_row_id FROM mirror_rows WHERE {text} ORDER BY 1", values)
        ids = [portal_row_id for portal_row_id, truth in found if truth]
        assert [portal_row_id for (portal_row_id,) in where] == ids
        return ids

    def explain(self, statement: str, values: Sequence[object] = ()) -> str:
        """How SQLite runs *statement*."""
        steps = self.connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)
        return "; ".join(detail for *_, detail in steps)


def table_of(rows: Iterable[Mapping[str, object]]) -> RecordTable:
    """A table of *rows*, without values in typed columns."""
    table = RecordTable()
    for row in rows:
        table.add(row)
    return table
