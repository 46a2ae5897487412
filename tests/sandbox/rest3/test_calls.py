"""Calls of REST 3.0: addresses, bodies, credentials, errors, and the state shared with REST 2."""

from typing import Any

import pytest
from aiohttp import ClientPayloadError, ServerDisconnectedError

from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.settings import SandboxSettings
from tests.clock import ManualClock
from tests.sandbox.client import RestClient
from tests.sandbox.rest3.answers import PREFIX, refused


async def test_a_webhook_can_call_rest3(rest3: RestClient, portal: SandboxPortal) -> None:
    answer = await rest3.call("tasks.task.list")
    assert list(answer.body) == ["result", "time"]
    assert list(answer.result) == ["items"]
    assert (portal.seen[-1].version, portal.seen[-1].credential) == (3, "sandbox")
    assert portal.calls == {"tasks.task.list": 1}
    assert portal.http_requests == 1


async def test_case_slashes_and_the_suffix_are_ignored(rest3: RestClient) -> None:
    for name in ("TASKS.Task.List", "tasks.task.list/", "tasks.task.list.json"):
        assert (await rest3.call(name)).status == 200


async def test_an_application_sends_its_token_in_the_body_or_as_bearer(
    anonymous: RestClient, portal: SandboxPortal, token: str
) -> None:
    assert (await anonymous.call("/rest/api/tasks.task.list", auth=token)).status == 200
    assert portal.seen[-1].params == {}
    headers = {"Authorization": f"Bearer {token}"}
    batch = [{"method": "tasks.task.list"}]
    answer = await anonymous.send("POST", anonymous.base + "/rest/api/batch", json=batch, headers=headers)
    assert answer.status == 200


@pytest.mark.parametrize("token", ["", "nonsense", 5])
async def test_an_invalid_token_is_denied(anonymous: RestClient, token: Any) -> None:
    assert refused(await anonymous.call("/rest/api/tasks.task.list", auth=token), 401, "ACCESSDENIEDEXCEPTION")


async def test_a_wrong_webhook_and_an_expired_token_are_denied(
    anonymous: RestClient, portal: SandboxPortal, token: str
) -> None:
    wrong = await anonymous.call("/rest/api/1/wrong/tasks.task.list")
    assert refused(wrong, 401, "ACCESSDENIEDEXCEPTION")
    portal.oauth.expire_access_tokens()
    assert refused(await anonymous.call("/rest/api/tasks.task.list", auth=token), 401, "ACCESSDENIEDEXCEPTION")
    assert portal.refusals == {PREFIX + "ACCESSDENIEDEXCEPTION": 2}


async def test_an_unknown_method_is_refused_before_other_checks(anonymous: RestClient) -> None:
    for name in ("nope", "user.get", "crm.status.list"):
        assert refused(await anonymous.call(f"/rest/api/{name}"), 404, "METHODNOTFOUNDEXCEPTION")


async def test_rest2_does_not_know_the_methods_of_rest3(webhook: RestClient) -> None:
    answer = await webhook.call("main.eventlog.list")
    assert (answer.status, answer.error) == (404, "ERROR_METHOD_NOT_FOUND")


class TestScopes:
    @pytest.fixture
    def settings(self) -> SandboxSettings:
        return SandboxSettings(users=3, scope=("task",))

    async def test_the_scope_of_rest2_is_not_sufficient(self, rest3: RestClient, webhook: RestClient) -> None:
        assert refused(await rest3.call("tasks.task.list"), 403, "INSUFFICIENTSCOPEEXCEPTION")
        assert (await webhook.call("tasks.task.list")).status == 200
        assert (await rest3.call("rest.scope.list")).result == {
            "rest": {
                "scope": {"list": _item("rest.scope.list")},
                "documentation": {"openapi": _item("rest.documentation.openapi")},
            }
        }


def _item(name: str) -> dict[str, Any]:
    return {"scope": name, "title": name, "description": "", "fields": None}


async def test_only_the_administrator_can_read_the_event_log(
    anonymous: RestClient, portal: SandboxPortal, token: str
) -> None:
    assert (await anonymous.call("/rest/api/main.eventlog.get", auth=token, id=1)).status == 200
    grant = {"client_id": "app.sandbox", "client_secret": "sandbox-secret", "grant_type": "authorization_code"}
    other = portal.oauth.token({**grant, "code": portal.oauth.issue_code(2)}, "")["access_token"]
    for method in ("list", "tail", "get"):
        answer = await anonymous.call(f"/rest/api/main.eventlog.{method}", auth=other, id=1)
        assert refused(answer, 403, "ACCESSDENIEDEXCEPTION")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b"{"),
        ("application/json", b'"text"'),
        ("application/json", b"5"),
        ("application/x-www-form-urlencoded", b"id=1"),
        ("text/plain", b"{}"),
    ],
)
async def test_an_invalid_json_body_is_refused(rest3: RestClient, content_type: str, body: bytes) -> None:
    headers = {"Content-Type": content_type}
    answer = await rest3.send("POST", rest3.base + "tasks.task.list", data=body, headers=headers)
    assert refused(answer, 400, "INVALIDJSONEXCEPTION")


async def test_the_query_string_is_ignored(rest3: RestClient) -> None:
    assert (await rest3.get("tasks.task.list?select[]=title")).result["items"][0].keys() == {"id"}
    answer = await rest3.get("tasks.task.get?id=1")
    assert refused(answer, 400, "VALIDATION_REQUESTVALIDATIONEXCEPTION")


@pytest.mark.parametrize("verb", ["PUT", "PATCH", "DELETE"])
async def test_other_verbs_are_refused(rest3: RestClient, portal: SandboxPortal, verb: str) -> None:
    before = len(portal.data.tasks)
    answer = await rest3.send(verb, rest3.base + "tasks.task.delete", json={"id": 1})
    assert refused(answer, 400, "WRONGHTTPREQUESTMETHODEXCEPTION")
    assert len(portal.data.tasks) == before


async def test_the_body_of_get_is_ignored(rest3: RestClient) -> None:
    answer = await rest3.send("GET", rest3.base + "tasks.task.get", json={"id": 1})
    assert refused(answer, 400, "VALIDATION_REQUESTVALIDATIONEXCEPTION")


@pytest.mark.parametrize("verb", ["GET", "POST"])
@pytest.mark.parametrize("name", ["rest.documentation.openapi", "documentation"])
async def test_the_openapi_document_has_no_envelope(rest3: RestClient, verb: str, name: str) -> None:
    answer = await rest3.send(verb, rest3.base + name)
    assert answer.status == 200
    assert answer.body["openapi"] == "3.0.0"
    assert {"/tasks.task.get", "/main.eventlog.tail", "/rest.scope.list"} <= set(answer.body["paths"])
    task = answer.body["components"]["schemas"]["TaskDto"]["properties"]
    assert task["id"] == {"type": "integer", "nullable": False}
    assert task["responsible"] == {"$ref": "#/components/schemas/UserDto"}
    assert "UserDto" in answer.body["components"]["schemas"]


async def test_the_scopes_can_be_filtered(rest3: RestClient) -> None:
    narrowed = await rest3.call("rest.scope.list", filterModule="main", filterMethod="tail")
    assert narrowed.result == {"main": {"eventlog": {"tail": _item("main.eventlog.tail")}}}
    assert (await rest3.call("rest.scope.list", filterController="nope")).result == []
    answer = await rest3.call("rest.scope.list", filterModule=5)
    assert refused(answer, 400, "VALIDATION_REQUESTVALIDATIONEXCEPTION")


async def test_both_versions_share_one_bucket(rest3: RestClient, webhook: RestClient, clock: ManualClock) -> None:
    for _ in range(26):
        assert (await webhook.call("scope")).status == 200
    for _ in range(25):
        assert (await rest3.call("tasks.task.list")).status == 200
    for answer in (await rest3.call("tasks.task.list"), await webhook.call("scope")):
        assert (answer.status, answer.error) == (503, "QUERY_LIMIT_EXCEEDED")
    await clock.advance(1)
    assert (await rest3.call("tasks.task.list")).status == 200


async def test_both_versions_share_operating_time(
    rest3: RestClient, webhook: RestClient, portal: SandboxPortal
) -> None:
    portal.fault("tasks.task.list:busy=481")
    assert (await rest3.call("tasks.task.list")).body["time"]["operating"] == 481
    assert refused(await rest3.call("tasks.task.list"), 429, "RATELIMITEXCEPTION")
    assert (await webhook.call("tasks.task.list")).error == "OPERATION_TIME_LIMIT"
    assert (await rest3.call("tasks.task.get", id=1)).status == 200


@pytest.mark.parametrize(
    ("kind", "status", "name"),
    [
        ("otl", 429, "RATELIMITEXCEPTION"),
        ("expired_token", 401, "ACCESSDENIEDEXCEPTION"),
        ("invalid_token", 401, "ACCESSDENIEDEXCEPTION"),
        ("json500", 500, "INTERNAL_INTERNALEXCEPTION"),
    ],
)
async def test_a_scripted_error_has_the_form_of_rest3(
    rest3: RestClient, portal: SandboxPortal, kind: str, status: int, name: str
) -> None:
    portal.fault(f"tasks.task.list:{kind}")
    assert refused(await rest3.call("tasks.task.list"), status, name)
    portal.fault(f"tasks.task.list:{kind}")
    batch = await rest3.send("POST", rest3.base + "batch", json=[{"method": "tasks.task.list"}])
    assert refused(batch, status, name)


async def test_any_code_can_be_scripted(rest3: RestClient, portal: SandboxPortal) -> None:
    portal.fault("tasks.task.list:error=SOME_CODE")
    answer = await rest3.call("tasks.task.list")
    assert (answer.status, answer.body) == (400, {"error": {"code": "SOME_CODE", "message": "Scripted fault"}})


@pytest.mark.parametrize(("kind", "status"), [("qle", 503), ("qle200", 200)])
async def test_the_bucket_answers_in_the_form_of_rest2(
    rest3: RestClient, portal: SandboxPortal, kind: str, status: int
) -> None:
    portal.fault(f"tasks.task.list:{kind}")
    answer = await rest3.call("tasks.task.list")
    assert (answer.status, answer.error) == (status, "QUERY_LIMIT_EXCEEDED")


async def test_faults_of_the_connection_apply_to_rest3(rest3: RestClient, portal: SandboxPortal) -> None:
    portal.fault("tasks.task.list:drop")
    with pytest.raises((ServerDisconnectedError, ConnectionResetError)):
        await rest3.call("tasks.task.list")
    portal.fault("tasks.task.list:cut")
    with pytest.raises(ClientPayloadError):
        await rest3.call("tasks.task.list")
    portal.fault("tasks.task.list:html500")
    assert (await rest3.call("tasks.task.list")).content_type.startswith("text/html")
