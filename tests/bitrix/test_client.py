"""Calls and batches on a portal that fails in every known way."""

import asyncio

import pytest

from gateway.bitrix.auth.credentials import WebhookCredential
from gateway.bitrix.auth.token_refresher import TokenRefresher
from gateway.bitrix.client import PortalClient
from gateway.bitrix.errors import (
    CredentialRefused,
    OutcomeUnknown,
    PortalBroken,
    PortalError,
    PortalUnreachable,
    TokenExpired,
)
from gateway.bitrix.protocol.v2 import Answer, Command
from gateway.bitrix.transport.session import PortalSession
from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.web.server import SandboxServer
from tests.bitrix.conftest import Row, client_of
from tests.clock import ManualClock

PROFILE = Command("profile")
WRITE = Command("profile", write=True)  # the client relies on the flag, not on the name of the method


async def test_a_call_returns_the_portals_answer(client: PortalClient, portal: SandboxPortal) -> None:
    answer = await client.call(Command("user.get", {"FILTER": {"ID": [1]}}))
    assert isinstance(answer.result, list)
    assert answer.total == len(answer.result) == 1
    assert portal.calls["user.get"] == 1


async def test_a_call_with_a_token_returns_the_portals_answer(oauth_client: PortalClient, row: Row) -> None:
    assert isinstance((await oauth_client.call(PROFILE)).result, dict)
    assert len(row.saved) == 1


@pytest.mark.parametrize("fault", ["drop", "cut", "truncated", "html500", "502", "qle", "qle200", "otl"])
@pytest.mark.parametrize("times", [1, 4])
async def test_a_read_is_repeated_after_a_fault(
    client: PortalClient, portal: SandboxPortal, clock: ManualClock, fault: str, times: int
) -> None:
    portal.fault(f"profile:{fault}*{times}")
    answer = await clock.until(client.call(PROFILE))
    assert isinstance(answer.result, dict)


@pytest.mark.parametrize(
    ("fault", "error"), [("drop", PortalUnreachable), ("cut", PortalError), ("truncated", PortalBroken)]
)
async def test_a_read_fails_after_five_attempts(
    client: PortalClient, portal: SandboxPortal, clock: ManualClock, fault: str, error: type[PortalError]
) -> None:
    portal.fault(f"profile:{fault}*")
    with pytest.raises(error):
        await clock.until(client.call(PROFILE))
    assert portal.http_requests == 5


@pytest.mark.parametrize("fault", ["drop", "cut", "truncated", "html500", "502"])
async def test_a_write_that_may_have_been_executed_is_not_repeated(
    client: PortalClient, portal: SandboxPortal, clock: ManualClock, fault: str
) -> None:
    portal.fault(f"profile:{fault}")
    with pytest.raises(OutcomeUnknown):
        await clock.until(client.call(WRITE))
    assert portal.http_requests == 1


@pytest.mark.parametrize("fault", ["qle", "qle200", "otl"])
async def test_a_write_that_was_not_executed_is_repeated(
    client: PortalClient, portal: SandboxPortal, clock: ManualClock, fault: str
) -> None:
    portal.fault(f"profile:{fault}")
    assert isinstance((await clock.until(client.call(WRITE))).result, dict)


async def test_a_refusal_is_not_repeated(client: PortalClient, portal: SandboxPortal) -> None:
    portal.fault("profile:error=ACCESS_DENIED*")
    with pytest.raises(PortalError, match="ACCESS_DENIED"):
        await client.call(PROFILE)
    assert portal.http_requests == 1


async def test_a_batch_of_any_size_keeps_its_order(client: PortalClient, portal: SandboxPortal) -> None:
    commands = [Command("method.get", {"name": name}) for name in ("profile", "no.such")] * 60
    outcomes = await client.batch(commands)
    results = [outcome.result for outcome in outcomes if isinstance(outcome, Answer)]
    assert [isinstance(result, dict) and result["isExisting"] for result in results] == [True, False] * 60
    assert portal.http_requests == 3
    assert await client.batch([]) == []


@pytest.mark.parametrize("fault", ["error=INTERNAL_SERVER_ERROR", "qle", "otl"])
async def test_only_failed_commands_are_repeated(
    client: PortalClient, portal: SandboxPortal, clock: ManualClock, fault: str
) -> None:
    portal.fault(f"scope:{fault}")
    outcomes = await clock.until(client.batch([PROFILE, Command("scope"), PROFILE]))
    assert all(isinstance(outcome, Answer) for outcome in outcomes)
    assert (portal.calls["profile"], portal.calls["scope"], portal.http_requests) == (2, 2, 2)


async def test_a_refused_command_is_returned_as_its_error_among_the_others(
    client: PortalClient, portal: SandboxPortal
) -> None:
    portal.fault("scope:error=ACCESS_DENIED")
    first, refused, last = await client.batch([PROFILE, Command("scope"), PROFILE])
    assert isinstance(first, Answer)
    assert isinstance(last, Answer)
    assert isinstance(refused, PortalError)
    assert refused.refuses_command


async def test_a_write_in_a_batch_that_may_have_been_executed_has_an_unknown_outcome(
    client: PortalClient, portal: SandboxPortal, clock: ManualClock
) -> None:
    portal.fault("scope:error=INTERNAL_SERVER_ERROR")
    read, write = await clock.until(client.batch([PROFILE, Command("scope", write=True)]))
    assert isinstance(read, Answer)
    assert isinstance(write, OutcomeUnknown)


async def test_an_expired_token_is_refreshed_once_for_all_waiting_calls(
    oauth_client: PortalClient, portal: SandboxPortal, row: Row, clock: ManualClock
) -> None:
    portal.oauth.expire_access_tokens()
    before = len(portal.token_requests)
    answers = await clock.until(asyncio.gather(*(oauth_client.call(WRITE) for _ in range(10))))
    assert len(answers) == 10
    assert len(portal.token_requests) - before == 1
    assert len(row.saved) == 2


async def test_a_batch_continues_after_its_token_expired(
    oauth_client: PortalClient, portal: SandboxPortal, row: Row, clock: ManualClock
) -> None:
    portal.oauth.expire_access_tokens()
    outcomes = await clock.until(oauth_client.batch([PROFILE] * 60))
    assert all(isinstance(outcome, Answer) for outcome in outcomes)
    assert len(row.saved) == 2


async def test_a_token_that_remains_expired_is_renewed_only_once(
    oauth_client: PortalClient, portal: SandboxPortal, row: Row, clock: ManualClock
) -> None:
    portal.fault("profile:expired_token*")
    with pytest.raises(TokenExpired):
        await clock.until(oauth_client.call(PROFILE))
    assert len(row.saved) == 2


async def test_other_credential_errors_are_raised_at_once(
    oauth_client: PortalClient, portal: SandboxPortal, row: Row
) -> None:
    portal.fault("profile:invalid_token")
    with pytest.raises(CredentialRefused) as caught:
        await oauth_client.call(PROFILE)
    assert caught.value.credential_dead
    assert len(row.saved) == 1


async def test_a_wrong_webhook_is_a_dead_credential(
    session: PortalSession, clock: ManualClock, server: SandboxServer
) -> None:
    client = client_of(session, clock, f"{server.origin}/rest/1/canary")
    with pytest.raises(CredentialRefused) as caught:
        await client.call(PROFILE)
    assert "canary" not in repr(caught.value)


def test_no_credential_shows_its_secret(refresher: TokenRefresher, row: Row) -> None:
    tokens = row.saved[0]
    text = repr(WebhookCredential("https://portal.example/rest/1/canary/")) + repr(tokens) + repr(refresher)
    assert "canary" not in text
    assert tokens.access_token not in text
    assert tokens.refresh_token not in text
