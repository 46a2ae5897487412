"""The complete flow: a contact, a card linked to it, a field of the card, and its stage."""

import pytest

from tests.gateway import Answer, Gateway, Sandbox
from tests.support.records import enable, page

CARDS = "items/128"


async def write(gateway: Gateway, method: str, path: str, body: object, key: str) -> Answer:
    headers = {"Idempotency-Key": key}
    return await gateway.clock.until(gateway.request(method, f"/bitrix/{path}", json=body, headers=headers))


@pytest.mark.parametrize("mirrored", [True, False])
@pytest.mark.parametrize("fault", ["", "cut"])
async def test_a_contact_gets_a_card_that_moves_on(
    connected: Gateway, sandbox: Sandbox, mirrored: bool, fault: str
) -> None:
    if mirrored:
        await enable(connected, "contacts", CARDS)
    await connected.synced("steps")
    names = [field["name"] for field in (await connected.get(f"/bitrix/{CARDS}/fields")).json["items"]]
    custom = next(name for name in names if name.startswith("ufCrm"))
    if fault:
        for method in ("crm.contact.add", "crm.item.add", "crm.item.update"):
            sandbox.portal.fault(f"{method}:{fault}")
    person = {"NAME": "Zoë", "PHONE": "+7 900 123-45-67", "EMAIL": "zoe@example.com"}
    contact = await write(connected, "PUT", "contacts?match=PHONE,EMAIL", person, "contact")
    assert contact.status == 201, contact.body
    linked = {"title": "Call", "contactId": contact.json["id"]}
    card = await write(connected, "POST", CARDS, linked, "card")
    assert (card.status, card.json["contactId"]) == (201, contact.json["id"])
    path = f"{CARDS}/{card.json['id']}"
    assert card.headers["Location"] == f"/bitrix/{path}"
    changed = await write(connected, "PATCH", path, {custom: "In Progress"}, "field")
    assert (changed.status, changed.json[custom]) == (200, "In Progress")
    moved = await write(connected, "PUT", f"{path}/stage", {"stage": "успех"}, "stage")
    assert (moved.status, moved.json["stageId"].endswith(":SUCCESS")) == (200, True)
    shown = (await page(connected, f"/bitrix/{path}?translate=1")).json
    assert (shown["stageId"], shown["title"], shown[custom]) == ("Успех", "Call", "In Progress")
    cards = (await page(connected, f"/bitrix/{CARDS}?contactId={contact.json['id']}&select=title,stageId")).json
    assert cards["items"] == [{"id": card.json["id"], "title": "Call", "stageId": moved.json["stageId"]}]
    stored = sandbox.portal.data.tables[CARDS][card.json["id"]]
    assert (stored["CONTACT_ID"], stored["STAGE_ID"]) == (str(contact.json["id"]), moved.json["stageId"])
    assert sandbox.portal.calls["crm.item.add"] == 1
    if not fault:
        writes = [call for call in sandbox.portal.seen if call.method.endswith((".add", ".update"))]
        assert [call.method for call in writes] == [
            "crm.contact.add",
            "crm.item.add",
            "crm.item.update",
            "crm.item.update",
        ]
        assert writes[1].params["fields"]["contactId"] == contact.json["id"]
        assert writes[2].params["fields"] == {custom: "In Progress"}
        assert writes[3].params["fields"] == {"stageId": moved.json["stageId"]}
    again = await write(connected, "POST", CARDS, linked, "card")
    assert (again.status, again.body) == (201, card.body)
