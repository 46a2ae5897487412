"""Before an account moves to another portal, the gateway checks that it has the authorize page of a Bitrix24."""

import asyncio
from dataclasses import replace

import pytest
from aiohttp import web

from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.settings import SandboxSettings
from tests.gateway import Answer, Gateway, Sandbox, serve_sandbox
from tests.support.rogue import Handling, listening, page

ACCOUNT = "/bitrix/account"
PAGE = "/oauth/authorize/"


async def post(gateway: Gateway, url: str) -> Answer:
    return await gateway.clock.until(gateway.post(ACCOUNT, json={"client_bitrix_url": url}))


async def is_unchanged(gateway: Gateway, sandbox: Sandbox) -> bool:
    """Whether the account is on its portal, works, and has its rows."""
    account = (await gateway.get(ACCOUNT)).json
    listed = (await gateway.get("/bitrix/users")).json["count"]
    there = (account["subdomain"], account["state"]) == (sandbox.host, "ok")
    return there and listed == len(sandbox.portal.data.users)


@pytest.mark.parametrize("auto_allow", [False, True])
async def test_the_sandbox_passes_the_check(
    connected: Gateway, sandbox_settings: SandboxSettings, auto_allow: bool
) -> None:
    portal = SandboxPortal(replace(sandbox_settings, seed=2, auto_allow=auto_allow), connected.clock)
    async with serve_sandbox(portal) as other:
        answer = await post(connected, other.origin)
    assert (answer.status, answer.json["state"]) == (200, "pending")


@pytest.mark.parametrize(
    "answering",
    [
        page(200, "<p>log in</p>"),
        page(401, "<p>log in</p>"),
        page(403, "<p>log in</p>"),
        page(302, location="/auth/?backurl=%2Foauth%2Fauthorize%2F"),
        page(302, location="https://auth2.bitrix24.net/oauth/authorize/?client_id=site.1&redirect_uri=x"),
        page(302, location="https://user@evil.example/?a=b"),
    ],
)
async def test_a_login_page_passes_the_check(connected: Gateway, answering: Handling) -> None:
    async with listening(answering) as origin:
        assert (await post(connected, origin)).status == 200


@pytest.mark.parametrize(
    ("answering", "reason"),
    [
        (page(404, "no such page"), "answers 404"),
        (page(200, "{}", "application/json"), "is not an HTML page"),
        (page(204), "answers 204"),
        (page(400, "<p>no</p>"), "answers 400"),
        (page(302, location="/"), "redirects without a return address"),
        (page(302, location="{target}"), "redirects without a return address"),
        (page(302), "redirects without a return address"),
        (page(302, location="http://["), "redirects to an invalid address"),
    ],
)
async def test_another_site_is_refused(connected: Gateway, sandbox: Sandbox, answering: Handling, reason: str) -> None:
    async with listening(answering) as origin:
        answer = await connected.post(
            ACCOUNT, json={"client_bitrix_url": origin}, headers={"Accept": "application/problem+json"}
        )
    assert (answer.status, answer.json["errors"][0]["code"]) == (400, "not_a_portal")
    assert answer.json["detail"] == (
        f"client_bitrix_url: must be the address of a Bitrix24, but its page {PAGE} {reason}"
    )
    assert await is_unchanged(connected, sandbox)


async def test_the_error_names_the_new_host_of_a_renamed_portal(connected: Gateway, sandbox: Sandbox) -> None:
    async with listening(page(302, location="https://new.example{target}")) as origin:
        answer = await post(connected, origin)
    assert (answer.status, answer.json) == (
        400,
        "client_bitrix_url: the portal has moved to new.example: use that address",
    )
    assert await is_unchanged(connected, sandbox)


async def test_a_portal_that_fails_or_does_not_answer_results_in_502(connected: Gateway, sandbox: Sandbox) -> None:
    async with listening(page(502, "bad gateway")) as origin:
        failing = await post(connected, origin)
    assert (failing.status, failing.json) == (502, f"{origin}{PAGE} answers 502")
    refused = await post(connected, "http://127.0.0.1:1")
    assert (refused.status, refused.json) == (502, "the portal does not answer: no connection: refused")
    assert await is_unchanged(connected, sandbox)


async def test_the_check_times_out_after_ten_seconds(connected: Gateway, sandbox: Sandbox) -> None:
    async def silent(_request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    started = connected.clock.now()
    async with listening(silent) as origin:
        answer = await post(connected, origin)
    assert (answer.status, answer.json) == (502, "the portal does not answer: no response within 10 s")
    assert connected.clock.now() - started <= 11
    assert await is_unchanged(connected, sandbox)


async def test_a_private_address_is_not_requested(connected: Gateway, sandbox: Sandbox) -> None:
    await connected.restart(GATEWAY_INSECURE_PORTALS="0", GATEWAY_OAUTH_SERVERS="oauth.bitrix.info")
    requested: list[str] = []

    async def inside(request: web.Request) -> web.Response:
        requested.append(request.path)
        return web.Response(text="<p>log in</p>", content_type="text/html")

    async with listening(inside) as origin:
        port = origin.rpartition(":")[2]
        answer = await post(connected, f"https://localtest.invalid:{port}")
        assert answer.status == 502
        answer = await post(connected, f"https://127.0.0.1:{port}")
        assert answer.status == 400
    assert requested == []
    assert await is_unchanged(connected, sandbox)


async def test_an_account_without_a_portal_is_connected_without_the_check(gateway: Gateway) -> None:
    """A mistyped address loses nothing then, and the person notices it."""
    for url in ("http://127.0.0.1:1", "http://127.0.0.1:2"):
        answer = await gateway.post(ACCOUNT, json={"client_bitrix_url": url})
        assert (answer.status, answer.json["state"]) == (200, "pending")
        assert answer.json["reason"] == f"a person must authorize {url[7:]}"
