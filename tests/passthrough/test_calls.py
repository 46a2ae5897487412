"""POST /bitrix/call/{method}: requests, refusals before the portal is called, and errors of the portal."""

from io import BytesIO

import pytest

from tests.gateway import NO_TOKEN, Gateway, Sandbox
from tests.support.calling import call, place, refusal
from tests.support.recording_proxy import RecordingProxy, respond_json

# Requests and responses.


async def test_a_call_is_sent_to_the_webhook_with_its_parameters_only(
    proxied: Gateway, proxy: RecordingProxy, sandbox: Sandbox
) -> None:
    params = {"filter": {">ID": 5, "!UF_CRM_1737980095947": None}, "select": ["ID", "UF_CRM_1737980095947"], "start": 0}
    answer = await call(proxied, "crm.deal.list", params)
    assert answer.status == 200
    assert answer.json["result"][0].keys() == {"ID"}
    (sent,) = proxy.sent
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
async def test_a_result_of_any_type_is_returned_unchanged(
    proxied: Gateway, proxy: RecordingProxy, result: object
) -> None:
    proxy.answer("crm.item.add", respond_json({"result": result}))
    assert (await call(proxied, "crm.item.add", {"fields": {"ufCrm41_1737980095947": 1}})).json == {"result": result}
    assert proxy.sent[0].json == {"fields": {"ufCrm41_1737980095947": 1}}


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
    assert answer.json["detail"] == "body: is larger than 1,048,576 bytes (GATEWAY_MAX_BODY_BYTES)"
    for depth in (64, 300, 900, 1024, 200_000):
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


# Tokens.
