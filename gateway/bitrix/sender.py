"""Send one request to a portal, within its limits, with a valid access, repeated by the retry rules."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from typing import TypeVar

from gateway.bitrix.auth.credentials import Access, Credential
from gateway.bitrix.errors import OperatingLimitReached, PortalError, PortalMoved, TokenExpired
from gateway.bitrix.limits.limiter import OperatingTimeSpent, PortalLimiter
from gateway.bitrix.limits.portal_request import PortalRequest
from gateway.bitrix.monitoring.monitor import CallMonitor
from gateway.bitrix.protocol.v2 import Answer, decode_answer, decode_answer3
from gateway.bitrix.protocol.v3 import rest3_endpoint
from gateway.bitrix.transport.download import Download
from gateway.bitrix.transport.session import HttpAnswer, PortalSession
from gateway.clock import Clock
from gateway.errors import TooBusy

T = TypeVar("T")
OnRetry = Callable[[PortalError, float], None]
"""Called with the error, and the seconds until the next attempt."""

MIN_REPORTED_WAIT_S = 1.0  # shorter waits for an operating budget are not reported


class RequestSender:
    """Sends requests to one portal with one credential."""

    def __init__(
        self,
        session: PortalSession,
        limiter: PortalLimiter,
        credential: Credential,
        clock: Clock,
        on_retry: OnRetry,
        monitor: CallMonitor,
    ) -> None:
        self._session = session
        self._limiter = limiter
        self._credential = credential
        self._clock = clock
        self._on_retry = on_retry
        self._monitor = monitor

    async def run(self, request: PortalRequest, send: Callable[[Access], Awaitable[T]]) -> T:
        """Return the result of *send*, which sends *request* with the given access by `post` or `post3`.

        Failed attempts are repeated by the retry rules. An expired access is refreshed once.

        Raises:
            PortalError: the request failed permanently.
            TooBusy: the limits would delay the request longer than its attempts allow.
        """
        refreshed = False
        while True:
            await self._wait_for_budget(request)
            access = await self._credential.access()
            try:
                return await self._attempt(request, send, access)
            except OperatingTimeSpent as spent:
                request.attempts.on_queue_wait(spent.waited_s)
            except (TokenExpired, PortalMoved) as error:
                if refreshed:
                    raise
                refreshed = await self._credential.refresh(access)
                if not refreshed:
                    await self._pause(error, request)
            except PortalError as error:
                await self._pause(error, request)

    async def _attempt(self, request: PortalRequest, send: Callable[[Access], Awaitable[T]], access: Access) -> T:
        """Return the result of *send*. Report the attempt to the monitor if it was sent, also if it is cancelled."""
        earlier = request.attempts.count
        try:
            result = await send(access)
        except BaseException as error:
            if request.attempts.count > earlier:
                self._monitor.on_request(request, error)
            raise
        self._monitor.on_request(request, None)
        return result

    async def _pause(self, error: PortalError, request: PortalRequest) -> None:
        """Wait until a failed *request* may be repeated.

        Raises:
            PortalError: it must not be repeated.
        """
        decision = request.attempts.decide(self._credential.interpret(error), request.write)
        if decision.wait_s is None:
            raise decision.error from error
        self._on_retry(error, decision.wait_s)
        await self._clock.sleep(decision.wait_s)

    async def _wait_for_budget(self, request: PortalRequest) -> None:
        """Wait until all methods of *request* have operating time.

        Raises:
            TooBusy: that would take longer than the call may wait.
            OperatingLimitReached: the same for a committed call.
        """
        attempts = request.attempts
        wait_s = self._limiter.budget_wait_s(request.budget_key, request.methods)
        if wait_s <= 0:
            return
        if wait_s > MIN_REPORTED_WAIT_S:
            message = f"out of operating time: {', '.join(sorted(request.methods))}"
            self._on_retry(OperatingLimitReached("", message=message), wait_s)
        try:
            attempts.on_budget_wait(
                await self._limiter.wait_for_budget(request.budget_key, request.methods, attempts.budget_wait_s)
            )
        except TooBusy as error:
            if not attempts.committed:
                raise
            message = f"the method is out of operating time: try again in {error.retry_after_s} s"
            raise OperatingLimitReached("OPERATION_TIME_LIMIT", message) from error

    async def post(self, request: PortalRequest, params: object, access: Access) -> Answer:
        """Send a REST 2 request once its portal has room for it."""
        body, headers = with_token(access, params)
        post = partial(self._session.post, access.endpoint + request.method, body, access.secrets, headers)
        _, answer = await self.send(request, post, decode_answer, access.secrets)
        return answer

    async def post3(
        self, request: PortalRequest, body: object, headers: Mapping[str, str], access: Access
    ) -> HttpAnswer:
        """Send a REST 3.0 request once its portal has room for it."""
        body, token_header = with_token(access, body)
        url = rest3_endpoint(access.endpoint) + request.method
        post = partial(self._session.post, url, body, access.secrets, {**headers, **token_header})
        http, _ = await self.send(request, post, decode_answer3, access.secrets)
        return http

    async def open(self, request: PortalRequest, open_download: Callable[[], Awaitable[Download]]) -> Download:
        """Return what *open_download* opens once the portal has room for it. The limiter records its outcome.

        The request ends with the head of the response: a slow reader of its body delays nobody.
        """
        async with self._limiter.slot(request) as slot:
            request.attempts.on_queue_wait(slot.waited_s)
            request.attempts.on_sent()
            try:
                download = await open_download()
            except PortalError as error:
                slot.record(error)
                raise
            slot.record(Answer(None))
        return download

    async def send(
        self,
        request: PortalRequest,
        post: Callable[[], Awaitable[HttpAnswer]],
        decode: Callable[[int, bytes, Collection[str]], Answer],
        secrets: Collection[str],
    ) -> tuple[HttpAnswer, Answer]:
        """Return the answer, as received and decoded. The limiter delays the request and records its outcome."""
        async with self._limiter.slot(request) as slot:
            request.attempts.on_queue_wait(slot.waited_s)
            request.attempts.on_sent()
            try:
                http, answer = await _receive(post, decode, secrets)
            except PortalError as error:
                error.__traceback__ = error.__context__ = None  # its frames would keep the answer in memory
                slot.record(error)
                raise
            slot.record(answer)
        return http, answer


def with_token(access: Access, body: object) -> tuple[object, dict[str, str]]:
    """Return *body* with the token, and headers.

    The token goes into the body, where no access log sees it. A list has no place for it, so it goes into a header.

    Source: protocol.md 5, 9.9 (b24restdocs settings/how-to-call-rest-api/authorization.md)
    """
    if access.token is None:
        return body, {}
    if isinstance(body, Mapping):
        return {**body, "auth": access.token}, {}
    return body, {"Authorization": f"Bearer {access.token}"}


async def _receive(
    post: Callable[[], Awaitable[HttpAnswer]],
    decode: Callable[[int, bytes, Collection[str]], Answer],
    secrets: Collection[str],
) -> tuple[HttpAnswer, Answer]:
    """Post and decode. Only this frame holds the answer of a failed call, so `_send` can drop it with the traceback."""
    http = await post()
    return http, decode(http.status, http.body, secrets)
