"""Calls to one portal: rate_limited by the portal's limiter, tried again by the retry rules."""

import random
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from typing import TypeVar

from gateway.bitrix.auth.credentials import Access, Credential
from gateway.bitrix.errors import AnswerTooLarge, OperatingLimitReached, PortalError, PortalMoved, TokenExpired
from gateway.bitrix.limits.limiter import OutOfOperatingTime, PortalLimiter
from gateway.bitrix.limits.request_queue import Priority
from gateway.bitrix.protocol.v2 import (
    BATCH_COMMANDS,
    Answer,
    Arguments,
    Command,
    batch_label,
    decode_answer,
    decode_answer3,
    decode_batch,
    encode_command,
)
from gateway.bitrix.protocol.v3 import rest3_endpoint
from gateway.bitrix.retry import RetryDecision, decide
from gateway.bitrix.transport.session import HttpAnswer, PortalSession
from gateway.clock import Clock
from gateway.errors import TooBusy

T = TypeVar("T")
OnRetry = Callable[[PortalError, float], None]
"""Called with what went wrong, and the seconds until it is tried again."""

TOLD_REST_S = 1.0  # a shorter rest for an operating budget is not worth telling


def untold(_error: PortalError, _wait_s: float) -> None:
    """Where nobody wants to know of retries."""


class PortalClient:
    """Calls on one portal with one credential.

    `call`, `call3` and `batch` try again by the retry rules, each command by itself; `batch_once` and `attempt` leave
    it at what their commands brought the first time, `attempt` and `call_once` at what befell the request as well. All
    raise:
        PortalError: the request as a whole failed for good; OutcomeUnknown where a write may have been done.
        TooBusy: the limits would have it wait more than *max_wait_s* seconds, and nothing of it was done; never to work
            in the background.
    """

    def __init__(
        self,
        session: PortalSession,
        limiter: PortalLimiter,
        credential: Credential,
        clock: Clock,
        *,
        priority: Priority = Priority.INTERACTIVE,
        max_wait_s: float | None = None,
        on_retry: OnRetry = untold,
    ) -> None:
        self._session = session
        self._credential = credential
        self.retrying = on_retry
        self._clock = clock
        self._priority = priority
        self._max_wait_s = max_wait_s
        self.limiter = limiter

    def background(self) -> "PortalClient":
        """The same client for work that lets callers go first, and waits for its turn as long as it takes."""
        return self._with(priority=Priority.BACKGROUND, on_retry=self.retrying)

    def telling(self, on_retry: OnRetry) -> "PortalClient":
        """The same client, which calls *on_retry* before it waits to try something again."""
        return self._with(priority=self._priority, on_retry=on_retry)

    def _with(self, *, priority: Priority, on_retry: OnRetry) -> "PortalClient":
        return PortalClient(
            self._session,
            self.limiter,
            self._credential,
            self._clock,
            priority=priority,
            max_wait_s=self._max_wait_s,
            on_retry=on_retry,
        )

    def room(self) -> int:
        """How many requests it could send right now without waiting."""
        return self.limiter.room(self._priority)

    def wait(self, requests: int) -> float:
        """How many seconds the last of so many requests would have to wait, were nobody else to send any."""
        return self.limiter.wait(self._priority, requests)

    @property
    def clock(self) -> Clock:
        """The time that all its waiting is measured by."""
        return self._clock

    async def call(self, command: Command) -> Answer:
        """The portal's answer to one *command*."""

        async def send(access: Access) -> Answer:
            return await self._send(access, command.method, command.arguments, methods, tries)

        methods, tries = {command.method}, _Tries(self._clock, self._wait_budget_s)
        return await self._run(methods, command.write, send, tries)

    async def call_once(self, command: Command) -> Answer:
        """As `call`, in one request that is not repeated."""

        async def send(access: Access) -> Answer:
            return await self._send(access, command.method, command.params, {command.method}, tries)

        tries = _Attempt(self._clock, lambda _rested: None, self._wait_budget_s)
        return await self._run({command.method}, command.write, send, tries)

    async def batch(self, commands: Sequence[Command], *, resting: bool = True) -> list[Answer | PortalError]:
        """The answer or error of each of *commands*, in their order, sent up to 50 in a request.

        A command that failed and may be tried again goes again without those that have succeeded. Reads whose answers
        together are too large are asked for in halves. What is begun is not
        given up for having to wait; but without *resting*, a command whose method is blocked, which may take minutes,
        is answered OperatingLimitReached: at once where the portal says so, else where it is for more than *max_wait_s*
        seconds.
        """
        outcomes: list[Answer | PortalError] = []
        for start in range(0, len(commands), BATCH_COMMANDS):
            wait_budget_s = None if outcomes else self._wait_budget_s
            tries = _Tries(self._clock, wait_budget_s, None if resting else self._max_wait_s)
            outcomes += await self._batch(commands[start : start + BATCH_COMMANDS], tries, resting)
        return outcomes

    async def batch_once(self, commands: Mapping[str, Command], *, halt: bool) -> dict[str, Answer | PortalError]:
        """The answer or error of each of at most 50 named *commands*, sent as they are: they may build on each other.

        With *halt*, those after the first that failed are not among the answers.

        Raises:
            OperatingLimitReached: also in the background, where a method is to rest for more than *max_wait_s* seconds.
        """
        tries = _Tries(self._clock, self._wait_budget_s, self._max_wait_s)
        outcomes = await self._send_named(commands, halt, tries)
        return {
            name: tries.decide(outcome, commands[name].write).error if isinstance(outcome, PortalError) else outcome
            for name, outcome in outcomes.items()
        }

    async def call3(self, method: str, body: object, *, write: bool, key: str | None = None) -> HttpAnswer:
        """The portal's answer to a REST 3.0 call as it came; *key* is its Idempotency-Key.

        Source: protocol.md 9.1, 9.8, 9.10 (b24restdocs api-reference/rest-v3.md)
        """
        headers = {} if key is None else {"Idempotency-Key": key}

        async def send(access: Access) -> HttpAnswer:
            return await self._send3(access, method, body, tries, headers)

        tries = _Tries(self._clock, self._wait_budget_s)
        return await self._run({method}, write, send, tries)

    async def attempt(self, commands: Sequence[Command], sent: Callable[[float], None]) -> list[Answer | PortalError]:
        """The answer or error of each of up to 50 *commands*, in one request that is not repeated.

        *sent* is called when the request goes out, with the seconds that it rested for an operating budget.
        """
        return await self._send_batch(commands, _Attempt(self._clock, sent))

    @property
    def _wait_budget_s(self) -> float | None:
        """For how long a call waits for the limits before it is begun; None without end."""
        return self._max_wait_s if self._priority is Priority.INTERACTIVE else None

    async def _batch(self, commands: Sequence[Command], tries: "_Tries", resting: bool) -> list[Answer | PortalError]:
        outcomes: dict[int, Answer | PortalError] = {}
        pending = list(range(len(commands)))
        while pending:
            asked = [commands[index] for index in pending]
            again, pause_s = [], 0.0
            failure: PortalError | None = None
            try:
                brought = await self._send_batch(asked, tries)
            except OperatingLimitReached as error:
                if resting:
                    raise
                brought = [error] * len(asked)
            except AnswerTooLarge as error:
                brought = await self._halved(asked, tries, resting) if len(asked) > 1 else [error]
            for index, outcome in zip(pending, brought, strict=True):
                outcomes[index] = outcome
                if isinstance(outcome, PortalError):
                    decision = tries.decide(outcome, commands[index].write)
                    outcomes[index] = decision.error
                    goes_again = resting or not isinstance(outcome, OperatingLimitReached)
                    if decision.wait_s is not None and goes_again:
                        again.append(index)
                        pause_s = max(pause_s, decision.wait_s)
                        failure = outcome
            pending = again
            if failure is not None:
                tries.wait_budget_s = None
                self.retrying(failure, pause_s)
                await self._clock.sleep(pause_s)
        return [outcomes[index] for index in range(len(commands))]

    async def _halved(self, commands: Sequence[Command], tries: "_Tries", resting: bool) -> list[Answer | PortalError]:
        """As `_batch`, in two requests, one after the other, so that only one large answer is held at a time."""
        middle = len(commands) // 2
        outcomes: list[Answer | PortalError] = []
        for half in (commands[:middle], commands[middle:]):
            outcomes += await self._batch(half, _Tries(self._clock, None, tries.rest_s), resting)
        return outcomes

    async def _send_batch(self, commands: Sequence[Command], tries: "_Tries") -> list[Answer | PortalError]:
        named = {batch_label(index): command for index, command in enumerate(commands)}
        outcomes = await self._send_named(named, False, tries)
        return [outcomes[label] for label in named]

    async def _send_named(
        self, commands: Mapping[str, Command], halt: bool, tries: "_Tries"
    ) -> dict[str, Answer | PortalError]:
        texts = {label: encode_command(command.method, command.arguments) for label, command in commands.items()}
        params = {"halt": int(halt), "cmd": texts}

        async def send(access: Access) -> dict[str, Answer | PortalError]:
            answer = await self._send(access, "batch", params, methods, tries, len(commands))
            return decode_batch(answer, list(commands), access.secrets, halt=halt)

        methods = {"batch", *(command.method for command in commands.values())}
        outcomes = await self._run(methods, any(command.write for command in commands.values()), send, tries)
        for label, outcome in outcomes.items():
            self.limiter.heed(self._credential.budget_key, commands[label].method, outcome)
            if isinstance(outcome, PortalError):
                outcomes[label] = self._credential.judge(outcome)
        return outcomes

    async def _run(self, methods: set[str], write: bool, send: Callable[[Access], Awaitable[T]], tries: "_Tries") -> T:
        """What *send* brings, tried by the retry rules; its access is renewed once, if the portal wants that."""
        renewed = False
        while True:
            await self._rest(methods, tries)
            access = await self._credential.access()
            queued_at = self._clock.monotonic()
            try:
                return await send(access)
            except OutOfOperatingTime:
                tries.waited(self._clock.monotonic() - queued_at)
            except (TokenExpired, PortalMoved) as error:
                if renewed:
                    raise
                renewed = await self._credential.renew(access)
                if not renewed:
                    await self._pause(error, write, tries)
            except PortalError as error:
                await self._pause(error, write, tries)

    async def _pause(self, error: PortalError, write: bool, tries: "_Tries") -> None:
        """Wait until a call that failed may be made again.

        Raises:
            PortalError: it may not.
        """
        decision = tries.decide(self._credential.judge(error), write)
        if decision.wait_s is None:
            raise decision.error from error
        self.retrying(error, decision.wait_s)
        await self._clock.sleep(decision.wait_s)

    async def _rest(self, methods: set[str], tries: "_Tries") -> None:
        """Wait until none of *methods* is out of operating time."""
        begun = tries.wait_budget_s is None
        most_s = tries.rest_s if begun else tries.wait_budget_s
        rest_s = self.limiter.rest_s(self._credential.budget_key, methods)
        if rest_s > TOLD_REST_S:
            self.retrying(OperatingLimitReached("", told=f"{', '.join(sorted(methods))} must rest"), rest_s)
        try:
            tries.rested(await self.limiter.rest(self._credential.budget_key, methods, most_s))
        except TooBusy as error:
            if not begun:
                raise
            why = f"the method must rest: try again in {error.retry_after_s} s"
            raise OperatingLimitReached("OPERATION_TIME_LIMIT", why) from error

    async def _send(
        self, access: Access, method: str, params: Arguments, methods: set[str], tries: "_Tries", commands: int = 1
    ) -> Answer:
        """One request, in its turn."""
        body, headers = _with_token(access, params)
        post = partial(self._session.post, access.endpoint + method, body, access.secrets, headers)
        _, answer = await self._in_turn(post, decode_answer, access, tries, method, methods, commands)
        return answer

    async def _send3(
        self, access: Access, method: str, body: object, tries: "_Tries", headers: Mapping[str, str]
    ) -> HttpAnswer:
        """One request of REST 3.0, in its turn."""
        body, carrying = _with_token(access, body)
        headers = {**headers, **carrying}
        post = partial(self._session.post, rest3_endpoint(access.endpoint) + method, body, access.secrets, headers)
        http, _ = await self._in_turn(post, decode_answer3, access, tries, method, {method}, 1)
        return http

    async def _in_turn(
        self,
        post: Callable[[], Awaitable[HttpAnswer]],
        decode: Callable[[int, bytes, Collection[str]], Answer],
        access: Access,
        tries: "_Tries",
        method: str,
        methods: set[str],
        commands: int,
    ) -> tuple[HttpAnswer, Answer]:
        """What *post* brings once the limiter has room, as it came and decoded; the limiter learns from it."""
        queued_at = self._clock.monotonic()
        budgets = self._credential.budget_key, methods
        async with self.limiter.place(
            self._priority, max_wait_s=tries.wait_budget_s, again=tries.attempt > 0, budgets=budgets
        ):
            started_at = self._clock.monotonic()
            tries.waited(started_at - queued_at)
            tries.begin()
            try:
                http, answer = await _received(post, decode, access.secrets)
            except PortalError as error:
                error.__traceback__ = error.__context__ = None  # whose frames hold the answer for as long as it is kept
                self.limiter.heed(self._credential.budget_key, method, error)
                self.limiter.landed(methods, commands, error, started_at)
                raise
            self.limiter.heed(self._credential.budget_key, method, answer)
            self.limiter.landed(methods, commands, answer, started_at)
        return http, answer


def _with_token(access: Access, body: object) -> tuple[object, dict[str, str]]:
    """*body* and headers with the token, if there is one: in the body, where no log of addresses sees it, or, as a list
    has no place for it, in a header.

    Source: protocol.md 5, 9.9 (b24restdocs settings/how-to-call-rest-api/authorization.md)
    """
    if access.token is None:
        return body, {}
    if isinstance(body, Mapping):
        return {**body, "auth": access.token}, {}
    return body, {"Authorization": f"Bearer {access.token}"}


async def _received(
    post: Callable[[], Awaitable[HttpAnswer]],
    decode: Callable[[int, bytes, Collection[str]], Answer],
    secrets: Collection[str],
) -> tuple[HttpAnswer, Answer]:
    """What *post* brings, as it came and decoded."""
    http = await post()
    return http, decode(http.status, http.body, secrets)


class _Tries:
    """How often a call has been sent, and for how long that has gone on.

    Waiting for its first turn, and resting for an operating budget, are not held against it.
    *wait_budget_s* is for how much longer it may wait for the limits, None without end; *rest_s* for how much longer it
    may then rest all the same, None without end.
    """

    def __init__(self, clock: Clock, wait_budget_s: float | None, rest_s: float | None = None) -> None:
        self._clock = clock
        self._began_at = clock.monotonic()
        self.attempt = 0
        self._rested_s = 0.0
        self.wait_budget_s = wait_budget_s
        self.rest_s = rest_s

    def rested(self, seconds: float) -> None:
        self._rested_s += seconds
        if self.rest_s is not None:
            self.rest_s = max(self.rest_s - seconds, 0.0)
        self.waited(seconds)

    def waited(self, seconds: float) -> None:
        if self.wait_budget_s is not None:
            self.wait_budget_s = max(self.wait_budget_s - seconds, 0.0)

    def begin(self) -> None:
        if self.attempt == 0:
            self._began_at, self._rested_s = self._clock.monotonic(), 0.0
        self.attempt += 1

    def decide(self, error: PortalError, write: bool) -> RetryDecision:
        elapsed_s = self._clock.monotonic() - self._began_at - self._rested_s
        return decide(error, self.attempt, elapsed_s, write, random.random())


class _Attempt(_Tries):
    """A single try; whoever made it decides about another."""

    def __init__(self, clock: Clock, tell_sent: Callable[[float], None], wait_budget_s: float | None = None) -> None:
        super().__init__(clock, wait_budget_s)
        self._tell_sent = tell_sent

    def begin(self) -> None:
        self._tell_sent(self._rested_s)
        super().begin()

    def decide(self, error: PortalError, _write: bool) -> RetryDecision:
        return RetryDecision(error, None)
