"""Callers write only pipelines that the portal has, and stages of these pipelines."""

import asyncio
from typing import Any

import pytest

from gateway.sandbox.content.catalog import new_category
from gateway.sandbox.content.structure import add_pipeline, remove_pipeline
from tests.gateway import Answer, Gateway, Sandbox
from tests.support.records import change, portal_ids, sync_again

PIPELINES = {
    "deals": ("CATEGORY_ID", "0 (Общая), 2 (Розница), 7 (Оптовые продажи 📦)"),
    "invoices": ("categoryId", "5 (Счета), 9 (Авансы)"),
    "items/128": ("categoryId", "12 (Общая), 13 (Филиалы)"),
}
TITLES = {"deals": "TITLE"}
UNKNOWN = 4711


async def send(gateway: Gateway, method: str, path: str, **body: Any) -> Answer:
    return await gateway.clock.until(gateway.request(method, f"/bitrix/{path}", json=body))


def refused(answer: Answer) -> tuple[str, str]:
    """Where the only mistake of a refused request is, and the rule that it breaks."""
    assert (answer.status, answer.json["code"]) == (400, "invalid_input"), answer.body
    (error,) = answer.json["errors"]
    assert error["code"] == "invalid_value"
    return error["pointer"], error["detail"]


@pytest.mark.parametrize("resource", PIPELINES)
async def test_a_pipeline_that_the_portal_does_not_have_is_refused(
    connected: Gateway, sandbox: Sandbox, resource: str
) -> None:
    name, choices = PIPELINES[resource]
    title = TITLES.get(resource, "title")
    row_id, before = portal_ids(sandbox, resource)[0], dict(sandbox.portal.data.tables[resource])
    requests = [("POST", resource), ("PUT", f"{resource}?match={title}"), ("PATCH", f"{resource}/{row_id}")]
    for method, path in requests if resource != "deals" else requests[:2]:
        answer = await send(connected, method, path, **{title: "x", name: UNKNOWN})
        assert refused(answer) == (f"/{name}", f"must be the id of a pipeline: {choices}")
    answer = await send(connected, "PUT", f"{resource}/{row_id}/stage", pipeline=UNKNOWN)
    assert refused(answer) == ("/pipeline", f"must be the id of a pipeline: {choices}")
    assert sandbox.portal.data.tables[resource] == before
    assert not any(call.method.endswith((".add", ".update")) for call in sandbox.portal.seen)


async def test_the_pipeline_of_a_deal_that_is_found_is_checked_too(connected: Gateway) -> None:
    await send(connected, "POST", "deals", TITLE="the only one")
    answer = await send(connected, "PUT", "deals?match=TITLE", TITLE="the only one", CATEGORY_ID=UNKNOWN)
    assert refused(answer)[0] == "/CATEGORY_ID"


async def test_a_deal_that_is_found_in_another_pipeline_than_that_of_the_stage_is_named(
    connected: Gateway, sandbox: Sandbox
) -> None:
    body = {"TITLE": "the only one", "CATEGORY_ID": 7, "STAGE_ID": "C7:WON"}
    created = await send(connected, "PUT", "deals?match=TITLE", **body)
    assert created.status == 201
    row_id = created.json["id"]
    assert (await send(connected, "PUT", "deals?match=TITLE", **body)).status == 200
    await send(connected, "PUT", f"deals/{row_id}/stage", pipeline=0)
    before = sandbox.portal.data.tables["deals"][row_id]
    assert refused(await send(connected, "PUT", "deals?match=TITLE", **body)) == (
        "/CATEGORY_ID",
        f"must be 0, the pipeline of the deal {row_id} that was found, if a stage is written; "
        f"`PUT /bitrix/deals/{row_id}/stage` moves it to another pipeline",
    )
    assert sandbox.portal.data.tables["deals"][row_id] == before
    left = await send(connected, "PUT", "deals?match=TITLE", TITLE="the only one", CATEGORY_ID=7)
    assert (left.status, left.json["CATEGORY_ID"]) == (200, "0")


async def test_an_item_that_is_found_in_another_pipeline_moves(connected: Gateway) -> None:
    for resource, pipelines in (("invoices", (5, 9)), ("items/128", (12, 13))):
        type_id = 31 if resource == "invoices" else 128
        for pipeline, status in zip(pipelines, (201, 200), strict=True):
            stage = f"DT{type_id}_{pipeline}:{'N' if resource == 'invoices' else 'NEW'}"
            body = {"title": "the only one", "categoryId": pipeline, "stageId": stage}
            answer = await send(connected, "PUT", f"{resource}?match=title", **body)
            assert (answer.status, answer.json["stageId"]) == (status, stage)


@pytest.mark.parametrize(("resource", "number"), [("deals", 2**63), ("deals", -1), ("invoices", 0), ("items/128", -1)])
async def test_other_numbers_are_no_pipelines(connected: Gateway, resource: str, number: int) -> None:
    name, _ = PIPELINES[resource]
    answer = await send(connected, "POST", resource, **{TITLES.get(resource, "title"): "x", name: number})
    assert refused(answer)[0] == f"/{name}"


@pytest.mark.parametrize("resource", PIPELINES)
async def test_a_mirrored_pipeline_costs_no_call(connected: Gateway, sandbox: Sandbox, resource: str) -> None:
    calls = sandbox.portal.calls["crm.category.list"]
    name, choices = PIPELINES[resource]
    body = {TITLES.get(resource, "title"): "x", name: int(choices.split()[0])}
    assert (await send(connected, "POST", resource, **body)).status == 201
    assert sandbox.portal.calls["crm.category.list"] == calls


async def test_pipelines_that_are_not_mirrored_are_read_once_for_all(connected: Gateway, sandbox: Sandbox) -> None:
    calls, body = sandbox.portal.calls["crm.category.list"], {"title": "x", "categoryId": 77}
    add_pipeline(sandbox.portal.data, new_category(128, 77, "Новая", 900))
    some = [send(connected, "POST", "items/128", **body) for _ in range(5)]
    assert [answer.status for answer in await asyncio.gather(*some)] == [201] * 5
    assert (await send(connected, "POST", "items/128", **body)).status == 201
    assert sandbox.portal.calls["crm.category.list"] == calls + 1
    await connected.clock.advance(601)
    assert (await send(connected, "POST", "items/128", **body)).status == 201
    assert sandbox.portal.calls["crm.category.list"] == calls + 2


@pytest.mark.parametrize(("resource", "type_id"), [("deals", 2), ("invoices", 31), ("items/128", 128)])
async def test_a_pipeline_can_be_used_as_soon_as_the_portal_has_it(
    connected: Gateway, sandbox: Sandbox, resource: str, type_id: int
) -> None:
    name, _ = PIPELINES[resource]
    body = {TITLES.get(resource, "title"): "x", name: 77}
    assert refused(await send(connected, "POST", resource, **body))[0] == f"/{name}"
    add_pipeline(sandbox.portal.data, new_category(type_id, 77, "Новая", 900))
    assert (await send(connected, "POST", resource, **body)).status == 201


@pytest.mark.parametrize(
    ("resource", "stage", "pipeline", "right"),
    [
        ("invoices", "NO_SUCH", {}, "DT31_5:N (Новый)"),
        ("invoices", "DT31_9:N", {}, "DT31_5:N (Новый)"),
        ("invoices", "DT31_5:N", {"categoryId": 9}, "DT31_9:N (Новый)"),
        ("items/128", "Успех", {}, "DT128_12:SUCCESS (Успех)"),
        ("items/128", "DT31_5:N", {"categoryId": 12}, "DT128_12:SUCCESS (Успех)"),
    ],
)
async def test_the_stage_of_an_item_must_be_one_of_its_pipeline(
    connected: Gateway,
    sandbox: Sandbox,
    resource: str,
    stage: str,
    pipeline: dict[str, int],
    right: str,
) -> None:
    row_id = portal_ids(sandbox, resource)[0]
    change(sandbox, resource, {row_id: {"CATEGORY_ID": "5" if resource == "invoices" else "12"}})
    before = dict(sandbox.portal.data.tables[resource])
    for method, path in (
        ("POST", resource),
        ("PUT", f"{resource}?match=title"),
        ("PATCH", f"{resource}/{row_id}"),
    ):
        pointer, rule = refused(await send(connected, method, path, title="x", stageId=stage, **pipeline))
        assert pointer == "/stageId"
        assert rule.startswith("must be the id of a stage of the pipeline: ")
        assert right in rule
        assert sandbox.portal.data.tables[resource] == before
    stage = right.split()[0]
    answer = await send(connected, "PATCH", f"{resource}/{row_id}", stageId=stage, **pipeline)
    assert (answer.status, answer.json["stageId"]) == (200, stage)


async def test_another_value_that_the_portal_refuses_stays_its_own_error(connected: Gateway, sandbox: Sandbox) -> None:
    sandbox.portal.fault("crm.item.add:error=CRM_FIELD_ERROR_VALUE_NOT_VALID")
    answer = await send(connected, "POST", "invoices", title="x", stageId="DT31_5:N", categoryId=5)
    assert answer.json["portalError"]["code"] == "CRM_FIELD_ERROR_VALUE_NOT_VALID"


@pytest.mark.parametrize(
    ("resource", "name", "stage", "pipeline"),
    [("deals", "STAGE_ID", "WON", 7), ("invoices", "stageId", "DT31_5:P", 5), ("items/128", "stageId", "x", 12)],
)
async def test_a_record_in_a_pipeline_that_no_longer_exists_can_only_leave_it(
    connected: Gateway, sandbox: Sandbox, resource: str, name: str, stage: str, pipeline: int
) -> None:
    row_id = portal_ids(sandbox, resource)[0]
    change(sandbox, resource, {row_id: {"CATEGORY_ID": f"{UNKNOWN}"}})
    _, choices = PIPELINES[resource]
    gone = f"cannot be set, as the record's pipeline {UNKNOWN} no longer exists"
    rule = f"{gone}: move the record to another pipeline, one of {choices}"
    path = f"{resource}/{row_id}"
    assert refused(await send(connected, "PUT", f"{path}/stage", stage=stage)) == ("/stage", rule)
    assert refused(await send(connected, "PATCH", path, **{name: stage})) == (f"/{name}", rule)
    answer = await send(connected, "PUT", f"{path}/stage", pipeline=pipeline)
    assert (answer.status, str(answer.json[PIPELINES[resource][0]])) == (200, f"{pipeline}")


async def test_a_pipeline_that_was_deleted_after_it_was_mirrored_is_named(connected: Gateway, sandbox: Sandbox) -> None:
    add_pipeline(sandbox.portal.data, new_category(2, 77, "Новая", 900))
    for resource in ("pipelines", "steps"):
        await sync_again(connected, resource)
    remove_pipeline(sandbox.portal.data, 2, 77)
    row_id = portal_ids(sandbox, "deals")[0]
    answer = await send(connected, "PUT", f"deals/{row_id}/stage", stage="C77:WON", pipeline=77)
    assert refused(answer) == ("/pipeline", f"must be the id of a pipeline: {PIPELINES['deals'][1]}")
