"""Calls and batches wait for the portal's limits."""

import asyncio

import pytest

from gateway.bitrix.auth.credentials import WebhookCredential
from gateway.bitrix.client import PortalClient
from gateway.bitrix.errors import OperatingLimitReached
from gateway.bitrix.limits.limiter import PortalLimiter
from gateway.bitrix.limits.request_queue import Priority
from gateway.bitrix.protocol.v2 import Answer, Command
from gateway.bitrix.transport.session import PortalSession
from gateway.errors import TooBusy
from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.settings import SandboxSettings
from gateway.sandbox.web.server import SandboxServer
from tests.bitrix.conftest import client_of
from tests.clock import ManualClock

PROFILE = Command("profile")
WRITE = Command("profile", write=True)  # the client relies on the flag, not on the name of the method


async def test_none_of_120_calls_at_once_is_refused(clock: ManualClock, session: PortalSession) -> None:
    portal = SandboxPortal(SandboxSettings(users=5), clock)
    async with SandboxServer(portal) as server:
        client = client_of(session, clock, server.origin + portal.webhook_path)
        answers = await clock.until(asyncio.gather(*(client.call(PROFILE) for _ in range(120))))
    assert len(answers) == portal.http_requests == 120
    assert not portal.refusals


@pytest.mark.parametrize(("tariff", "capacity", "leak_per_s"), [("standard", 50, 2), ("enterprise", 250, 5)])
async def test_none_of_many_batches_at_once_is_refused(
    clock: ManualClock, session: PortalSession, tariff: str, capacity: int, leak_per_s: int
) -> None:
    portal = SandboxPortal(SandboxSettings(users=5, tariff=tariff), clock)
    count = 120 if tariff == "standard" else capacity + 50
    async with SandboxServer(portal) as server:
        limiter = PortalLimiter(clock, capacity, leak_per_s, 32)
        client = PortalClient(session, limiter, WebhookCredential(server.origin + portal.webhook_path), clock)
        priorities = (client, client.background())
        batches = [priorities[index % 2].batch([PROFILE] * 2) for index in range(count)]
        answers = await clock.until(asyncio.gather(*batches))
    assert all(isinstance(answer, Answer) for batch in answers for answer in batch)
    assert portal.http_requests == count
    assert not portal.refusals


async def test_a_refusal_with_status_200_delays_all_calls_like_one_with_503(
    client: PortalClient, portal: SandboxPortal, clock: ManualClock
) -> None:
    portal.fault("profile:qle200")
    started_at = clock.monotonic()
    await clock.until(client.call(PROFILE))
    assert clock.monotonic() - started_at >= 2
    assert portal.http_requests == 2


async def test_a_started_batch_finishes_however_long_it_waits(
    session: PortalSession, portal: SandboxPortal, server: SandboxServer, clock: ManualClock
) -> None:
    limiter = PortalLimiter(clock, 10, 2, 32)
    credential = WebhookCredential(server.origin + portal.webhook_path)
    client = PortalClient(session, limiter, credential, clock, max_wait_s=1)
    portal.fault("profile:otl")
    outcomes = await clock.until(client.batch([PROFILE] * 51))
    assert all(isinstance(outcome, Answer) for outcome in outcomes)
    with pytest.raises(TooBusy):
        await clock.until(asyncio.gather(*(client.call(PROFILE) for _ in range(20))))
    assert portal.refusals == {"OPERATION_TIME_LIMIT": 1}


async def test_the_maximum_wait_covers_all_attempts_of_a_call(
    session: PortalSession, portal: SandboxPortal, server: SandboxServer, clock: ManualClock
) -> None:
    limiter = PortalLimiter(clock, 50, 2, 32)
    credential = WebhookCredential(server.origin + portal.webhook_path)
    client = PortalClient(session, limiter, credential, clock, max_wait_s=5)
    portal.fault("profile:qle*")  # two seconds each
    with pytest.raises(TooBusy):
        await clock.until(client.call(WRITE))
    assert portal.http_requests == 3


async def test_a_long_wait_in_the_queue_does_not_count_towards_the_retry_deadline(
    session: PortalSession, portal: SandboxPortal, server: SandboxServer, clock: ManualClock
) -> None:
    limiter = PortalLimiter(clock, 2, 0.01, 32)  # a request in a hundred seconds
    client = PortalClient(session, limiter, WebhookCredential(server.origin + portal.webhook_path), clock).background()
    portal.fault("app.info:qle")
    commands = [*[PROFILE] * 4, Command("app.info")]
    await clock.until(asyncio.gather(*(client.call(command) for command in commands)), step_s=20)
    assert portal.refusals["QUERY_LIMIT_EXCEEDED"] == 1


async def test_a_failure_of_the_portal_lowers_the_concurrency(
    client: PortalClient, limiter: PortalLimiter, portal: SandboxPortal, clock: ManualClock
) -> None:
    portal.fault("profile:502")
    await clock.until(client.call(PROFILE))
    assert limiter.room(Priority.INTERACTIVE) < 32
    for _ in range(20):
        await clock.advance(1)
        await client.call(PROFILE)
    assert limiter.room(Priority.INTERACTIVE) == 32


async def test_the_concurrency_limits_requests_in_flight(
    session: PortalSession, portal: SandboxPortal, server: SandboxServer, clock: ManualClock
) -> None:
    limiter = PortalLimiter(clock, 50, 2, concurrency=3)
    client = PortalClient(session, limiter, WebhookCredential(server.origin + portal.webhook_path), clock)
    portal.hold("profile")
    calls = [asyncio.create_task(client.call(PROFILE)) for _ in range(10)]
    await clock.settle()
    await clock.settle()
    assert portal.http_requests == 3
    calls[0].cancel()  # its slot goes to the next call
    await clock.settle()
    await clock.settle()
    assert portal.http_requests == 4
    portal.release("profile")
    assert len([call for call in await asyncio.gather(*calls, return_exceptions=True) if isinstance(call, Answer)]) == 9


async def test_a_method_out_of_operating_time_waits_while_others_continue(
    client: PortalClient, portal: SandboxPortal, clock: ManualClock
) -> None:
    portal.fault("user.get:otl")
    paused = asyncio.create_task(client.call(Command("user.get", {"start": -1})))
    await clock.settle()
    assert isinstance((await client.call(PROFILE)).result, dict)
    await clock.advance(30)
    assert not paused.done()
    assert isinstance((await clock.until(paused)).result, list)


async def test_a_cancelled_call_leaves_its_place_in_the_queue_to_the_next(
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


class TestWithoutWaitingForBudgets:
    """Batches for interactive callers: a long pause of a method is reported instead of waited for."""

    @pytest.fixture
    def credential(self, portal: SandboxPortal, server: SandboxServer) -> WebhookCredential:
        return WebhookCredential(server.origin + portal.webhook_path)

    @pytest.fixture
    def client(
        self, session: PortalSession, limiter: PortalLimiter, credential: WebhookCredential, clock: ManualClock
    ) -> PortalClient:
        return PortalClient(session, limiter, credential, clock, max_wait_s=30)

    def pause_profile(
        self, limiter: PortalLimiter, credential: WebhookCredential, clock: ManualClock, seconds: float
    ) -> None:
        limiter.record(
            credential.budget_key, "profile", Answer([], operating_s=470, operating_reset_at=clock.now() + seconds)
        )

    async def test_a_method_that_is_blocked_in_the_first_request_does_not_delay_the_others(
        self, client: PortalClient, portal: SandboxPortal, clock: ManualClock
    ) -> None:
        portal.fault("profile:otl")
        started_at = clock.now()
        outcomes = await clock.until(client.batch([PROFILE] * 120, wait_for_budget=False))
        blocked = [isinstance(outcome, OperatingLimitReached) for outcome in outcomes]
        assert blocked == [True] + [False] * 49 + [True] * 70
        assert "again in 60 s" in str(outcomes[-1])
        assert (clock.now() - started_at < 5, portal.http_requests) == (True, 1)

    async def test_a_command_that_would_be_repeated_after_a_long_pause_does_not_affect_the_others(
        self, client: PortalClient, portal: SandboxPortal, clock: ManualClock
    ) -> None:
        portal.fault("profile:otl")
        portal.fault("user.get:error=INTERNAL_SERVER_ERROR")
        portal.fault("user.get:otl")
        commands = [PROFILE, Command("user.get"), Command("user.get"), Command("scope")]
        started_at = clock.now()
        outcomes = await clock.until(client.batch(commands, wait_for_budget=False))
        kinds = [type(outcome) for outcome in outcomes]
        assert kinds == [OperatingLimitReached, OperatingLimitReached, OperatingLimitReached, Answer]
        assert (clock.now() - started_at < 5, portal.http_requests) == (True, 1)

    async def test_background_batches_wait_up_to_the_maximum_and_no_longer(
        self,
        client: PortalClient,
        limiter: PortalLimiter,
        credential: WebhookCredential,
        portal: SandboxPortal,
        clock: ManualClock,
    ) -> None:
        client = client.background()
        self.pause_profile(limiter, credential, clock, 20)
        (outcome,) = await clock.until(client.batch([PROFILE], wait_for_budget=False))
        assert isinstance(outcome, Answer)
        self.pause_profile(limiter, credential, clock, 40)
        (outcome,) = await client.batch([PROFILE], wait_for_budget=False)
        assert isinstance(outcome, OperatingLimitReached)
        with pytest.raises(OperatingLimitReached, match="again in 40 s"):
            await client.batch_once({"me": PROFILE}, halt=False)
        assert portal.http_requests == 1
        assert isinstance((await clock.until(client.call(PROFILE))).result, dict)

    async def test_a_first_request_is_not_sent_if_its_method_is_paused(
        self,
        client: PortalClient,
        limiter: PortalLimiter,
        credential: WebhookCredential,
        portal: SandboxPortal,
        clock: ManualClock,
    ) -> None:
        self.pause_profile(limiter, credential, clock, 40)
        with pytest.raises(TooBusy):
            await client.batch([PROFILE] * 120, wait_for_budget=False)
        assert portal.http_requests == 0
