"""Calls to one portal, within its limits and repeated by the retry rules."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from gateway.bitrix.attempts import Attempts, CommittedBySending, SingleAttempt
from gateway.bitrix.auth.credentials import Access, Credential
from gateway.bitrix.errors import AnswerTooLarge, OperatingLimitReached, PortalError
from gateway.bitrix.file_transfers import FileTransfers
from gateway.bitrix.limits.limiter import PortalLimiter
from gateway.bitrix.limits.portal_request import PortalRequest
from gateway.bitrix.limits.request_queue import Priority
from gateway.bitrix.monitoring.monitor import CallMonitor, Unmonitored
from gateway.bitrix.protocol.v2 import (
    BATCH_COMMANDS,
    Answer,
    Command,
    batch_label,
    decode_batch,
    encode_command,
)
from gateway.bitrix.protocol.v3 import batched_methods
from gateway.bitrix.sender import OnRetry, RequestSender
from gateway.bitrix.transport.session import HttpAnswer, PortalSession
from gateway.clock import Clock


def ignore_retry(_error: PortalError, _wait_s: float) -> None:
    """The default `OnRetry`."""


UNMONITORED = Unmonitored()


class PortalClient:
    """Calls one portal with one credential.

    `call`, `call3` and `batch` repeat what failed, each command of a batch by itself. `batch_once` and `attempt` return
    what the first execution of their commands returned; `batch_once` repeats only a request that failed as a whole.
    `call_once` and `attempt` send a single request.

    All of them raise:
        PortalError: the request failed permanently; OutcomeUnknown if a write may have been executed.
        TooBusy: the limits would delay the call by more than *max_wait_s* seconds, and no part of it was executed. Not
            raised in the background.
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
        on_retry: OnRetry = ignore_retry,
        monitor: CallMonitor = UNMONITORED,
    ) -> None:
        self._session = session
        self._credential = credential
        self._clock = clock
        self._priority = priority
        self._max_wait_s = max_wait_s
        self._sender = RequestSender(session, limiter, credential, clock, on_retry, monitor)
        self._monitor = monitor
        self.retrying = on_retry
        self.limiter = limiter

    def background(self) -> "PortalClient":
        """Return a client for work that lets callers go first and waits for its turn without a maximum."""
        return self._with(priority=Priority.BACKGROUND, on_retry=self.retrying)

    def reporting_retries(self, on_retry: OnRetry) -> "PortalClient":
        """Return a client that calls *on_retry* before it waits for another attempt."""
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
            monitor=self._monitor,
        )

    def room(self) -> int:
        """Return how many requests could be sent without waiting."""
        return self.limiter.room(self._priority)

    def wait(self, requests: int) -> float:
        """Return the seconds that the last of *requests* new ones would wait if nobody else sent any."""
        return self.limiter.wait_s(self._priority, requests)

    @property
    def max_wait_s(self) -> float | None:
        """How long a call may wait for the portal's limits, in seconds; None for no maximum."""
        return self._max_wait_s

    @property
    def clock(self) -> Clock:
        """The clock of all waits."""
        return self._clock

    async def call(self, command: Command) -> Answer:
        """Return the portal's answer to *command*."""
        request = self._request(command, self._attempts())
        return await self._sender.run(request, partial(self._sender.post, request, command.arguments))

    async def call_once(self, command: Command) -> Answer:
        """As `call`, without retries."""
        attempt = SingleAttempt(self._clock, max_wait_s=self._max_wait_s, committed=self._in_background)
        request = self._request(command, attempt)
        return await self._sender.run(request, partial(self._sender.post, request, command.arguments))

    async def call3(self, method: str, body: object, *, write: bool, key: str | None = None) -> HttpAnswer:
        """Return the portal's unchanged answer to a REST 3.0 call; *key* is its Idempotency-Key.

        Source: protocol.md 9.1, 9.8, 9.10 (b24restdocs api-reference/rest-v3.md)
        """
        headers = {} if key is None else {"Idempotency-Key": key}
        request = PortalRequest(
            method,
            {method},
            self._attempts(),
            self._credential.budget_key,
            self._priority,
            write=write,
            arguments=body,
            batched=batched_methods(body),
        )
        answer = await self._sender.run(request, partial(self._sender.post3, request, body, headers))
        for batched in request.batched:  # a batch in which one call fails fails as a whole
            self._monitor.on_command(batched, failed=False)
        return answer

    async def batch(self, commands: Sequence[Command], *, wait_for_budget: bool = True) -> list[Answer | PortalError]:
        """Return the answer or error of each of *commands*, in their order, sent up to 50 in a request.

        Failed commands are repeated without those that succeeded. If the answers of several commands together are too
        large, they are requested in two halves. A batch that has started is finished, however long it waits.

        Without *wait_for_budget*, a blocked method ends its commands in OperatingLimitReached: at once if the portal
        refuses a command, otherwise if the method is blocked for more than *max_wait_s* seconds.
        """
        outcomes: list[Answer | PortalError] = []
        for start in range(0, len(commands), BATCH_COMMANDS):
            attempts = self._attempts(None if wait_for_budget else self._max_wait_s, started=bool(outcomes))
            outcomes += await self._batch(commands[start : start + BATCH_COMMANDS], attempts, wait_for_budget)
        return outcomes

    async def batch_once(self, commands: Mapping[str, Command], *, halt: bool) -> dict[str, Answer | PortalError]:
        """Return the answer or error of each of at most 50 named *commands*, which may refer to each other's results.

        With *halt*, the commands after the first failed one are not executed and have no entry.

        Raises:
            OperatingLimitReached: a method is blocked for more than *max_wait_s* seconds, in the background; TooBusy
                for a caller.
        """
        attempts = self._attempts(self._max_wait_s)
        outcomes = await self._send_batch(commands, attempts, halt=halt)
        return {
            name: attempts.decide(outcome, commands[name].write).error if isinstance(outcome, PortalError) else outcome
            for name, outcome in outcomes.items()
        }

    async def attempt(self, commands: Sequence[Command], sent: Callable[[float], None]) -> list[Answer | PortalError]:
        """Return the answer or error of each of up to 50 *commands*, sent in one request that is not repeated.

        *sent* is called when the request is sent, with the seconds it waited for an operating budget.
        """
        return await self._send_list(commands, SingleAttempt(self._clock, sent, committed=True))

    def files(
        self, *, committed: bool, waited_s: float = 0.0, on_sent: Callable[[], None] | None = None
    ) -> FileTransfers:
        """Return what transfers files, for a caller who has waited *waited_s* seconds already.

        *committed* transfers wait for their turn without a maximum. With *on_sent*, which is called when a request is
        sent, they are committed from then on.
        """
        make_attempts = Attempts if on_sent is None else partial(CommittedBySending, on_sent=on_sent)

        def request_of(command: Command) -> PortalRequest:
            attempts = make_attempts(
                self._clock, max_wait_s=self._max_wait_s, committed=committed or self._in_background
            )
            attempts.on_queue_wait(waited_s)
            return self._request(command, attempts)

        return FileTransfers(self._sender, self._session, request_of)

    @property
    def _in_background(self) -> bool:
        return self._priority is Priority.BACKGROUND

    def _attempts(self, max_budget_wait_s: float | None = None, *, started: bool = False) -> Attempts:
        return Attempts(
            self._clock,
            max_wait_s=self._max_wait_s,
            max_budget_wait_s=max_budget_wait_s,
            committed=started or self._in_background,
        )

    def _request(self, command: Command, attempts: Attempts) -> PortalRequest:
        return PortalRequest(
            command.method,
            {command.method},
            attempts,
            self._credential.budget_key,
            self._priority,
            write=command.write,
            arguments=command.arguments,
        )

    async def _batch(
        self, commands: Sequence[Command], attempts: Attempts, wait_for_budget: bool
    ) -> list[Answer | PortalError]:
        """Send *commands* until each has succeeded or failed permanently."""
        outcomes: dict[int, Answer | PortalError] = {}
        pending = list(range(len(commands)))
        while pending:
            received = await self._send_splitting([commands[index] for index in pending], attempts, wait_for_budget)
            retried, pause_s = [], 0.0
            failure: PortalError | None = None
            for index, outcome in zip(pending, received, strict=True):
                outcomes[index] = outcome
                if isinstance(outcome, PortalError):
                    decision = attempts.decide(outcome, commands[index].write)
                    outcomes[index] = decision.error
                    retryable = wait_for_budget or not isinstance(outcome, OperatingLimitReached)
                    if decision.wait_s is not None and retryable:
                        retried.append(index)
                        pause_s = max(pause_s, decision.wait_s)
                        failure = outcome
            pending = retried
            if failure is not None:
                attempts.committed = True
                self.retrying(failure, pause_s)
                await self._clock.sleep(pause_s)
        return [outcomes[index] for index in range(len(commands))]

    async def _send_splitting(
        self, commands: Sequence[Command], attempts: Attempts, wait_for_budget: bool
    ) -> list[Answer | PortalError]:
        """As `_send_list`; in two requests if the answers together are too large."""
        try:
            return await self._send_list(commands, attempts)
        except OperatingLimitReached as error:
            if wait_for_budget:
                raise
            return [error] * len(commands)
        except AnswerTooLarge as error:
            if len(commands) == 1:
                return [error]
        middle = len(commands) // 2
        outcomes: list[Answer | PortalError] = []
        for half in (commands[:middle], commands[middle:]):  # one after the other: only one large answer is in memory
            outcomes += await self._batch(
                half, self._attempts(attempts.budget_wait_left_s, started=True), wait_for_budget
            )
        return outcomes

    async def _send_list(self, commands: Sequence[Command], attempts: Attempts) -> list[Answer | PortalError]:
        named = {batch_label(index): command for index, command in enumerate(commands)}
        outcomes = await self._send_batch(named, attempts, halt=False)
        return [outcomes[label] for label in named]

    async def _send_batch(
        self, commands: Mapping[str, Command], attempts: Attempts, *, halt: bool
    ) -> dict[str, Answer | PortalError]:
        encoded = {label: encode_command(command.method, command.arguments) for label, command in commands.items()}
        request = PortalRequest(
            "batch",
            {"batch", *(command.method for command in commands.values())},
            attempts,
            self._credential.budget_key,
            self._priority,
            commands=len(commands),
            write=any(command.write for command in commands.values()),
            batched=[command.method for command in commands.values()],
        )

        async def send(access: Access) -> dict[str, Answer | PortalError]:
            answer = await self._sender.post(request, {"halt": int(halt), "cmd": encoded}, access)
            return decode_batch(answer, list(commands), access.secrets, halt=halt)

        outcomes = await self._sender.run(request, send)
        for label, outcome in outcomes.items():
            self.limiter.record(request.budget_key, commands[label].method, outcome)
            self._monitor.on_command(commands[label].method, failed=isinstance(outcome, PortalError))
            if isinstance(outcome, PortalError):
                outcomes[label] = self._credential.interpret(outcome)
        return outcomes
