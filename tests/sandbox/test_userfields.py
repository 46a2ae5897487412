"""The lists of custom fields: crm.*.userfield.list and userfieldconfig.list."""

from typing import Any

import pytest

from gateway.sandbox.portal import SandboxPortal
from tests.sandbox.client import RestClient


async def test_deal_fields_fill_more_than_one_page(webhook: RestClient, portal: SandboxPortal) -> None:
    first = min(portal.data.userfields["CRM_DEAL"])
    portal.data.userfields["CRM_DEAL"][first]["SORT"] = "9000"
    pages = [(await webhook.call("crm.deal.userfield.list", start=start)).body for start in (0, 50)]
    assert [len(page["result"]) for page in pages] == [50, 15]
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


async def test_labels_need_a_language(webhook: RestClient) -> None:
    without = (await webhook.call("crm.lead.userfield.list")).result[0]
    russian = (await webhook.call("crm.lead.userfield.list", filter={"LANG": "ru"})).result[0]
    unknown = (await webhook.call("crm.lead.userfield.list", filter={"LANG": "zz"})).result[0]
    assert "EDIT_FORM_LABEL" not in without
    assert russian["EDIT_FORM_LABEL"] == "Строка"
    assert unknown["EDIT_FORM_LABEL"] is None


async def test_userfieldconfig_returns_labels_as_maps(webhook: RestClient) -> None:
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
async def test_userfieldconfig_refuses_invalid_parameters(
    webhook: RestClient, params: dict[str, Any], code: str
) -> None:
    assert (await webhook.call("userfieldconfig.list", **params)).error == code
