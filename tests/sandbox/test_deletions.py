"""Records that a script deletes vanish at once from every way of reading them."""

from itertools import pairwise

import pytest

from gateway.sandbox.content.changes import Change
from gateway.sandbox.portal import SandboxPortal
from tests.sandbox.client import RestClient, php_query, row_ids

# Table, prefix of the classic methods (None: only crm.item has them), entityTypeId.
RECORDS = [
    ("leads", "crm.lead", 1),
    ("deals", "crm.deal", 2),
    ("companies", "crm.company", 4),
    ("quotes", "crm.quote", 7),
    ("invoices", None, 31),
    ("items/128", None, 128),
]


@pytest.mark.parametrize(("table", "classic", "type_id"), RECORDS)
async def test_deleted_records_are_in_no_answer(
    webhook: RestClient, anonymous: RestClient, portal: SandboxPortal, table: str, classic: str | None, type_id: int
) -> None:
    before = list(portal.data.tables[table])
    gone, added = [before[0], before[7], before[8], before[-1]], 9_000
    await anonymous.call("/_sandbox/rows", table=table, set={str(added): {}})
    await anonymous.call("/_sandbox/rows", table=table, remove=[*gone, added])
    left = [row_id for row_id in before if row_id not in gone]
    low, high = before[3], before[20]
    readers = [("crm.item", "id")] if classic is None else [("crm.item", "id"), (classic, "ID")]
    for prefix, key in readers:
        cases = {
            (): left,
            ((f">{key}", low), (f"<={key}", high)): [row_id for row_id in left if low < row_id <= high],
            ((f"@{key}", (*gone, added, *before[5:12])),): [i for i in left if i in before[5:12]],
        }
        for conditions, expected in cases.items():
            params = {"entityTypeId": type_id, "filter": dict(conditions)}
            for down in (False, True):
                order = {key: "DESC" if down else "ASC"}
                counted = await webhook.call(f"{prefix}.list", **params, order=order, start=0)
                shown = (expected[::-1] if down else expected)[:50]
                rows = counted.result["items"] if prefix == "crm.item" else counted.result
                assert (row_ids(rows), counted.body["total"]) == (shown, len(expected))
                uncounted = await webhook.call(f"{prefix}.list", **params, order=order, start=-1)
                rows = uncounted.result["items"] if prefix == "crm.item" else uncounted.result
                assert row_ids(rows) == shown
        missing = await webhook.call(f"{prefix}.get", entityTypeId=type_id, id=gone[1])
        assert missing.status == 400


async def test_a_batch_of_counts_finds_the_ranges_with_deletions(webhook: RestClient, portal: SandboxPortal) -> None:
    ids = list(portal.data.tables["deals"])
    edges = [0, *ids[9::10]]
    commands = {
        f"r{n}": "crm.deal.list?" + php_query({"filter": {">ID": str(after), "<=ID": str(upto)}, "select": ["ID"]})
        for n, (after, upto) in enumerate(pairwise(edges))
    }
    assert set((await webhook.batch(**commands))["result_total"].values()) == {10}
    gone = (ids[4], ids[9], ids[205])
    portal.change(Change("deals", {}, gone))
    totals = (await webhook.batch(**commands))["result_total"]
    assert {label: total for label, total in totals.items() if total != 10} == {"r0": 8, "r20": 9}


async def test_a_deleted_record_that_was_edited_leaves_the_filters_on_time(
    webhook: RestClient, portal: SandboxPortal
) -> None:
    first, second, *_ = portal.data.tables["deals"]
    portal.change(Change("deals", {first: {"TITLE": "x"}, second: {"TITLE": "x"}}))
    portal.change(Change("deals", {}, (first,)))
    answer = await webhook.call("crm.deal.list", filter={">=DATE_MODIFY": "2027-01-01T00:00:00+03:00"})
    assert (row_ids(answer.result), answer.body["total"]) == ([second], 1)


async def test_a_deletion_after_a_page_is_seen_by_the_next_page(webhook: RestClient, portal: SandboxPortal) -> None:
    ids = list(portal.data.tables["deals"])
    portal.change_after("crm.deal.list", 1, Change("deals", {}, (ids[50], ids[51])))
    first = (await webhook.call("crm.deal.list", order={"ID": "ASC"}, start=-1)).result
    following = {"filter": {">ID": first[-1]["ID"]}, "order": {"ID": "ASC"}, "start": -1}
    assert row_ids(first) == ids[:50]
    assert row_ids((await webhook.call("crm.deal.list", **following)).result) == ids[52:102]
