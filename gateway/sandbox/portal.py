"""The state of a sandbox portal and the checks that both REST versions share. No I/O; `web.server` serves it."""

import hashlib
from collections import Counter, deque
from datetime import datetime
from typing import Any

from gateway.clock import Clock
from gateway.sandbox.behaviour.fault_queue import Faults
from gateway.sandbox.behaviour.faults import (
    AFTER_CALL,
    TOKEN_ADDRESS,
    TOKEN_FAULTS,
    ConnectionFault,
    Fault,
)
from gateway.sandbox.behaviour.limits import TARIFFS, Billed, LeakyBucket, OperatingTime, reset_of
from gateway.sandbox.caller import ADMINISTRATOR_ID, WEBHOOK, Caller
from gateway.sandbox.content.changes import Change, ScriptedChanges
from gateway.sandbox.content.portal_data import PortalData
from gateway.sandbox.content.tasks import ZONE
from gateway.sandbox.errors import (
    CallError,
    invalid_credentials,
    no_auth_found,
    operation_time_limit,
    query_limit_exceeded,
)
from gateway.sandbox.exchange import Exchange, Reply, Request, SeenCall
from gateway.sandbox.oauth import Application, SandboxOAuth
from gateway.sandbox.php import Value, is_array
from gateway.sandbox.query.listing import Effort
from gateway.sandbox.settings import SandboxSettings

CACHE_SIZE = 10_000


class SandboxPortal:
    """One emulated portal: data, counters, OAuth, limits and scripted faults."""

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
        self.faults = Faults(clock, settings.seed)
        self.changes = ScriptedChanges(self.data, clock)
        self.busy_s = 0.0  # total cost of the lists
        tariff = TARIFFS[settings.tariff]
        self.operating = OperatingTime(tariff.operating_limit_s) if tariff else None
        self._tariff = tariff
        self._buckets: dict[str, LeakyBucket] = {}
        self._clock = clock

    @property
    def clock(self) -> Clock:
        """The portal's clock."""
        return self._clock

    def now(self) -> float:
        """The portal's time in Unix seconds."""
        return self._clock.now()

    @property
    def webhook_path(self) -> str:
        return f"/rest/{ADMINISTRATOR_ID}/{self.settings.webhook_code}/"

    def fault(self, spec: str) -> None:
        """Script a fault in the syntax of `Fault`.

        Raises:
            ValueError: *spec* is invalid.
        """
        self.faults.add(Fault.parse(spec))

    def clear_faults(self) -> None:
        self.faults.clear()

    @property
    def commands(self) -> int:
        """The number of calls, single or inside a batch. The batch itself does not count."""
        return self.calls.total() - self.calls["batch"]

    def change(self, change: Change) -> None:
        """Change rows immediately.

        Raises:
            ValueError: the table, a column or an id is invalid.
        """
        change.check(self.data)
        change.apply(self.data, self._clock.now())

    def change_after(self, method: str, calls: int, change: Change) -> None:
        """Change rows after *calls* more calls of *method* have been answered.

        Raises:
            ValueError: the table, a column or an id is invalid.
        """
        change.check(self.data)
        self.changes.add(method, calls, change)

    def hold(self, method: str) -> None:
        """Make every call of *method* wait until `release`."""
        self.faults.hold(method)

    def release(self, method: str) -> None:
        self.faults.release(method)

    def deny(self, table: str) -> None:
        """Refuse every user the records of *table*, such as ``deals``, as a portal does without the right to read.

        Lists and single records are refused; the fields stay described.

        Raises:
            ValueError: *table* holds no CRM records.
        Source: [docs] api-reference/crm/deals/crm-deal-list.md, crm/universal/crm-item-list.md
        """
        self.data.denied.add(self._entity_type_of(table))

    def allow(self, table: str) -> None:
        """Undo `deny`.

        Raises:
            ValueError: *table* holds no CRM records.
        """
        self.data.denied.discard(self._entity_type_of(table))

    def uninstall(self) -> None:
        """Uninstall the application: its tokens, its handlers of events and its placements are gone."""
        self.oauth.revoke_tokens()
        self.data.remove_application(self.application.client_id)

    def _entity_type_of(self, table: str) -> int:
        types = {entity.table: type_id for type_id, entity in self.data.entities.items()}
        if table not in types:
            raise ValueError(f"table: must be one of {', '.join(types)}")
        return types[table]

    async def exchange_token(self, query: dict[str, Value], origin: str) -> Reply:
        """Answer one request to the token address at *origin*. The leaky bucket does not count it."""
        self.token_requests.append(query)
        try:
            fault = await self.faults.apply(TOKEN_ADDRESS)
            body = self.oauth.token(query, origin)
        except CallError as error:
            self.refusals[str(error.code)] += 1
            return Reply(error.status, error.body())
        except ConnectionFault as broken:
            return Reply(200, {}, broken.kind, broken.value)
        if fault and fault.kind in TOKEN_FAULTS:
            body[fault.kind] = fault.value
        if fault and fault.kind in AFTER_CALL:
            return Reply(200, body, fault.kind, fault.value)
        return Reply(200, body)

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

    def open_exchange(self, request: Request) -> Exchange:
        """Start the exchange of a *request* that has just arrived."""
        return Exchange(request, self._clock.monotonic())

    async def enter_call(self, exchange: Exchange, name: str) -> Fault | None:
        """Count a call and inject its fault. Return the fault, for effects that follow the call.

        Raises:
            CallError, ConnectionFault: the fault replaces the call.
        """
        self.calls[name] += 1
        is_request, exchange.has_calls = not exchange.has_calls, True
        fault = await self.faults.apply(name, is_request=is_request)
        if fault and fault.kind in AFTER_CALL:
            exchange.connection_fault, exchange.fault_value = fault.kind, fault.value
        return fault

    def check_operating_time(self, caller: Caller, name: str) -> None:
        """Check that the method is not blocked for the caller.

        Raises:
            CallError: OPERATION_TIME_LIMIT.
        """
        if self.operating and self.operating.is_blocked(caller.client, name, self.now()):
            raise operation_time_limit()

    async def leave_call(self, exchange: Exchange, name: str, effort: Effort | None) -> None:
        """Apply the changes of rows that are due after this call, then wait until its *effort* has taken its time.

        Time already spent on the answer counts towards it.
        """
        self.changes.record_call(name)
        if self.settings.cost is not None and effort is not None:
            seconds = self.settings.cost.seconds(effort)
            self.busy_s += seconds
            exchange.due += seconds
            await self._clock.sleep(exchange.due - self._clock.monotonic())

    def authorize(self, request: Request) -> Caller:
        """Return who makes the request.

        Raises:
            CallError: the credentials are missing or invalid.
        Source: [docs] settings/how-to-call-rest-api/authorization.md; [srv] rest/lib/oauth, rest/lib/apauth
        """
        if request.token is not None:
            user_id, application = self.oauth.user_of(request.token), self.application
            source_key = request.params.get("auth_connector")
            return Caller(
                user_id,
                application.scope,
                application.client_id,
                "" if source_key is None or is_array(source_key) else str(source_key),
            )
        if request.webhook is None:
            raise no_auth_found()
        if request.webhook != (ADMINISTRATOR_ID, self.settings.webhook_code):
            raise invalid_credentials()
        return Caller(ADMINISTRATOR_ID, self.settings.scope, WEBHOOK)

    def book_time(self, started: float, method: Billed, caller: Caller, busy_s: float) -> dict[str, Any]:
        """Book the call's operating time and return the ``time`` of its answer.

        Without a tariff the operating time is 0. A batch is billed through its commands only.

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
