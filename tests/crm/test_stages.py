"""Records move between the stages and pipelines that the portal has, and callers see which types there are."""

from typing import Any

import pytest

from gateway.crm.stages import find_stage
from gateway.errors import InvalidInput
from tests.gateway import Answer, Gateway, Sandbox
from tests.support.records import change, enable, portal_ids


async def move(gateway: Gateway, path: str, **body: Any) -> Answer:
    return await gateway.clock.until(gateway.request("PUT", f"/bitrix/{path}/stage", json=body))


@pytest.mark.parametrize(
    ("resource", "body", "stage"),
    [
        ("deals", {"stage": "WON", "pipeline": 0}, "WON"),
        ("deals", {"stage": "сделка УСПЕШНА", "pipeline": 7}, "C7:WON"),
        ("deals", {"pipeline": 2}, "C2:NEW"),
        ("leads", {"stage": "IN_PROCESS"}, "IN_PROCESS"),
        ("quotes", {"stage": "Принято"}, "APPROVED"),
        ("invoices", {"stage": "DT31_5:P", "pipeline": 5}, "DT31_5:P"),
        ("items/128", {"stage": "Успех"}, "SUCCESS"),
    ],
)
async def test_a_record_moves_to_a_stage_by_its_id_or_name(
    connected: Gateway, sandbox: Sandbox, resource: str, body: dict[str, Any], stage: str
) -> None:
    await enable(connected, resource)
    row_id = portal_ids(sandbox, resource)[3]
    answer = await move(connected, f"{resource}/{row_id}", **body)
    assert answer.status == 200, answer.body
    shown = next(answer.json[name] for name in ("STAGE_ID", "STATUS_ID", "stageId") if name in answer.json)
    assert shown == stage or shown.endswith(f":{stage}")
    if "pipeline" in body:
        pipeline = answer.json.get("CATEGORY_ID", answer.json.get("categoryId"))
        assert str(pipeline) == str(body["pipeline"])
    assert (await connected.get(f"/bitrix/{resource}/{row_id}")).json == answer.json


@pytest.mark.parametrize(
    ("path", "body", "pointer", "rule"),
    [
        ("deals/{}", {"stage": "C7:WON", "pipeline": 0}, "/stage", "a stage of the pipeline: NEW (Новая), PREPARATION"),
        ("deals/{}", {"stage": "WON", "pipeline": 4711}, "/pipeline", "must be the id of a pipeline: 0 (Общая)"),
        ("leads/{}", {"stage": "C7:WON"}, "/stage", "name of a status of the directory STATUS: NEW ("),
        ("leads/{}", {"stage": "NEW", "pipeline": 0}, "/pipeline", "records of this type have no pipelines"),
        ("contacts/{}", {"stage": "NEW"}, "/stage", "records of this type have no stages"),
        ("deals/{}", {}, "", "must name a stage or a pipeline"),
        ("deals/{}", {"stage": 5}, "/stage", "must be a string"),
        ("deals/{}", {"stage": "NEW", "pipeline": "7"}, "/pipeline", "must be a 32-bit integer"),
        ("deals/{}", {"stage": "NEW", "category": 7}, "/category", "unknown property"),
    ],
)
async def test_a_stage_or_pipeline_that_does_not_exist_is_refused(
    connected: Gateway, sandbox: Sandbox, path: str, body: dict[str, Any], pointer: str, rule: str
) -> None:
    row_id = portal_ids(sandbox, path.partition("/")[0])[0]
    answer = await move(connected, path.format(row_id), **body)
    assert answer.status == 400
    (error,) = answer.json["errors"]
    assert error["pointer"] == pointer
    assert rule in error["detail"]
    assert sandbox.portal.calls["crm.item.update"] == 0


async def test_a_record_that_does_not_exist_is_not_moved(connected: Gateway) -> None:
    answer = await move(connected, "deals/999999", stage="WON")
    assert (answer.status, answer.json["code"]) == (404, "portal_not_found")


def test_a_name_of_several_stages_is_ambiguous() -> None:
    with pytest.raises(InvalidInput) as caught:
        find_stage([("A", "Done"), ("B", "done")], "DONE", 2)
    assert caught.value.errors[0].code == "ambiguous_value"
    assert find_stage([("A", "B"), ("B", "done")], "B", 2) == "B"


async def test_a_lost_answer_moves_a_record_once(connected: Gateway, sandbox: Sandbox) -> None:
    row_id = portal_ids(sandbox, "deals")[0]
    sandbox.portal.fault("crm.item.update:cut")
    answer = await move(connected, f"deals/{row_id}", stage="WON", pipeline=0)
    assert (answer.status, answer.json["STAGE_ID"]) == (200, "WON")
    assert sandbox.portal.calls["crm.item.update"] == 1


async def test_types_are_shown_as_the_portal_has_them(connected: Gateway, sandbox: Sandbox) -> None:
    rows = (await connected.get("/bitrix/types")).json["items"]
    assert rows == list(sandbox.portal.data.types.values())
    shown = (await connected.get("/bitrix/types/128")).json
    assert shown["title"] == rows[0]["title"]
    missing = await connected.get("/bitrix/types/4711")
    assert (missing.status, missing.json["portalError"]["description"]) == (404, "Smart process not found")
    assert missing.json["detail"] == "the portal has no type 4711"
    answer = await connected.get("/bitrix/types/x")
    assert (answer.status, answer.json["errors"][0]["parameter"]) == (400, "entityTypeId")


async def test_contact_types_are_names_by_id(connected: Gateway) -> None:
    assert (await connected.get("/bitrix/contact-types")).json["items"] == [
        {"id": "CLIENT", "name": "Клиенты"},
        {"id": "SUPPLIER", "name": "Поставщики"},
        {"id": "OTHER", "name": "Другое"},
    ]


@pytest.mark.parametrize("mirrored", [True, False])
@pytest.mark.parametrize(
    ("resource", "name", "wrong", "right", "kind"),
    [
        ("deals", "STAGE_ID", "C7:WON", "WON", "stage of the pipeline"),
        ("deals", "STAGE_ID", "won", "WON", "stage of the pipeline"),
        ("leads", "STATUS_ID", "NO_SUCH", "IN_PROCESS", "status of the directory STATUS"),
        ("quotes", "STATUS_ID", "WON", "APPROVED", "status of the directory QUOTE_STATUS"),
    ],
)
async def test_a_written_stage_must_be_one_of_the_records_pipeline(
    connected: Gateway, sandbox: Sandbox, resource: str, name: str, wrong: str, right: str, kind: str, mirrored: bool
) -> None:
    if mirrored:
        await connected.synced("steps")
    row_id = portal_ids(sandbox, resource)[0]
    change(sandbox, resource, {row_id: {"CATEGORY_ID": "0"}} if resource == "deals" else {})
    before = portal_ids(sandbox, resource)
    for method, path in (("POST", resource), ("PATCH", f"{resource}/{row_id}")):
        body = {"TITLE": "x", name: wrong}
        refused = await connected.clock.until(connected.request(method, f"/bitrix/{path}", json=body))
        assert refused.status == 400
        (error,) = refused.json["errors"]
        assert (error["pointer"], f"{right} (" in error["detail"]) == (f"/{name}", True)
        assert error["detail"].startswith(f"must be the id of a {kind}: ")
        assert portal_ids(sandbox, resource) == before
    for method, path in (("PATCH", f"{resource}/{row_id}"), ("POST", resource)):
        answer = await connected.clock.until(connected.request(method, f"/bitrix/{path}", json={**body, name: right}))
        assert (answer.status, answer.json[name]) == (200 if method == "PATCH" else 201, right)


async def test_a_new_deal_takes_a_stage_of_its_pipeline(connected: Gateway) -> None:
    body = {"TITLE": "x", "CATEGORY_ID": 7, "STAGE_ID": "C7:WON"}
    answer = await connected.request("POST", "/bitrix/deals", json=body)
    assert (answer.status, answer.json["STAGE_ID"]) == (201, "C7:WON")


async def test_the_settings_may_deny_writes(connected: Gateway, sandbox: Sandbox) -> None:
    await connected.restart(GATEWAY_METHODS_DENY="crm.*.delete,crm.item.update")
    row_id = portal_ids(sandbox, "deals")[0]
    for method, path, body in (("DELETE", "", None), ("PUT", "/stage", {"stage": "WON", "pipeline": 0})):
        request = connected.request(method, f"/bitrix/deals/{row_id}{path}", json=body)
        answer = await connected.clock.until(request)
        assert (answer.status, answer.json["code"]) == (403, "method_denied")
    answer = await connected.request("PATCH", f"/bitrix/deals/{row_id}", json={"TITLE": "allowed"})
    assert (answer.status, answer.json["TITLE"]) == (200, "allowed")
