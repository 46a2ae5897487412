"""Pages, filters and order of the list methods, with the quirks of each."""

from typing import Any

import pytest

from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.settings import SandboxSettings
from tests.sandbox.client import RestClient


def ids(rows: list[dict[str, Any]]) -> list[int]:
    return [int(row["ID"] if "ID" in row else row["id"]) for row in rows]


async def test_users_come_in_pages_of_fifty(webhook: RestClient, portal: SandboxPortal) -> None:
    pages = [(await webhook.call("user.get", start=start)).body for start in (0, 50, 100)]
    assert [len(page["result"]) for page in pages] == [50, 50, 30]
    assert [page["total"] for page in pages] == [130, 130, 130]
    assert [page.get("next") for page in pages] == [50, 100, None]
    assert [user for page in pages for user in ids(page["result"])] == sorted(portal.data.users)


class TestPagesOfAnotherSize:
    @pytest.fixture
    def settings(self) -> SandboxSettings:
        return SandboxSettings(users=130, deals=60, page_rows=20)

    async def test_they_follow_each_other_to_the_end(self, webhook: RestClient, portal: SandboxPortal) -> None:
        found: list[int] = []
        start: int | None = 0
        while start is not None:
            body = (await webhook.call("user.get", start=start)).body
            assert (len(body["result"]), body["total"]) == (20 if start < 120 else 10, 130)
            found += ids(body["result"])
            start = body.get("next")
        assert found == sorted(portal.data.users)

    async def test_a_classic_method_goes_down_to_its_own_page(self, webhook: RestClient, portal: SandboxPortal) -> None:
        assert ids((await webhook.call("user.get", start=59)).result) == sorted(portal.data.users)[40:60]

    @pytest.mark.parametrize(
        ("method", "params", "wrapper"),
        [
            ("crm.deal.list", {}, None),
            ("crm.deal.list", {"start": -1, "order": {"ID": "ASC"}}, None),
            ("crm.item.list", {"entityTypeId": 2}, "items"),
            ("tasks.task.list", {}, "tasks"),
            ("crm.deal.userfield.list", {}, None),
            ("userfieldconfig.list", {"moduleId": "crm"}, "fields"),
            ("crm.address.list", {}, None),
        ],
    )
    async def test_every_list_has_them(
        self, webhook: RestClient, method: str, params: dict[str, Any], wrapper: str | None
    ) -> None:
        result = (await webhook.call(method, **params)).result
        assert len(result if wrapper is None else result[wrapper]) == 20

    async def test_what_is_not_paged_still_comes_at_once(self, webhook: RestClient, portal: SandboxPortal) -> None:
        assert len((await webhook.call("crm.status.list")).result) == len(portal.data.statuses)


async def test_addresses_are_ordered_by_their_key_and_filtered_by_their_columns(
    webhook: RestClient, portal: SandboxPortal
) -> None:
    key = ("ENTITY_ID", "ENTITY_TYPE_ID", "TYPE_ID")
    rows = (await webhook.call("crm.address.list", order=dict.fromkeys(key, "DESC"))).result
    keys = [tuple(int(row[name]) for name in key) for row in rows]
    assert keys == sorted(keys, reverse=True)
    assert len(set(keys)) == len(keys) == len(portal.data.addresses)
    asked = {"filter": {"ENTITY_ID": 3, "NOPE": 1}, "select": ["TYPE_ID", "NOPE"], "order": {"TYPE_ID": "ASC"}}
    assert (await webhook.call("crm.address.list", **asked)).result == [{"TYPE_ID": "1"}, {"TYPE_ID": "6"}]


async def test_the_keys_of_a_page_stand_in_the_order_of_the_envelope(webhook: RestClient) -> None:
    assert list((await webhook.call("user.get")).body) == ["result", "next", "total", "time"]


async def test_a_start_between_pages_goes_down_to_the_page(webhook: RestClient) -> None:
    answer = await webhook.call("user.get", start="75")
    assert answer.body["next"] == 100
    assert ids(answer.result) == ids((await webhook.call("user.get", start=50)).result)


async def test_nothing_is_counted_from_minus_one(webhook: RestClient) -> None:
    body = (await webhook.call("user.get", start=-1)).body
    assert (len(body["result"]), body["total"], "next" in body) == (50, 0, False)


@pytest.mark.parametrize("start", [0, -1, 500, "9" * 400])
async def test_no_users_come_without_a_total(webhook: RestClient, start: int | str) -> None:
    conditions = {"ID": 0} if start in (0, -1) else {}
    body = (await webhook.call("user.get", FILTER=conditions, start=start)).body
    assert (body["result"], "total" in body, "next" in body) == ([], False, False)


async def test_a_keyset_walk_reads_every_user_once(webhook: RestClient, portal: SandboxPortal) -> None:
    found: list[int] = []
    while True:
        after = found[-1] if found else 0
        page = (await webhook.call("user.get", FILTER={">ID": after}, sort="ID", order="ASC", start=-1)).result
        found += ids(page)
        if len(page) < 50:
            break
    assert found == sorted(portal.data.users)


async def test_the_order_counts_only_with_both_of_its_words(webhook: RestClient, portal: SandboxPortal) -> None:
    lowest, highest = min(portal.data.users), max(portal.data.users)
    assert ids((await webhook.call("user.get", sort="ID", order="DESC")).result)[0] == highest
    assert ids((await webhook.call("user.get", order="DESC")).result)[0] == lowest
    assert ids((await webhook.call("user.get", sort="ID")).result)[0] == lowest
    assert ids((await webhook.call("user.get", order={"ID": "DESC"})).result)[0] == lowest


async def test_users_are_filtered_by_any_key_when_there_is_no_filter(webhook: RestClient) -> None:
    assert ids((await webhook.call("user.get", id=3)).result) == [3]
    assert ids((await webhook.call("user.get", ID="3", FILTER={"id": "4"})).result) == [4]
    assert len((await webhook.call("user.get", NO_SUCH=3)).result) == 50


@pytest.mark.parametrize(
    ("conditions", "matches"),
    [
        ({"ID": ["3", 5]}, lambda user: user["ID"] in ("3", "5")),
        ({"@ID": [3, 5]}, lambda user: user["ID"] in ("3", "5")),
        ({"!ID": [3, 5]}, lambda user: user["ID"] not in ("3", "5")),
        ({">ID": 5, "<=ID": "9"}, lambda user: 5 < int(user["ID"]) <= 9),
        ({">=ID": 5, "<ID": 9}, lambda user: 5 <= int(user["ID"]) < 9),
        ({"=ID": "7abc"}, lambda user: user["ID"] == "7"),
        ({"!=ID": 7}, lambda user: user["ID"] != "7"),
        ({"ACTIVE": True}, lambda user: user["ACTIVE"]),
        ({"active": "false"}, lambda user: not user["ACTIVE"]),
        ({"LAST_NAME": "иванова"}, lambda user: user["LAST_NAME"] == "Иванова"),
        ({"%LAST_NAME": "ЩУК"}, lambda user: "Щук" in user["LAST_NAME"]),
        ({"=%LAST_NAME": "%ова"}, lambda user: user["LAST_NAME"].endswith("ова")),
        ({"%=LAST_NAME": "К%в"}, lambda user: user["LAST_NAME"] == "Кузнецов"),
        ({"!%LAST_NAME": "ова"}, lambda user: "ова" not in user["LAST_NAME"]),
        ({"!=%LAST_NAME": "Ив%"}, lambda user: not user["LAST_NAME"].startswith("Ив")),
        ({"EMAIL": ""}, lambda user: not user.get("EMAIL")),
        ({"!EMAIL": ""}, lambda user: user.get("EMAIL")),
        ({"name_search": "ив"}, lambda user: user["LAST_NAME"] == "Иванова"),
        ({"NAME_SEARCH": ""}, lambda _: True),
        ({"=>ID": 5}, lambda _: True),
        ({"UF_DEPARTMENT": 3}, lambda user: 3 in user["UF_DEPARTMENT"]),
        ({">DATE_REGISTER": "2024-03-01"}, lambda user: user["DATE_REGISTER"] > "2024-03-01T00:00:00+00:00"),
        ({"<PERSONAL_BIRTHDAY": "2000-01-01T03:00:00+03:00"}, lambda user: user["PERSONAL_BIRTHDAY"]),
        ({"PERSONAL_BIRTHDAY": "soon"}, lambda _: False),
        ({">LAST_LOGIN": "soon"}, lambda _: False),
        # A portal casts whatever is no number: an array to 1, a word to 0.
        ({">ID": [{"ID": 50}]}, lambda user: int(user["ID"]) > 1),
        ({">ID": "x"}, lambda _: True),
    ],
)
async def test_a_filter_finds_exactly_what_matches(
    webhook: RestClient, portal: SandboxPortal, conditions: dict[str, Any], matches: Any
) -> None:
    found: list[int] = []
    total = None
    for start in (0, 50, 100):
        body = (await webhook.call("user.get", FILTER=conditions, start=start)).body
        total = body.get("total", total)
        found += ids(body["result"])
    assert found == [user_id for user_id in sorted(portal.data.users) if matches(portal.data.users[user_id])]
    assert (total or 0) == len(found)


async def test_users_sort_by_any_column_with_ties_by_id(webhook: RestClient, portal: SandboxPortal) -> None:
    rows = (await webhook.call("user.get", sort="LAST_NAME", order="asc")).result
    everyone = sorted(portal.data.users.values(), key=lambda user: (user["LAST_NAME"].casefold(), int(user["ID"])))
    assert rows == everyone[:50]


async def test_departments_sort_by_their_first_number(webhook: RestClient) -> None:
    rows = (await webhook.call("user.get", sort="UF_DEPARTMENT", order="DESC")).result
    assert rows[0]["UF_DEPARTMENT"] == [4]


async def test_only_selected_columns_come(webhook: RestClient) -> None:
    assert set((await webhook.call("user.get", select=["ID", "NAME", "NOTHING"])).result[0]) == {"ID", "NAME"}
    custom = (await webhook.call("user.get", select=["UF_*"])).result[0]
    assert custom
    assert all(name.startswith("UF_") for name in custom)


async def test_what_is_changed_on_the_portal_is_read_at_once(webhook: RestClient, portal: SandboxPortal) -> None:
    portal.data.users[9_000] = {**portal.data.users[1], "ID": "9000", "NAME": "New"}
    del portal.data.users[3]
    portal.data.users[1]["NAME"] = "Changed"
    assert (await webhook.call("user.get", sort="ID", order="DESC")).result[0]["NAME"] == "New"
    assert (await webhook.call("user.get", ID=3)).result == []
    assert (await webhook.call("user.current")).result["NAME"] == "Changed"


async def test_a_dismissed_caller_has_no_profile(webhook: RestClient, portal: SandboxPortal) -> None:
    portal.data.users[1]["ACTIVE"] = False
    assert (await webhook.call("profile")).result == []


async def test_a_caller_who_is_gone_cannot_be_authorized(webhook: RestClient, portal: SandboxPortal) -> None:
    del portal.data.users[1]
    answer = await webhook.call("user.current")
    assert (answer.status, answer.error) == (401, "authorization_error")


async def test_statuses_come_unpaged_in_their_order(webhook: RestClient, portal: SandboxPortal) -> None:
    portal.data.statuses[min(portal.data.statuses)]["SORT"] = "9000"
    body = (await webhook.call("crm.status.list", start=50)).body
    assert len(body["result"]) == body["total"] == len(portal.data.statuses) > 50
    assert "next" not in body
    places = [(int(row["SORT"]), int(row["ID"])) for row in body["result"]]
    assert places == sorted(places)
    assert places[-1] == (9000, min(portal.data.statuses))


async def test_statuses_are_filtered_and_unknown_names_dropped(webhook: RestClient) -> None:
    rows = (
        await webhook.call("crm.status.list", FILTER={"ENTITY_ID": "DEAL_STAGE_7", "NOPE": 1}, order={"ID": "DESC"})
    ).result
    assert [row["STATUS_ID"] for row in rows] == [
        "C7:APOLOGY",
        "C7:LOSE",
        "C7:WON",
        "C7:EXECUTING",
        "C7:PREPARATION",
        "C7:NEW",
    ]
    assert {row["CATEGORY_ID"] for row in rows} == {"7"}
    assert [row["EXTRA"]["SEMANTICS"] for row in rows] == [
        "apology",
        "failure",
        "success",
        "process",
        "process",
        "process",
    ]


async def test_every_kind_of_status_is_there(webhook: RestClient) -> None:
    kinds = {row["ENTITY_ID"] for row in (await webhook.call("crm.status.list")).result}
    pipelines = {
        "DEAL_STAGE",
        "DEAL_STAGE_2",
        "DEAL_STAGE_7",
        "SMART_INVOICE_STAGE_9",
        "DYNAMIC_128_STAGE_12",
        "SMART_DOCUMENT_STAGE_6",
    }
    assert {"STATUS", "QUOTE_STATUS", "SOURCE", "INDUSTRY", "CALL_LIST"} | pipelines <= kinds
    sources = (await webhook.call("crm.status.list", filter={"ENTITY_ID": "SOURCE"})).result
    assert all("EXTRA" not in row for row in sources)


@pytest.mark.parametrize(
    ("entity_type_id", "count"), [(2, 3), (3, 1), (4, 2), (31, 2), (36, 1), (128, 2), (156, 1), ("1036", 2)]
)
async def test_pipelines_come_for_the_types_that_have_them(
    webhook: RestClient, entity_type_id: int | str, count: int
) -> None:
    answer = await webhook.call("crm.category.list", entityTypeId=entity_type_id)
    rows = answer.result["categories"]
    assert len(rows) == answer.body["total"] == count
    assert {row["entityTypeId"] for row in rows} == {int(entity_type_id)}
    assert [row["isDefault"] for row in rows].count("Y") == 1


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"entityTypeId": 1}, "ENTITY_TYPE_NOT_SUPPORTED"),
        ({"entityTypeId": 7}, "ENTITY_TYPE_NOT_SUPPORTED"),
        ({"entityTypeId": 5}, "NOT_FOUND"),
        ({"entityTypeId": 8}, "NOT_FOUND"),
        ({"entityTypeId": 9999}, "NOT_FOUND"),
        ({}, "100"),
        ({"ENTITYTYPEID": 2}, "100"),
        ({"entityTypeId": "two"}, "100"),
        ({"entityTypeId": [2]}, "100"),
    ],
)
async def test_pipelines_of_other_types_are_refused(webhook: RestClient, params: dict[str, Any], code: str) -> None:
    answer = await webhook.call("crm.category.list", **params)
    assert (answer.status, answer.error) == (400, code)


async def test_a_new_smart_process_has_pipelines_at_once(webhook: RestClient, portal: SandboxPortal) -> None:
    portal.data.types[40] = {**portal.data.types[3], "id": 40, "entityTypeId": 1040}
    assert (await webhook.call("crm.category.list", entityTypeId=1040)).result == {"categories": []}
    del portal.data.types[3]
    assert (await webhook.call("crm.category.list", entityTypeId=128)).error == "NOT_FOUND"


async def test_types_are_found_by_nested_conditions(webhook: RestClient) -> None:
    either = {"logic": "OR", "0": {"title": "Закупки"}, "1": {">entityTypeId": 1000}}
    answer = await webhook.call("crm.type.list", filter={"0": either}, order={"id": "DESC"})
    assert ids(answer.result["types"]) == [17, 3]
    assert answer.body["total"] == 2


@pytest.mark.parametrize(
    "params", [{"filter": {"NOPE": 1}}, {"order": {"NOPE": "ASC"}}, {"filter": {"0": {"NOPE": 1}}}]
)
async def test_a_controller_refuses_names_it_does_not_know(webhook: RestClient, params: dict[str, Any]) -> None:
    assert (await webhook.call("crm.type.list", **params)).error == "INVALID_ARG_VALUE"


async def test_a_controller_takes_start_to_the_letter(webhook: RestClient) -> None:
    first = (await webhook.call("userfieldconfig.list", moduleId="crm", start=7)).body
    assert first["next"] == 57
    everything = (await webhook.call("userfieldconfig.list", moduleId="crm")).result["fields"]
    assert first["result"]["fields"][:43] == everything[7:]


async def test_deal_fields_fill_more_than_a_page(webhook: RestClient, portal: SandboxPortal) -> None:
    first = min(portal.data.userfields["CRM_DEAL"])
    portal.data.userfields["CRM_DEAL"][first]["SORT"] = "9000"
    pages = [(await webhook.call("crm.deal.userfield.list", start=start)).body for start in (0, 50)]
    assert [len(page["result"]) for page in pages] == [50, 14]
    assert pages[0]["next"] == 50
    order = [(int(row["SORT"]), int(row["ID"])) for page in pages for row in page["result"]]
    assert order == sorted(order)
    assert order[-1] == (9000, first)
    assert len(set(order)) == pages[1]["total"] == len(portal.data.userfields["CRM_DEAL"])


@pytest.mark.parametrize("entity", ["lead", "deal", "contact", "company", "quote", "requisite", "invoice"])
async def test_every_entity_has_every_type_of_field(webhook: RestClient, entity: str) -> None:
    rows = (await webhook.call(f"crm.{entity}.userfield.list")).result
    kinds = {row["USER_TYPE_ID"] for row in rows}
    assert len(kinds) == 18
    assert {"date", "crm_pena_tag", "resourcebooking", "file", "address"} <= kinds
    assert {row["ENTITY_ID"] for row in rows} == {f"CRM_{entity.upper()}"}


async def test_labels_come_only_with_a_language(webhook: RestClient) -> None:
    without = (await webhook.call("crm.lead.userfield.list")).result[0]
    russian = (await webhook.call("crm.lead.userfield.list", filter={"LANG": "ru"})).result[0]
    unknown = (await webhook.call("crm.lead.userfield.list", filter={"LANG": "zz"})).result[0]
    assert "EDIT_FORM_LABEL" not in without
    assert russian["EDIT_FORM_LABEL"] == "Строка"
    assert unknown["EDIT_FORM_LABEL"] is None


async def test_field_settings_come_for_one_entity_with_labels_as_maps(webhook: RestClient) -> None:
    params = {"moduleId": "crm", "filter": {"entityId": "CRM_13", "fieldName": "UF_CRM_13_1713790653"}}
    [row] = (await webhook.call("userfieldconfig.list", select={"0": "*", "language": "en"}, **params)).result["fields"]
    assert (row["languageId"], row["editFormLabel"]) == ({"en": "en"}, {"en": "Text"})
    [plain] = (await webhook.call("userfieldconfig.list", select=["id", "userTypeId"], **params)).result["fields"]
    assert plain == {"id": "653", "userTypeId": "string"}


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({}, "100"),
        ({"moduleId": "disk"}, ""),
        ({"moduleId": ["crm"]}, "100"),
        ({"moduleId": "crm", "filter": "x"}, "100"),
        ({"moduleId": "crm", "filter": {"no": 1}}, "INVALID_ARG_VALUE"),
    ],
)
async def test_field_settings_refuse_what_they_do_not_understand(
    webhook: RestClient, params: dict[str, Any], code: str
) -> None:
    assert (await webhook.call("userfieldconfig.list", **params)).error == code
