"""The addresses of a portal, and the forms of parameters and credentials that it accepts."""

import json

import pytest
from aiohttp import ClientSession, FormData

from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.settings import SandboxSettings
from gateway.sandbox.web.server import SandboxServer
from tests.clock import ManualClock
from tests.sandbox.client import RestClient


@pytest.fixture
def token(portal: SandboxPortal, server: SandboxServer) -> str:
    grant = {"grant_type": "authorization_code", "code": portal.oauth.issue_code()}
    client = {"client_id": "app.sandbox", "client_secret": "sandbox-secret"}
    return str(portal.oauth.token({**client, **grant}, server.origin)["access_token"])


@pytest.mark.parametrize("verb", ["GET", "POST"])
@pytest.mark.parametrize(
    "address",
    [
        "/rest/1/sandbox/user.current",
        "/rest/1/sandbox/user.current/",
        "/rest/1/sandbox/user.current.json",
        "/rest/1/sandbox/user.current.json/",
        "//rest//1/sandbox//user.current//",
        "/rest/1/sandbox/USER.Current",
    ],
)
async def test_webhook_address_variants_are_accepted(anonymous: RestClient, verb: str, address: str) -> None:
    answer = await anonymous.send(verb, anonymous.base + address)
    assert answer.result["ID"] == "1"


@pytest.mark.parametrize(
    "address", ["/rest/user.current", "/rest/user.current/", "/rest/User.Current.json", "//rest//user.current.json/"]
)
async def test_oauth_address_variants_are_accepted(anonymous: RestClient, token: str, address: str) -> None:
    assert (await anonymous.get(f"{address}?auth={token}")).result["ID"] == "1"
    assert (await anonymous.call(address, auth=token)).result["ID"] == "1"


async def test_a_token_is_accepted_in_the_header_or_either_parameter(anonymous: RestClient, token: str) -> None:
    bearer = {"Authorization": f"Bearer {token}"}
    answer = await anonymous.send("POST", anonymous.base + "/rest/profile?auth=wrong", headers=bearer)
    assert answer.result["ID"] == "1"
    assert (await anonymous.form("/rest/profile", f"access_token={token}")).result["ID"] == "1"


@pytest.mark.parametrize(
    ("address", "status", "code"),
    [
        ("/rest/profile", 401, "NO_AUTH_FOUND"),
        ("/rest/profile?auth=nobody", 401, "invalid_token"),
        ("/rest/1/wrong/profile", 401, "INVALID_CREDENTIALS"),
        ("/rest/2/sandbox/profile", 401, "INVALID_CREDENTIALS"),
        ("/rest/1/sandbox/no.such.method", 404, "ERROR_METHOD_NOT_FOUND"),
        ("/rest/1/wrong/no.such.method", 404, "ERROR_METHOD_NOT_FOUND"),
    ],
)
async def test_an_unknown_method_is_refused_before_credentials_are_checked(
    anonymous: RestClient, portal: SandboxPortal, address: str, status: int, code: str
) -> None:
    answer = await anonymous.get(address)
    assert (answer.status, answer.error) == (status, code)
    assert set(answer.body) == {"error", "error_description"}
    assert portal.refusals == {code: 1}


async def test_expired_and_unknown_tokens_have_different_errors(
    anonymous: RestClient, clock: ManualClock, token: str
) -> None:
    await clock.advance(3599)
    assert (await anonymous.call("/rest/profile", auth=token)).status == 200
    await clock.advance(1)
    answer = await anonymous.call("/rest/profile", auth=token)
    assert (answer.status, answer.error) == (401, "expired_token")


async def test_parameters_are_read_from_query_form_multipart_or_json(webhook: RestClient) -> None:
    wanted = {"result": {"isExisting": True, "isAvailable": True}}
    address = webhook.base + "method.get"
    multipart = FormData({"name": "user.get"}, default_to_multipart=True)
    answers = [
        await webhook.get("method.get?name=user.get"),
        await webhook.form("method.get", "name=user.get"),
        await webhook.call("method.get", name="user.get"),
        await webhook.send("POST", address, data=multipart),
        await webhook.send("POST", address, data=b"name=user.get", headers={"Content-Type": "text/plain"}),
        await webhook.send(
            "POST", address, data=b'{"name":"user.get"}', headers={"Content-Type": "application/json; charset=utf-8"}
        ),
    ]
    assert [answer.body["result"] for answer in answers] == [wanted["result"]] * len(answers)


async def test_the_body_overrides_the_query(webhook: RestClient, portal: SandboxPortal) -> None:
    await webhook.send("POST", webhook.base + "method.get?name=nothing&extra=1", json={"name": "user.get"})
    assert portal.seen[-1].params == {"name": "user.get", "extra": "1"}


@pytest.mark.parametrize("body", [b"{", b"", b"5", b'"text"'])
async def test_json_other_than_an_object_means_no_parameters(webhook: RestClient, body: bytes) -> None:
    answer = await webhook.send("POST", webhook.base + "scope", data=body, headers={"Content-Type": "application/json"})
    assert answer.status == 200


async def test_an_unencoded_operator_in_a_key_loses_the_filter(webhook: RestClient, portal: SandboxPortal) -> None:
    assert (await webhook.get("user.get?FILTER[%3E%3DID]=10")).result[0]["ID"] == "10"
    await webhook.get("user.get?FILTER[>=ID]=10")
    assert portal.seen[-1].params == {"FILTER_>": "ID]=10"}


async def test_credentials_are_removed_from_the_parameters(
    anonymous: RestClient, portal: SandboxPortal, token: str
) -> None:
    await anonymous.call("/rest/scope", auth=token, auth_connector="me", full=0)
    seen = portal.seen[-1]
    assert (seen.method, seen.params, seen.credential, seen.in_batch) == ("scope", {"full": 0}, token, False)
    assert token not in repr(seen)


async def test_answers_escape_slashes_and_have_the_portals_headers(webhook: RestClient, session: ClientSession) -> None:
    async with session.get(webhook.base + "user.current") as response:
        text = await response.text()
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert r"Europe\/Moscow" in text
    assert json.loads(text)["result"]["NAME"] == "Анна"


async def test_a_preflight_request_calls_no_method(
    webhook: RestClient, portal: SandboxPortal, session: ClientSession
) -> None:
    async with session.options(webhook.base + "scope") as response:
        assert response.status == 200
    assert portal.http_requests == 0


async def test_other_addresses_are_not_found(anonymous: RestClient) -> None:
    for address in ("/", "/rest/", "/rest/x/sandbox/scope", "/rest/1/sandbox/scope/more"):
        assert (await anonymous.get(address)).status == 404


async def test_a_port_in_use_raises_an_os_error(server: SandboxServer, portal: SandboxPortal) -> None:
    taken = int(server.origin.rpartition(":")[2])
    with pytest.raises(OSError, match="address already in use"):
        async with SandboxServer(portal, port=taken):
            pass


class TestNarrowScopes:
    @pytest.fixture
    def settings(self) -> SandboxSettings:
        return SandboxSettings(users=1, scope=("userfieldconfig",))

    async def test_a_method_outside_the_scope_is_refused(self, webhook: RestClient) -> None:
        answer = await webhook.call("user.get")
        assert (answer.status, answer.error) == (403, "insufficient_scope")
        assert answer.body["error_description"].endswith("provided by the webhook token")

    async def test_inside_a_batch_the_error_has_no_description(self, webhook: RestClient) -> None:
        result = await webhook.batch(a="user.get")
        assert result["result_error"] == {"a": {"error": "insufficient_scope", "error_description": ""}}

    async def test_userfieldconfig_needs_the_scope_of_the_module(self, webhook: RestClient) -> None:
        answer = await webhook.call("userfieldconfig.list", moduleId="crm")
        assert answer.body == {"error": "", "error_description": "The current method required more scopes. (crm)"}

    async def test_method_get_returns_whether_a_method_is_available(self, webhook: RestClient) -> None:
        assert (await webhook.call("method.get", name="user.get")).result == {"isExisting": True, "isAvailable": False}
        assert (await webhook.call("method.get", name="x.y")).result == {"isExisting": False, "isAvailable": False}
        assert "user.get" not in (await webhook.call("methods")).result
        assert "user.get" in (await webhook.call("methods", full=True)).result
        assert all(
            name.startswith("userfieldconfig.")
            for name in (await webhook.call("methods", scope="userfieldconfig")).result
        )
        assert (await webhook.call("scope")).result == ["userfieldconfig"]
        assert "crm" in (await webhook.call("scope", full=1)).result
        assert (await webhook.call("method.get")).error == "ERROR_ARGUMENT"


@pytest.mark.parametrize("settings", [SandboxSettings(webhook_code="4gp0x9sdf1k7")])
async def test_the_webhook_code_is_configurable(anonymous: RestClient, portal: SandboxPortal) -> None:
    assert portal.webhook_path == "/rest/1/4gp0x9sdf1k7/"
    assert (await anonymous.call("/rest/1/4gp0x9sdf1k7/profile")).status == 200
    assert (await anonymous.call("/rest/1/sandbox/profile")).status == 401
