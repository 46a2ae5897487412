"""`translate=1` shows names in the place of ids, wherever a record is read."""

from collections.abc import Mapping
from typing import Any

import pytest

from gateway.sandbox.content.portal_data import PortalData
from tests.gateway import Gateway, Sandbox
from tests.support.records import ALL_RECORDS, change, enable, page, portal_ids, sync_again
from tests.support.stored import without_table

TYPES = {"leads": 1, "deals": 2, "contacts": 3, "companies": 4, "quotes": 7, "invoices": 31, "items/128": 128}
METHODS = {"leads": "lead", "deals": "deal", "contacts": "contact", "companies": "company", "quotes": "quote"}


async def descriptions(gateway: Gateway, resource: str) -> Mapping[str, Any]:
    """What the portal says about the fields."""
    method = METHODS.get(resource)
    if method is not None:
        classic: Mapping[str, Any] = (await gateway.post(f"/bitrix/call/crm.{method}.fields", json={})).json["result"]
        return classic
    body = {"entityTypeId": TYPES[resource]}
    fields: Mapping[str, Any] = (await gateway.post("/bitrix/call/crm.item.fields", json=body)).json["result"]["fields"]
    return fields


def expected_names(data: PortalData, resource: str, record: Mapping[str, Any], field: Mapping[str, Any]) -> Any:
    """The names by id that a person sees for the values of a field; None if it has no names."""
    type_id = TYPES[resource]
    if field["type"] in ("user", "employee"):
        names = {i: f"{row['NAME']} {row['LAST_NAME']}".strip() for i, row in data.users.items()}
        return {str(user_id): name for user_id, name in names.items() if name}
    if "items" in field:
        return {item["ID"]: item["VALUE"] for item in field["items"]}
    if field["type"] == "crm_category":
        return {str(category_id): row["name"] for category_id, row in data.categories[type_id].items()}
    if field["type"] != "crm_status":
        return None
    directory = field.get("statusType") or field["settings"]["ENTITY_TYPE"]
    rows = [row for row in data.statuses.values() if row["ENTITY_ID"] == directory]
    if "_STAGE" in directory and "QUOTE" not in directory:  # the stage may be one of another pipeline
        common = directory.partition("_STAGE")[0] + "_STAGE"
        own = f"{common}_{record.get('CATEGORY_ID', record.get('categoryId'))}"
        stages = [row for row in data.statuses.values() if f"{row['ENTITY_ID']}_".startswith(f"{common}_")]
        rows = [*stages, *(row for row in stages if row["ENTITY_ID"] == own)]
    return {row["STATUS_ID"]: row["NAME"] for row in rows}


def named(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [named(item, names) for item in value]
    return names.get(str(value), value)


@pytest.mark.parametrize("resource", ALL_RECORDS)
async def test_every_value_with_a_name_is_shown_by_it(connected: Gateway, sandbox: Sandbox, resource: str) -> None:
    fields = await descriptions(connected, resource)
    await enable(connected, resource)
    path = f"/bitrix/{resource}?size=1000"
    plain, translated = [(await page(connected, f"{path}{more}")).json for more in ("&translate=0", "&translate=1")]
    assert plain["count"] == translated["count"] == len(plain["items"])
    changed: set[str] = set()
    for record, shown in zip(plain["items"], translated["items"], strict=True):
        assert list(record) == list(shown)
        for name, value in record.items():
            found = expected_names(sandbox.portal.data, resource, record, fields[name]) if name in fields else None
            assert shown[name] == (value if found is None else named(value, found)), (name, value)
            if shown[name] != value:
                changed.add(fields[name]["type"])
    assert changed >= {"user", "enumeration", "crm_status"}, changed
    assert ("crm_category" in changed) is (resource in ("deals", "invoices", "items/128"))


@pytest.mark.parametrize("resource", ALL_RECORDS)
async def test_one_record_is_translated_from_the_mirror_and_from_the_portal(connected: Gateway, resource: str) -> None:
    await enable(connected, resource)
    listed = (await page(connected, f"/bitrix/{resource}?translate=1&size=3")).json["items"][2]
    path = f"/bitrix/{resource}/{listed['id']}"
    assert (await page(connected, f"{path}?translate=1")).json == listed
    assert (await page(connected, path)).json != listed
    from_portal = (await page(connected, f"{path}?translate=1&source=portal")).json
    assert from_portal | {"syncedAt": listed["syncedAt"]} == listed


async def test_related_records_are_translated_as_they_are_alone(connected: Gateway, sandbox: Sandbox) -> None:
    await enable(connected, "deals", "contacts", "companies")
    table = sandbox.portal.data.tables["deals"]
    deal_id = next(row_id for row_id, row in table.items() if row["CONTACT_ID"] and row["COMPANY_ID"])
    related = "contact.TYPE_ID,contact.ASSIGNED_BY_ID,company.ASSIGNED_BY_ID,responsible.LAST_NAME"
    path = f"/bitrix/deals/{deal_id}?related={related}"
    plain, shown = [(await page(connected, f"{path}&translate={number}")).json for number in (0, 1)]
    for relation, resource in (("contact", "contacts"), ("company", "companies")):
        alone = (await page(connected, f"/bitrix/{resource}/{shown[relation]['id']}?translate=1")).json
        assert shown[relation] == {name: alone[name] for name in shown[relation]} != plain[relation]
    assert shown["responsible"] == plain["responsible"]
    contact_id = shown["contact"]["id"]
    path = f"/bitrix/contacts/{contact_id}?related=deals.STAGE_ID,deals.CATEGORY_ID&translate=1"
    deals = (await page(connected, path)).json["deals"]
    assert deal_id in [deal["id"] for deal in deals]
    for deal in deals:
        alone = (await page(connected, f"/bitrix/deals/{deal['id']}?translate=1")).json
        assert deal == {name: alone[name] for name in deal}


async def test_selected_filtered_and_ordered_pages_are_translated_by_page_and_by_cursor(
    connected: Gateway, sandbox: Sandbox
) -> None:
    await enable(connected, "deals")
    names = {row["STATUS_ID"]: row["NAME"] for row in sandbox.portal.data.statuses.values()}
    table = sandbox.portal.data.tables["deals"]
    wanted = [i for i in table if table[i]["STAGE_ID"] == "C7:NEW"]
    params = {"filter": '[["STAGE_ID","C7:NEW"]]', "order": "-ID", "select": "STAGE_ID,CATEGORY_ID"}
    path = "/bitrix/deals?translate=1&size=2&" + "&".join(f"{name}={value}" for name, value in params.items())
    for start in ("", "&cursor="):
        answer = await page(connected, path + start)
        assert [row["id"] for row in answer.json["items"]] == wanted[::-1][:2]
        for row in answer.json["items"]:
            name = sandbox.portal.data.categories[2][7]["name"]
            assert row == {"id": row["id"], "STAGE_ID": names["C7:NEW"], "CATEGORY_ID": name}
        assert "translate=1" in answer.headers["Link"]
    second = await page(connected, f"{path}&cursor={answer.json['next']}")
    assert [row["id"] for row in second.json["items"]] == wanted[::-1][2:4]
    assert second.json["items"][0]["STAGE_ID"] == names["C7:NEW"]
    alone = await page(
        connected, f"/bitrix/deals?translate=1&size=1&select=STAGE_ID&order=ID&filter={params['filter']}"
    )
    assert alone.json["items"] == [{"id": wanted[0], "STAGE_ID": names["C7:NEW"]}]


async def test_unknown_ids_and_users_without_a_name_stay_ids(connected: Gateway, sandbox: Sandbox) -> None:
    first, second = portal_ids(sandbox, "deals")[:2]
    nameless = next(i for i, row in sandbox.portal.data.users.items() if not row["NAME"] and not row["LAST_NAME"])
    unknown = {"ASSIGNED_BY_ID": "999999", "STAGE_ID": "GONE", "TYPE_ID": "GONE", "CATEGORY_ID": "99"}
    change(sandbox, "deals", {first: unknown, second: {"ASSIGNED_BY_ID": str(nameless), "SOURCE_ID": None}})
    await enable(connected, "deals")
    record = (await page(connected, f"/bitrix/deals/{first}?translate=1")).json
    assert {name: record[name] for name in unknown} == unknown
    record = (await page(connected, f"/bitrix/deals/{second}?translate=1")).json
    assert (record["ASSIGNED_BY_ID"], record["SOURCE_ID"]) == (str(nameless), None)


@pytest.mark.parametrize("several", [False, True])
async def test_employees_in_custom_fields_are_named(connected: Gateway, sandbox: Sandbox, several: bool) -> None:
    fields = sandbox.portal.data.userfields["CRM_DEAL"].values()
    name = next(
        row["FIELD_NAME"]
        for row in fields
        if row["USER_TYPE_ID"] == "employee" and row["MULTIPLE"] == ("Y" if several else "N")
    )
    await enable(connected, "deals")
    row_id = portal_ids(sandbox, "deals")[0]
    written = await connected.patch(f"/bitrix/deals/{row_id}", json={name: [1, 999999] if several else 1})
    assert written.status == 200, written.body
    record = (await page(connected, f"/bitrix/deals/{row_id}?translate=1")).json
    assert record[name] == (["Анна Иванова", written.json[name][1]] if several else "Анна Иванова")


@pytest.mark.parametrize("query", ["translate=2", "translate=", "translate=true", "translate=1&translate=1"])
@pytest.mark.parametrize("path", ["deals", "deals/1", "items/128", "items/128/1"])
async def test_other_values_are_refused(connected: Gateway, path: str, query: str) -> None:
    answer = await connected.get(f"/bitrix/{path}?{query}")
    assert (answer.status, answer.json["errors"][0]["parameter"]) == (400, "translate")


async def test_records_that_are_not_mirrored_are_409_without_a_call(connected: Gateway, sandbox: Sandbox) -> None:
    requests = sandbox.portal.http_requests
    answer = await connected.get("/bitrix/deals?translate=1")
    assert (answer.status, answer.json["code"]) == (409, "not_mirrored")
    assert sandbox.portal.http_requests == requests


RENAMED = "Renamed 🌷"


def rename(sandbox: Sandbox, kind: str, record: Mapping[str, Any]) -> None:
    """Give another name to what a deal refers to."""
    data = sandbox.portal.data
    if kind == "users":
        user_id = int(record["ASSIGNED_BY_ID"])
        data.users[user_id] = data.users[user_id] | {"NAME": RENAMED, "LAST_NAME": ""}
    elif kind == "pipelines":
        pipeline = int(record["CATEGORY_ID"])
        data.categories[2][pipeline] = data.categories[2][pipeline] | {"name": RENAMED}
    elif kind == "steps":
        row_id = next(i for i, row in data.statuses.items() if row["STATUS_ID"] == record["STAGE_ID"])
        data.statuses[row_id] = data.statuses[row_id] | {"NAME": RENAMED}
    else:
        fields = data.userfields["CRM_DEAL"]
        field_id = next(i for i, row in fields.items() if "LIST" in row and record.get(row["FIELD_NAME"]))
        choices = [choice | {"VALUE": RENAMED} for choice in fields[field_id]["LIST"]]
        fields[field_id] = fields[field_id] | {"LIST": choices}


@pytest.mark.parametrize("kind", ["users", "steps", "pipelines", "choices"])
async def test_a_new_name_is_shown_after_the_next_sync(connected: Gateway, sandbox: Sandbox, kind: str) -> None:
    await enable(connected, "deals")
    plain = (await page(connected, "/bitrix/deals?size=1000")).json["items"]
    userfields = sandbox.portal.data.userfields["CRM_DEAL"].values()
    choices = [row["FIELD_NAME"] for row in userfields if "LIST" in row]
    record = next(each for each in plain if any(each.get(name) for name in choices) and each["CATEGORY_ID"] == "7")
    listed = f'/bitrix/deals?translate=1&filter=[["ID",{record["id"]}]]'
    paths = (listed, f"/bitrix/deals/{record['id']}?translate=1")
    before = [await page(connected, path) for path in paths]
    rename(sandbox, kind, record)
    await connected.sync(*(("deals",) if kind == "choices" else (kind,)))
    after = [await page(connected, path) for path in paths]
    for old, new in zip(before, after, strict=True):
        assert (RENAMED in str(old.json), RENAMED in str(new.json)) == (False, True)
    assert before[0].headers["ETag"] != after[0].headers["ETag"]
    headers = {"If-None-Match": after[0].headers["ETag"]}
    assert (await connected.get(listed, headers=headers)).status == 304
    assert (await page(connected, f"/bitrix/deals/{record['id']}")).json == record


async def test_pipelines_of_a_smart_process_are_read_with_its_items(connected: Gateway, sandbox: Sandbox) -> None:
    pipelines = sandbox.portal.data.categories[128]
    sandbox.portal.fault("crm.category.list:error=ACCESS_DENIED*")
    await enable(connected, "items/128")
    path = "/bitrix/items/128?translate=1&size=1&select=categoryId"
    (item,) = (await page(connected, path)).json["items"]
    assert item["categoryId"] in pipelines  # their names could not be read
    sandbox.portal.clear_faults()
    requests = sandbox.portal.http_requests
    for name in (pipelines[item["categoryId"]]["name"], RENAMED):
        pipelines[item["categoryId"]] = pipelines[item["categoryId"]] | {"name": name}
        await sync_again(connected, "items/128")
        assert (await page(connected, path)).json["items"] == [{**item, "categoryId": name}]
    assert sandbox.portal.http_requests == requests + 2
    await connected.restart()
    assert (await page(connected, path)).json["items"] == [{**item, "categoryId": RENAMED}]


async def test_a_name_that_is_not_on_the_page_does_not_change_its_tag(connected: Gateway, sandbox: Sandbox) -> None:
    await enable(connected, "deals")
    path = "/bitrix/deals?translate=1&size=1&select=STAGE_ID"
    tag = (await page(connected, path)).headers["ETag"]
    data = sandbox.portal.data
    data.users[1] = data.users[1] | {"NAME": RENAMED}
    await connected.sync("users")
    await sync_again(connected, "deals", "full")
    assert (await connected.get(path, headers={"If-None-Match": tag})).status == 304
    assert (await page(connected, "/bitrix/deals?size=1&select=STAGE_ID")).headers["ETag"] != tag


async def test_translated_pages_and_records_are_served_from_memory(connected: Gateway, sandbox: Sandbox) -> None:
    await enable(connected, "deals")
    row_id = portal_ids(sandbox, "deals")[0]
    paths = ["/bitrix/deals?translate=1", f"/bitrix/deals/{row_id}?translate=1", f"/bitrix/deals/{row_id}"]
    before = [(await page(connected, path)).body for path in paths]
    await connected.sync("users", "steps", "pipelines")  # nothing has changed
    with without_table(connected, "mirror_rows"):
        assert [(await page(connected, path)).body for path in paths] == before
    change(sandbox, "deals", {row_id: {"TITLE": RENAMED}})
    await sync_again(connected, "deals")
    after = [(await page(connected, path)).body.decode() for path in paths]
    assert all(RENAMED in body for body in after)


async def test_accounts_of_one_portal_have_names_of_their_own(connected: Gateway, sandbox: Sandbox) -> None:
    await connected.connect(sandbox.webhook, account="beta")
    for account in ("acme", "beta"):
        await enable(connected, "deals", account=account)
    row_id = portal_ids(sandbox, "deals")[0]
    path = f"/bitrix/deals/{row_id}?translate=1"
    before = [(await page(connected, path, account=account)).json["ASSIGNED_BY_ID"] for account in ("acme", "beta")]
    assert before[0] == before[1]
    rename(sandbox, "users", sandbox.portal.data.tables["deals"][row_id])
    await connected.sync("users", account="beta")
    after = [(await page(connected, path, account=account)).json["ASSIGNED_BY_ID"] for account in ("acme", "beta")]
    assert after == [before[0], RENAMED]
