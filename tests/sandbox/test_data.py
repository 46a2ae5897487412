"""The data of a sandbox portal: reproducible, with awkward values."""

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sandbox.content.portal_data import PortalData
from gateway.sandbox.tables.ids import runs_with_holes
from gateway.sandbox.tables.table import Table


def test_the_same_seed_generates_the_same_portal() -> None:
    first = PortalData.generate(users=60, holes=0.5, seed=3)
    assert first == PortalData.generate(users=60, holes=0.5, seed=3)
    assert first.users != PortalData.generate(users=60, holes=0.5, seed=4).users


@given(st.integers(1, 3000), st.floats(0, 0.9), st.integers(0, 99))
def test_ids_ascend_from_one(count: int, holes: float, seed: int) -> None:
    ids = [row_id for run in runs_with_holes(count, holes, Random(seed)) for row_id in run]
    assert len(ids) == count
    assert ids[0] == 1
    assert all(earlier < later for earlier, later in pairwise(ids))


@pytest.mark.parametrize("holes", [0.0, 0.3, 0.7])
def test_the_share_of_holes_is_close_to_the_setting(holes: float) -> None:
    ids = [row_id for run in runs_with_holes(50_000, holes, Random(1)) for row_id in run]
    assert 1 - len(ids) / ids[-1] == pytest.approx(holes, abs=0.03)


def test_users_have_empty_missing_and_unicode_fields() -> None:
    users = PortalData.generate(users=300, holes=0.3, seed=1).users.values()
    assert any("EMAIL" not in user for user in users)
    assert any(user.get("EMAIL") == "" for user in users)
    assert any("WORK_PHONE" not in user for user in users)
    assert any(user["NAME"] == "" for user in users)
    assert any("🌷" in user["NAME"] for user in users)
    assert any("Анна" in user["NAME"] for user in users)
    assert {user["ACTIVE"] for user in users} == {True, False}
    assert {user["USER_TYPE"] for user in users} == {"employee", "extranet"}


def test_two_entity_types_share_a_pipeline_id() -> None:
    categories = PortalData.generate(users=1, holes=0, seed=1).categories
    assert 2 in categories[2]
    assert 2 in categories[4]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 30))))
def test_a_table_keeps_its_ids_sorted_after_any_changes(changes: list[tuple[bool, int]]) -> None:
    table = Table()
    for adds, row_id in changes:
        if adds:
            table[row_id] = {"ID": str(row_id)}
        else:
            table.pop(row_id, None)
    assert list(table.ids_between(float("-inf"), float("inf"))) == sorted(table)
    assert list(table.ids_between(5, 9)) == [row_id for row_id in sorted(table) if 5 < row_id < 9]


def test_a_copied_table_is_independent() -> None:
    table = Table({1: {"ID": "1"}})
    other = table.copy()
    other[2] = {"ID": "2"}
    assert list(table.ids_between(0, 9)) == [1]
    assert list(other.ids_between(0, 9)) == [1, 2]
