"""The modified time of CRM records: every write of a record sets it, a write without a change does not."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from gateway.sandbox.content.changes import Change
from gateway.sandbox.content.portal_data import PortalData
from gateway.sandbox.content.tasks import ZONE
from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.tables.table import Row
from tests.clock import ManualClock
from tests.sandbox.client import RestClient

CLASSIC = ("leads", "deals", "contacts", "companies", "quotes")
ITEMS = ("invoices", "items/128", "items/1036")
TABLES = [
    *((table, "DATE_CREATE", "DATE_MODIFY") for table in CLASSIC),
    *((table, "CREATED_TIME", "UPDATED_TIME") for table in ITEMS),
]


def portal_time(portal: SandboxPortal) -> str:
    """The portal's current time, as its rows show times."""
    return datetime.fromtimestamp(int(portal.now()), ZONE).isoformat()


def first_row(portal: SandboxPortal, table: str) -> tuple[int, Row]:
    return next(iter(portal.data.tables[table].items()))


@pytest.mark.parametrize(("table", "created", "modified"), TABLES)
def test_an_edited_record_gets_the_current_time_as_modified(
    portal: SandboxPortal, table: str, created: str, modified: str
) -> None:
    row_id, before = first_row(portal, table)
    portal.change(Change(table, {row_id: {"TITLE" if "TITLE" in before else "NAME": "Renamed"}}))
    after = portal.data.tables[table][row_id]
    assert (after[modified], after[created]) == (portal_time(portal), before[created])
    assert after[modified].endswith("+03:00")
    assert {name for name in after if after[name] != before[name]} <= {"TITLE", "NAME", modified}


@pytest.mark.parametrize(("table", "created", "modified"), TABLES)
def test_an_added_record_is_created_and_modified_now(
    portal: SandboxPortal, table: str, created: str, modified: str
) -> None:
    removed_id, _ = first_row(portal, table)
    portal.change(Change(table, {}, (removed_id,)))
    portal.change(Change(table, {row_id: {} for row_id in (9_999_999, removed_id)}))
    for row_id in (9_999_999, removed_id):
        row = portal.data.tables[table][row_id]
        assert row[created] == row[modified] == portal_time(portal)


@pytest.mark.parametrize("columns", [{"DATE_MODIFY": "2020-02-02T02:02:02+03:00"}, {"TITLE": "x", "DATE_MODIFY": None}])
def test_a_change_may_set_the_modified_time_itself(portal: SandboxPortal, columns: Row) -> None:
    row_id, _ = first_row(portal, "deals")
    portal.change(Change("deals", {row_id: columns, 9_999_999: columns}))
    for changed in (row_id, 9_999_999):
        assert portal.data.tables["deals"][changed]["DATE_MODIFY"] == columns["DATE_MODIFY"]
    assert portal.data.tables["deals"][9_999_999]["DATE_CREATE"] == portal_time(portal)


def test_an_edit_without_a_new_value_changes_nothing(portal: SandboxPortal) -> None:
    row_id, before = first_row(portal, "leads")
    same = {name: before[name] for name in ("TITLE", "PHONE", "STATUS_ID")}
    portal.change(Change("leads", {row_id: same}))
    assert portal.data.tables["leads"][row_id] == before
    portal.change(Change("leads", {row_id: {**same, "TITLE": "New"}}))
    assert portal.data.tables["leads"][row_id]["DATE_MODIFY"] != before["DATE_MODIFY"]


async def test_a_pending_change_uses_the_time_at_which_it_applies(
    portal: SandboxPortal, webhook: RestClient, clock: ManualClock
) -> None:
    row_id, _ = first_row(portal, "deals")
    portal.change_after("scope", 1, Change("deals", {row_id: {"TITLE": "Later"}}))
    scripted_at = portal_time(portal)
    await clock.advance(3600)
    await webhook.call("scope")
    modified = portal.data.tables["deals"][row_id]["DATE_MODIFY"]
    assert modified == portal_time(portal)
    assert datetime.fromisoformat(modified) == datetime.fromisoformat(scripted_at) + timedelta(hours=1)


async def test_rows_set_by_the_control_address_are_found_by_their_modified_time(
    portal: SandboxPortal, webhook: RestClient, anonymous: RestClient
) -> None:
    deal_id, _ = first_row(portal, "deals")
    invoice_id, _ = first_row(portal, "invoices")
    now = portal_time(portal)
    await anonymous.call("/_sandbox/rows", table="deals", set={str(deal_id): {"TITLE": "Renamed"}, "9000": {}})
    await anonymous.call("/_sandbox/rows", table="invoices", set={str(invoice_id): {"TITLE": "Renamed"}})
    deals = (await webhook.call("crm.deal.list", filter={">=DATE_MODIFY": now}, start=-1)).result
    assert [row["ID"] for row in deals] == [str(deal_id), "9000"]
    items = await webhook.call("crm.item.list", entityTypeId=31, filter={">=updatedTime": now}, start=-1)
    assert [(item["id"], item["updatedTime"]) for item in items.result["items"]] == [(invoice_id, now)]


@pytest.mark.parametrize(("table", "columns"), [("tasks", {"title": "x"}), ("users", {"NAME": "x"})])
def test_other_tables_get_no_time(portal: SandboxPortal, table: str, columns: dict[str, Any]) -> None:
    row_id, before = first_row(portal, table)
    portal.change(Change(table, {row_id: columns}))
    assert portal.data.tables[table][row_id] == {**before, **columns}


def test_every_write_of_a_record_sets_the_time() -> None:
    data = PortalData.generate(users=3, holes=0, seed=1, records={"companies": 3})
    data.write("companies", 2, {"TITLE": "x"}, now=1_800_000_000.9)
    assert data.tables["companies"][2]["DATE_MODIFY"] == "2027-01-15T11:00:00+03:00"
