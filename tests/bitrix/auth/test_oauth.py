"""Requesting and refreshing tokens: one refresh at a time, no pair lost, secrets only sent to configured servers."""

import asyncio
from dataclasses import replace

import pytest
from aiohttp import web

from gateway.bitrix.auth.oauth import AuthorizationServers, Tokens
from gateway.bitrix.auth.token_refresher import REFRESH_BEFORE_EXPIRY_S, TokenRefresher
from gateway.bitrix.errors import (
    AddressRefused,
    ClientRefused,
    GrantRefused,
    OutcomeUnknown,
    PortalBroken,
    PortalError,
    PortalUnreachable,
    WrongPortal,
)
from gateway.bitrix.transport.session import PortalSession
from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.web.server import SandboxServer
from tests.bitrix.conftest import Row
from tests.clock import ManualClock
from tests.support.rogue import listening

WHOLE = {
    "access_token": "a",
    "refresh_token": "r",
    "expires_in": 3600,
    "client_endpoint": "https://portal.example/rest/",
    "member_id": "m",
    "scope": "crm",
    "status": "F",
}


async def test_a_code_is_exchanged_for_one_pair(
    servers: AuthorizationServers, portal: SandboxPortal, server: SandboxServer, host: str, clock: ManualClock
) -> None:
    code = portal.oauth.issue_code()
    tokens = await servers.exchange(host, code)
    assert tokens.member_id == portal.member_id
    assert tokens.client_endpoint == f"{server.origin}/rest/"
    assert tokens.expires_at == clock.now() + 3600
    assert tokens.server_domain == host
    with pytest.raises(GrantRefused):
        await servers.exchange(host, code)


@pytest.mark.parametrize("fault", ["drop", "html500", "truncated", "json500"])
async def test_a_code_that_may_have_been_used_is_not_sent_again(
    servers: AuthorizationServers, portal: SandboxPortal, host: str, clock: ManualClock, fault: str
) -> None:
    portal.fault(f"oauth.token:{fault}")
    with pytest.raises(OutcomeUnknown):
        await clock.until(servers.exchange(host, portal.oauth.issue_code()))
    assert len(portal.token_requests) == 1


@pytest.mark.parametrize("server_domain", ["evil.example", "127.0.0.1", "127.0.0.1:1", "", "oauth.bitrix.info/path"])
async def test_the_client_secret_is_not_sent_to_other_servers(
    servers: AuthorizationServers, portal: SandboxPortal, server_domain: str
) -> None:
    with pytest.raises(AddressRefused):
        await servers.exchange(server_domain, "code")
    assert not portal.token_requests


async def test_http_requires_the_insecure_setting(
    session: PortalSession, portal: SandboxPortal, host: str, clock: ManualClock
) -> None:
    strict = AuthorizationServers(session, clock, "id", "canary", frozenset({host}), insecure=False)
    with pytest.raises(PortalUnreachable) as caught:
        await clock.until(strict.exchange(host, "code"))
    assert "canary" not in str(caught.value) + repr(caught.value)
    assert not portal.token_requests


async def test_an_error_with_status_200_is_raised(session: PortalSession, host: str, clock: ManualClock) -> None:
    unknown = AuthorizationServers(session, clock, "app.unknown", "secret", frozenset({host}), insecure=True)
    with pytest.raises(ClientRefused) as caught:
        await unknown.exchange(host, "code")
    assert not caught.value.credential_dead


@pytest.mark.parametrize("endpoint", ["ftp://127.0.0.1/rest/", "nowhere"])
async def test_tokens_with_a_forbidden_endpoint_are_refused(
    servers: AuthorizationServers, portal: SandboxPortal, host: str, endpoint: str
) -> None:
    portal.fault(f"oauth.token:client_endpoint={endpoint}")
    with pytest.raises(AddressRefused):
        await servers.exchange(host, portal.oauth.issue_code())


@pytest.mark.parametrize(
    "answer",
    [
        [],
        {},
        {**WHOLE, "access_token": ""},
        {**WHOLE, "refresh_token": None},
        {**WHOLE, "expires_in": "3600"},
        {**WHOLE, "expires_in": 0},
        {**WHOLE, "member_id": 7},
    ],
)
async def test_an_incomplete_response_is_refused(session: PortalSession, clock: ManualClock, answer: object) -> None:
    async def token(_request: web.Request) -> web.Response:
        return web.json_response(answer)

    async with listening(token) as origin:
        host = origin.removeprefix("http://")
        servers = AuthorizationServers(session, clock, "id", "secret", frozenset({host}), insecure=True)
        with pytest.raises(OutcomeUnknown):
            await servers.exchange(host, "code")


async def test_a_loopback_server_may_be_named_localhost(
    session: PortalSession, portal: SandboxPortal, host: str, clock: ManualClock
) -> None:
    named = host.replace("127.0.0.1", "localhost")
    application = portal.application
    servers = AuthorizationServers(
        session, clock, application.client_id, application.client_secret, frozenset({named}), insecure=True
    )
    assert (await servers.exchange(named, portal.oauth.issue_code())).server_domain == named


async def test_a_token_is_used_until_a_minute_before_it_expires(
    refresher: TokenRefresher, row: Row, clock: ManualClock
) -> None:
    first = row.saved[0].access_token
    await clock.advance(3600 - REFRESH_BEFORE_EXPIRY_S - 1)
    assert (await refresher.tokens()).access_token == first
    await clock.advance(1)
    assert (await refresher.tokens()).access_token == row.saved[1].access_token != first


async def test_a_failed_token_is_refreshed_once_for_concurrent_callers(
    refresher: TokenRefresher, row: Row, portal: SandboxPortal
) -> None:
    failed = row.saved[0].access_token
    refreshed = await asyncio.gather(*(refresher.refresh(failed) for _ in range(10)))
    assert set(refreshed) == {row.saved[1]}
    assert len(portal.token_requests) == 2  # the code and one refresh
    assert await refresher.refresh(failed) == row.saved[1]  # a later call


@pytest.mark.parametrize("fault", ["drop", "html500", "json500"])
async def test_a_refresh_is_retried_when_the_server_fails(
    refresher: TokenRefresher, row: Row, portal: SandboxPortal, clock: ManualClock, fault: str
) -> None:
    portal.fault(f"oauth.token:{fault}*2")
    assert await clock.until(refresher.refresh(row.saved[0].access_token)) == row.saved[1]
    assert not row.stale


async def test_a_failing_server_does_not_make_the_account_stale(
    refresher: TokenRefresher, row: Row, portal: SandboxPortal, clock: ManualClock
) -> None:
    portal.fault("oauth.token:html500*")
    with pytest.raises(PortalBroken):
        await clock.until(refresher.refresh(row.saved[0].access_token))
    assert len(portal.token_requests) == 1 + 5
    assert not row.stale


async def test_an_invalid_refresh_token_makes_the_account_stale(
    refresher: TokenRefresher, row: Row, portal: SandboxPortal
) -> None:
    portal.oauth.revoke_refresh_tokens()
    with pytest.raises(GrantRefused) as caught:
        await refresher.refresh(row.saved[0].access_token)
    assert caught.value.credential_dead
    assert row.stale


async def test_a_pair_that_was_stored_meanwhile_is_used(
    row: Row, servers: AuthorizationServers, clock: ManualClock
) -> None:
    theirs = await servers.refresh(row.saved[0])
    readings = [row.saved[0], theirs]

    async def load() -> Tokens:
        return readings.pop(0) if len(readings) > 1 else readings[0]

    refresher = TokenRefresher(load, row.save, row.mark_stale, servers, clock)
    assert await refresher.refresh(row.saved[0].access_token) == theirs
    assert not row.stale
    assert len(row.saved) == 1


async def test_a_pair_for_another_portal_is_not_saved(
    refresher: TokenRefresher, row: Row, portal: SandboxPortal
) -> None:
    portal.fault("oauth.token:member_id=ffffffffffffffffffffffffffffffff")
    with pytest.raises(WrongPortal):
        await refresher.refresh(row.saved[0].access_token)
    assert len(row.saved) == 1


async def test_a_pair_is_saved_before_it_is_used_even_if_all_callers_are_cancelled(
    row: Row, servers: AuthorizationServers, clock: ManualClock
) -> None:
    saving, finish = asyncio.Event(), asyncio.Event()

    async def save(tokens: Tokens) -> None:
        saving.set()
        await finish.wait()
        await row.save(tokens)

    refresher = TokenRefresher(row.load, save, row.mark_stale, servers, clock)
    waiter = asyncio.create_task(refresher.refresh(row.saved[0].access_token))
    await saving.wait()
    assert not waiter.done()
    waiter.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    finish.set()
    await refresher.finish_pending()
    assert len(row.saved) == 2


async def test_a_failed_refresh_raises_for_all_callers(
    refresher: TokenRefresher, row: Row, portal: SandboxPortal
) -> None:
    portal.oauth.revoke_refresh_tokens()
    outcomes = await asyncio.gather(
        *(refresher.refresh(row.saved[0].access_token) for _ in range(3)), return_exceptions=True
    )
    assert all(isinstance(outcome, PortalError) for outcome in outcomes)


async def test_an_unsaved_pair_is_saved_before_the_next_refresh(
    row: Row, servers: AuthorizationServers, portal: SandboxPortal, clock: ManualClock
) -> None:
    full = True

    async def save(tokens: Tokens) -> None:
        if full:
            raise OSError("the disk is full")
        await row.save(tokens)

    refresher = TokenRefresher(row.load, save, row.mark_stale, servers, clock)
    with pytest.raises(OSError, match="full"):
        await refresher.refresh(row.saved[0].access_token)
    full, requests = False, len(portal.token_requests)
    refreshed = await refresher.refresh(row.saved[0].access_token)
    assert refreshed == row.saved[1]
    assert (len(portal.token_requests), row.stale) == (requests, False)
    assert await refresher.refresh(refreshed.access_token) == row.saved[2]


async def test_an_unsaved_pair_does_not_replace_the_tokens_of_a_new_authorization(
    row: Row, servers: AuthorizationServers, clock: ManualClock
) -> None:
    async def save(_: Tokens) -> None:
        raise OSError("the disk is full")

    refresher = TokenRefresher(row.load, save, row.mark_stale, servers, clock)
    with pytest.raises(OSError, match="full"):
        await refresher.refresh(row.saved[0].access_token)
    await row.save(replace(row.saved[0], access_token="newer", refresh_token="newer"))
    with pytest.raises(GrantRefused):
        await refresher.refresh("newer")
