"""Rows that are made when they are read: tasks and the event log."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sandbox.data import PortalData
from gateway.sandbox.made import MadeTable
from gateway.sandbox.rest3.eventlog import ENTRY
from gateway.sandbox.rest3.tasks import TASK
from gateway.sandbox.table import Row


def generate(tasks: int = 40, eventlog: int = 40, seed: int = 1) -> PortalData:
    return PortalData.generate(users=9, holes=0.4, seed=seed, tasks=tasks, eventlog=eventlog)


def make(row_id: int) -> Row:
    return {"id": row_id, "title": f"Row {row_id}"}


@given(st.lists(st.tuples(st.sampled_from(["set", "remove"]), st.integers(1, 20))))
def test_a_table_of_made_rows_is_a_dict_of_them(changes: list[tuple[str, int]]) -> None:
    table, model = MadeTable(range(3, 12), make), {row_id: make(row_id) for row_id in range(3, 12)}
    for change, row_id in changes:
        if change == "set":
            table[row_id] = model[row_id] = {"id": row_id, "title": "Changed"}
        else:
            assert table.pop(row_id, None) == model.pop(row_id, None)
    assert list(table.items()) == sorted(model.items())
    assert len(table) == len(model)
    assert list(table.ids_between(4, 9)) == [row_id for row_id in sorted(model) if 4 < row_id < 9]
    assert table.next_id == max([11, *(row_id for change, row_id in changes if change == "set")]) + 1
    assert table.copy() == table


def test_what_is_not_there_is_not_found() -> None:
    table = MadeTable((), make)
    assert table.next_id == 1
    for row_id in (1, 2):
        with pytest.raises(KeyError):
            table[row_id]
        with pytest.raises(KeyError):
            del table[row_id]


def test_a_row_that_is_read_is_a_copy() -> None:
    table = MadeTable((1, 2), make)
    table[2] |= {"title": "Changed"}
    for row_id in (1, 2):
        table[row_id]["title"] = "Lost"
    assert [row["title"] for row in table.values()] == ["Row 1", "Changed"]


def test_the_same_seed_makes_the_same_rows() -> None:
    first = generate()
    assert (first.tasks, first.eventlog) == (generate().tasks, generate().eventlog)
    assert list(first.tasks) != list(generate(seed=2).tasks)


def test_rows_have_the_fields_that_rest3_tells_of_in_their_types() -> None:
    data = generate(tasks=200, eventlog=200)
    for table, dto in ((data.tasks, TASK), (data.eventlog, ENTRY)):
        for row in table.values():
            assert set(row) == set(dto.fields)
            for name, value in row.items():
                dto.fields[name].checked(value)


def test_people_in_rows_are_people_of_the_portal() -> None:
    data = generate(tasks=200, eventlog=200)
    people = set(data.users)
    assert {row["responsibleId"] for row in data.tasks.values()} <= people
    assert {row["creatorId"] for row in data.tasks.values()} <= people
    assert {row["userId"] for row in data.eventlog.values()} - {None} <= people


def test_later_rows_are_younger() -> None:
    data = generate()
    assert all(earlier["created"] < later["created"] for earlier, later in pairwise(data.tasks.values()))
    assert all(earlier["timestampX"] < later["timestampX"] for earlier, later in pairwise(data.eventlog.values()))
