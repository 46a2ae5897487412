"""POST /bitrix/call/{method}: errors of the portal, retries and tokens."""

import asyncio
from typing import Any

import pytest

from tests.gateway import Gateway, Sandbox, authorize
from tests.support.calling import WRITE, call, refusal
from tests.support.recording_proxy import RecordingProxy, drop_connection, respond, respond_json


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("ERROR_METHOD_NOT_FOUND", 404),
        ("NOT_FOUND", 404),
        ("ERROR_NOT_FOUND", 404),
        ("ACCESS_DENIED", 403),
        ("insufficient_scope", 403),
        ("ERROR_ARGUMENT", 400),
        ("SOMETHING_NEW", 400),
        ("ERROR_CORE", 400),
        ("OVERLOAD_LIMIT", 502),
        ("INVALID_CREDENTIALS", 409),
        ("PORTAL_DELETED", 409),
    ],
)
async def test_a_portals_error_keeps_its_code_and_text_and_is_not_retried(
    connected: Gateway, sandbox: Sandbox, code: str, status: int
) -> None:
    before = sandbox.portal.calls["profile"]
    sandbox.portal.fault(f"profile:error={code}*")
    answer = await call(connected, "profile")
    assert answer.status == status
    assert answer.json["portalError"] == {"code": code, "description": "Scripted fault", "status": 400}
    assert code in answer.json["detail"]
    assert sandbox.portal.calls["profile"] == before + 1


@pytest.mark.parametrize("code", ["PORTAL_DELETED", "NO_AUTH_FOUND", "INVALID_CREDENTIALS"])
async def test_a_revoked_credential_makes_the_account_stale_and_is_not_used_again(
    proxied: Gateway, proxy: RecordingProxy, code: str
) -> None:
    proxy.answer("profile", respond_json({"error": code, "error_description": "Gone"}, 401))
    answer = await call(proxied, "profile")
    assert answer.status == 409
    assert answer.json["portalError"] == {"code": code, "description": "Gone", "status": 401}
    assert (await proxied.get("/bitrix/account")).json["stale"] is True
    assert refusal(await call(proxied, "profile")) == (409, "webhook_required")
    assert len(proxy.sent) == 1


async def test_an_error_with_status_200_is_an_error(proxied: Gateway, proxy: RecordingProxy) -> None:
    proxy.answer("crm.deal.get", respond_json({"error": "", "error_description": "Access denied."}))
    answer = await call(proxied, "crm.deal.get", {"ID": 1})
    assert refusal(answer) == (403, "access_denied")
    assert answer.json["portalError"] == {"code": "", "description": "Access denied.", "status": 200}


async def test_a_missing_record_is_404_with_old_and_new_methods(connected: Gateway) -> None:
    old = await call(connected, "crm.deal.get", {"id": 987654321})
    new = await call(connected, "crm.item.get", {"entityTypeId": 2, "id": 987654321})
    assert refusal(old) == refusal(new) == (404, "portal_not_found")
    assert old.json["portalError"] == {"code": "", "description": "Not found", "status": 400}


@pytest.mark.parametrize("fault", ["html500", "502", "html200", "truncated", "cut", "drop", "json500", "qle", "qle200"])
async def test_a_read_that_fails_twice_succeeds(connected: Gateway, sandbox: Sandbox, fault: str) -> None:
    before = sandbox.portal.calls["profile"]
    sandbox.portal.fault(f"profile:{fault}*2")
    assert (await call(connected, "profile")).json["result"]["ID"] == "1"
    assert sandbox.portal.calls["profile"] == before + 3


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"<html>Service Unavailable</html>", "text/html", 503),
        (b"<html>Maintenance</html>", "text/html", 200),
        (b"", "application/json", 200),
        (b'{"result": [1, 2', "application/json", 200),
        (b"[]", "application/json", 200),
        (b"{}", "application/json", 200),
        (b'{"error":"INTERNAL_SERVER_ERROR","error_description":"Later"}', "application/json", 500),
    ],
)
async def test_five_unreadable_responses_are_an_error_after_growing_delays(
    proxied: Gateway, proxy: RecordingProxy, body: bytes, content_type: str, status: int
) -> None:
    proxy.answer("profile", *[respond(status, body, content_type)] * 6)
    began = proxied.clock.now()
    answer = await call(proxied, "profile")
    assert answer.status == 502
    assert answer.json["code"] in ("portal_broken", "portal_failing")
    assert b"html" not in answer.body
    assert b"Traceback" not in answer.body
    assert len(proxy.sent) == 5
    assert 7.5 <= proxied.clock.now() - began <= 20
    if b"error_description" in body:
        assert answer.json["portalError"] == {
            "code": "INTERNAL_SERVER_ERROR",
            "description": "Later",
            "status": status,
        }
    else:
        assert "portalError" not in answer.json


async def test_a_call_to_a_portal_that_hangs_once_is_retried(connected: Gateway, sandbox: Sandbox) -> None:
    sandbox.portal.fault("profile:delay=100")
    began = connected.clock.now()
    assert (await call(connected, "profile")).status == 200
    assert 70 <= connected.clock.now() - began <= 75


async def test_an_unreachable_portal_is_distinguished_from_a_failing_one(connected: Gateway, sandbox: Sandbox) -> None:
    await sandbox.server.__aexit__(None, None, None)
    answer = await call(connected, WRITE, {"ID": 1})
    assert refusal(answer) == (504, "portal_unreachable")
    assert "no connection: refused" in answer.json["detail"]
    assert "portalError" not in answer.json


@pytest.mark.parametrize(
    "fault",
    [
        drop_connection,
        respond(502, b"<html>", "text/html"),
        respond(200, b'{"result"'),
        respond_json({"error": "INTERNAL_SERVER_ERROR"}, 500),
    ],
)
async def test_a_write_that_may_have_been_carried_out_is_not_retried_and_reported_as_unknown(
    proxied: Gateway, proxy: RecordingProxy, fault: Any
) -> None:
    proxy.answer(WRITE, fault)
    assert refusal(await call(proxied, WRITE, {"ID": 1, "fields": {"TITLE": "x"}})) == (502, "outcome_unknown")
    assert len(proxy.sent) == 1


async def test_a_rate_limited_write_is_retried(proxied: Gateway, proxy: RecordingProxy) -> None:
    refused = respond_json({"error": "QUERY_LIMIT_EXCEEDED", "error_description": "Too many requests"}, 503)
    proxy.answer(WRITE, refused, refused, respond_json({"result": True}))
    assert (await call(proxied, WRITE, {"ID": 1})).json == {"result": True}
    assert len(proxy.sent) == 3


@pytest.fixture
async def by_oauth(gateway: Gateway, sandbox: Sandbox) -> Gateway:
    assert (await authorize(gateway, sandbox)).status == 302
    await gateway.synced()
    await gateway.clock.advance(60)
    sandbox.portal.token_requests.clear()
    return gateway


async def test_ten_calls_with_an_expired_token_spend_one_refresh_token(by_oauth: Gateway, sandbox: Sandbox) -> None:
    sandbox.portal.oauth.expire_access_tokens()
    calls = [by_oauth.post("/bitrix/call/profile", json={}) for _ in range(5)]
    calls += [by_oauth.post("/bitrix/v3/main.eventlog.list", json={}) for _ in range(5)]
    answers = await by_oauth.clock.until(asyncio.gather(*calls))
    assert [answer.status for answer in answers] == [200] * 10
    assert [request["grant_type"] for request in sandbox.portal.token_requests] == ["refresh_token"]


async def test_an_invalid_refresh_token_makes_the_account_stale(by_oauth: Gateway, sandbox: Sandbox) -> None:
    sandbox.portal.oauth.expire_access_tokens()
    sandbox.portal.fault("oauth.token:invalid_grant*")
    assert refusal(await call(by_oauth, "profile")) == (409, "grant_refused")
    assert (await by_oauth.get("/bitrix/account")).json["stale"] is True
    answer = await call(by_oauth, "profile")
    assert answer.json["authorizeURL"].startswith(f"{sandbox.origin}/oauth/authorize/?")


async def test_an_error_hides_a_secret_echoed_by_the_portal(
    proxied: Gateway, proxy: RecordingProxy, sandbox: Sandbox
) -> None:
    code = sandbox.portal.settings.webhook_code
    proxy.answer("profile", respond_json({"error": code, "error_description": f"not with {proxy.webhook}"}, 400))
    answer = await call(proxied, "profile")
    assert answer.json["portalError"]["code"] == "***"
    assert code.encode() not in answer.body
