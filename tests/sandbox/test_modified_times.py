"""A change of a CRM record sets its time of modification, and lists filter by that time without reading all rows."""

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.sandbox.content.changes import Change
from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.query.filters import read_filter
from gateway.sandbox.query.listing import Window, find
from gateway.sandbox.rest2.methods.records import _schema
from gateway.sandbox.settings import SandboxSettings
from tests.clock import ManualClock

ZONE = timezone(timedelta(hours=3))
FIRST_CREATED = 1_547_456_400


def portal_with(clock: ManualClock, **settings: Any) -> SandboxPortal:
    return SandboxPortal(SandboxSettings(**settings), clock)


def stamp(unix_s: float) -> str:
    return datetime.fromtimestamp(int(unix_s), ZONE).isoformat()


@pytest.mark.parametrize(
    ("table", "modified", "created"),
    [
        *((name, "DATE_MODIFY", "DATE_CREATE") for name in ("leads", "deals", "contacts", "companies", "quotes")),
        *((name, "UPDATED_TIME", "CREATED_TIME") for name in ("invoices", "items/128")),
    ],
)
def test_an_edit_sets_the_time_of_modification(table: str, modified: str, created: str) -> None:
    clock = ManualClock()
    portal = portal_with(clock)
    rows = portal.data.tables[table]
    row_id, *_ = rows
    before = rows[row_id]
    portal.change(Change(table, {row_id: {"OPENED": "other"}}))
    assert rows[row_id][modified] == stamp(clock.now())
    assert rows[row_id][created] == before[created]
    new_id = max(rows) + 1
    portal.change(Change(table, {new_id: {}}))
    assert rows[new_id][modified] == rows[new_id][created] == stamp(clock.now())


def test_an_edit_that_changes_nothing_is_not_saved() -> None:
    portal = portal_with(ManualClock())
    rows = portal.data.tables["deals"]
    row_id, *_ = rows
    before = rows[row_id]
    portal.change(Change("deals", {row_id: {"TITLE": before["TITLE"]}}))
    assert rows[row_id] == before


def test_an_edit_may_set_the_time_itself() -> None:
    portal = portal_with(ManualClock())
    rows = portal.data.tables["deals"]
    row_id, *_ = rows
    portal.change(Change("deals", {row_id: {"TITLE": "x", "DATE_MODIFY": stamp(5)}}))
    assert rows[row_id]["DATE_MODIFY"] == stamp(5)


TIMES = st.integers(FIRST_CREATED - 100_000, FIRST_CREATED + 3_000_000)
CHANGES = st.lists(
    st.tuples(st.integers(1, 400), st.one_of(st.none(), TIMES)), max_size=12
)  # an id, and its new time; None removes the row


@settings(max_examples=100, deadline=None)
@given(
    changes=CHANGES,
    bounds=st.lists(st.tuples(st.sampled_from((">=", ">", "<=", "<")), TIMES), min_size=1, max_size=2),
    above=st.integers(0, 300),
    descending=st.booleans(),
)
def test_a_filter_by_time_finds_what_a_plain_scan_finds(
    changes: list[tuple[int, int | None]], bounds: list[tuple[str, int]], above: int, descending: bool
) -> None:
    portal = portal_with(ManualClock(), deals=200, holes=0.3)
    table, entity = portal.data.tables["deals"], portal.data.entities[2]
    for row_id, modified in changes:
        columns = {} if modified is None else {row_id: {"TITLE": "x", "DATE_MODIFY": stamp(modified)}}
        portal.change(Change("deals", columns, (row_id,) if modified is None else ()))
    conditions = {f"{operator}DATE_MODIFY": stamp(bound) for operator, bound in bounds} | {">ID": above}
    schema = _schema(entity.fields(portal.data.userfields))
    page = find(table, read_filter(conditions, schema), [("ID", descending)], schema, Window(page_rows=1000))
    compare = {">=": float.__ge__, ">": float.__gt__, "<=": float.__le__, "<": float.__lt__}
    kept = dict(zip((operator for operator, _ in bounds), (bound for _, bound in bounds), strict=True))
    expected = [
        row_id
        for row_id in table
        if row_id > above
        and all(
            compare[operator](datetime.fromisoformat(table[row_id]["DATE_MODIFY"]).timestamp(), float(bound))
            for operator, bound in kept.items()
        )
    ]
    assert [int(row["ID"]) for row in page.rows] == (expected[::-1] if descending else expected)
    assert page.total == len(expected)
