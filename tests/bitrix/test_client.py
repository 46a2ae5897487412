"""Calls and batches on a portal that fails in every way it can."""

import asyncio

import pytest
from aiohttp import web

from gateway.bitrix.client import PortalClient
from gateway.bitrix.credentials import WebhookCredential
from gateway.bitrix.egress import EgressPolicy
from gateway.bitrix.errors import (
    AddressRefused,
    CredentialRefused,
    OperatingLimitReached,
    OutcomeUnknown,
    PortalBroken,
    PortalError,
    PortalMoved,
    PortalUnreachable,
    TokenExpired,
)
from gateway.bitrix.gate import Lane, PortalGate
from gateway.bitrix.oauth import TokenKeeper
from gateway.bitrix.session import REQUEST_DEADLINE_S, PortalSession, open_session
from gateway.bitrix.wire import Answer, Command
from gateway.errors import TooBusy
from gateway.sandbox.portal import SandboxPortal, SandboxSettings
from gateway.sandbox.server import SandboxServer
from tests.bitrix.conftest import Row
from tests.bitrix.rogue import listening
from tests.clock import ManualClock

PROFILE = Command("profile")
WRITE = Command("profile", write=True)  # the client goes by what it is told, not by the method's name


@pytest.mark.parametrize(
    ("endpoint", "error", "words"),
    [
        ("http://127.0.0.1:1/", PortalUnreachable, "does not answer: no connection: nobody listens there"),
        ("http://nobody.invalid/", PortalUnreachable, "does not answer: no connection: there is no host of that name"),
        ("http://1.2.3/", AddressRefused, "may not be called: it names no host"),
        (f"http://{'a' * 64}.example/", AddressRefused, "may not be called: it names no host"),
    ],
)
async def test_who_cannot_be_reached_is_told_in_plain_words(
    session: PortalSession, clock: ManualClock, endpoint: str, error: type[PortalError], words: str
) -> None:
    with pytest.raises(error, match=f"{words}$"):
        await clock.until(client_of(session, clock, endpoint).call(PROFILE))


async def test_a_server_without_tls_is_told_in_plain_words(
    session: PortalSession, server: SandboxServer, clock: ManualClock
) -> None:
    with pytest.raises(PortalUnreachable, match=r"it does not speak TLS$"):
        await clock.until(
            client_of(session, clock, server.origin.replace("http", "https") + "/rest/1/x/").call(PROFILE)
        )


def client_of(session: PortalSession, clock: ManualClock, endpoint: str) -> PortalClient:
    return PortalClient(session, PortalGate(clock, 50, 2, 32), WebhookCredential(endpoint), clock)


async def test_a_call_brings_the_portals_answer(client: PortalClient, portal: SandboxPortal) -> None:
    answer = await client.call(Command("user.get", {"FILTER": {"ID": [1]}}))
    assert isinstance(answer.result, list)
    assert answer.total == len(answer.result) == 1
    assert portal.calls["user.get"] == 1


async def test_a_call_by_token_brings_the_portals_answer(oauth_client: PortalClient, row: Row) -> None:
    assert isinstance((await oauth_client.call(PROFILE)).result, dict)
    assert len(row.saved) == 1


@pytest.mark.parametrize("fault", ["drop", "cut", "truncated", "html500", "502", "qle", "qle200", "otl"])
@pytest.mark.parametrize("times", [1, 4])
async def test_a_read_outlasts_a_fault(
    client: PortalClient, portal: SandboxPortal, clock: ManualClock, fault: str, times: int
) -> None:
    portal.fault(f"profile:{fault}*{times}")
    answer = await clock.until(client.call(PROFILE))
    assert isinstance(answer.result, dict)


@pytest.mark.parametrize(
    ("fault", "error"), [("drop", PortalUnreachable), ("cut", PortalError), ("truncated", PortalBroken)]
)
async def test_a_read_fails_by_name_after_five_tries(
    client: PortalClient, portal: SandboxPortal, clock: ManualClock, fault: str, error: type[PortalError]
) -> None:
    portal.fault(f"profile:{fault}*")
    with pytest.raises(error):
        await clock.until(client.call(PROFILE))
    assert portal.http_requests == 5


@pytest.mark.parametrize("fault", ["drop", "cut", "truncated", "html500", "502"])
async def test_a_write_that_may_have_run_is_not_repeated(
    client: PortalClient, portal: SandboxPortal, clock: ManualClock, fault: str
) -> None:
    portal.fault(f"profile:{fault}")
    with pytest.raises(OutcomeUnknown):
        await clock.until(client.call(WRITE))
    assert portal.http_requests == 1


@pytest.mark.parametrize("fault", ["qle", "qle200", "otl"])
async def test_a_write_that_did_not_run_is_repeated(
    client: PortalClient, portal: SandboxPortal, clock: ManualClock, fault: str
) -> None:
    portal.fault(f"profile:{fault}")
    assert isinstance((await clock.until(client.call(WRITE))).result, dict)


async def test_a_refusal_is_not_repeated(client: PortalClient, portal: SandboxPortal) -> None:
    portal.fault("profile:error=ACCESS_DENIED*")
    with pytest.raises(PortalError, match="ACCESS_DENIED"):
        await client.call(PROFILE)
    assert portal.http_requests == 1


async def test_a_silent_portal_is_given_up_within_the_deadline(
    client: PortalClient, portal: SandboxPortal, clock: ManualClock
) -> None:
    portal.hold("profile")
    started = clock.now()
    with pytest.raises(OutcomeUnknown):
        await clock.until(client.call(WRITE))
    assert clock.now() - started == pytest.approx(REQUEST_DEADLINE_S, abs=1)


async def test_nobody_listening_means_not_sent_even_for_a_write(session: PortalSession, clock: ManualClock) -> None:
    client = client_of(session, clock, "http://127.0.0.1:1/rest/1/canary/")
    with pytest.raises(PortalUnreachable) as caught:
        await clock.until(client.call(WRITE))
    assert not caught.value.sent
    assert "canary" not in str(caught.value) + repr(caught.value) + repr(caught.value.__cause__)


async def test_a_redirect_is_told_and_not_followed(session: PortalSession, clock: ManualClock) -> None:
    async def moved(_request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "https://new.example/rest/1/canary/profile"})

    async with listening(moved) as origin:
        with pytest.raises(PortalMoved, match=r"new\.example") as caught:
            await client_of(session, clock, f"{origin}/rest/1/canary/").call(WRITE)
    assert caught.value.host == "new.example"
    assert "canary" not in str(caught.value)


async def test_a_private_address_is_not_called_whatever_its_name(clock: ManualClock, server: SandboxServer) -> None:
    port = server.origin.rpartition(":")[2]
    async with open_session(EgressPolicy(insecure=False), clock) as session:
        for host in ("127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]"):
            with pytest.raises((AddressRefused, PortalUnreachable)) as caught:
                await client_of(session, clock, f"https://{host}:{port}/rest/1/sandbox/").call(WRITE)
            assert isinstance(caught.value, AddressRefused), host
    assert server.portal.http_requests == 0


async def test_120_calls_at_once_meet_no_single_refusal(clock: ManualClock, session: PortalSession) -> None:
    portal = SandboxPortal(SandboxSettings(users=5), clock)
    async with SandboxServer(portal) as server:
        client = client_of(session, clock, server.origin + portal.webhook_path)
        answers = await clock.until(asyncio.gather(*(client.call(PROFILE) for _ in range(120))))
    assert len(answers) == portal.http_requests == 120
    assert not portal.refusals


@pytest.mark.parametrize(("tariff", "capacity", "leak_per_s"), [("standard", 50, 2), ("enterprise", 250, 5)])
async def test_batches_at_once_meet_no_single_refusal(
    clock: ManualClock, session: PortalSession, tariff: str, capacity: int, leak_per_s: int
) -> None:
    portal = SandboxPortal(SandboxSettings(users=5, tariff=tariff), clock)
    count = 120 if tariff == "standard" else capacity + 50
    async with SandboxServer(portal) as server:
        gate = PortalGate(clock, capacity, leak_per_s, 32)
        client = PortalClient(session, gate, WebhookCredential(server.origin + portal.webhook_path), clock)
        lanes = (client, client.background())
        batches = [lanes[index % 2].batch([PROFILE] * 2) for index in range(count)]
        answers = await clock.until(asyncio.gather(*batches))
    assert all(isinstance(answer, Answer) for batch in answers for answer in batch)
    assert portal.http_requests == count
    assert not portal.refusals


async def test_a_refusal_under_200_holds_everybody_back_as_under_503(
    client: PortalClient, portal: SandboxPortal, clock: ManualClock
) -> None:
    portal.fault("profile:qle200")
    asked = clock.monotonic()
    await clock.until(client.call(PROFILE))
    assert clock.monotonic() - asked >= 2
    assert portal.http_requests == 2


async def test_a_batch_that_is_begun_is_not_given_up_for_having_to_wait(
    session: PortalSession, portal: SandboxPortal, server: SandboxServer, clock: ManualClock
) -> None:
    gate = PortalGate(clock, 10, 2, 32)
    credential = WebhookCredential(server.origin + portal.webhook_path)
    client = PortalClient(session, gate, credential, clock, max_wait_s=1)
    portal.fault("profile:otl")
    outcomes = await clock.until(client.batch([PROFILE] * 51))
    assert all(isinstance(outcome, Answer) for outcome in outcomes)
    with pytest.raises(TooBusy):
        await clock.until(asyncio.gather(*(client.call(PROFILE) for _ in range(20))))
    assert portal.refusals == {"OPERATION_TIME_LIMIT": 1}


async def test_waiting_for_limits_is_counted_over_all_tries_of_a_call(
    session: PortalSession, portal: SandboxPortal, server: SandboxServer, clock: ManualClock
) -> None:
    gate = PortalGate(clock, 50, 2, 32)
    credential = WebhookCredential(server.origin + portal.webhook_path)
    client = PortalClient(session, gate, credential, clock, max_wait_s=5)
    portal.fault("profile:qle*")  # two seconds each
    with pytest.raises(TooBusy):
        await clock.until(client.call(WRITE))
    assert portal.http_requests == 3


async def test_a_long_wait_for_the_first_turn_is_not_held_against_a_call(
    session: PortalSession, portal: SandboxPortal, server: SandboxServer, clock: ManualClock
) -> None:
    gate = PortalGate(clock, 2, 0.01, 32)  # a request in a hundred seconds
    client = PortalClient(session, gate, WebhookCredential(server.origin + portal.webhook_path), clock).background()
    portal.fault("app.info:qle")
    commands = [*[PROFILE] * 4, Command("app.info")]
    await clock.until(asyncio.gather(*(client.call(command) for command in commands)), step_s=20)
    assert portal.refusals["QUERY_LIMIT_EXCEEDED"] == 1


async def test_a_portal_that_fails_is_sent_less_at_once(
    client: PortalClient, gate: PortalGate, portal: SandboxPortal, clock: ManualClock
) -> None:
    portal.fault("profile:502")
    await clock.until(client.call(PROFILE))
    assert gate.room(Lane.INTERACTIVE) < 32
    for _ in range(20):
        await clock.advance(1)
        await client.call(PROFILE)
    assert gate.room(Lane.INTERACTIVE) == 32


async def test_no_more_than_the_bound_are_in_flight(
    session: PortalSession, portal: SandboxPortal, server: SandboxServer, clock: ManualClock
) -> None:
    gate = PortalGate(clock, 50, 2, concurrency=3)
    client = PortalClient(session, gate, WebhookCredential(server.origin + portal.webhook_path), clock)
    portal.hold("profile")
    calls = [asyncio.create_task(client.call(PROFILE)) for _ in range(10)]
    await clock.settle()
    await clock.settle()
    assert portal.http_requests == 3
    calls[0].cancel()  # gives its place to the next
    await clock.settle()
    await clock.settle()
    assert portal.http_requests == 4
    portal.release("profile")
    assert len([call for call in await asyncio.gather(*calls, return_exceptions=True) if isinstance(call, Answer)]) == 9


async def test_a_method_out_of_operating_time_rests_while_others_go_on(
    client: PortalClient, portal: SandboxPortal, clock: ManualClock
) -> None:
    portal.fault("user.get:otl")
    resting = asyncio.create_task(client.call(Command("user.get", {"start": -1})))
    await clock.settle()
    assert isinstance((await client.call(PROFILE)).result, dict)
    await clock.advance(30)
    assert not resting.done()
    assert isinstance((await clock.until(resting)).result, list)


async def test_a_batch_of_any_size_keeps_its_order(client: PortalClient, portal: SandboxPortal) -> None:
    commands = [Command("method.get", {"name": name}) for name in ("profile", "no.such")] * 60
    outcomes = await client.batch(commands)
    seen = [outcome.result for outcome in outcomes if isinstance(outcome, Answer)]
    assert [isinstance(result, dict) and result["isExisting"] for result in seen] == [True, False] * 60
    assert portal.http_requests == 3
    assert await client.batch([]) == []


@pytest.mark.parametrize("fault", ["error=INTERNAL_SERVER_ERROR", "qle", "otl"])
async def test_only_the_commands_that_failed_go_again(
    client: PortalClient, portal: SandboxPortal, clock: ManualClock, fault: str
) -> None:
    portal.fault(f"scope:{fault}")
    outcomes = await clock.until(client.batch([PROFILE, Command("scope"), PROFILE]))
    assert all(isinstance(outcome, Answer) for outcome in outcomes)
    assert (portal.calls["profile"], portal.calls["scope"], portal.http_requests) == (2, 2, 2)


async def test_a_refused_command_stands_as_its_error_beside_the_others(
    client: PortalClient, portal: SandboxPortal
) -> None:
    portal.fault("scope:error=ACCESS_DENIED")
    first, refused, last = await client.batch([PROFILE, Command("scope"), PROFILE])
    assert isinstance(first, Answer)
    assert isinstance(last, Answer)
    assert isinstance(refused, PortalError)
    assert refused.refuses_command


async def test_a_write_in_a_batch_that_may_have_run_stands_as_unknown(
    client: PortalClient, portal: SandboxPortal, clock: ManualClock
) -> None:
    portal.fault("scope:error=INTERNAL_SERVER_ERROR")
    read, write = await clock.until(client.batch([PROFILE, Command("scope", write=True)]))
    assert isinstance(read, Answer)
    assert isinstance(write, OutcomeUnknown)


async def test_an_expired_token_leads_to_one_refresh_however_many_wait(
    oauth_client: PortalClient, portal: SandboxPortal, row: Row, clock: ManualClock
) -> None:
    portal.oauth.expire_access_tokens()
    before = len(portal.token_requests)
    answers = await clock.until(asyncio.gather(*(oauth_client.call(WRITE) for _ in range(10))))
    assert len(answers) == 10
    assert len(portal.token_requests) - before == 1
    assert len(row.saved) == 2


async def test_a_batch_outlives_its_token(
    oauth_client: PortalClient, portal: SandboxPortal, row: Row, clock: ManualClock
) -> None:
    portal.oauth.expire_access_tokens()
    outcomes = await clock.until(oauth_client.batch([PROFILE] * 60))
    assert all(isinstance(outcome, Answer) for outcome in outcomes)
    assert len(row.saved) == 2


async def test_a_token_that_stays_expired_is_renewed_only_once(
    oauth_client: PortalClient, portal: SandboxPortal, row: Row, clock: ManualClock
) -> None:
    portal.fault("profile:expired_token*")
    with pytest.raises(TokenExpired):
        await clock.until(oauth_client.call(PROFILE))
    assert len(row.saved) == 2


async def test_other_errors_of_the_credential_are_raised_at_once(
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


def test_no_credential_shows_its_secret(keeper: TokenKeeper, row: Row) -> None:
    tokens = row.saved[0]
    shown = repr(WebhookCredential("https://portal.example/rest/1/canary/")) + repr(tokens) + repr(keeper)
    assert "canary" not in shown
    assert tokens.access_token not in shown
    assert tokens.refresh_token not in shown


@pytest.mark.parametrize("location", [None, "http://[", "/rest/elsewhere"])
async def test_a_redirect_to_nowhere_in_particular_is_told_too(
    session: PortalSession, clock: ManualClock, location: str | None
) -> None:
    async def moved(_request: web.Request) -> web.Response:
        return web.Response(status=301, headers={"Location": location} if location else {})

    async with listening(moved) as origin:
        with pytest.raises(PortalMoved):
            await client_of(session, clock, f"{origin}/rest/1/canary/").call(PROFILE)


async def test_an_answer_without_end_is_cut_off(
    session: PortalSession, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.bitrix.session.MAX_ANSWER_BYTES", 100_000)

    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 10_000)

    async with listening(endless) as origin:
        with pytest.raises(OutcomeUnknown, match="100000 bytes"):
            await client_of(session, clock, f"{origin}/rest/1/canary/").call(WRITE)


async def test_an_answer_that_is_no_http_is_broken(session: PortalSession, clock: ManualClock) -> None:
    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 smtp.example ready\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(OutcomeUnknown, match="no HTTP"):
            await client_of(session, clock, f"http://127.0.0.1:{port}/rest/1/canary/").call(WRITE)


async def test_a_caller_who_leaves_the_line_gives_its_place_to_the_next(
    client: PortalClient, portal: SandboxPortal, clock: ManualClock
) -> None:
    await asyncio.gather(*(client.call(PROFILE) for _ in range(48)))
    waiting = [asyncio.create_task(client.call(PROFILE)) for _ in range(4)]
    await clock.settle()
    waiting[0].cancel()
    waiting[1].cancel()
    await clock.advance(1)
    assert [call.done() for call in waiting] == [True] * 4
    assert portal.http_requests == 50


class TestWithoutResting:
    """Batches for callers who wait: a method that has to rest for long is told, and not waited for."""

    @pytest.fixture
    def credential(self, portal: SandboxPortal, server: SandboxServer) -> WebhookCredential:
        return WebhookCredential(server.origin + portal.webhook_path)

    @pytest.fixture
    def client(
        self, session: PortalSession, gate: PortalGate, credential: WebhookCredential, clock: ManualClock
    ) -> PortalClient:
        return PortalClient(session, gate, credential, clock, max_wait_s=30)

    def let_rest(self, gate: PortalGate, credential: WebhookCredential, clock: ManualClock, seconds: float) -> None:
        gate.heed(
            credential.budget_key, "profile", Answer([], operating_s=470, operating_reset_at=clock.now() + seconds)
        )

    async def test_a_method_that_is_blocked_in_the_first_request_does_not_hold_up_the_others(
        self, client: PortalClient, portal: SandboxPortal, clock: ManualClock
    ) -> None:
        portal.fault("profile:otl")
        began = clock.now()
        outcomes = await clock.until(client.batch([PROFILE] * 120, resting=False))
        told = [isinstance(outcome, OperatingLimitReached) for outcome in outcomes]
        assert told == [True] + [False] * 49 + [True] * 70
        assert "again in 60 s" in str(outcomes[-1])
        assert (clock.now() - began < 5, portal.http_requests) == (True, 1)

    async def test_a_command_that_would_go_again_after_a_long_rest_spoils_no_other(
        self, client: PortalClient, portal: SandboxPortal, clock: ManualClock
    ) -> None:
        portal.fault("profile:otl")
        portal.fault("user.get:error=INTERNAL_SERVER_ERROR")
        portal.fault("user.get:otl")
        commands = [PROFILE, Command("user.get"), Command("user.get"), Command("scope")]
        began = clock.now()
        outcomes = await clock.until(client.batch(commands, resting=False))
        kinds = [type(outcome) for outcome in outcomes]
        assert kinds == [OperatingLimitReached, OperatingLimitReached, OperatingLimitReached, Answer]
        assert (clock.now() - began < 5, portal.http_requests) == (True, 1)

    async def test_work_in_the_background_rests_for_so_long_and_no_longer(
        self,
        client: PortalClient,
        gate: PortalGate,
        credential: WebhookCredential,
        portal: SandboxPortal,
        clock: ManualClock,
    ) -> None:
        client = client.background()
        self.let_rest(gate, credential, clock, 20)
        (outcome,) = await clock.until(client.batch([PROFILE], resting=False))
        assert isinstance(outcome, Answer)
        self.let_rest(gate, credential, clock, 40)
        (outcome,) = await client.batch([PROFILE], resting=False)
        assert isinstance(outcome, OperatingLimitReached)
        with pytest.raises(OperatingLimitReached, match="again in 40 s"):
            await client.batch_once({"me": PROFILE}, halt=False)
        assert portal.http_requests == 1
        assert isinstance((await clock.until(client.call(PROFILE))).result, dict)

    async def test_nothing_of_a_first_request_is_sent_where_its_method_has_to_rest(
        self,
        client: PortalClient,
        gate: PortalGate,
        credential: WebhookCredential,
        portal: SandboxPortal,
        clock: ManualClock,
    ) -> None:
        self.let_rest(gate, credential, clock, 40)
        with pytest.raises(TooBusy):
            await client.batch([PROFILE] * 120, resting=False)
        assert portal.http_requests == 0
