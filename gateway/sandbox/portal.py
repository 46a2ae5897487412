"""The sandbox portal itself: its state, and what it answers to a call. It does no I/O; `server` puts it on the net."""

import hashlib
import inspect
from collections import Counter, deque
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any

from gateway.clock import Clock
from gateway.sandbox.behaviour.cost import CostModel
from gateway.sandbox.behaviour.faults import (
    AFTER_THE_CALL,
    LIES,
    LIST_ANSWERS,
    TOKEN_ADDRESS,
    TOKEN_ANSWERS,
    ConnectionFault,
    Fault,
    Faults,
)
from gateway.sandbox.behaviour.lies import altered
from gateway.sandbox.behaviour.limits import TARIFFS, LeakyBucket, OperatingTime, reset_of
from gateway.sandbox.content.catalog import SMART_PROCESSES
from gateway.sandbox.content.changes import Change, ScriptedChanges
from gateway.sandbox.content.portal_data import PortalData
from gateway.sandbox.errors import (
    CallError,
    insufficient_scope,
    invalid_credentials,
    method_not_found,
    no_auth_found,
    operation_time_limit,
    query_limit_exceeded,
)
from gateway.sandbox.exchange import Exchange, Reply, Request, SeenCall
from gateway.sandbox.oauth import Application, SandboxOAuth
from gateway.sandbox.php import Value
from gateway.sandbox.query.listing import PAGE_ROWS, Effort
from gateway.sandbox.rest2.method import ADMINISTRATOR_ID, WEBHOOK, Answer, Billed, Call, Caller, Envelope, Method
from gateway.sandbox.rest2.methods import METHODS
from gateway.sandbox.rest2.methods.service import KNOWN_SCOPES

ZONE = timezone(timedelta(hours=3))
CACHE_SIZE = 10_000

# Taken away before the method sees its parameters. Source: [srv] rest/classes/general/rest.php
_AUTH_PARAMS = ("auth", "access_token", "auth_connector", "aplogin", "ap")


@dataclass(frozen=True)
class SandboxSettings:
    """How a sandbox portal is set up.

    *leads* and so on are how many there are of each; *invoices* of the smart and of the old ones alike, *items* of each
    smart process. *holes* is the share of missing ids; *tariff* one of standard, enterprise, off (neither bucket nor
    budget); *cost* is how long lists take, None for no time at all;
    *scope* what the webhook and the application are granted; *auto_allow* redirects from the authorize page at once;
    *integer_start* gives ``time.start`` in whole seconds, as the cloud does since 2026; *webhook_code* is the secret in
    the webhook's address. *tasks* and *eventlog* are how many there are, with *holes* among their ids too.
    *page_rows* is the size of a page in version 2, *rest3_page_rows* the largest page of REST 3.0, whatever limit is
    asked for; None: 50 tasks, and as many entries of the event log as were asked for, up to 1,000.
    """

    users: int = 120
    leads: int = 200
    deals: int = 300
    contacts: int = 250
    companies: int = 120
    quotes: int = 60
    invoices: int = 60
    items: int = 80
    seed: int = 1
    holes: float = 0.3
    tasks: int = 75
    eventlog: int = 120
    tariff: str = "standard"
    redirect_uri: str = "http://127.0.0.1:8080/webhook/create"
    auto_allow: bool = False
    scope: tuple[str, ...] = KNOWN_SCOPES
    integer_start: bool = False
    webhook_code: str = "sandbox"
    cost: CostModel | None = None
    page_rows: int = PAGE_ROWS
    rest3_page_rows: int | None = None

    def __post_init__(self) -> None:
        if self.users < 1:
            raise ValueError("users: at least 1, the owner of the webhook")
        for name, count in {**self.records, "tasks": self.tasks, "eventlog": self.eventlog}.items():
            if count < 0:
                raise ValueError(f"{name}: at least 0")
        for name, rows in (("page_rows", self.page_rows), ("rest3_page_rows", self.rest3_page_rows)):
            if rows is not None and rows < 1:
                raise ValueError(f"{name}: at least 1")
        if not 0 <= self.holes < 1:
            raise ValueError("holes: a share from 0 to less than 1")
        if self.tariff not in TARIFFS:
            raise ValueError(f"tariff: one of {', '.join(TARIFFS)}")

    @property
    def records(self) -> dict[str, int]:
        """How many records there are, by the name of their table."""
        tables = ("leads", "deals", "contacts", "companies", "quotes", "invoices")
        items = {f"items/{entity_type_id}": self.items for entity_type_id in SMART_PROCESSES}
        return {**{name: getattr(self, name) for name in tables}, "old_invoices": self.invoices, **items}


class SandboxPortal:
    """One portal, as far as a client can tell: data, calls, OAuth, limits and scripted faults."""

    def __init__(self, settings: SandboxSettings, clock: Clock) -> None:
        self.settings = settings
        self.data = PortalData.generate(
            users=settings.users,
            records=settings.records,
            holes=settings.holes,
            seed=settings.seed,
            tasks=settings.tasks,
            eventlog=settings.eventlog,
            now=clock.now(),
        )
        self.member_id = hashlib.md5(f"sandbox portal {settings.seed}".encode(), usedforsecurity=False).hexdigest()
        self.application = Application(redirect_uri=settings.redirect_uri, scope=settings.scope)
        self.oauth = SandboxOAuth(self.application, self.member_id, clock)
        self.calls: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.http_requests = 0
        self.seen: deque[SeenCall] = deque(maxlen=CACHE_SIZE)
        self.token_requests: deque[dict[str, Value]] = deque(maxlen=CACHE_SIZE)
        self.faults = Faults(clock)
        self.changes = ScriptedChanges(self.data)
        self.busy_s = 0.0  # what lists have cost so far
        tariff = TARIFFS[settings.tariff]
        self.operating = OperatingTime(tariff.operating_limit_s) if tariff else None
        self._tariff = tariff
        self._buckets: dict[str, LeakyBucket] = {}
        self._clock = clock

    @property
    def clock(self) -> Clock:
        """The time that the portal goes by."""
        return self._clock

    def now(self) -> float:
        """The portal's own time, in Unix seconds."""
        return self._clock.now()

    @property
    def webhook_path(self) -> str:
        return f"/rest/{ADMINISTRATOR_ID}/{self.settings.webhook_code}/"

    def fault(self, spec: str) -> None:
        """Script a fault; `Fault` has the grammar.

        Raises:
            ValueError: *spec* is not a fault.
        """
        self.faults.add(Fault.parse(spec))

    def clear_faults(self) -> None:
        self.faults.clear()

    @property
    def commands(self) -> int:
        """Calls of any method, alone or in a batch; the batch itself is none."""
        return self.calls.total() - self.calls["batch"]

    def change(self, change: Change) -> None:
        """Change rows at once.

        Raises:
            ValueError: there is no such table.
        """
        change.check(self.data)
        change.apply(self.data)

    def change_after(self, method: str, calls: int, change: Change) -> None:
        """Change rows when so many more calls of *method* have been answered.

        Raises:
            ValueError: there is no such table.
        """
        change.check(self.data)
        self.changes.add(method, calls, change)

    def hold(self, method: str) -> None:
        """Let every call of *method* wait from now on, until it is released."""
        self.faults.hold(method)

    def release(self, method: str) -> None:
        self.faults.release(method)

    async def answer(self, request: Request) -> Reply:
        """Answer one HTTP request to the REST address.

        Source of the order of checks: [srv] rest/classes/general/rest.php; the bucket sits in front of all.
        """
        self.http_requests += 1
        exchange = self.open_exchange(request)
        try:
            self.admit(request.source)
            envelope = await self._perform(exchange, None, request.method, request.params)
        except CallError as error:
            return Reply(error.status, error.body(), exchange.damage)
        except ConnectionFault as fault:
            return Reply(200, {}, fault.kind, fault.value)
        return Reply(200, envelope.body(), exchange.damage)

    async def exchange_token(self, query: dict[str, Value], origin: str) -> Reply:
        """Answer one request to the token address at *origin*; the bucket does not count it."""
        self.token_requests.append(query)
        try:
            fault = await self.faults.meet(TOKEN_ADDRESS)
            body = self.oauth.token(query, origin)
        except CallError as error:
            self.refusals[str(error.code)] += 1
            return Reply(error.status, error.body())
        except ConnectionFault as broken:
            return Reply(200, {}, broken.kind, broken.value)
        if fault and fault.kind in TOKEN_ANSWERS:
            body[fault.kind] = fault.value
        return Reply(200, body, fault.kind if fault and fault.kind in AFTER_THE_CALL else None)

    def admit(self, source: str) -> None:
        """Count the request in the bucket of its *source*.

        Raises:
            CallError: QUERY_LIMIT_EXCEEDED, the bucket is full.
        """
        if self._tariff is None:
            return
        bucket = self._buckets.get(source)
        if bucket is None:
            bucket = self._buckets[source] = LeakyBucket(self._tariff.bucket_capacity, self._tariff.bucket_leak_per_s)
        if not bucket.admit(self._clock.monotonic()):
            self.refusals["QUERY_LIMIT_EXCEEDED"] += 1
            raise query_limit_exceeded()

    async def _perform(self, exchange: Exchange, caller: Caller | None, name: str, given: dict[str, Value]) -> Envelope:
        """Make one call, of its own or out of a batch, and count it among the refusals if it ends in one."""
        try:
            return await self._call(exchange, caller, name, given)
        except CallError as error:
            self.refusals[str(error.code)] += 1
            raise

    async def _call(self, exchange: Exchange, caller: Caller | None, name: str, given: dict[str, Value]) -> Envelope:
        """Make one call; its *caller* is known already when it is a command of a batch.

        Raises:
            CallError: the portal refuses it.
            ConnectionFault: a fault takes the whole HTTP exchange.
        """
        started = self._clock.now()
        request, name = exchange.request, name.lower()
        params = {key: value for key, value in given.items() if key not in _AUTH_PARAMS}
        credential = request.token or (request.webhook[1] if request.webhook else None)
        self.seen.append(SeenCall(name, params, credential, in_batch=caller is not None))
        method = METHODS.get(name)
        if method is None:
            raise method_not_found()
        self.calls[name] += 1
        fault = await self.faults.meet(name)
        if fault and fault.kind in AFTER_THE_CALL:
            exchange.damage = fault.kind
        caller = caller or self.authorize(request)
        if not method.is_open_to(caller.scopes):
            raise insufficient_scope("access" if caller.is_application else "webhook")
        if self.operating and self.operating.is_blocked(caller.client, name, self._clock.now()):
            raise operation_time_limit()
        answer = await self._run(method, params, exchange, caller)
        if fault and fault.kind in LIST_ANSWERS and answer.total is not None:
            answer = replace(answer, total=int(fault.value))
        if fault and fault.kind in LIES:
            answer = replace(answer, result=altered(fault.kind, fault.value, answer.result))
        self.changes.called(name)
        await self.spend(exchange, answer.effort)
        return Envelope(answer, self.time_of(started, method, caller, fault.busy_s if fault else 0.0))

    async def _run(self, method: Method, params: dict[str, Value], exchange: Exchange, caller: Caller) -> Answer:
        answer = method.run(
            Call(
                params=method.bind(params),
                given=params,
                caller=caller,
                data=self.data,
                methods=METHODS,
                perform=partial(self._perform, exchange, caller),
                now=self._clock.now(),
                page_rows=self.settings.page_rows,
            )
        )
        return await answer if inspect.isawaitable(answer) else answer

    def open_exchange(self, request: Request) -> Exchange:
        """What is to become of a *request* that has just come."""
        return Exchange(request, self._clock.monotonic())

    async def spend(self, exchange: Exchange, effort: Effort | None) -> None:
        """Take the time that the *effort* of a list costs; what it took to make its answer is part of that."""
        if self.settings.cost is not None and effort is not None:
            seconds = self.settings.cost.seconds(effort)
            self.busy_s += seconds
            exchange.due += seconds
            await self._clock.sleep(exchange.due - self._clock.monotonic())

    def authorize(self, request: Request) -> Caller:
        """Who calls.

        Source: [docs] settings/how-to-call-rest-api/authorization.md; [srv] rest/lib/oauth, rest/lib/apauth
        """
        if request.token is not None:
            return Caller(self.oauth.user_of(request.token), self.application.scope, self.application.client_id)
        if request.webhook is None:
            raise no_auth_found()
        if request.webhook != (ADMINISTRATOR_ID, self.settings.webhook_code):
            raise invalid_credentials()
        return Caller(ADMINISTRATOR_ID, self.settings.scope, WEBHOOK)

    def time_of(self, started: float, method: Billed, caller: Caller, busy_s: float) -> dict[str, Any]:
        """The ``time`` of an answer; books the call's operating time, of which there is none without a tariff. A batch
        is billed by its commands alone.

        Source: [docs] api-reference/data-types.md, settings/performance/limits.md
        """
        finished = self._clock.now()
        start = int(started) if self.settings.integer_start else started
        time: dict[str, Any] = {
            "start": start,
            "finish": finished,
            "duration": finished - start,
            "processing": int(finished) - start if self.settings.integer_start else finished - started,
            "date_start": datetime.fromtimestamp(int(started), ZONE).isoformat(),
            "date_finish": datetime.fromtimestamp(int(finished), ZONE).isoformat(),
        }
        if self.operating is None:
            return {**time, "operating_reset_at": reset_of(finished), "operating": 0}
        if method.is_billed:
            self.operating.spend(caller.client, method.name, finished - started + busy_s, finished)
        time["operating_reset_at"] = self.operating.reset_at(caller.client, method.name, finished)
        return {**time, "operating": self.operating.spent_s(caller.client, method.name, finished)}
