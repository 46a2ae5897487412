"""Portals whose description of the fields is broken: it is refused by name, or what is usable in it is taken."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.gateway import Gateway, Sandbox
from tests.support.fields_proxy import FieldsProxy, fields_proxy
from tests.support.records import change_sync, enable, page, sync_of


def nested(levels: int) -> object:
    value: object = {}
    for _ in range(levels):
        value = [value]
    return value


NO_OBJECT: tuple[object, ...] = (None, [], [{"type": "string"}], "TITLE", "", 7, True, False)
NO_FIELDS: tuple[object, ...] = (
    *NO_OBJECT,
    {},
    {"fields": None},
    {"fields": []},
    {"fields": "TITLE"},
    {"fields": {}},
    {"TITLE": {"type": "string", "settings": nested(400)}},
)
each_refused = pytest.mark.parametrize("answer", NO_FIELDS, ids=lambda answer: str(answer)[:40])
each_list = pytest.mark.parametrize("resource", ["deals", "items/128"])


@pytest.fixture
async def proxy(gateway: Gateway, sandbox: Sandbox) -> AsyncIterator[FieldsProxy]:
    """A portal with account "acme" connected through a proxy that replaces nothing yet."""
    async with fields_proxy(sandbox) as proxy:
        await gateway.connect(proxy.webhook)
        yield proxy
        await gateway.stop()


@each_refused
async def test_a_description_without_fields_is_502_and_not_kept(
    gateway: Gateway, proxy: FieldsProxy, answer: object
) -> None:
    proxy.answers = (answer,)
    for path in ("/bitrix/deals/fields", "/bitrix/deals/fields/TITLE", "/bitrix/items/128/fields"):
        refused = await gateway.clock.until(gateway.get(path))
        assert (refused.status, refused.json["code"]) == (502, "portal_broken")
        assert "the fields are" in refused.json["detail"]
    proxy.answers = None
    assert (await page(gateway, "/bitrix/deals/fields/TITLE")).json["name"] == "TITLE"


@each_refused
async def test_a_sync_with_a_description_without_fields_fails_by_name_and_keeps_rows_and_known_fields(
    gateway: Gateway, proxy: FieldsProxy, answer: object
) -> None:
    await enable(gateway, "deals")
    rows = (await page(gateway, "/bitrix/deals")).json
    fields = (await page(gateway, "/bitrix/deals/fields")).json
    proxy.answers = (answer,)
    for mode in ("full", "incremental"):
        assert (await gateway.patch(f"/bitrix/deals?mode={mode}")).status == 200
        (run,) = await gateway.synced("deals")
        assert run["state"] == "failed"
        assert "the portal's answer cannot be read: the fields are" in run["error"]
    assert (await page(gateway, "/bitrix/deals")).json == rows
    assert (await page(gateway, "/bitrix/deals/fields")).json == fields
    proxy.answers = None
    (run,) = await gateway.sync("deals")
    assert (run["state"], run["error"]) == ("done", None)


@each_list
async def test_records_can_be_enabled_with_a_description_without_fields_and_their_first_sync_fails_by_name(
    gateway: Gateway, proxy: FieldsProxy, resource: str
) -> None:
    proxy.answers = ([],)
    await change_sync(gateway, resource, enabled=True)
    (run,) = await gateway.synced(resource)
    assert (run["state"], run["rows"]) == ("failed", 0)
    assert run["error"].endswith("the fields are not an object")
    assert (await sync_of(gateway, resource))["enabled"] is True


DAMAGED: dict[str, Any] = {
    "TITLE": "Title",
    "STAGE_ID": None,
    "OPPORTUNITY": [],
    "CATEGORY_ID": 7,
    "COMMENTS": {},
    "UF_CRM_A": {"type": "enumeration", "isDynamic": True, "items": "none", "formLabel": 5},
    "UF_CRM_B": {"type": ["x"], "isMultiple": "Y", "items": [None, "x", {"VALUE": "a"}, {"ID": 4}], "title": {}},
    "UF_CRM_C": {"type": "enumeration", "items": {"1": {"ID": "1", "VALUE": "a"}}},
    "": {"type": "string"},
}


@pytest.mark.parametrize("wrapped", [False, True])
async def test_of_damaged_descriptions_the_usable_parts_are_taken_and_the_sync_ends(
    gateway: Gateway, proxy: FieldsProxy, wrapped: bool
) -> None:
    proxy.answers = ({"fields": DAMAGED} if wrapped else DAMAGED,)
    await enable(gateway, "deals")
    fields = {field.pop("name"): field for field in (await page(gateway, "/bitrix/deals/fields")).json["items"]}
    assert fields.keys() == DAMAGED.keys() - {""}
    blank = {"type": "", "title": "", "multiple": False, "required": False, "readOnly": False}
    assert fields["TITLE"] == blank | {"title": "Title"}
    assert fields["CATEGORY_ID"] == blank | {"title": "7"}
    assert [fields[name] for name in ("STAGE_ID", "OPPORTUNITY", "COMMENTS")] == [blank] * 3
    assert fields["UF_CRM_A"] == blank | {"type": "enumeration", "title": "5"}
    assert fields["UF_CRM_B"] == blank | {"items": [{"id": "4", "value": ""}]}
    assert fields["UF_CRM_C"] == blank | {"type": "enumeration"}
    for name in fields:
        await page(gateway, f"/bitrix/deals/fields/{name}")
        await page(gateway, f"/bitrix/deals?order={name}&select={name}")
