"""The effect of a sync on mirrored rows: added, changed, deleted, returned, refused and failed ones."""

import pytest

from tests.gateway import RESOURCES, Gateway, Sandbox, authorize
from tests.support.portal_rows import FIELDS, PIPELINES, STEPS, USERS, Mirrored, each_list, fill_all

REFUSED_PIPELINES = {
    "crm.category.list of lead (1)",
    "crm.category.list of invoice (5)",
    "crm.category.list of quote (7)",
    "crm.category.list of requisite (8)",
}


@pytest.fixture
async def five(gateway: Gateway, sandbox: Sandbox) -> Gateway:
    """The gateway with rows 1 to 5 in each list, synced a day ago."""
    fill_all(sandbox.portal.data, 5)
    await gateway.connect(sandbox.webhook)
    await gateway.clock.advance(86_400)
    return gateway


@each_list
async def test_a_changed_row_keeps_its_id_and_creation_time(
    five: Gateway, sandbox: Sandbox, mirrored: Mirrored
) -> None:
    before = await five.rows(mirrored.name)
    mirrored.relabel(sandbox.portal.data, 3, "Новое имя 🌷")
    await five.sync(mirrored.name)
    after = await five.rows(mirrored.name)
    assert mirrored.labels(after) == mirrored.labels(before) | {3: "Новое имя 🌷"}
    assert mirrored.identities(after) == mirrored.identities(before)


@each_list
async def test_a_deleted_row_is_not_listed_and_returns_with_its_id(
    five: Gateway, sandbox: Sandbox, mirrored: Mirrored
) -> None:
    before = await five.rows(mirrored.name)
    table = mirrored.table(sandbox.portal.data)
    taken = {row_id: table.pop(row_id) for row_id in (2, 5)}
    await five.sync(mirrored.name)
    listed = (await five.get(f"/bitrix/{mirrored.name}")).json
    assert (listed["count"], mirrored.ids(listed["items"])) == (3, [1, 3, 4])
    table.update(taken)
    mirrored.relabel(sandbox.portal.data, 5, "changed while away")
    await five.sync(mirrored.name)
    after = await five.rows(mirrored.name)
    assert mirrored.ids(after) == [1, 2, 3, 4, 5]
    assert mirrored.identities(after) == mirrored.identities(before)
    assert mirrored.labels(after)[5] == "changed while away"


@each_list
async def test_new_rows_are_listed_last(gateway: Gateway, sandbox: Sandbox, mirrored: Mirrored) -> None:
    mirrored.fill(sandbox.portal.data, 3, first=10)
    await gateway.connect(sandbox.webhook)
    for row_id in (4, 11, 20):
        mirrored.add(sandbox.portal.data, row_id)
    await gateway.sync(mirrored.name)
    assert mirrored.ids(await gateway.rows(mirrored.name)) == [10, 11, 12, 4, 20]


@each_list
async def test_a_repeated_sync_changes_neither_rows_nor_etag(
    five: Gateway, sandbox: Sandbox, mirrored: Mirrored
) -> None:
    before = await five.get(f"/bitrix/{mirrored.name}")
    for row in mirrored.table(sandbox.portal.data).values():
        row["IS_ONLINE"], row["SORT"] = "Y", "77"  # fields that are not mirrored
    (run,) = await five.sync(mirrored.name)
    assert (run["state"], run["rows"]) == ("done", 5)
    after = await five.get(f"/bitrix/{mirrored.name}")
    assert (after.body, after.headers["ETag"]) == (before.body, before.headers["ETag"])


@each_list
@pytest.mark.parametrize("kind", ["502", "truncated", "json500"])
async def test_a_failing_portal_does_not_remove_rows(
    five: Gateway, sandbox: Sandbox, mirrored: Mirrored, kind: str
) -> None:
    before = await five.get(f"/bitrix/{mirrored.name}")
    mirrored.fill(sandbox.portal.data, 2, first=100)
    sandbox.portal.fault(f"{mirrored.method}:{kind}*")
    (run,) = await five.sync(mirrored.name)
    assert run["state"] == "failed"
    assert run["error"]
    assert "Traceback" not in run["error"]
    assert (await five.get(f"/bitrix/{mirrored.name}")).body == before.body
    sandbox.portal.clear_faults()
    (run,) = await five.sync(mirrored.name)
    assert (run["state"], run["error"]) == ("done", None)
    assert mirrored.ids(await five.rows(mirrored.name)) == [100, 101]


@each_list
@pytest.mark.parametrize("kind", ["drop", "cut", "html500", "json500", "qle200"])
async def test_a_temporary_fault_only_delays_the_sync(
    five: Gateway, sandbox: Sandbox, mirrored: Mirrored, kind: str
) -> None:
    mirrored.add(sandbox.portal.data, 9)
    sandbox.portal.fault(f"{mirrored.method}:{kind}*2")
    (run,) = await five.sync(mirrored.name)
    assert (run["state"], run["rows"]) == ("done", 6)
    assert mirrored.ids(await five.rows(mirrored.name)) == [1, 2, 3, 4, 5, 9]


@each_list
async def test_a_refused_list_fails_the_sync_and_keeps_its_rows(
    five: Gateway, sandbox: Sandbox, mirrored: Mirrored
) -> None:
    before = await five.get(f"/bitrix/{mirrored.name}")
    mirrored.fill(sandbox.portal.data, 0)
    methods = {*sandbox.portal.calls} - {"batch", "scope"}
    for method in methods:
        sandbox.portal.fault(f"{method}:error=ACCESS_DENIED*")
    (run,) = await five.sync(mirrored.name)
    assert run["state"] == "failed"
    assert "ACCESS_DENIED" in run["error"]
    assert (await five.get(f"/bitrix/{mirrored.name}")).body == before.body


async def test_entity_types_without_pipelines_are_reported_as_skipped(five: Gateway) -> None:
    (run,) = await five.sync("pipelines")
    assert run["state"] == "done"
    assert {skipped["list"] for skipped in run["skipped"]} == REFUSED_PIPELINES
    assert "ENTITY_TYPE_NOT_SUPPORTED" in run["skipped"][0]["reason"]
    assert PIPELINES.ids(await five.rows("pipelines")) == [1, 2, 3, 4, 5]


async def test_one_refused_list_is_skipped_and_keeps_its_rows(gateway: Gateway, sandbox: Sandbox) -> None:
    data = sandbox.portal.data
    await gateway.connect(sandbox.webhook)
    leads = [row for row in await gateway.rows("fields") if row["entityID"] == "CRM_LEAD"]
    data.userfields["CRM_LEAD"].clear()
    FIELDS.relabel(data, min(data.userfields["CRM_DEAL"]), "changed")
    sandbox.portal.fault("crm.lead.userfield.list:error=ACCESS_DENIED")
    (run,) = await gateway.sync("fields")
    assert (run["state"], [skipped["list"] for skipped in run["skipped"]]) == ("done", ["crm.lead.userfield.list"])
    rows = await gateway.rows("fields")
    assert [row for row in rows if row["entityID"] == "CRM_LEAD"] == leads
    assert "changed" in FIELDS.labels(rows).values()
    (run,) = await gateway.sync("fields")
    assert run["skipped"] == []
    assert "CRM_LEAD" not in {row["entityID"] for row in await gateway.rows("fields")}


async def test_a_failed_list_is_not_reported_as_refused(connected: Gateway, sandbox: Sandbox) -> None:
    before = await connected.get("/bitrix/fields?size=500")
    sandbox.portal.data.userfields["CRM_LEAD"].clear()
    sandbox.portal.fault("crm.lead.userfield.list:json500*")
    (run,) = await connected.sync("fields")
    assert (run["state"], run["skipped"]) == ("failed", [])
    assert (await connected.get("/bitrix/fields?size=500")).body == before.body


@each_list
@pytest.mark.parametrize("lie", [None, "", "abc", "-7", "1.5", [], {}, True], ids=repr)
async def test_a_row_without_a_usable_id_fails_the_sync_by_name(
    five: Gateway, sandbox: Sandbox, mirrored: Mirrored, lie: object
) -> None:
    before = await five.get(f"/bitrix/{mirrored.name}")
    id_key = "id" if mirrored is PIPELINES else "ID"
    mirrored.table(sandbox.portal.data)[3][id_key] = lie
    del mirrored.table(sandbox.portal.data)[5]
    (run,) = await five.sync(mirrored.name)
    assert run["state"] == "failed"
    assert mirrored.method in run["error"]
    assert (await five.get(f"/bitrix/{mirrored.name}")).body == before.body


@each_list
async def test_a_duplicate_id_is_rejected(five: Gateway, sandbox: Sandbox, mirrored: Mirrored) -> None:
    before = await five.get(f"/bitrix/{mirrored.name}")
    id_key = "id" if mirrored is PIPELINES else "ID"
    table = mirrored.table(sandbox.portal.data)
    table[4][id_key] = table[3][id_key]
    (run,) = await five.sync(mirrored.name)
    assert run["state"] == "failed"
    assert (await five.get(f"/bitrix/{mirrored.name}")).body == before.body


@each_list
async def test_a_too_large_id_fails_only_the_sync(five: Gateway, sandbox: Sandbox, mirrored: Mirrored) -> None:
    before = await five.get(f"/bitrix/{mirrored.name}")
    mirrored.add(sandbox.portal.data, 2**40 if mirrored is PIPELINES else 10**30)
    (run,) = await five.sync(mirrored.name)
    if mirrored is PIPELINES:  # more than 32 bits: left out, like all rows that the contract cannot show
        assert (run["state"], run["leftOut"]) == ("done", 1)
    else:
        assert (run["state"], mirrored.method in run["error"]) == ("failed", True)
    assert (await five.get(f"/bitrix/{mirrored.name}")).body == before.body


async def test_the_portal_receives_the_stored_token_and_only_the_needed_calls(
    gateway: Gateway, sandbox: Sandbox
) -> None:
    await authorize(gateway, sandbox)
    await gateway.synced()
    portal = sandbox.portal
    portal.seen.clear()
    for resource in RESOURCES:
        await gateway.sync(resource)
    calls = [(call.method, call.params) for call in portal.seen if call.in_batch]
    assert {portal.oauth.user_of(call.credential or "") for call in portal.seen} == {1}
    methods = [method for method, _ in calls]
    assert methods.count("crm.status.list") == 1
    types = [params["entityTypeId"] for method, params in calls if method == "crm.category.list"]
    assert sorted(map(int, map(str, types))) == [1, 2, 3, 4, 5, 7, 8, 31]
    assert methods.count("crm.deal.userfield.list") == 3  # 64 fields: the first page, the last, the one from offset 50
    for entity in ("lead", "contact", "company", "quote", "requisite", "invoice"):
        assert methods.count(f"crm.{entity}.userfield.list") == 2  # the first page and the last, in one request
    (universal,) = {repr(params["select"]) for method, params in calls if method == "userfieldconfig.list"}
    assert "ru" in universal


@each_list
async def test_a_sync_without_an_account_is_a_404_and_calls_no_portal(
    gateway: Gateway, sandbox: Sandbox, mirrored: Mirrored
) -> None:
    answer = await gateway.patch(f"/bitrix/{mirrored.name}")
    assert (answer.status, answer.json) == (404, "account not found")
    await gateway.connect(sandbox.webhook)
    await gateway.delete("/bitrix/account")
    requests = sandbox.portal.http_requests
    assert (await gateway.patch(f"/bitrix/{mirrored.name}")).status == 404
    await gateway.clock.advance(60)
    assert sandbox.portal.http_requests == requests


@pytest.mark.parametrize("query", ["mode=incremental", "mode=", "mode=FULL", "mode=full&mode=full", "mode"])
async def test_these_lists_are_always_read_in_full(five: Gateway, sandbox: Sandbox, query: str) -> None:
    requests = sandbox.portal.http_requests
    answer = await five.patch(f"/bitrix/users?{query}")
    assert answer.status == 400
    assert answer.json.startswith("mode: ")
    await five.clock.settle()
    assert sandbox.portal.http_requests == requests
    assert (await five.patch("/bitrix/users?mode=full")).status == 200


def test_there_are_exactly_four_lists() -> None:
    assert {USERS.name, STEPS.name, PIPELINES.name, FIELDS.name} == {*RESOURCES}
