"""The callback that a portal's authorization page redirects to."""

import asyncio
from urllib.parse import parse_qsl, urlencode, urlsplit

import aiohttp
import pytest
from aiohttp import web

from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.settings import SandboxSettings
from tests.clock import ManualClock
from tests.gateway import NO_TOKEN, RESOURCES, Gateway, Sandbox, authorize, callback_path, serve_sandbox
from tests.support.authorizing import ACCOUNT, CALLBACK, RETURN, come_back, is_untouched, way_back
from tests.support.rogue import listening
from tests.support.stored import credentials, select

REQUIRED = ("code", "domain", "state", "member_id", "server_domain")
Change = dict[str, str]


async def test_an_authorization_connects_the_account(gateway: Gateway, sandbox: Sandbox) -> None:
    answer = await authorize(gateway, sandbox, redirectURL=RETURN)
    assert (answer.status, answer.headers["Location"], answer.body) == (302, RETURN, b"")
    account = (await gateway.get(ACCOUNT)).json
    assert (account["bitrixID"], account["stale"]) == (sandbox.portal.member_id, False)
    assert [run["state"] for run in await gateway.synced()] == ["done"] * 4


async def test_without_a_return_address_the_redirect_leads_to_the_connected_page(
    gateway: Gateway, sandbox: Sandbox
) -> None:
    answer = await authorize(gateway, sandbox)
    assert answer.headers["Location"] == "/connected"
    page = await gateway.get("/connected", token=NO_TOKEN)
    assert (page.status, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")


async def test_the_connected_page_is_at_the_public_url(gateway: Gateway, sandbox: Sandbox) -> None:
    await gateway.restart(GATEWAY_PUBLIC_URL="https://gateway.example.com")
    answer = await authorize(gateway, sandbox)
    assert answer.headers["Location"] == "https://gateway.example.com/connected"


async def test_the_code_is_exchanged_once_with_the_client_secret(gateway: Gateway, sandbox: Sandbox) -> None:
    query = await way_back(gateway, sandbox)
    await come_back(gateway, query)
    assert list(sandbox.portal.token_requests) == [
        {
            "grant_type": "authorization_code",
            "client_id": "app.sandbox",
            "client_secret": "sandbox-secret",
            "code": query["code"],
        }
    ]


@pytest.mark.parametrize("resource", RESOURCES)
async def test_lists_can_be_read_with_the_new_tokens(gateway: Gateway, sandbox: Sandbox, resource: str) -> None:
    await authorize(gateway, sandbox)
    await gateway.synced()
    assert [run["state"] for run in await gateway.sync(resource)] == ["done"]
    assert await gateway.rows(resource)


async def test_the_scope_may_be_absent(gateway: Gateway, sandbox: Sandbox) -> None:
    query = await way_back(gateway, sandbox)
    del query["scope"]
    assert (await come_back(gateway, query)).status == 302


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize("how", ["missing", "empty", "repeated"])
async def test_each_parameter_is_required_once(gateway: Gateway, sandbox: Sandbox, name: str, how: str) -> None:
    query = await way_back(gateway, sandbox)
    value = query.pop(name)
    more = {"missing": "", "empty": f"&{name}=", "repeated": f"&{urlencode([(name, value), (name, value)])}"}[how]
    answer = await gateway.get(f"{CALLBACK}?{urlencode(query)}{more}", token=NO_TOKEN)
    assert answer.status == 400
    assert answer.json == f"{name}: " + ("is given more than once" if how == "repeated" else "is required")
    assert "Location" not in answer.headers
    assert await is_untouched(gateway, sandbox)


async def test_a_callback_without_parameters_is_refused(gateway: Gateway) -> None:
    assert (await gateway.get(CALLBACK, token=NO_TOKEN)).status == 400


@pytest.mark.parametrize(
    "server",
    [
        "127.0.0.1",
        "evil.example",
        "oauth.bitrix.info",
        "{host}/",
        "{host}/oauth",
        "{host}@evil.example",
        "evil.example#{host}",
        "evil.example/{host}",
        "http://{host}",
        "{host}.evil.example",
        "127.0.0.1:1",
        " {host}",
        "{host}\r\nX: y",
        "localhost",
    ],
)
async def test_the_client_secret_is_only_sent_to_configured_servers(
    gateway: Gateway, sandbox: Sandbox, server: str
) -> None:
    requested: list[str] = []

    async def thief(request: web.Request) -> web.Response:
        requested.append(str(request.url))
        return web.Response()

    query = await way_back(gateway, sandbox)
    answer = await come_back(gateway, query | {"server_domain": server.format(host=sandbox.host)})
    assert (answer.status, answer.json[:14]) == (400, "server_domain:")
    async with listening(thief) as origin:
        answer = await come_back(gateway, query | {"server_domain": origin.removeprefix("http://")})
    assert (answer.status, requested) == (400, [])
    assert await is_untouched(gateway, sandbox)
    assert (await come_back(gateway, query)).status == 302  # the refusal did not use the state


@pytest.mark.parametrize("domain", ["evil.example", "127.0.0.1", "{host}.evil.example", "http://{host}", "{host}/"])
async def test_another_domain_than_the_requested_one_is_refused(
    gateway: Gateway, sandbox: Sandbox, domain: str
) -> None:
    query = await way_back(gateway, sandbox)
    answer = await come_back(gateway, query | {"domain": domain.format(host=sandbox.host)})
    assert (answer.status, answer.json) == (400, "domain: must be the portal that is being authorized")
    assert await is_untouched(gateway, sandbox)


@pytest.mark.parametrize("member_id", ["0" * 32, "x", "A" * 5000])
async def test_a_member_id_that_differs_from_the_servers_stores_nothing(
    gateway: Gateway, sandbox: Sandbox, member_id: str
) -> None:
    query = await way_back(gateway, sandbox)
    answer = await come_back(gateway, query | {"member_id": member_id})
    assert answer.status == 400
    assert answer.json.startswith("member_id: ")
    assert credentials(gateway) == 0
    assert (await gateway.get(ACCOUNT)).json["bitrixID"] == ""
    assert sandbox.portal.http_requests == 0


async def test_the_code_of_one_portal_does_not_authorize_another(
    gateway: Gateway, sandbox: Sandbox, other: Sandbox
) -> None:
    """A person who can authorize one portal cannot connect its member_id to another."""
    await gateway.connect(sandbox.webhook, account="victim")
    query = await way_back(gateway, sandbox)
    theirs = {
        "code": other.portal.oauth.issue_code(),
        "member_id": other.portal.member_id,
        "server_domain": other.host,
    }
    await come_back(gateway, query | theirs)
    victim = (await gateway.get(ACCOUNT, account="victim")).json
    assert victim["bitrixID"] == sandbox.host
    await gateway.sync("users", account="victim")
    assert {row["accountID"] for row in await gateway.rows("users", account="victim")} == {sandbox.host}
    await gateway.synced()
    account = (await gateway.get(ACCOUNT)).json
    assert (account["bitrixID"], account["subdomain"]) == (other.portal.member_id, other.host)
    assert len(await gateway.rows("users")) == len(other.portal.data.users)


FOREIGN_ORIGINS = [
    "https://evil.example/",
    "https://app.example.com.evil.example/",
    "https://app.example.com@evil.example/",
    "https://evil.example\\@app.example.com/",
    "https://evil.example/https://app.example.com",
    "http://app.example.com/",
    "https://app.example.com:8443/",
    "//app.example.com/",
    "/done",
    "",
    "javascript:alert(1)//https://app.example.com",
    "data:text/html,x",
    "https://app.example.com/\r\nSet-Cookie: a=b",
    "https://",
    "https://app.example.com/" + "a" * 10_000,
]


@pytest.mark.parametrize("url", FOREIGN_ORIGINS, ids=lambda url: repr(url[:45]))
async def test_a_return_address_at_another_origin_is_refused(gateway: Gateway, sandbox: Sandbox, url: str) -> None:
    answer = await gateway.post(ACCOUNT, json={"client_bitrix_url": sandbox.origin, "redirectURL": url})
    assert answer.status == 400
    assert answer.json.startswith("redirectURL: ")
    assert (await gateway.get(ACCOUNT)).status == 404


@pytest.mark.parametrize(
    "url", ["https://app.example.com", "HTTPS://APP.example.com:443/a", "https://app.example.com/?x="]
)
async def test_return_addresses_of_an_allowed_origin_are_used_unchanged(
    gateway: Gateway, sandbox: Sandbox, url: str
) -> None:
    assert (await authorize(gateway, sandbox, redirectURL=url)).headers["Location"] == url


async def test_the_public_url_is_an_allowed_return_origin(gateway: Gateway, sandbox: Sandbox) -> None:
    await gateway.restart(GATEWAY_PUBLIC_URL="https://gateway.example.com")
    answer = await authorize(gateway, sandbox, redirectURL="https://gateway.example.com/docs")
    assert answer.headers["Location"] == "https://gateway.example.com/docs"


async def test_a_return_origin_that_is_no_longer_allowed_is_refused(gateway: Gateway, sandbox: Sandbox) -> None:
    query = await way_back(gateway, sandbox, redirectURL=RETURN)
    await gateway.restart(GATEWAY_RETURN_ORIGINS="https://new.example.com")
    answer = await come_back(gateway, query)
    assert answer.status == 400
    assert "Location" not in answer.headers
    assert await is_untouched(gateway, sandbox)


FAILURES = [
    "error=invalid_request",
    "error=invalid_scope",
    "invalid_grant",
    "json500",
    "html500",
    "502",
    "drop",
    "cut",
    "truncated",
    "delay=100",
    "client_endpoint=ftp://x/",
    "client_endpoint=nonsense",
]


@pytest.mark.parametrize("fault", FAILURES)
async def test_a_failed_exchange_stores_and_reveals_nothing(gateway: Gateway, sandbox: Sandbox, fault: str) -> None:
    query = await way_back(gateway, sandbox)
    sandbox.portal.fault(f"oauth.token:{fault}*")
    answer = await gateway.clock.until(come_back(gateway, query))
    assert (answer.status, answer.json) == (500, "Internal Server Error")
    assert "Location" not in answer.headers
    assert credentials(gateway) == 0
    account = (await gateway.get(ACCOUNT)).json
    assert (account["stale"], account["bitrixID"]) == (True, "")
    assert len(sandbox.portal.token_requests) == 1  # the code may have been used
    assert sandbox.portal.http_requests == 0


async def test_a_wrong_client_secret_is_an_internal_error(gateway: Gateway, sandbox: Sandbox) -> None:
    await gateway.restart(GATEWAY_BITRIX_CLIENT_SECRET="canary-wrong-secret")
    answer = await authorize(gateway, sandbox)
    assert (answer.status, answer.json) == (500, "Internal Server Error")
    assert credentials(gateway) == 0


async def test_an_unreachable_authorization_server_is_an_internal_error(gateway: Gateway, sandbox: Sandbox) -> None:
    await gateway.restart(GATEWAY_OAUTH_SERVERS=f"{sandbox.host},127.0.0.1:1")
    query = await way_back(gateway, sandbox)
    answer = await gateway.clock.until(come_back(gateway, query | {"server_domain": "127.0.0.1:1"}))
    assert (answer.status, answer.json) == (500, "Internal Server Error")
    assert credentials(gateway) == 0


async def test_an_expired_code_is_an_internal_error(gateway: Gateway, sandbox: Sandbox, clock: ManualClock) -> None:
    query = await way_back(gateway, sandbox)
    await clock.advance(31)
    assert (await come_back(gateway, query)).status == 500
    assert credentials(gateway) == 0
    assert (await authorize(gateway, sandbox)).status == 302


async def test_a_failed_exchange_keeps_the_current_tokens(gateway: Gateway, sandbox: Sandbox) -> None:
    first, second = await way_back(gateway, sandbox), await way_back(gateway, sandbox)
    assert (await come_back(gateway, first)).status == 302
    await gateway.synced()
    sandbox.portal.fault("oauth.token:invalid_grant")
    assert (await come_back(gateway, second)).status == 500
    assert (await gateway.get(ACCOUNT)).json["stale"] is False
    assert [run["error"] for run in await gateway.sync("users")] == [None]


async def test_the_exchange_finishes_if_the_browser_disconnects(gateway: Gateway, sandbox: Sandbox) -> None:
    query = await way_back(gateway, sandbox)
    sandbox.portal.hold("oauth.token")
    async with aiohttp.ClientSession() as browser:
        request = asyncio.create_task(browser.get(f"{gateway.origin}{CALLBACK}?{urlencode(query)}"))
        while not sandbox.portal.token_requests:
            await gateway.clock.settle()
        request.cancel()
        await asyncio.gather(request, return_exceptions=True)
    await gateway.clock.settle()
    sandbox.portal.release("oauth.token")
    while "idle" in [run["state"] for run in await gateway.synced()]:  # until the syncs have started
        await gateway.clock.settle()
    assert [run["state"] for run in await gateway.synced()] == ["done"] * 4


async def test_two_accounts_on_one_portal_have_separate_tokens(gateway: Gateway, sandbox: Sandbox) -> None:
    for account in ("acme", "beta"):
        assert (await authorize(gateway, sandbox, account=account)).status == 302
        await gateway.synced(account=account)
    tokens = {call.credential for call in sandbox.portal.seen}
    assert len(tokens) == 2
    assert select(gateway, "SELECT count(*) FROM portals") == [(1,)]


async def test_the_domain_is_case_insensitive(
    gateway: Gateway, sandbox_settings: SandboxSettings, clock: ManualClock
) -> None:
    async with serve_sandbox(SandboxPortal(sandbox_settings, clock)) as named:
        host = named.host.replace("127.0.0.1", "localhost")
        await gateway.restart(GATEWAY_OAUTH_SERVERS=host)
        answer = await gateway.post(ACCOUNT, json={"client_bitrix_url": f"http://{host}"})
        query = dict(parse_qsl(urlsplit(await callback_path(gateway, answer.json["authorizeURL"])).query))
        assert (await come_back(gateway, query | {"domain": host.upper()})).status == 302
