"""POST /bitrix/call/{method}: requests, refusals before the portal is called, and errors of the portal."""

import asyncio
from io import BytesIO
from typing import Any

import pytest

from tests.gateway import NO_TOKEN, Gateway, Sandbox, authorize
from tests.support.calling import WRITE, call, place, refusal
from tests.support.onlooker import Onlooker, dropping, saying, telling

# Requests and responses.


async def test_a_call_is_sent_to_the_webhook_with_its_parameters_only(
    watched: Gateway, onlooker: Onlooker, sandbox: Sandbox
) -> None:
    params = {"filter": {">ID": 5, "!UF_CRM_1737980095947": None}, "select": ["ID", "UF_CRM_1737980095947"], "start": 0}
    answer = await call(watched, "crm.deal.list", params)
    assert answer.status == 200
    assert answer.json["result"][0].keys() == {"ID"}
    (sent,) = onlooker.sent
    assert (sent.verb, sent.address) == ("POST", f"{sandbox.portal.webhook_path}crm.deal.list")
    assert sent.json == params
    assert sent.headers["Content-Type"] == sent.headers["Accept"] == "application/json"


@pytest.mark.parametrize("slash", ["", "/"])
async def test_the_webhook_may_end_with_or_without_a_slash(gateway: Gateway, sandbox: Sandbox, slash: str) -> None:
    await gateway.connect(sandbox.webhook.rstrip("/") + slash)
    assert (await call(gateway, "profile")).json["result"]["ID"] == "1"


async def test_the_portals_envelope_is_returned(connected: Gateway) -> None:
    envelope = (await call(connected, "user.get")).json
    assert envelope.keys() == {"result", "total", "next", "time"}
    assert (envelope["total"], envelope["next"], len(envelope["result"])) == (60, 50, 50)
    assert envelope["time"]["operating"] >= 0
    last = (await call(connected, "user.get", {"start": 50})).json
    assert "next" not in last
    assert len(last["result"]) == 10


@pytest.mark.parametrize("result", [1823, {"id": 1823}, True, False, None, [], "", {"ufCrm41_1737980095947": "Ж"}])
async def test_a_result_of_any_type_is_returned_unchanged(watched: Gateway, onlooker: Onlooker, result: object) -> None:
    onlooker.answer("crm.item.add", telling({"result": result}))
    assert (await call(watched, "crm.item.add", {"fields": {"ufCrm41_1737980095947": 1}})).json == {"result": result}
    assert onlooker.sent[0].json == {"fields": {"ufCrm41_1737980095947": 1}}


async def test_a_missing_body_is_an_empty_object_and_invalid_ones_are_refused(
    connected: Gateway, sandbox: Sandbox
) -> None:
    path, requests = "/bitrix/call/profile", sandbox.portal.http_requests
    json = {"Content-Type": "application/json"}
    for body in (b"[]", b"5", b'"x"', b"null", b"{", b" ", b"[" * 2000, b"\xff", b'{"a":NaN}'):
        answer = await connected.post(path, data=body, headers=json)
        assert refusal(answer) == (400, "invalid_input"), body
    answer = await connected.post(path, data=b"{}", headers={"Content-Type": "text/plain"})
    assert refusal(answer) == (400, "invalid_input")
    assert sandbox.portal.http_requests == requests
    assert (await connected.post(path)).status == 200
    assert (await connected.post(path, headers=json)).status == 200


async def test_bodies_that_are_too_large_or_too_deep_are_refused(connected: Gateway, sandbox: Sandbox) -> None:
    requests = sandbox.portal.http_requests
    headers = {"Content-Type": "application/json"}
    answer = await connected.post("/bitrix/call/profile", data=BytesIO(b" " * 2**20 + b"{}"), headers=headers)
    assert refusal(answer) == (413, "body_too_large")
    for depth in (64, 300, 900):
        data = b'{"x":' + b"[" * depth + b"]" * depth + b"}"
        answer = await connected.post("/bitrix/call/profile", data=data, headers=headers)
        assert refusal(answer) == (400, "invalid_input")
        assert answer.json["errors"][0]["code"] == "too_deep"
    assert sandbox.portal.http_requests == requests


# Refusals before the portal is called.


async def test_an_invalid_method_name_is_refused(connected: Gateway, sandbox: Sandbox) -> None:
    requests = sandbox.portal.http_requests
    names = ["crm%2Fdeal", "crm.deal.list%3Fstart=1", "crm%20deal", "%20profile", "profile.json", "profile.XML", "1.x"]
    names += [".profile", "profile.", "crm..deal", "crm.d%C3%A9al", "profile%0A", "..%2Fprofile", "batch", "BATCH"]
    for name in names:
        answer = await call(connected, name)
        assert refusal(answer) == (400, "invalid_input"), name
        assert place(answer) == "method"
    assert sandbox.portal.http_requests == requests
    assert (await call(connected, "crm.deal/list")).status == 404


async def test_a_token_in_the_parameters_is_refused(connected: Gateway, sandbox: Sandbox) -> None:
    requests = sandbox.portal.http_requests
    for name in ("auth", "access_token", "AUTH"):
        answer = await call(connected, "profile", {"x": 1, name: "somebody-elses"})
        assert (refusal(answer), place(answer)) == ((400, "invalid_input"), f"/{name}")
        assert b"somebody-elses" not in answer.body
    assert sandbox.portal.http_requests == requests


@pytest.mark.parametrize(
    ("allow", "deny", "method", "status"),
    [
        ("", "", "user.get", 200),
        ("user.*,profile", "", "USER.Get", 200),
        ("user.*,profile", "", "scope", 403),
        ("USER.*", "user.g*", "user.get", 403),
        ("", "*.get", "User.GET", 403),
        ("", "crm.*", "user.get", 200),
    ],
)
async def test_methods_are_allowed_and_denied_by_name(
    connected: Gateway, sandbox: Sandbox, allow: str, deny: str, method: str, status: int
) -> None:
    await connected.restart(GATEWAY_METHODS_ALLOW=allow, GATEWAY_METHODS_DENY=deny)
    requests = sandbox.portal.http_requests
    command = {"method": method}
    answers = [await call(connected, method), await connected.post("/bitrix/batch", json={"commands": [command]})]
    assert {answer.status for answer in answers} == {status}
    if status == 403:
        answers = [
            await connected.post(f"/bitrix/v3/{method}", json={}),
            await connected.post("/bitrix/v3/batch", json=[command]),
        ]
        assert {refusal(answer) for answer in answers} == {(403, "method_denied")}
        assert sandbox.portal.http_requests == requests


async def test_the_token_is_checked_before_the_request_and_the_request_before_the_account(gateway: Gateway) -> None:
    await gateway.restart(GATEWAY_METHODS_DENY="user.*")
    own = {"auth": "x"}
    assert refusal(await call(gateway, "a%20b", own, token=NO_TOKEN)) == (401, "unauthenticated")
    assert place(await call(gateway, "a%20b", own)) == "method"
    assert refusal(await call(gateway, "user.get", own)) == (403, "method_denied")
    assert refusal(await call(gateway, "profile", own)) == (400, "invalid_input")
    assert refusal(await call(gateway, "profile")) == (404, "account_not_found")


async def test_a_portal_that_is_not_yet_authorized_is_not_called(gateway: Gateway, sandbox: Sandbox) -> None:
    await gateway.connect(sandbox.origin)
    for path, body in (("call/profile", {}), ("batch", {"commands": [{"method": "profile"}]}), ("v3/profile", {})):
        answer = await gateway.post(f"/bitrix/{path}", json=body)
        assert refusal(answer) == (409, "authorization_required")
        assert answer.json["authorizeURL"].startswith(sandbox.origin)
    assert sandbox.portal.http_requests == 0


# Errors of the portal.


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
    watched: Gateway, onlooker: Onlooker, code: str
) -> None:
    onlooker.answer("profile", telling({"error": code, "error_description": "Gone"}, 401))
    answer = await call(watched, "profile")
    assert answer.status == 409
    assert answer.json["portalError"] == {"code": code, "description": "Gone", "status": 401}
    assert (await watched.get("/bitrix/account")).json["stale"] is True
    assert refusal(await call(watched, "profile")) == (409, "webhook_required")
    assert len(onlooker.sent) == 1


async def test_an_error_with_status_200_is_an_error(watched: Gateway, onlooker: Onlooker) -> None:
    onlooker.answer("crm.deal.get", telling({"error": "", "error_description": "Access denied."}))
    answer = await call(watched, "crm.deal.get", {"ID": 1})
    assert answer.status == 400
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
    watched: Gateway, onlooker: Onlooker, body: bytes, content_type: str, status: int
) -> None:
    onlooker.answer("profile", *[saying(status, body, content_type)] * 6)
    began = watched.clock.now()
    answer = await call(watched, "profile")
    assert answer.status == 502
    assert answer.json["code"] in ("portal_broken", "portal_failing")
    assert b"html" not in answer.body
    assert b"Traceback" not in answer.body
    assert len(onlooker.sent) == 5
    assert 7.5 <= watched.clock.now() - began <= 20
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
        dropping,
        saying(502, b"<html>", "text/html"),
        saying(200, b'{"result"'),
        telling({"error": "INTERNAL_SERVER_ERROR"}, 500),
    ],
)
async def test_a_write_that_may_have_been_carried_out_is_not_retried_and_reported_as_unknown(
    watched: Gateway, onlooker: Onlooker, fault: Any
) -> None:
    onlooker.answer(WRITE, fault)
    assert refusal(await call(watched, WRITE, {"ID": 1, "fields": {"TITLE": "x"}})) == (502, "outcome_unknown")
    assert len(onlooker.sent) == 1


async def test_a_rate_limited_write_is_retried(watched: Gateway, onlooker: Onlooker) -> None:
    refused = telling({"error": "QUERY_LIMIT_EXCEEDED", "error_description": "Too many requests"}, 503)
    onlooker.answer(WRITE, refused, refused, telling({"result": True}))
    assert (await call(watched, WRITE, {"ID": 1})).json == {"result": True}
    assert len(onlooker.sent) == 3


# Tokens.


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
    watched: Gateway, onlooker: Onlooker, sandbox: Sandbox
) -> None:
    code = sandbox.portal.settings.webhook_code
    onlooker.answer("profile", telling({"error": code, "error_description": f"not with {onlooker.webhook}"}, 400))
    answer = await call(watched, "profile")
    assert answer.json["portalError"]["code"] == "***"
    assert code.encode() not in answer.body
