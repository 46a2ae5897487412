"""Tokens: had once, renewed one at a time, never lost by us, never sent to strangers."""

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


async def test_a_code_is_worth_one_pair(
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
async def test_a_code_that_may_be_spent_is_not_sent_again(
    servers: AuthorizationServers, portal: SandboxPortal, host: str, clock: ManualClock, fault: str
) -> None:
    portal.fault(f"oauth.token:{fault}")
    with pytest.raises(OutcomeUnknown):
        await clock.until(servers.exchange(host, portal.oauth.issue_code()))
    assert len(portal.token_requests) == 1


@pytest.mark.parametrize("server_domain", ["evil.example", "127.0.0.1", "127.0.0.1:1", "", "oauth.bitrix.info/path"])
async def test_the_secret_goes_to_no_server_that_is_not_configured(
    servers: AuthorizationServers, portal: SandboxPortal, server_domain: str
) -> None:
    with pytest.raises(AddressRefused):
        await servers.exchange(server_domain, "code")
    assert not portal.token_requests


async def test_a_server_is_spoken_to_in_http_only_when_told_so(
    session: PortalSession, portal: SandboxPortal, host: str, clock: ManualClock
) -> None:
    strict = AuthorizationServers(session, clock, "id", "canary", frozenset({host}), insecure=False)
    with pytest.raises(PortalUnreachable) as caught:
        await clock.until(strict.exchange(host, "code"))
    assert "canary" not in str(caught.value) + repr(caught.value)
    assert not portal.token_requests


async def test_an_unknown_client_is_told_although_the_status_is_200(
    session: PortalSession, host: str, clock: ManualClock
) -> None:
    unknown = AuthorizationServers(session, clock, "app.unknown", "secret", frozenset({host}), insecure=True)
    with pytest.raises(ClientRefused) as caught:
        await unknown.exchange(host, "code")
    assert not caught.value.credential_dead


@pytest.mark.parametrize("endpoint", ["ftp://127.0.0.1/rest/", "nowhere"])
async def test_tokens_with_an_address_that_may_not_be_called_are_refused(
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
async def test_an_answer_that_is_not_whole_is_no_pair(
    session: PortalSession, clock: ManualClock, answer: object
) -> None:
    async def token(_request: web.Request) -> web.Response:
        return web.json_response(answer)

    async with listening(token) as origin:
        host = origin.removeprefix("http://")
        servers = AuthorizationServers(session, clock, "id", "secret", frozenset({host}), insecure=True)
        with pytest.raises(OutcomeUnknown):
            await servers.exchange(host, "code")


async def test_a_server_on_this_machine_may_go_by_its_name(
    session: PortalSession, portal: SandboxPortal, host: str, clock: ManualClock
) -> None:
    named = host.replace("127.0.0.1", "localhost")
    application = portal.application
    servers = AuthorizationServers(
        session, clock, application.client_id, application.client_secret, frozenset({named}), insecure=True
    )
    assert (await servers.exchange(named, portal.oauth.issue_code())).server_domain == named


async def test_a_token_is_used_until_a_minute_before_its_end(
    refresher: TokenRefresher, row: Row, clock: ManualClock
) -> None:
    first = row.saved[0].access_token
    await clock.advance(3600 - REFRESH_BEFORE_EXPIRY_S - 1)
    assert await refresher.access_token() == first
    await clock.advance(1)
    assert await refresher.access_token() == row.saved[1].access_token != first


async def test_a_failed_token_is_renewed_once_for_all_that_wait(
    refresher: TokenRefresher, row: Row, portal: SandboxPortal
) -> None:
    failed = row.saved[0].access_token
    renewed = await asyncio.gather(*(refresher.refresh(failed) for _ in range(10)))
    assert set(renewed) == {row.saved[1]}
    assert len(portal.token_requests) == 2  # the code's and one refresh
    assert await refresher.refresh(failed) == row.saved[1]  # one that comes late


@pytest.mark.parametrize("fault", ["drop", "html500", "json500"])
async def test_a_refresh_is_tried_again_when_the_server_fails(
    refresher: TokenRefresher, row: Row, portal: SandboxPortal, clock: ManualClock, fault: str
) -> None:
    portal.fault(f"oauth.token:{fault}*2")
    assert await clock.until(refresher.refresh(row.saved[0].access_token)) == row.saved[1]
    assert not row.stale


async def test_a_server_that_keeps_failing_does_not_make_the_account_stale(
    refresher: TokenRefresher, row: Row, portal: SandboxPortal, clock: ManualClock
) -> None:
    portal.fault("oauth.token:html500*")
    with pytest.raises(PortalBroken):
        await clock.until(refresher.refresh(row.saved[0].access_token))
    assert len(portal.token_requests) == 1 + 5
    assert not row.stale


async def test_a_dead_refresh_token_makes_the_account_stale(
    refresher: TokenRefresher, row: Row, portal: SandboxPortal
) -> None:
    portal.oauth.revoke_refresh_tokens()
    with pytest.raises(GrantRefused) as caught:
        await refresher.refresh(row.saved[0].access_token)
    assert caught.value.credential_dead
    assert row.stale


async def test_a_pair_saved_by_somebody_else_meanwhile_is_taken(
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


async def test_a_pair_for_another_portal_is_not_kept(
    refresher: TokenRefresher, row: Row, portal: SandboxPortal
) -> None:
    portal.fault("oauth.token:member_id=ffffffffffffffffffffffffffffffff")
    with pytest.raises(WrongPortal):
        await refresher.refresh(row.saved[0].access_token)
    assert len(row.saved) == 1


async def test_a_pair_is_saved_before_it_is_used_and_though_nobody_waits_any_more(
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


async def test_a_failed_renewal_reaches_everybody_who_waits(
    refresher: TokenRefresher, row: Row, portal: SandboxPortal
) -> None:
    portal.oauth.revoke_refresh_tokens()
    outcomes = await asyncio.gather(
        *(refresher.refresh(row.saved[0].access_token) for _ in range(3)), return_exceptions=True
    )
    assert all(isinstance(outcome, PortalError) for outcome in outcomes)


async def test_a_pair_that_could_not_be_saved_is_saved_before_the_next_renewal(
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
    renewed = await refresher.refresh(row.saved[0].access_token)
    assert renewed == row.saved[1]
    assert (len(portal.token_requests), row.stale) == (requests, False)
    assert await refresher.refresh(renewed.access_token) == row.saved[2]


async def test_a_pair_that_could_not_be_saved_is_not_taken_for_the_tokens_of_a_new_authorization(
    row: Row, servers: AuthorizationServers, clock: ManualClock
) -> None:
    async def save(_: Tokens) -> None:
        raise OSError("the disk is full")

    refresher = TokenRefresher(row.load, save, row.mark_stale, servers, clock)
    with pytest.raises(OSError, match="full"):
        await refresher.refresh(row.saved[0].access_token)
    await row.save(replace(row.saved[0], access_token="anew", refresh_token="anew"))
    with pytest.raises(GrantRefused):
        await refresher.refresh("anew")
