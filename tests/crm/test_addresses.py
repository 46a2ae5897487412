"""Callers see and change the addresses of contacts and companies, which belong to requisites."""

import asyncio
from typing import Any
from urllib.parse import quote

import pytest

from gateway.sandbox.content.addresses import make_address
from tests.gateway import Answer, Gateway, Sandbox
from tests.support.recording_proxy import RecordingProxy, respond_json
from tests.support.records import change as edit
from tests.support.records import enable, portal_ids

PHYSICAL, LEGAL, POSTAL = "фактический адрес", "юридический адрес", "почтовый адрес"
HOME = {"ADDRESS_1": "Rua Augusta, 5", "ADDRESS_2": "Centro", "CITY": "São Paulo", "COUNTRY": "Brasil"}


async def send(gateway: Gateway, method: str, path: str, body: Any = None, **headers: str) -> Answer:
    """Send a write, and let the time pass that it waits."""
    return await gateway.clock.until(gateway.request(method, f"/bitrix/{path}", json=body, headers=headers))


async def listed(gateway: Gateway, owner: str) -> list[dict[str, Any]]:
    answer = await gateway.get(f"/bitrix/{owner}/addresses")
    assert answer.status == 200, answer.body
    items: list[dict[str, Any]] = answer.json["items"]
    return items


async def called(gateway: Gateway, sandbox: Sandbox, method: str) -> None:
    """Wait for a call of *method*."""
    while method not in [call.method for call in sandbox.portal.seen]:
        await gateway.clock.sleep(0.1)


def contact_with(sandbox: Sandbox, requisites: int = 0, **columns: Any) -> str:
    """A contact that has this number of requisites, and no address of them."""
    data = sandbox.portal.data
    row_id = portal_ids(sandbox, "contacts")[-1]
    edit(sandbox, "contacts", {row_id: columns})
    edit(sandbox, "addresses", removed=portal_ids(sandbox, "addresses"))
    edit(sandbox, "requisites", removed=[key for key in data.requisites if key > requisites])
    for number in range(1, requisites + 1):
        owner = {"ENTITY_TYPE_ID": "3", "ENTITY_ID": str(row_id), "NAME": f"R{number}"}
        edit(sandbox, "requisites", {number: owner})
    return f"contacts/{row_id}"


def requisites_of(sandbox: Sandbox, owner: str) -> list[dict[str, Any]]:
    resource, _, row_id = owner.partition("/")
    columns = {"ENTITY_TYPE_ID": {"contacts": "3", "companies": "4"}[resource], "ENTITY_ID": row_id}
    return [row for row in sandbox.portal.data.requisites.values() if columns.items() <= row.items()]


async def test_the_addresses_of_all_requisites_are_listed(connected: Gateway, sandbox: Sandbox) -> None:
    owner = contact_with(sandbox, requisites=2)
    for requisite, kind in ((1, PHYSICAL), (1, LEGAL), (2, PHYSICAL)):
        body = {"type": kind, "CITY": f"{requisite} {kind}"}
        assert (await send(connected, "POST", f"{owner}/addresses?requisite={requisite}", body)).status == 201
    sandbox.portal.data.addresses[99] = make_address(77, 1)
    items = await listed(connected, owner)
    assert [(item["requisite"], item["type"], item["CITY"], item["source"]) for item in items] == [
        (1, PHYSICAL, f"1 {PHYSICAL}", "requisite"),
        (1, LEGAL, f"1 {LEGAL}", "requisite"),
        (2, PHYSICAL, f"2 {PHYSICAL}", "requisite"),
    ]


async def test_without_requisites_the_fields_of_the_record_are_shown(connected: Gateway, sandbox: Sandbox) -> None:
    owner = contact_with(sandbox, ADDRESS="Lenina 1", ADDRESS_CITY="Омск", ADDRESS_COUNTRY="Россия")
    (item,) = await listed(connected, owner)
    shown = {name: item[name] for name in ("type", "source", "requisite", "ADDRESS_1", "CITY", "COUNTRY")}
    assert shown == {
        "type": PHYSICAL,
        "source": "record",
        "requisite": None,
        "ADDRESS_1": "Lenina 1",
        "CITY": "Омск",
        "COUNTRY": "Россия",
    }
    assert set(item) == {*shown, "ADDRESS_2", "POSTAL_CODE", "REGION", "PROVINCE", "COUNTRY_CODE", "LOC_ADDR_ID"}


async def test_a_company_has_a_legal_address_too(connected: Gateway, sandbox: Sandbox) -> None:
    row_id = portal_ids(sandbox, "companies")[0]
    edit(sandbox, "companies", {row_id: {"ADDRESS_CITY": "A", "REG_ADDRESS_CITY": "B"}})
    items = await listed(connected, f"companies/{row_id}")
    assert [(item["type"], item["CITY"]) for item in items] == [(PHYSICAL, "A"), (LEGAL, "B")]


async def test_a_record_without_any_address_has_an_empty_list(connected: Gateway, sandbox: Sandbox) -> None:
    assert await listed(connected, contact_with(sandbox)) == []


@pytest.mark.parametrize("resource", ["contacts", "companies"])
async def test_an_address_lives_from_post_to_delete(connected: Gateway, sandbox: Sandbox, resource: str) -> None:
    owner = contact_with(sandbox) if resource == "contacts" else f"companies/{portal_ids(sandbox, 'companies')[0]}"
    created = await send(connected, "POST", f"{owner}/addresses", {"type": "Фактический Адрес", **HOME})
    assert created.status == 201, created.body
    (requisite,) = requisites_of(sandbox, owner)
    assert (requisite["PRESET_ID"], requisite["NAME"], requisite["ADDRESS_ONLY"]) == ("1", "Организация", "Y")
    assert created.json == created.json | HOME | {"type": PHYSICAL, "requisite": int(requisite["ID"])}
    assert await listed(connected, owner) == [created.json]
    changed = await send(connected, "PATCH", f"{owner}/addresses/{PHYSICAL}", {"CITY": "Rio", "ADDRESS_2": None})
    assert changed.status == 200, changed.body
    assert (changed.json["CITY"], changed.json["ADDRESS_2"], changed.json["COUNTRY"]) == ("Rio", "", "Brasil")
    body = {"type": "Фактический Адрес", "CITY": "Natal"}
    named = await send(connected, "PATCH", f"{owner}/addresses/{quote(PHYSICAL.upper())}", body)
    assert await listed(connected, owner) == [named.json]
    second = await send(connected, "POST", f"{owner}/addresses", {"type": POSTAL, "CITY": "Rio"})
    assert (second.status, second.json["requisite"]) == (201, created.json["requisite"])
    deleted = await send(connected, "DELETE", f"{owner}/addresses/{PHYSICAL}")
    assert (deleted.status, deleted.body) == (204, b"")
    assert await listed(connected, owner) == [second.json]
    assert len(requisites_of(sandbox, owner)) == 1


async def test_the_country_is_the_callers(connected: Gateway, sandbox: Sandbox) -> None:
    owner = contact_with(sandbox, requisites=1)
    await send(connected, "POST", f"{owner}/addresses", {"type": PHYSICAL, "CITY": "Köln"})
    (call,) = [call for call in sandbox.portal.seen if call.method == "crm.address.add"]
    assert call.params == {"fields": {"TYPE_ID": 1, "ENTITY_TYPE_ID": 8, "ENTITY_ID": 1, "CITY": "Köln"}}


@pytest.mark.parametrize(
    ("method", "place", "body", "errors"),
    [
        ("POST", "", {}, [("/type", "required"), ("", "empty")]),
        ("POST", "", {"type": PHYSICAL}, [("", "empty")]),
        ("POST", "", {"type": PHYSICAL, "CITY": None}, [("", "empty")]),
        ("POST", "", {"type": 77, "CITY": "x"}, [("/type", "unknown_type")]),
        ("POST", "", {"type": True, "CITY": "x"}, [("/type", "invalid_value")]),
        ("POST", "", {"type": 1.0, "CITY": "x"}, [("/type", "invalid_value")]),
        ("POST", "", {"type": None, "CITY": "x"}, [("/type", "invalid_value")]),
        (
            "POST",
            "",
            {"type": "home", "CTY": "x", "CITY": 5, "ANCHOR_ID": 1, "TYPE_ID": 1, "source": "record"},
            [
                ("/type", "unknown_type"),
                ("/CTY", "unknown_field"),
                ("/CITY", "invalid_value"),
                ("/ANCHOR_ID", "read_only"),
                ("/TYPE_ID", "read_only"),
                ("/source", "read_only"),
            ],
        ),
        ("POST", "", {"type": "77", "CITY": "x"}, [("/type", "unknown_type")]),
        ("PATCH", f"/{PHYSICAL}", {}, [("", "empty")]),
        ("PATCH", f"/{PHYSICAL}", {"type": PHYSICAL}, [("", "empty")]),
        ("PATCH", f"/{PHYSICAL}", {"type": LEGAL, "CITY": "x"}, [("/type", "invalid_value")]),
        ("PATCH", f"/{PHYSICAL}", {"type": 6, "CITY": "x"}, [("/type", "invalid_value")]),
        ("PATCH", f"/{PHYSICAL}", {"type": [1], "CITY": "x"}, [("/type", "invalid_value")]),
        ("PATCH", f"/{PHYSICAL}", {"type": "home", "CITY": "x"}, [("/type", "unknown_type")]),
        ("PATCH", "/77", {"type": "78", "CITY": "x"}, [("/type", "invalid_value")]),
        ("PATCH", "/home", {"CITY": ["x"]}, [("type", "unknown_type"), ("/CITY", "invalid_value")]),
        ("PATCH", f"/{PHYSICAL}?type={PHYSICAL}", {"CITY": "x"}, [("type", "unknown_parameter")]),
        ("PATCH", f"/{PHYSICAL}?requisite=0", {"CITY": "x"}, [("requisite", "invalid_value")]),
        ("DELETE", "/home", None, [("type", "unknown_type")]),
        ("DELETE", "/²", None, [("type", "unknown_type")]),
        ("DELETE", "/%201", None, [("type", "unknown_type")]),
        ("DELETE", "/06", None, [("type", "unknown_type")]),
        ("PATCH", "/1", {"type": "1 ", "CITY": "x"}, [("/type", "unknown_type")]),
        ("POST", "", {"type": "01", "CITY": "x"}, [("/type", "unknown_type")]),
        ("DELETE", f"/{'1' * 400}", None, [("type", "unknown_type")]),
        ("DELETE", f"/{PHYSICAL}?requisite=x", None, [("requisite", "invalid_value")]),
        ("DELETE", f"/{PHYSICAL}?size=1", None, [("size", "unknown_parameter")]),
        ("GET", "?type=x", None, [("type", "unknown_parameter")]),
        ("POST", f"?type={PHYSICAL}", {"CITY": "x"}, [("type", "unknown_parameter")]),
    ],
)
async def test_all_mistakes_are_reported_before_anything_is_written(
    connected: Gateway, sandbox: Sandbox, method: str, place: str, body: Any, errors: list[tuple[str, str]]
) -> None:
    owner = contact_with(sandbox, requisites=1)
    answer = await send(connected, method, f"{owner}/addresses{place}", body)
    assert (answer.status, answer.json["code"]) == (400, "invalid_input")
    found = [(error.get("pointer", error.get("parameter")), error["code"]) for error in answer.json["errors"]]
    assert found == errors
    assert not [call for call in sandbox.portal.seen if call.method in ("crm.address.add", "crm.address.update")]
    if errors[0][1] == "unknown_type":
        assert f" 1 ({PHYSICAL}), 6 ({LEGAL})" in answer.json["errors"][0]["detail"]


async def test_an_address_that_exists_is_not_overwritten(connected: Gateway, sandbox: Sandbox) -> None:
    owner = contact_with(sandbox, requisites=1)
    await send(connected, "POST", f"{owner}/addresses", {"type": PHYSICAL, "CITY": "A"})
    answer = await send(connected, "POST", f"{owner}/addresses", {"type": PHYSICAL, "CITY": "B"})
    assert (answer.status, answer.json["code"]) == (409, "address_exists")
    assert [item["CITY"] for item in await listed(connected, owner)] == ["A"]


async def test_one_of_several_requisites_must_be_chosen(connected: Gateway, sandbox: Sandbox) -> None:
    owner = contact_with(sandbox, requisites=2)
    answer = await send(connected, "POST", f"{owner}/addresses", {"type": PHYSICAL, "CITY": "A"})
    assert (answer.status, answer.json["code"]) == (409, "several_match")
    assert "1 (R1), 2 (R2)" in answer.json["detail"]
    for requisite in (1, 2):
        path = f"{owner}/addresses?requisite={requisite}"
        assert (await send(connected, "POST", path, {"type": PHYSICAL, "CITY": "A"})).status == 201
    for method, body in (("PATCH", {"CITY": "B"}), ("DELETE", None)):
        answer = await send(connected, method, f"{owner}/addresses/{PHYSICAL}", body)
        assert (answer.status, answer.json["code"]) == (409, "several_match")
    answer = await send(connected, "PATCH", f"{owner}/addresses/{PHYSICAL}?requisite=2", {"CITY": "B"})
    assert (answer.status, answer.json["requisite"]) == (200, 2)
    answer = await send(connected, "DELETE", f"{owner}/addresses/{PHYSICAL}?requisite=1")
    assert (answer.status, [item["CITY"] for item in await listed(connected, owner)]) == (204, ["B"])


@pytest.mark.parametrize("number", [1, "1"])
async def test_a_type_is_given_by_its_number_too(connected: Gateway, sandbox: Sandbox, number: int | str) -> None:
    owner = contact_with(sandbox, requisites=1)
    created = await send(connected, "POST", f"{owner}/addresses", {"type": number, "CITY": "A"})
    assert (created.status, created.json["type"]) == (201, PHYSICAL)
    changed = await send(connected, "PATCH", f"{owner}/addresses/1", {"type": number, "CITY": "B"})
    assert (changed.status, changed.json["CITY"]) == (200, "B")
    assert (await send(connected, "DELETE", f"{owner}/addresses/1")).status == 204
    assert await listed(connected, owner) == []


async def test_an_address_whose_type_has_no_name_is_changed_and_deleted_by_its_number(
    proxied: Gateway, proxy: RecordingProxy, sandbox: Sandbox
) -> None:
    owner = contact_with(sandbox, requisites=1)
    assert (await send(proxied, "POST", f"{owner}/addresses", {"type": LEGAL, "CITY": "A"})).status == 201
    proxy.answer("crm.enum.addresstype", *[respond_json({"result": [{"ID": 1, "NAME": PHYSICAL}]})] * 2)
    changed = await send(proxied, "PATCH", f"{owner}/addresses/6", {"type": "6", "CITY": "B"})
    assert (changed.status, changed.json["type"], changed.json["CITY"]) == (200, "6", "B")
    assert (await send(proxied, "DELETE", f"{owner}/addresses/6")).status == 204
    assert await listed(proxied, owner) == []


@pytest.mark.parametrize(("method", "allowed"), [("GET", "PATCH, DELETE"), ("POST", "PATCH, DELETE")])
async def test_an_address_by_its_type_has_no_other_methods(connected: Gateway, method: str, allowed: str) -> None:
    answer = await connected.request(method, f"/bitrix/contacts/1/addresses/{PHYSICAL}", json={})
    assert answer.status == 405
    assert set(answer.headers["Allow"].split(", ")) >= set(allowed.split(", "))


@pytest.mark.parametrize(
    ("method", "path", "code", "missing"),
    [
        ("PATCH", f"{{}}/addresses/{PHYSICAL}", "address_not_found", "the record has no address of the type"),
        ("DELETE", f"{{}}/addresses/{PHYSICAL}", "address_not_found", "the record has no address of the type"),
        ("DELETE", "{}/addresses/77", "address_not_found", "no address of the type 77"),
        ("PATCH", f"{{}}/addresses/{PHYSICAL}?requisite=1", "address_not_found", "the requisite 1 has no address"),
        ("PATCH", f"{{}}/addresses/{PHYSICAL}?requisite=9", "requisite_not_found", "requisite: the record has no"),
        ("DELETE", f"{{}}/addresses/{PHYSICAL}?requisite=9", "requisite_not_found", "the record has no requisite 9"),
        ("POST", "{}/addresses?requisite=9", "requisite_not_found", "the record has no requisite 9"),
        ("GET", "contacts/999999/addresses", "portal_not_found", "no record 999999 of contacts"),
        ("POST", "contacts/999999/addresses", "portal_not_found", "no record 999999 of contacts"),
        ("POST", "companies/999999/addresses?requisite=1", "portal_not_found", "no record 999999 of companies"),
        ("PATCH", f"contacts/999999/addresses/{PHYSICAL}", "portal_not_found", "no record 999999 of contacts"),
        ("PATCH", f"contacts/999999/addresses/{PHYSICAL}?requisite=1", "portal_not_found", "no record 999999 of"),
        ("DELETE", f"companies/999999/addresses/{PHYSICAL}", "portal_not_found", "no record 999999 of companies"),
        ("GET", "deals/1/addresses", "not_found", "no such endpoint"),
        ("DELETE", f"deals/1/addresses/{PHYSICAL}", "not_found", "no such endpoint"),
    ],
)
async def test_what_does_not_exist_is_404_and_named(
    connected: Gateway, sandbox: Sandbox, method: str, path: str, code: str, missing: str
) -> None:
    body = {"POST": {"type": PHYSICAL, "CITY": "x"}, "PATCH": {"CITY": "x"}}.get(method)
    answer = await send(connected, method, path.format(contact_with(sandbox, requisites=1)), body)
    assert (answer.status, answer.json["code"]) == (404, code)
    assert missing in answer.json["detail"]


@pytest.mark.parametrize(("id_", "status"), [("x", 400), ("0", 400)])
async def test_an_id_that_is_none_is_refused(connected: Gateway, id_: str, status: int) -> None:
    answer = await connected.get(f"/bitrix/contacts/{id_}/addresses")
    assert (answer.status, answer.json["errors"][0]["parameter"]) == (status, "id")


async def test_a_refusal_of_the_portal_arrives_with_its_words(connected: Gateway, sandbox: Sandbox) -> None:
    owner = contact_with(sandbox)
    sandbox.portal.deny("contacts")
    answer = await send(connected, "POST", f"{owner}/addresses", {"type": PHYSICAL, "CITY": "x"})
    assert (answer.status, answer.json["portalError"]["description"]) == (403, "Access denied.")
    assert requisites_of(sandbox, owner) == []


async def test_a_portal_without_presets_is_told(connected: Gateway, sandbox: Sandbox) -> None:
    owner = contact_with(sandbox)
    edit(sandbox, "presets", {key: {"ACTIVE": "N"} for key in portal_ids(sandbox, "presets")})
    answer = await send(connected, "POST", f"{owner}/addresses", {"type": PHYSICAL, "CITY": "x"})
    assert (answer.status, answer.json["code"]) == (409, "no_requisite_preset")


@pytest.mark.parametrize("fault", ["cut", "truncated", "drop", "502"])
@pytest.mark.parametrize("method", ["crm.requisite.add", "crm.address.add"])
async def test_a_lost_answer_adds_neither_requisite_nor_address_twice(
    connected: Gateway, sandbox: Sandbox, method: str, fault: str
) -> None:
    owner = contact_with(sandbox)
    sandbox.portal.fault(f"{method}:{fault}")
    answer = await send(connected, "POST", f"{owner}/addresses", {"type": PHYSICAL, **HOME})
    assert (answer.status, answer.json["CITY"]) == (201, "São Paulo")
    assert (len(requisites_of(sandbox, owner)), len(await listed(connected, owner))) == (1, 1)
    assert sandbox.portal.calls[method] == (1 if fault in ("cut", "truncated") else 2)


async def test_two_callers_at_once_share_a_requisite(connected: Gateway, sandbox: Sandbox) -> None:
    owner = contact_with(sandbox)
    sandbox.portal.hold("crm.requisite.add")
    callers = asyncio.gather(
        *(connected.post(f"/bitrix/{owner}/addresses", json={"type": kind, "CITY": "x"}) for kind in (PHYSICAL, LEGAL))
    )
    await connected.clock.until(called(connected, sandbox, "crm.requisite.add"))
    await connected.clock.advance(1)
    sandbox.portal.release("crm.requisite.add")
    answers = await connected.clock.until(callers)
    assert [answer.status for answer in answers] == [201, 201]
    assert len(requisites_of(sandbox, owner)) == 1
    assert len(await listed(connected, owner)) == 2


@pytest.mark.parametrize("fault", ["cut", "drop"])
async def test_a_lost_answer_changes_and_deletes_once(connected: Gateway, sandbox: Sandbox, fault: str) -> None:
    owner = contact_with(sandbox, requisites=1)
    await send(connected, "POST", f"{owner}/addresses", {"type": PHYSICAL, **HOME})
    sandbox.portal.fault(f"crm.address.update:{fault}")
    body = {"ADDRESS_2": None, "LOC_ADDR_ID": 77}
    changed = await send(connected, "PATCH", f"{owner}/addresses/{PHYSICAL}", body)
    assert (changed.status, changed.json["ADDRESS_2"], changed.json["LOC_ADDR_ID"]) == (200, "", "77")
    sandbox.portal.fault(f"crm.address.delete:{fault}")
    assert (await send(connected, "DELETE", f"{owner}/addresses/{PHYSICAL}")).status == 204
    for method in ("crm.address.update", "crm.address.delete"):
        assert sandbox.portal.calls[method] == (1 if fault == "cut" else 2)


async def test_an_address_that_another_caller_wrote_meanwhile_is_not_taken_for_ours(
    connected: Gateway, sandbox: Sandbox
) -> None:
    owner = contact_with(sandbox, requisites=1)
    sandbox.portal.hold("crm.address.add")
    sandbox.portal.fault("crm.address.add:drop")
    body = {"type": PHYSICAL, "CITY": "ours"}
    caller = asyncio.ensure_future(connected.post(f"/bitrix/{owner}/addresses", json=body))
    await connected.clock.until(called(connected, sandbox, "crm.address.add"))
    theirs = {"ANCHOR_ID": owner.rpartition("/")[2], "CITY": "theirs"}
    sandbox.portal.data.addresses[1] = {**make_address(1, 1), **theirs}
    sandbox.portal.release("crm.address.add")
    answer = await connected.clock.until(caller)
    assert (answer.status, answer.json["code"]) == (502, "outcome_unknown")


async def test_a_key_gets_the_same_answer_and_nothing_is_created_again(connected: Gateway, sandbox: Sandbox) -> None:
    owner, key = contact_with(sandbox), {"Idempotency-Key": "a"}
    first = await send(connected, "POST", f"{owner}/addresses", {"type": PHYSICAL, **HOME}, **key)
    await connected.restart()
    again = await send(connected, "POST", f"{owner}/addresses", {"type": PHYSICAL, **HOME}, **key)
    assert (again.status, again.body, again.headers["Idempotent-Replayed"]) == (201, first.body, "true")
    reused = await send(connected, "DELETE", f"{owner}/addresses/{PHYSICAL}", **key)
    assert (reused.status, reused.json["code"]) == (422, "idempotency_key_reused")
    gone = {"Idempotency-Key": "b"}
    for _ in range(2):
        assert (await send(connected, "DELETE", f"{owner}/addresses/{PHYSICAL}", **gone)).status == 204
    assert sandbox.portal.calls["crm.address.delete"] == 1


@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_a_write_whose_outcome_stayed_unknown_is_settled_by_its_key(
    connected: Gateway, sandbox: Sandbox, method: str
) -> None:
    owner, key = contact_with(sandbox, requisites=1), {"Idempotency-Key": "a"}
    path, body = f"{owner}/addresses", {"type": PHYSICAL, "CITY": "x"}
    if method == "DELETE":
        await send(connected, "POST", path, body)
        path, body = f"{path}/{PHYSICAL}", {}
    action = "add" if method == "POST" else "delete"
    sandbox.portal.fault(f"crm.address.{action}:cut")
    sandbox.portal.fault("crm.address.list:drop*@3")
    answer = await send(connected, method, path, body, **key)
    assert (answer.status, answer.json["code"]) == (502, "outcome_unknown")
    sandbox.portal.clear_faults()
    settled = await send(connected, method, path, body, **key)
    assert settled.status == (201 if method == "POST" else 204)
    assert sandbox.portal.calls[f"crm.address.{action}"] == 1


async def test_the_record_is_read_back_into_the_mirror(connected: Gateway, sandbox: Sandbox) -> None:
    owner = contact_with(sandbox, requisites=1)
    await enable(connected, "contacts")
    edit(sandbox, "contacts", {int(owner.rpartition("/")[2]): {"ADDRESS_CITY": "set by the portal"}})
    await send(connected, "POST", f"{owner}/addresses", {"type": PHYSICAL, "CITY": "x"})
    assert (await connected.get(f"/bitrix/{owner}")).json["ADDRESS_CITY"] == "set by the portal"


async def test_an_address_that_cannot_be_read_back_is_shown_by_its_key(connected: Gateway, sandbox: Sandbox) -> None:
    owner = contact_with(sandbox, requisites=1)
    sandbox.portal.fault("crm.address.list:error=ACCESS_DENIED*@2")
    answer = await send(connected, "POST", f"{owner}/addresses", {"type": PHYSICAL, "CITY": "x"})
    assert (answer.status, answer.json["type"], answer.json["requisite"]) == (201, PHYSICAL, 1)
    assert "CITY" not in answer.json
