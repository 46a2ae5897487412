"""OAuth: the authorization page, the redirect, codes and tokens."""

import pytest
from aiohttp import ClientError
from yarl import URL

from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.settings import SandboxSettings
from gateway.sandbox.web.server import SandboxServer
from tests.clock import ManualClock
from tests.sandbox.client import Answer, RestClient

CLIENT = "client_id=app.sandbox&client_secret=sandbox-secret"


async def exchange(client: RestClient, code: str) -> Answer:
    return await client.get(f"/oauth/token/?grant_type=authorization_code&{CLIENT}&code={code}")


async def refresh(client: RestClient, token: str) -> Answer:
    return await client.form("/oauth/token/", f"grant_type=refresh_token&{CLIENT}&refresh_token={token}")


async def redirect(client: RestClient, verb: str, address: str) -> URL:
    async with client.session.request(verb, client.base + address, allow_redirects=False) as response:
        assert response.status == 302
        return URL(response.headers["Location"])


async def test_a_person_authorizes_the_application(
    anonymous: RestClient, server: SandboxServer, portal: SandboxPortal
) -> None:
    page = await anonymous.get("/oauth/authorize/?client_id=app.sandbox&state=a%22%3Cb%3E")
    assert (page.status, page.content_type) == (200, "text/html; charset=utf-8")
    assert "<button>Allow</button>" in page.body
    assert "a&quot;&lt;b&gt;" in page.body
    address = await redirect(
        anonymous, "POST", "/oauth/authorize/?client_id=app.sandbox&state=a%22%3Cb%3E&redirect_uri=http://evil/"
    )
    assert str(address.with_query(None)) == "http://127.0.0.1:8080/webhook/create"
    place = URL(server.origin).authority
    query = dict(address.query)
    assert (await exchange(anonymous, query.pop("code"))).status == 200
    assert query == {
        "state": 'a"<b>',
        "domain": place,
        "member_id": portal.member_id,
        "scope": ",".join(portal.application.scope),
        "server_domain": place,
    }
    assert len(portal.member_id) == 32


async def test_an_unknown_application_gets_a_page_without_a_redirect(anonymous: RestClient) -> None:
    page = await anonymous.get("/oauth/authorize/?client_id=other&state=x")
    assert page.status == 404
    assert "not installed" in page.body


async def test_a_code_works_once(anonymous: RestClient, portal: SandboxPortal) -> None:
    code = portal.oauth.issue_code()
    assert (await exchange(anonymous, code)).status == 200
    again = await exchange(anonymous, code)
    assert (again.status, again.error) == (400, "invalid_grant")


@pytest.mark.parametrize(("waited_s", "status"), [(29, 200), (30, 400)])
async def test_a_code_expires_after_half_a_minute(
    anonymous: RestClient, portal: SandboxPortal, clock: ManualClock, waited_s: int, status: int
) -> None:
    code = portal.oauth.issue_code()
    await clock.advance(waited_s)
    assert (await exchange(anonymous, code)).status == status


async def test_a_token_answer_has_the_endpoint_and_lifetime(
    anonymous: RestClient, server: SandboxServer, portal: SandboxPortal, clock: ManualClock
) -> None:
    first = (await exchange(anonymous, portal.oauth.issue_code())).body
    assert (first["client_endpoint"], first["domain"]) == (f"{server.origin}/rest/", URL(server.origin).authority)
    assert (first["expires_in"], first["member_id"]) == (3600, portal.member_id)
    second = (await refresh(anonymous, first["refresh_token"])).body
    assert (second["expires"], second["user_id"]) == (int(clock.now()) + 3600, 1)
    assert first["access_token"] != second["access_token"]


async def test_a_refresh_token_works_once(anonymous: RestClient, portal: SandboxPortal) -> None:
    first = (await exchange(anonymous, portal.oauth.issue_code())).body
    second = (await refresh(anonymous, first["refresh_token"])).body
    assert (await refresh(anonymous, first["refresh_token"])).error == "invalid_grant"
    assert (await refresh(anonymous, second["refresh_token"])).status == 200
    assert [request["grant_type"] for request in portal.token_requests] == ["authorization_code"] + [
        "refresh_token"
    ] * 3


async def test_tokens_can_be_revoked(anonymous: RestClient, portal: SandboxPortal) -> None:
    pair = (await exchange(anonymous, portal.oauth.issue_code())).body
    portal.oauth.expire_access_tokens()
    assert (await anonymous.call("/rest/profile", auth=pair["access_token"])).error == "expired_token"
    portal.oauth.revoke_refresh_tokens()
    assert (await refresh(anonymous, pair["refresh_token"])).error == "invalid_grant"


async def test_only_the_administrator_can_list_types(anonymous: RestClient, portal: SandboxPortal) -> None:
    pair = (await exchange(anonymous, portal.oauth.issue_code(user_id=3))).body
    assert (await anonymous.call("/rest/profile", auth=pair["access_token"])).result["ADMIN"] is False
    answer = await anonymous.call("/rest/crm.type.list", auth=pair["access_token"])
    assert (answer.status, answer.error) == (400, "ACCESS_DENIED")


async def test_an_unused_refresh_token_expires_after_half_a_year(
    anonymous: RestClient, portal: SandboxPortal, clock: ManualClock
) -> None:
    pair = (await exchange(anonymous, portal.oauth.issue_code())).body
    await clock.advance(180 * 86400)
    assert (await refresh(anonymous, pair["refresh_token"])).error == "invalid_grant"


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("client_id=other", 200, "wrong_client"),
        ("client_id=app.sandbox&client_secret=wrong", 400, "invalid_client"),
        (CLIENT, 400, "invalid_request"),
        (f"{CLIENT}&grant_type=password", 400, "invalid_request"),
        (f"{CLIENT}&grant_type=refresh_token", 400, "invalid_request"),
        (f"{CLIENT}&grant_type=refresh_token&refresh_token=x", 400, "invalid_grant"),
        (f"{CLIENT}&grant_type=authorization_code&code[]=x", 400, "invalid_grant"),
    ],
)
async def test_an_invalid_token_request_is_refused(anonymous: RestClient, query: str, status: int, code: str) -> None:
    answer = await anonymous.get(f"/oauth/token/?{query}")
    assert (answer.status, answer.error) == (status, code)


@pytest.mark.parametrize(
    ("kind", "status", "code"), [("invalid_grant", 400, "invalid_grant"), ("json500", 500, "INTERNAL_SERVER_ERROR")]
)
async def test_a_scripted_error_does_not_consume_the_code(
    anonymous: RestClient, portal: SandboxPortal, kind: str, status: int, code: str
) -> None:
    portal.fault(f"oauth.token:{kind}")
    issued = portal.oauth.issue_code()
    answer = await exchange(anonymous, issued)
    assert (answer.status, answer.error) == (status, code)
    assert (await exchange(anonymous, issued)).status == 200


@pytest.mark.parametrize("fault", ["member_id=ffff", "client_endpoint=http://evil.example/rest/"])
async def test_a_fault_can_replace_a_value_of_the_token_answer(
    anonymous: RestClient, portal: SandboxPortal, fault: str
) -> None:
    portal.fault(f"oauth.token:{fault}")
    name, _, value = fault.partition("=")
    assert (await exchange(anonymous, portal.oauth.issue_code())).body[name] == value


async def test_a_token_answer_can_be_lost(anonymous: RestClient, portal: SandboxPortal) -> None:
    for kind in ("drop", "cut"):
        portal.fault(f"oauth.token:{kind}")
        with pytest.raises(ClientError):
            await anonymous.form(
                "/oauth/token/", f"grant_type=authorization_code&{CLIENT}&code={portal.oauth.issue_code()}"
            )
    portal.fault("oauth.token:truncated")
    with pytest.raises(ValueError, match=r"delimiter|char"):
        await exchange(anonymous, portal.oauth.issue_code())
    portal.fault("oauth.token:html500")
    assert (await exchange(anonymous, portal.oauth.issue_code())).status == 500


async def test_the_bucket_does_not_count_token_requests(anonymous: RestClient, portal: SandboxPortal) -> None:
    for _ in range(60):
        assert (await anonymous.get("/oauth/token/")).status == 200
    assert portal.http_requests == 0


async def test_app_info_is_short_for_a_webhook(webhook: RestClient) -> None:
    assert set((await webhook.call("app.info")).result) == {"SCOPE", "LICENSE"}


def test_secrets_stay_out_of_reprs(portal: SandboxPortal) -> None:
    assert "sandbox-secret" not in repr(portal.application)


class TestAutoAllow:
    @pytest.fixture
    def settings(self) -> SandboxSettings:
        return SandboxSettings(users=2, auto_allow=True, redirect_uri="http://localhost:9/back?keep=1")

    async def test_the_redirect_is_immediate_and_keeps_the_configured_address(
        self, anonymous: RestClient, portal: SandboxPortal
    ) -> None:
        address = await redirect(anonymous, "GET", "/oauth/authorize/?client_id=app.sandbox&state=s")
        assert (address.port, address.query["keep"], address.query["state"]) == (9, "1", "s")
        portal.application.redirect_uri = "http://localhost:10/other"
        assert (await redirect(anonymous, "GET", "/oauth/authorize?client_id=app.sandbox")).port == 10
