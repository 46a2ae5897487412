"""CRM records are added, changed and deleted by the old methods."""

from typing import Any

import pytest

from gateway.sandbox.content.catalog import CONTACT, DEAL
from gateway.sandbox.content.events import Handler
from gateway.sandbox.portal import SandboxPortal
from tests.clock import ManualClock
from tests.sandbox.client import RestClient
from tests.sandbox.examples import compare, documented

NEW: dict[str, dict[str, Any]] = {
    "lead": {"TITLE": "Квиз 🧩", "NAME": "Zoë", "OPPORTUNITY": 12.5},
    "deal": {"TITLE": "A/B", "OPPORTUNITY": "5000000", "CURRENCY_ID": "USD"},
    "contact": {"NAME": "小明", "BIRTHDATE": "1990-07-14"},
    "company": {"TITLE": "«Ромашка»"},
    "quote": {"TITLE": "Смета"},
}
OF_LIST = {"lead": "leads", "deal": "deals", "contact": "contacts", "company": "companies", "quote": "quotes"}


async def add(client: RestClient, entity: str, **fields: Any) -> int:
    result = (await client.call(f"crm.{entity}.add", fields=NEW[entity] | fields)).result
    assert isinstance(result, int)
    return result


async def get(client: RestClient, entity: str, row_id: int) -> dict[str, Any]:
    record: dict[str, Any] = (await client.call(f"crm.{entity}.get", id=row_id)).result
    return record


@pytest.mark.parametrize("entity", NEW)
async def test_a_record_lives_from_add_to_delete(
    webhook: RestClient, portal: SandboxPortal, clock: ManualClock, entity: str
) -> None:
    table = portal.data.tables[OF_LIST[entity]]
    last = max(table)
    answer = await webhook.call(f"crm.{entity}.add", fields=NEW[entity])
    compare(answer.body, f"crm.{entity}.add")
    row_id = answer.result
    assert row_id == last + 1
    created = await get(webhook, entity, row_id)
    assert {name: created[name] for name in ("ID", "ASSIGNED_BY_ID", "CREATED_BY_ID", "MODIFY_BY_ID")} == {
        **dict.fromkeys(("ASSIGNED_BY_ID", "CREATED_BY_ID", "MODIFY_BY_ID"), "1"),
        "ID": str(row_id),
    }
    assert created["DATE_CREATE"] == created["DATE_MODIFY"] == "2027-01-15T11:00:00+03:00"
    await clock.advance(60)
    answer = await webhook.call(f"crm.{entity}.update", id=row_id, fields={"COMMENTS": "☎ 24/7"})
    compare(answer.body, f"crm.{entity}.update")
    changed = await get(webhook, entity, row_id)
    assert (changed["COMMENTS"], changed["DATE_MODIFY"]) == ("☎ 24/7", "2027-01-15T11:01:00+03:00")
    assert changed["DATE_CREATE"] == created["DATE_CREATE"]
    rows = (await webhook.call(f"crm.{entity}.list", filter={"ID": row_id}, select=["ID", "COMMENTS"])).result
    assert rows == [{"ID": str(row_id), "COMMENTS": "☎ 24/7"}]
    compare((await webhook.call(f"crm.{entity}.delete", id=row_id)).body, f"crm.{entity}.delete")
    assert (await webhook.call(f"crm.{entity}.get", id=row_id)).body["error_description"] == "Not found"
    assert await add(webhook, entity) == row_id + 1


@pytest.mark.parametrize(
    ("method", "params", "error"),
    [
        ("crm.contact.add", {}, "crm.contact.add.error"),
        ("crm.deal.add", {"fields": "x"}, "crm.deal.add.error"),
        ("crm.company.add", {"fields": 1}, "crm.company.add.error"),
        ("crm.quote.add", {}, "crm.quote.add.error"),
        ("crm.contact.update", {"id": 999_999, "fields": {}}, "crm.contact.update.error"),
        ("crm.deal.update", {"id": 1, "fields": "x"}, "crm.deal.update.error"),
        ("crm.lead.update", {"id": "x", "fields": {}}, "crm.lead.update.error"),
        ("crm.quote.update", {"id": 999_999, "fields": {}}, "crm.quote.update.error"),
        ("crm.contact.delete", {}, "crm.contact.delete.error"),
        ("crm.lead.delete", {"id": 0}, "crm.lead.delete.error"),
        ("crm.deal.delete", {"id": -1}, "crm.deal.delete.error"),
        ("crm.quote.delete", {"id": 999_999}, "crm.quote.delete.error"),
    ],
)
async def test_an_error_is_as_documented(webhook: RestClient, method: str, params: dict[str, Any], error: str) -> None:
    answer = await webhook.call(method, **params)
    assert (answer.status, answer.body) == (400, documented(error))


@pytest.mark.parametrize(
    ("method", "params", "code", "text"),
    [
        ("crm.company.update", {"id": 999_999, "fields": {}}, "", "Company is not found"),
        ("crm.company.delete", {"id": 999_999}, "", "Company is not found"),
        ("crm.contact.delete", {"id": 999_999}, "ERROR_CORE", "Element not found"),
        ("crm.deal.delete", {"id": 999_999}, "", "Not found"),
        ("crm.contact.add", {"fields": {"POST": "x"}}, "", 'The field "Name" is required.'),
        ("crm.company.add", {"fields": {}}, "", 'The field "Title" is required.'),
        ("crm.deal.add", {"fields": {"CURRENCY_ID": "rubles"}}, "", 'Invalid value for the "Currency" field'),
        (
            "crm.contact.add",
            {"fields": {"NAME": "A", "EMAIL": [{"VALUE": "no address"}]}},
            "ERROR_CORE",
            'The field "Work e-mail" contains an invalid address',
        ),
    ],
)
async def test_a_refusal_has_its_code_and_text(
    webhook: RestClient, method: str, params: dict[str, Any], code: str, text: str
) -> None:
    answer = await webhook.call(method, **params)
    assert (answer.status, answer.error, answer.body["error_description"]) == (400, code, text)


@pytest.mark.parametrize(("entity", "table"), [("lead", "leads"), ("company", "companies")])
async def test_without_rights_nothing_is_written(
    webhook: RestClient, portal: SandboxPortal, entity: str, table: str
) -> None:
    before = len(portal.data.tables[table])
    portal.deny(table)
    for method, params in (("add", {}), ("update", {"id": 1}), ("delete", {"id": 1})):
        answer = await webhook.call(f"crm.{entity}.{method}", fields=NEW[entity], **params)
        assert answer.body == documented("crm.lead.add.error")
    assert len(portal.data.tables[table]) == before


async def test_a_deal_has_the_documented_defaults(webhook: RestClient) -> None:
    row_id = (await webhook.call("crm.deal.add", fields=[])).result
    deal = await get(webhook, "deal", row_id)
    expected = {
        "TITLE": f"Deal #{row_id}",
        "STAGE_ID": "NEW",
        "CATEGORY_ID": "0",
        "STAGE_SEMANTIC_ID": "P",
        "CLOSED": "N",
        "TYPE_ID": "SALE",
        "SOURCE_ID": "CALL",
        "OPPORTUNITY": "0.00",
        "OPENED": "Y",
        "BEGINDATE": "2027-01-15T03:00:00+03:00",
        "CLOSEDATE": "2027-01-22T03:00:00+03:00",
        "CURRENCY_ID": "RUB",
        "ASSIGNED_BY_ID": "1",
    }
    assert {name: deal[name] for name in expected} == expected


async def test_a_stage_belongs_to_the_pipeline(webhook: RestClient) -> None:
    assert (await get(webhook, "deal", await add(webhook, "deal", CATEGORY_ID=-1)))["CATEGORY_ID"] == "0"
    row_id = await add(webhook, "deal", CATEGORY_ID=7, STAGE_ID="WON")
    assert (await get(webhook, "deal", row_id))["STAGE_ID"] == "C7:NEW"
    await webhook.call("crm.deal.update", id=row_id, fields={"STAGE_ID": "WON", "CATEGORY_ID": 0, "TITLE": "x"})
    deal = await get(webhook, "deal", row_id)
    assert (deal["STAGE_ID"], deal["CATEGORY_ID"], deal["TITLE"]) == ("C7:NEW", "7", "x")
    await webhook.call("crm.deal.update", id=row_id, fields={"STAGE_ID": "C7:WON"})
    deal = await get(webhook, "deal", row_id)
    assert (deal["STAGE_ID"], deal["STAGE_SEMANTIC_ID"], deal["CLOSED"], deal["IS_NEW"]) == ("C7:WON", "S", "Y", "N")


async def test_unknown_and_read_only_fields_are_ignored(webhook: RestClient, clock: ManualClock) -> None:
    row_id = await add(webhook, "lead", ID=7, DATE_CREATE="2020-01-01", NO_SUCH_FIELD=1, STATUS_SEMANTIC_ID="F")
    lead = await get(webhook, "lead", row_id)
    assert (lead["ID"], lead["STATUS_SEMANTIC_ID"]) == (str(row_id), "P")
    assert lead["DATE_CREATE"].startswith("2027-01-15")
    await clock.advance(5)
    await webhook.call("crm.lead.update", id=row_id, fields={"ID": 9, "NO_SUCH_FIELD": 2, "TITLE": lead["TITLE"]})
    assert await get(webhook, "lead", row_id) == lead


async def test_an_import_may_set_times(webhook: RestClient) -> None:
    fields = NEW["contact"] | {"DATE_CREATE": "2020-02-03T04:05:06+00:00", "CREATED_BY_ID": 5}
    row_id = (await webhook.call("crm.contact.add", fields=fields, params={"IMPORT": "N"})).result  # a true string
    contact = await get(webhook, "contact", row_id)
    assert (contact["DATE_CREATE"], contact["CREATED_BY_ID"]) == ("2020-02-03T07:05:06+03:00", "5")


@pytest.mark.parametrize(
    ("field", "written", "read"),
    [
        ("TITLE", 5, "5"),
        ("TITLE", None, None),
        ("OPPORTUNITY", 999.9, "999.90"),
        ("OPPORTUNITY", "", "0.00"),
        ("PROBABILITY", None, "0"),
        ("PROBABILITY", "15", "15"),
        ("PROBABILITY", "9007199254740993", "9007199254740993"),
        ("PROBABILITY", 9007199254740993, "9007199254740993"),
        ("OPENED", "N", "N"),
        ("OPENED", True, "Y"),
        ("CLOSEDATE", "2026-11-28", "2026-11-28T03:00:00+03:00"),
        ("CLOSEDATE", "28.11.2026", "2026-11-28T03:00:00+03:00"),
        ("CLOSEDATE", "2026-11-28T23:59:00-08:00", "2026-11-28T03:00:00+03:00"),
        ("CLOSEDATE", "", ""),
        ("CLOSEDATE", "soon", "2027-01-22T03:00:00+03:00"),
        ("CLOSEDATE", None, "2027-01-22T03:00:00+03:00"),
        ("CONTACT_ID", 5, "5"),
        ("CONTACT_ID", 0, None),
        ("ASSIGNED_BY_ID", "7", "7"),
        ("COMMENTS", "a[b] __proto__ שלום 🧩", "a[b] __proto__ שלום 🧩"),
    ],
)
async def test_a_value_is_read_in_the_form_of_its_type(
    webhook: RestClient, field: str, written: object, read: object
) -> None:
    row_id = await add(webhook, "deal")
    await webhook.call("crm.deal.update", id=row_id, fields={field: written})
    assert (await get(webhook, "deal", row_id))[field] == read


CUSTOM = {
    "string": ("text", "text"),
    "integer": (7, "7"),
    "double": (9999.9, "9999.9"),
    "boolean": ("Y", True),
    "date": ("2024-07-18", "2024-07-18T03:00:00+03:00"),
    "datetime": ("2024-07-18T10:00:00+00:00", "2024-07-18T13:00:00+03:00"),
    "money": ("300|USD", "300|USD"),
    "url": ("https://example.com", "https://example.com"),
    "employee": (1, "1"),
}


async def test_custom_fields_are_written_by_their_types(webhook: RestClient, portal: SandboxPortal) -> None:
    rows = list(portal.data.userfields["CRM_DEAL"].values())
    written, expected = {}, {}
    for row in rows:
        name, kind = row["FIELD_NAME"], row["USER_TYPE_ID"]
        if kind in CUSTOM:
            value, stored = CUSTOM[kind]
            is_multiple = row["MULTIPLE"] == "Y"
            written[name], expected[name] = ([value], [stored]) if is_multiple else (value, stored)
    assert any(isinstance(value, list) for value in written.values())
    row_id = await add(webhook, "deal", **written)
    deal = await get(webhook, "deal", row_id)
    assert {name: deal[name] for name in expected} == expected
    await webhook.call("crm.deal.update", id=row_id, fields=dict.fromkeys(written, ""))
    deal = await get(webhook, "deal", row_id)
    multiple = {row["FIELD_NAME"] for row in rows if row["MULTIPLE"] == "Y"}
    assert all(deal[name] is (False if name in multiple else None) for name in expected)


@pytest.mark.parametrize("written", ["9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00"])
async def test_a_time_that_the_portal_cannot_store_is_refused(
    webhook: RestClient, portal: SandboxPortal, written: str
) -> None:
    fields = portal.data.userfields["CRM_DEAL"].values()
    name = next(row["FIELD_NAME"] for row in fields if row["USER_TYPE_ID"] == "datetime" and row["MULTIPLE"] == "N")
    row_id = await add(webhook, "deal")
    for answer in (
        await webhook.call("crm.deal.add", fields={name: written}),
        await webhook.call("crm.deal.update", id=row_id, fields={name: written}),
        await webhook.call(
            "crm.item.update", entityTypeId=DEAL, id=row_id, fields={name: written}, useOriginalUfNames="Y"
        ),
        await webhook.call("tasks.task.add", fields={"TITLE": "x", "RESPONSIBLE_ID": 1, "DEADLINE": written}),
    ):
        assert (answer.status, answer.error) == (400, "")
        assert "Incorrect datetime value" in answer.body["error_description"]
    assert (await get(webhook, "deal", row_id))[name] in (None, "")


async def test_an_enumeration_takes_the_ids_of_its_items(webhook: RestClient, portal: SandboxPortal) -> None:
    field = next(row for row in portal.data.userfields["CRM_DEAL"].values() if "LIST" in row and row["MULTIPLE"] == "N")
    name, choice = field["FIELD_NAME"], field["LIST"][1]["ID"]
    row_id = await add(webhook, "deal", **{name: int(choice)})
    for ignored in ("Белый", 4711):
        await webhook.call("crm.deal.update", id=row_id, fields={name: ignored})
    assert (await get(webhook, "deal", row_id))[name] == choice


async def test_multifields_are_added_changed_and_deleted_by_their_ids(webhook: RestClient) -> None:
    row_id = await add(webhook, "contact", PHONE=[{"VALUE": "+7 900"}, {"VALUE": "222", "VALUE_TYPE": "MOBILE"}, {}])
    phones = (await get(webhook, "contact", row_id))["PHONE"]
    assert [(entry["VALUE"], entry["VALUE_TYPE"]) for entry in phones] == [("+7 900", "WORK"), ("222", "MOBILE")]
    first, second = (entry["ID"] for entry in phones)

    async def change(*entries: dict[str, Any]) -> list[tuple[str, str, str]]:
        await webhook.call("crm.contact.update", id=row_id, fields={"PHONE": list(entries)})
        contact = await get(webhook, "contact", row_id)
        assert contact["HAS_PHONE"] == "NY"["PHONE" in contact]
        return [(entry["ID"], entry["VALUE"], entry["VALUE_TYPE"]) for entry in contact.get("PHONE", [])]

    assert await change() == [(first, "+7 900", "WORK"), (second, "222", "MOBILE")]
    assert await change({"ID": first, "VALUE": "444", "VALUE_TYPE": "HOME"}) == [
        (first, "444", "HOME"),
        (second, "222", "MOBILE"),
    ]
    added = await change({"ID": second, "DELETE": "Y"}, {"VALUE": "55555"})
    assert [(value, kind) for _, value, kind in added] == [("444", "HOME"), ("55555", "WORK")]
    assert await change({"ID": first}, {"ID": int(added[1][0]), "VALUE": ""}) == []


async def test_a_binding_and_the_set_of_bindings_agree(webhook: RestClient, portal: SandboxPortal) -> None:
    row_id = await add(webhook, "deal", CONTACT_IDS=[5, 6])
    assert portal.data.records[DEAL][row_id]["CONTACT_ID"] == "5"
    await webhook.call("crm.deal.update", id=row_id, fields={"CONTACT_ID": 7})
    assert portal.data.records[DEAL][row_id]["CONTACT_IDS"] == ["7", "6"]
    contact_id = await add(webhook, "contact", COMPANY_ID=3)
    assert portal.data.records[CONTACT][contact_id]["COMPANY_IDS"] == ["3"]


async def test_a_deleted_contact_takes_its_requisites_along(webhook: RestClient, portal: SandboxPortal) -> None:
    row = next(iter(portal.data.requisites.values()))
    assert row["ENTITY_TYPE_ID"] == str(CONTACT)
    await webhook.call("crm.contact.delete", id=row["ENTITY_ID"])
    assert all(left["ENTITY_ID"] != row["ENTITY_ID"] for left in portal.data.requisites.values())


async def test_writes_cause_the_documented_events(portal: SandboxPortal, webhook: RestClient) -> None:
    events = portal.data.events
    names = ("ONCRMDEALADD", "ONCRMDEALUPDATE", "ONCRMDEALMOVETOCATEGORY", "ONCRMDEALDELETE", "ONCRMDYNAMICITEMADD")
    events.handlers.extend(Handler(name, offline=True) for name in names)
    row_id = await add(webhook, "deal")
    await webhook.call("crm.deal.update", id=row_id, fields={"TITLE": "new"})
    await webhook.call("crm.deal.update", id=row_id, fields={"TITLE": "new"})  # changes nothing
    await webhook.call("crm.item.update", entityTypeId=DEAL, id=row_id, fields={"categoryId": 7})
    await webhook.call("crm.deal.delete", id=row_id)
    item = (await webhook.call("crm.item.add", entityTypeId=128, fields={"title": "x"})).result["item"]
    queued = [(row["EVENT_NAME"], row["EVENT_DATA"]["FIELDS"]) for row in portal.data.offline_events.values()]
    of_deal = {"ID": str(row_id)}
    assert queued == [
        (names[0], of_deal),
        (names[1], of_deal),
        (names[2], of_deal | {"CATEGORY_ID": "7", "STAGE_ID": "C7:NEW"}),
        (names[3], of_deal),
        (names[4], {"ID": str(item["id"]), "ENTITY_TYPE_ID": "128"}),
    ]
