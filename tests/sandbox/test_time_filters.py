"""Filters on times that rise with the id: the rows of a plain scan, without reading all rows."""

import time
from collections.abc import Callable
from datetime import datetime
from math import inf
from operator import ge, gt, le, lt
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.sandbox.content.catalog import DEAL, PURCHASE
from gateway.sandbox.content.portal_data import PortalData
from gateway.sandbox.content.records import iso_time
from gateway.sandbox.query.filters import Kind, Schema, read_filter
from gateway.sandbox.query.listing import Window, find
from gateway.sandbox.tables.generated import GeneratedTable
from gateway.sandbox.tables.ids import ChainedIds
from gateway.sandbox.tables.table import WHOLE_ROW, Row
from gateway.sandbox.tables.time_bands import TimeBand

START, STEP, SPREAD = 1_000_000, 30, 600
SCHEMA = Schema(
    {"ID": Kind.NUMBER, "MADE": Kind.DATE, "CHANGED": Kind.DATE, "OTHER": Kind.DATE, "COLOUR": Kind.TEXT}, key="ID"
)
COMPARE: dict[str, Callable[[Any, Any], bool]] = {">": gt, ">=": ge, "<": lt, "<=": le}
DEALS = Schema({"ID": Kind.NUMBER, "DATE_MODIFY": Kind.DATE}, key="ID")
NOW = "2027-01-15T11:00:00+03:00"


def make_table(count: int) -> GeneratedTable:
    return GeneratedTable(
        count,
        0.4,
        "1",
        lambda rng: {"ID": "", "MADE": "", "CHANGED": "", "OTHER": "", "COLOUR": rng.choice("rgb")},
        {
            "ID": str,
            "MADE": lambda row_id: iso_time(START + STEP * row_id),
            "CHANGED": lambda row_id: iso_time(START + STEP * row_id + row_id * 7 % (SPREAD + 1)),
        },
        {"MADE": TimeBand(START, STEP, 0), "CHANGED": TimeBand(START, STEP, SPREAD)},
    )


def plain_scan(table: GeneratedTable, conditions: dict[str, Any]) -> list[int]:
    """The ids of the rows that pass every condition, each tested by itself."""

    def passes(row: Row, entry: str, bound: Any) -> bool:
        operator = entry.rstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
        value = row[entry.removeprefix(operator)]
        if operator == "":
            return bool(value == bound)
        if entry.endswith("ID"):
            return COMPARE[operator](int(value), bound)
        if not value or bound in ("", "never"):
            return False
        return COMPARE[operator](datetime.fromisoformat(value), datetime.fromisoformat(bound))

    return [row_id for row_id, row in table.items() if all(passes(row, *entry) for entry in conditions.items())]


ids = st.integers(1, 450)
times = st.integers(START - 100, START + STEP * 450 + SPREAD + 100).map(iso_time)
on_the_edge = ids.flatmap(lambda row_id: st.sampled_from([0, 1, -1, SPREAD]).map(lambda s: START + STEP * row_id + s))
bounds = times | on_the_edge.map(iso_time) | st.sampled_from(["", "never"])
changes = st.lists(
    st.tuples(st.just("edit"), ids, st.sampled_from(["MADE", "CHANGED", "OTHER"]), times | st.just(""))
    | st.tuples(st.just("remove"), ids, st.just(""), st.just("")),
    max_size=30,
)
conditions = st.fixed_dictionaries(
    {},
    optional={
        **{operator + column: bounds for operator in COMPARE for column in ("MADE", "CHANGED")},
        ">OTHER": bounds,
        ">ID": ids,
        "<=ID": ids,
        "COLOUR": st.sampled_from("rgb"),
    },
)


@given(st.integers(0, 250), changes, conditions, st.integers(0, 200), st.booleans())
@example(250, [("edit", 100, "CHANGED", iso_time(START))], {">=CHANGED": iso_time(START + 2000)}, 0, False)
@example(250, [("edit", 1, "CHANGED", iso_time(START + 99_999))], {">CHANGED": iso_time(START + 50_000)}, 0, False)
def test_a_filter_finds_the_rows_of_a_plain_scan(
    count: int, changes: list[tuple[str, int, str, str]], conditions: dict[str, Any], offset: int, down: bool
) -> None:
    table = make_table(count)
    for kind, row_id, column, value in changes:
        if kind == "remove":
            table.pop(row_id, None)
        else:
            table[row_id] = {**(table[row_id] if row_id in table else table.blank(row_id)), column: value}
    expected = plain_scan(table, conditions)
    found = read_filter(conditions, SCHEMA)
    assert list(found.ids(table)) == expected
    assert list(found.ids(table, limit=20))[:20] == expected[:20]
    page = find(table, found, [("ID", down)], SCHEMA, Window(offset, page_rows=7), WHOLE_ROW)
    wanted = (expected[::-1] if down else expected)[offset : offset + 7]
    assert ([row["ID"] for row in page.rows], page.total) == ([str(row_id) for row_id in wanted], len(expected))


@given(parts=st.lists(st.lists(st.integers(), max_size=5), max_size=6), data=st.data())
def test_chained_ids_behave_like_one_list(parts: list[list[int]], data: st.DataObject) -> None:
    whole = [row_id for part in parts for row_id in part]
    chained = ChainedIds(parts)
    assert (len(chained), list(chained)) == (len(whole), whole)
    place = data.draw(st.slices(max(len(whole), 1)))
    assert chained[place] == whole[place]
    for index in range(-len(whole), len(whole)):
        assert chained[index] == whole[index]
    with pytest.raises(IndexError):
        chained[len(whole)]


@given(earliest=st.integers(-50, 900) | st.just(-inf), latest=st.integers(-50, 900) | st.just(inf))
def test_a_band_says_which_ids_may_and_which_must_have_a_time(earliest: float, latest: float) -> None:
    band = TimeBand(0, 10, 55)
    (above, below), (surely_above, surely_below) = band.possible(earliest, latest), band.certain(earliest, latest)
    for row_id in range(1, 100):
        inside = [earliest <= 10 * row_id + extra <= latest for extra in range(56)]
        assert (above < row_id < below) or not any(inside)
        assert not (surely_above < row_id < surely_below) or all(inside)


class Reads:
    """A table of a million deals, edited here and there, that counts the rows whose columns a filter reads."""

    def __init__(self) -> None:
        data = PortalData.generate(users=5, holes=0.35, seed=1, records={"deals": 1_000_000})
        self.table = data.records[DEAL]
        for place in range(0, 900_000, 1_000):
            data.write("deals", self.table.at(place), {"TITLE": "Changed"}, 1_800_000_000)
            del self.table[self.table.at(place + 500)]
            data.write("deals", self.table.next_id, {"TITLE": "Added"}, 1_800_000_000)
        self.count = 0
        read_columns = self.table.read_columns

        def counted(row_id: int, columns: frozenset[str]) -> Any:
            self.count += 1
            return read_columns(row_id, columns)

        self.table.read_columns = counted  # type: ignore[method-assign]

    def total(self, conditions: dict[str, Any], window: Window, *, down: bool = False) -> tuple[int, int, int]:
        """The total, the rows of the page, and the number of rows read for them."""
        self.count = 0
        page = find(self.table, read_filter(conditions, DEALS), [("ID", down)], DEALS, window)
        return page.total, len(page.rows), self.count


@pytest.fixture(scope="module")
def million() -> Reads:
    return Reads()


def test_a_filter_on_a_recent_time_reads_only_changed_rows(million: Reads) -> None:
    assert million.total({">=DATE_MODIFY": NOW}, Window()) == (1_800, 50, 1_800)
    assert million.total({">=DATE_MODIFY": NOW}, Window(counted=False)) == (0, 50, 50)
    assert million.total({">=DATE_MODIFY": NOW, ">ID": 1_000_000}, Window(counted=False))[1:] == (50, 50)
    assert million.total({">DATE_MODIFY": NOW}, Window()) == (0, 0, 1_800)


@pytest.mark.parametrize("entry", [">=DATE_MODIFY", ">DATE_MODIFY", "<DATE_MODIFY", "<=DATE_MODIFY"])
def test_a_count_by_any_time_reads_a_small_part_of_the_rows(million: Reads, entry: str) -> None:
    middle = million.table.blank(million.table.at(500_000))["DATE_MODIFY"]
    for down in (False, True):
        total, rows, read = million.total({entry: middle}, Window(), down=down)
        assert (450_000 < total < 550_000, rows) == (True, 50)
        assert read < 60_000


def test_ranges_of_ids_and_lists_of_ids_read_no_rows_to_filter(million: Reads) -> None:
    table = million.table
    started = time.process_time()
    for place in range(0, 1_000_000, 20_000):
        first, last = table.at(place), table.at(place + 19_999)
        assert million.total({">=ID": first, "<=ID": last}, Window()) == (20_000, 50, 0)
        assert million.total({"@ID": table.ids_at(place, place + 50)}, Window()) == (50, 50, 0)
    assert million.total({}, Window(), down=True) == (1_000_000, 50, 0)
    assert time.process_time() - started < 3


def test_the_items_of_a_smart_process_have_bands_too() -> None:
    data = PortalData.generate(users=5, holes=0.1, seed=1, records={"items/128": 400_000})
    schema = Schema({"id": Kind.NUMBER, "updatedTime": Kind.DATE}, key="id", stored={"updatedTime": "UPDATED_TIME"})
    data.write("items/128", 7, {"TITLE": "Changed"}, 1_800_000_000)
    started = time.process_time()
    assert list(read_filter({">=UPDATED_TIME": NOW}, schema).ids(data.records[PURCHASE])) == [7]
    assert time.process_time() - started < 1
