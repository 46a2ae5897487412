"""/bitrix/v3: errors of the portal and retries."""

from typing import Any

import pytest

from tests.gateway import Gateway, Sandbox
from tests.support.calling import call3, refusal
from tests.support.recording_proxy import RecordingProxy, drop_connection, respond, respond_json

PREFIX = "BITRIX_REST_V3_EXCEPTION_"
ADD = "tasks.task.add"
FIELDS = {"title": "Write", "creatorId": 1, "responsibleId": 1}
ADDED = {"fields": FIELDS}
LIST = "tasks.task.list"
GET = "tasks.task.get"


async def test_errors_of_both_versions_have_the_same_shape(proxied: Gateway, proxy: RecordingProxy) -> None:
    proxy.answer(GET, respond_json({"error": "ACCESS_DENIED", "error_description": "Доступ запрещён"}, 403))
    old = await proxied.clock.until(proxied.post(f"/bitrix/call/{GET}", json={}))
    proxy.answer(
        GET, respond_json({"error": {"code": f"{PREFIX}ACCESSDENIEDEXCEPTION", "message": "Доступ запрещён"}}, 403)
    )
    new = await call3(proxied, GET)
    assert old.json.keys() == new.json.keys()
    assert refusal(old) == refusal(new) == (403, "access_denied")
    assert new.json["portalError"]["description"] == old.json["portalError"]["description"] == "Доступ запрещён"


async def test_the_gateways_messages_are_not_reported_as_the_portals(connected: Gateway, sandbox: Sandbox) -> None:
    sandbox.portal.fault(f"{ADD}:json500")
    problem = (await call3(connected, ADD, ADDED)).json
    assert problem["code"] == "outcome_unknown"
    assert problem["detail"].startswith("it is not known whether the call was carried out: BITRIX_REST_V3_")
    assert problem["portalError"]["code"].startswith("BITRIX_REST_V3_")
    assert (problem["portalError"]["description"], problem["portalError"]["status"]) == ("Internal server error", 500)
    sandbox.portal.fault(f"{ADD}:html500")
    problem = (await call3(connected, ADD, ADDED)).json
    assert problem["detail"].endswith("the portal's answer cannot be read: not JSON")
    assert "portalError" not in problem


async def test_validation_errors_of_parameters_reach_the_caller(connected: Gateway) -> None:
    answer = await call3(connected, ADD, {"fields": {"title": "A", "creatorId": 1}})
    assert refusal(answer) == (400, "argument_refused")
    portal_error = answer.json["portalError"]
    assert portal_error["code"] == f"{PREFIX}VALIDATION_REQUESTVALIDATIONEXCEPTION"
    assert [error["field"] for error in portal_error["validation"]] == ["responsibleId"]
    unknown = await call3(connected, LIST, {"select": ["responsible.nope"]})
    assert refusal(unknown) == (400, "argument_refused")
    assert "nope" in unknown.json["detail"]
    assert "validation" not in unknown.json["portalError"]


@pytest.mark.parametrize(
    ("name", "portal_status", "status"),
    [
        ("METHODNOTFOUNDEXCEPTION", 404, 404),
        ("METHODNOTFOUNDEXCEPTION", 400, 404),
        ("ENTITYNOTFOUNDEXCEPTION", 400, 404),
        ("INSUFFICIENTSCOPEEXCEPTION", 403, 403),
        ("LICENSEEXCEPTION", 402, 403),
        ("INVALIDPAGINATIONEXCEPTION", 200, 400),
        ("INTERNAL_INTERNALEXCEPTION", 500, 502),
        ("SOMETHINGNEWEXCEPTION", 400, 400),
    ],
)
async def test_an_error_has_the_status_of_its_code(
    proxied: Gateway, proxy: RecordingProxy, name: str, portal_status: int, status: int
) -> None:
    error = {"error": {"code": PREFIX + name, "message": "Words"}}
    proxy.answer(GET, *[respond_json(error, portal_status)] * 5)
    answer = await call3(proxied, GET)
    assert answer.status == status
    assert answer.json["portalError"] == {"code": PREFIX + name, "description": "Words", "status": portal_status}
    assert len(proxy.sent) == (5 if status == 502 else 1)


async def test_a_method_of_the_other_version_is_not_found(connected: Gateway) -> None:
    assert refusal(await call3(connected, "user.get")) == (404, "method_not_found")
    old = await connected.post("/bitrix/call/main.eventlog.list", json={})
    assert (refusal(old), old.json["portalError"]["code"]) == ((404, "method_not_found"), "ERROR_METHOD_NOT_FOUND")


@pytest.mark.parametrize(
    "broken",
    [
        respond(200, b"<html>", "text/html"),
        respond(200, b""),
        respond(200, b'{"result":'),
        respond(200, b"[]"),
        drop_connection,
    ],
)
async def test_a_read_is_retried_and_a_write_is_not(proxied: Gateway, proxy: RecordingProxy, broken: Any) -> None:
    proxy.answer(LIST, broken, broken)
    assert (await call3(proxied, LIST)).status == 200
    assert len(proxy.sent) == 3
    proxy.answer(ADD, broken)
    assert refusal(await call3(proxied, ADD, ADDED)) == (502, "outcome_unknown")
    assert len(proxy.sent) == 4
    proxy.answer(LIST, *[broken] * 6)
    assert (await call3(proxied, LIST)).status in (502, 504)
    assert len(proxy.sent) == 9


async def test_the_operating_limit_of_a_method_affects_no_other_method(connected: Gateway, sandbox: Sandbox) -> None:
    sandbox.portal.fault(f"{LIST}:otl")
    requests = sandbox.portal.http_requests
    for _ in range(2):
        answer = await call3(connected, LIST)
        assert refusal(answer) == (429, "too_busy")
        assert int(answer.headers["Retry-After"]) > 30
    assert sandbox.portal.http_requests == requests + 1
    assert (await call3(connected, "main.eventlog.list")).status == 200


async def test_a_rate_limited_rest_3_write_is_retried(connected: Gateway, sandbox: Sandbox) -> None:
    sandbox.portal.fault(f"{ADD}:qle*2")
    answer = await call3(connected, ADD, ADDED)
    assert answer.status == 200
    assert sandbox.portal.calls[ADD] == 3


async def test_a_rejected_webhook_makes_the_account_stale(proxied: Gateway, proxy: RecordingProxy) -> None:
    proxy.answer(LIST, respond_json({"error": {"code": f"{PREFIX}ACCESSDENIEDEXCEPTION", "message": "No"}}, 401))
    answer = await call3(proxied, LIST)
    assert answer.status == 409
    assert len(proxy.sent) == 1
    assert (await proxied.get("/bitrix/account")).json["stale"] is True
