"""Generated rows: tasks and the event log."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from gateway.sandbox.content.portal_data import PortalData
from gateway.sandbox.rest3.eventlog import ENTRY
from gateway.sandbox.rest3.tasks import TASK


def generate(tasks: int = 40, eventlog: int = 40, seed: int = 1) -> PortalData:
    return PortalData.generate(users=9, holes=0.4, seed=seed, tasks=tasks, eventlog=eventlog)


def test_the_same_seed_generates_the_same_rows() -> None:
    first = generate()
    assert (first.tasks, first.eventlog) == (generate().tasks, generate().eventlog)
    assert list(first.tasks) != list(generate(seed=2).tasks)


def test_rows_have_the_fields_of_rest3_with_their_types() -> None:
    data = generate(tasks=200, eventlog=200)
    for table, dto in ((data.tasks, TASK), (data.eventlog, ENTRY)):
        for row in table.values():
            assert set(row) == {name for name, field in dto.fields.items() if not field.shows}
            for name, value in row.items():
                dto.fields[name].checked(value)


def test_users_in_rows_exist_on_the_portal() -> None:
    data = generate(tasks=200, eventlog=200)
    people = set(data.users)
    assert {row["responsibleId"] for row in data.tasks.values()} <= people
    assert {row["creatorId"] for row in data.tasks.values()} <= people
    assert {row["userId"] for row in data.eventlog.values()} - {None} <= people


@pytest.mark.parametrize("entries", [1, 40, 5000])
def test_the_event_log_covers_the_last_six_months(entries: int) -> None:
    now = datetime(2026, 11, 27, 10, 0, tzinfo=UTC)
    data = PortalData.generate(users=9, holes=0.4, seed=1, eventlog=entries, now=now.timestamp())
    times = [datetime.fromisoformat(row["timestampX"]) for row in data.eventlog.values()]
    assert now - timedelta(days=182) <= times[0]
    assert times[-1] <= now
    assert times == sorted(times)
    if entries > 1:
        assert times[-1] - times[0] > timedelta(days=150)
    data.eventlog[data.eventlog.next_id] = data.eventlog.blank(data.eventlog.next_id)
    assert [datetime.fromisoformat(row["timestampX"]) for row in data.eventlog.values()] == [*times, now]


def test_later_rows_have_later_times() -> None:
    data = generate()
    assert all(earlier["created"] < later["created"] for earlier, later in pairwise(data.tasks.values()))
    assert all(earlier["timestampX"] < later["timestampX"] for earlier, later in pairwise(data.eventlog.values()))
