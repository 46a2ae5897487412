"""Generated tables: the same behaviour as stored tables, at a constant cost."""

import time
import tracemalloc
from math import inf
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sandbox.query.filters import Kind, Schema, read_filter
from gateway.sandbox.query.listing import Window, find
from gateway.sandbox.tables.generated import GeneratedTable
from gateway.sandbox.tables.ids import IdRuns, runs_with_holes
from gateway.sandbox.tables.table import WHOLE_ROW, Table, TableGroup

SCHEMA = Schema({"ID": Kind.NUMBER, "COLOUR": Kind.TEXT}, key="ID")


def make_table(count: int, holes: float = 0.4, seed: str = "1") -> GeneratedTable:
    return GeneratedTable(count, holes, seed, lambda rng: {"ID": "", "COLOUR": rng.choice("rgb")}, {"ID": str})


@given(count=st.integers(0, 400), holes=st.floats(0, 0.7), seed=st.integers())
def test_runs_behave_like_a_list_of_ids(count: int, holes: float, seed: int) -> None:
    ids = [row_id for run in runs_with_holes(count, holes, Random(seed)) for row_id in run]
    runs = IdRuns(count, holes, Random(seed))
    assert len(runs) == count
    assert [runs.at(rank) for rank in range(count)] == ids
    top = ids[-1] if ids else 0
    for row_id in (0, 1, *ids[::17], *(row_id + 1 for row_id in ids[::13]), top, top + 1, top + 99):
        assert runs.rank(row_id) == sum(1 for other in ids if other < row_id)
        assert (row_id in runs) is (row_id in ids)
        assert list(runs.between(row_id, row_id + 90)) == [other for other in ids if row_id <= other <= row_id + 90]


@given(
    count=st.integers(0, 300),
    changes=st.lists(st.tuples(st.booleans(), st.integers(1, 600))),
    above=st.floats(-10, 700) | st.just(-inf),
    below=st.floats(-10, 700) | st.just(inf),
    data=st.data(),
)
def test_a_changed_table_behaves_like_a_stored_one(
    count: int, changes: list[tuple[bool, int]], above: float, below: float, data: st.DataObject
) -> None:
    table = make_table(count)
    plain = Table(dict(table.items()))
    max_id = max([*table, *(row_id for is_added, row_id in changes if is_added)], default=0)
    for is_added, row_id in changes:
        for changed in (table, plain):
            if is_added:
                changed[row_id] = {"ID": str(row_id), "COLOUR": "new"}
            else:
                changed.pop(row_id, None)
    assert (len(table), list(table)) == (len(plain), sorted(plain))
    assert dict(table.items()) == plain.data
    assert table.next_id == plain.next_id == max_id + 1
    found, expected = table.ids_between(above, below), plain.ids_between(above, below)
    assert (len(found), list(found)) == (len(expected), list(expected))
    place = data.draw(st.slices(max(len(expected), 1)))
    assert found[place] == expected[place]
    assert table.project(expected, WHOLE_ROW) == plain.project(expected, WHOLE_ROW)


@given(
    conditions=st.dictionaries(
        st.sampled_from([">ID", ">=ID", "<ID", "<=ID", "@ID", "ID", "!ID", "COLOUR", "!@COLOUR", "%COLOUR"]),
        st.integers(0, 500) | st.lists(st.integers(0, 500), max_size=9) | st.sampled_from(["", "r", "red", "77.5"]),
    ),
    order=st.lists(st.tuples(st.sampled_from(["ID", "COLOUR"]), st.booleans()), max_size=2, unique_by=lambda o: o[0]),
    offset=st.integers(0, 400),
    counted=st.booleans(),
)
def test_a_page_equals_the_page_of_a_stored_table(
    conditions: dict[str, object], order: list[tuple[str, bool]], offset: int, counted: bool
) -> None:
    table = make_table(300)
    for row_id in (3, 5, 240):
        table[row_id] = {"ID": str(row_id), "COLOUR": "red"}
    plain = Table(dict(table.items()))
    window = Window(offset, counted=True) if counted else Window(counted=False)
    ours, reference = (
        find(source, read_filter(conditions, SCHEMA), order, SCHEMA, window) for source in (table, plain)
    )
    assert ours == reference


def test_an_edited_row_is_stored_and_a_read_row_is_a_copy() -> None:
    table = make_table(100)
    first = next(iter(table))
    table[first] = {**table[first], "COLOUR": "blue"}
    table[first]["COLOUR"] = "lost"
    assert table[first]["COLOUR"] == table.read_columns(first, frozenset({"COLOUR"}))["COLOUR"] == "blue"
    with pytest.raises(KeyError):
        del table[10**6]
    with pytest.raises(KeyError):
        table[10**6]


def test_a_million_rows_are_fast_to_create_and_use_little_memory() -> None:
    tracemalloc.start()
    started = time.process_time()
    table = make_table(1_000_000, holes=0.35)
    find(table, read_filter({">ID": 700_000}, SCHEMA), [("ID", False)], SCHEMA, Window(counted=False))
    seconds, (held_bytes, _) = time.process_time() - started, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(table) == 1_000_000
    assert seconds < 2
    assert held_bytes < 5 * 2**20


@pytest.mark.parametrize("holes", [0, 0.35, 0.7])
def test_a_page_by_id_takes_as_long_in_a_large_table(holes: float) -> None:
    def seconds(table: GeneratedTable) -> float:
        started = time.process_time()
        for _ in range(40):
            end = table.at(len(table) // 2) + 75
            for conditions in ({">ID": end - 75, "<=ID": end}, {"@ID": list(range(end - 50, end))}, {}):
                find(table, read_filter(conditions, SCHEMA), [("ID", not conditions)], SCHEMA, Window())
        return time.process_time() - started

    small, large = make_table(1_000, holes), make_table(1_000_000, holes)
    assert find(large, read_filter({}, SCHEMA), [], SCHEMA, Window()).total == 1_000_000
    for table in (small, large):
        del table[table.at(500)]
    seconds(small)
    assert seconds(large) < 5 * seconds(small) + 0.05


def test_an_edited_row_is_found_by_its_new_values() -> None:
    table = make_table(300)
    reds = [row_id for row_id, row in table.items() if row["COLOUR"] == "r"]
    table[reds[0]] = {**table[reds[0]], "COLOUR": "grey"}
    conditions = read_filter({"COLOUR": ["r", "grey"], "!COLOUR": "r"}, SCHEMA)
    assert list(conditions.ids(table)) == reds[:1]
    assert list(read_filter({"COLOUR": "r"}, SCHEMA).ids(table)) == reds[1:]


def test_a_new_column_has_its_value_in_every_row_until_it_is_dropped() -> None:
    table = make_table(300)
    table[1] = {"ID": "1", "COLOUR": "new"}
    before = table.project([1, 2], WHOLE_ROW)
    table.set_column("SIZE", None)
    assert table.project([1, 2], WHOLE_ROW) == [{**row, "SIZE": None} for row in before]
    assert "SIZE" in table.columns
    table.drop_column("SIZE")
    assert table.project([1, 2], WHOLE_ROW) == before


def test_tables_of_a_group_never_use_an_id_twice() -> None:
    group = TableGroup({"a": Table({3: {}}), "b": Table({7: {}})})
    del group["b"]
    assert group.next_id == 8
    group["a"][9] = {}
    del group["a"][9]
    assert group.next_id == 10
