"""Answers requests of REST 3.0: the order of checks, faults, limits and idempotency keys."""

import inspect
from dataclasses import dataclass, replace
from functools import partial

import orjson

from gateway.sandbox.behaviour.faults import ConnectionFault
from gateway.sandbox.caller import Caller
from gateway.sandbox.errors import CallError
from gateway.sandbox.exchange import Exchange, Reply, Request, SeenCall
from gateway.sandbox.php import Value
from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.query.listing import Effort
from gateway.sandbox.rest3 import batch, eventlog, humanresources, mail, service, tasks, timeman
from gateway.sandbox.rest3.errors import in_rest3, insufficient_scope, invalid_json, method_not_found, wrong_verb
from gateway.sandbox.rest3.idempotency import IdempotencyStore
from gateway.sandbox.rest3.listing import MAX_ROWS
from gateway.sandbox.rest3.method import Call, Method

LISTS = (".list", ".tail")  # methods with the cost of a list
_MODULES = (tasks, eventlog, mail, humanresources, timeman, service, batch)
METHODS = {method.name: method for module in _MODULES for method in module.METHODS}


@dataclass(frozen=True)
class Request3:
    """An undecoded request of REST 3.0. *shared* holds the parts common to both versions; its params are not used.

    *key* is the ``Idempotency-Key``.
    """

    shared: Request
    verb: str
    body: bytes
    content_type: str
    key: str | None

    def decoded(self) -> Value:
        """Decode the JSON body. An empty body and the body of GET are an empty object.

        Raises:
            Rest3Error: the body is invalid, or the verb is neither GET nor POST.
        """
        if self.verb not in ("GET", "POST"):
            raise wrong_verb(self.verb)
        if self.verb == "GET" or not self.body:
            return {}
        try:
            decoded = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            raise invalid_json() from None
        if self.content_type != "application/json" or not isinstance(decoded, (dict, list)):
            raise invalid_json()
        return decoded


class Rest3:
    """REST 3.0 of one portal. It shares limits, faults and counters with REST 2."""

    def __init__(self, portal: SandboxPortal) -> None:
        self._portal = portal
        self._idempotency = IdempotencyStore()

    async def answer(self, request: Request3) -> Reply:
        """Answer one HTTP request.

        Source of the order of checks: [srv] rest/lib/v3; protocol notes 9; the leaky bucket comes first.
        """
        portal, exchange = self._portal, self._portal.open_exchange(request.shared)
        portal.http_requests += 1
        try:
            portal.admit(request.shared.source)
        except CallError as error:
            return Reply(error.status, error.body())
        try:
            return await self._call(request, exchange)
        except CallError as error:
            error = in_rest3(error)
            portal.refusals[str(error.code)] += 1
            return Reply(error.status, error.body(), exchange.connection_fault, exchange.fault_value)
        except ConnectionFault as fault:
            return Reply(200, {}, fault.kind, fault.value)

    async def _call(self, request: Request3, exchange: Exchange) -> Reply:
        portal, started, name = self._portal, self._portal.now(), request.shared.method.lower()
        body = request.decoded() if name in METHODS else {}
        token = body.pop("auth", None) if isinstance(body, dict) else None
        shared = replace(request.shared, method=name, params={"auth": token})
        portal.seen.append(
            SeenCall(name, _params(body), shared.credential, in_batch=False, version=3, idempotency_key=request.key)
        )
        method = METHODS.get(name)
        if method is None:
            raise method_not_found(request.shared.method)
        fault = await portal.enter_call(exchange, name)
        caller = portal.authorize(shared)
        _check_scope(method, caller)
        portal.check_operating_time(caller, name)
        key = request.key if method.writes else None
        if key is not None and (stored := self._idempotency.find(caller, name, key, request.body, portal.now())):
            return replace(stored, connection_fault=exchange.connection_fault, fault_value=exchange.fault_value)
        result = await self._run(method, body, caller, exchange, shared.credential)
        if fault:
            result = fault.alter(result)
        time = portal.book_time(started, method, caller, fault.busy_s if fault else 0.0)
        reply = Reply(
            200,
            result if method.bare else {"result": result, "time": time},
            exchange.connection_fault,
            exchange.fault_value,
        )
        return reply if key is None else self._idempotency.save(caller, name, key, request.body, reply, portal.now())

    async def _perform(
        self, caller: Caller, exchange: Exchange, credential: str | None, name: str, query: Value
    ) -> Value:
        """Make one call of a batch. Operating time neither counts nor limits it: only the batch would be billed."""
        self._portal.seen.append(SeenCall(name, _params(query), credential, in_batch=True, version=3))
        fault = await self._portal.enter_call(exchange, name)
        method = METHODS[name]
        _check_scope(method, caller)
        result = await self._run(method, query, caller, exchange, credential)
        return fault.alter(result) if fault else result

    async def _run(
        self, method: Method, body: Value, caller: Caller, exchange: Exchange, credential: str | None
    ) -> Value:
        portal = self._portal
        perform = partial(self._perform, caller, exchange, credential)
        max_rows = min(portal.settings.rest3_page_rows or method.max_rows, MAX_ROWS)
        result = method.run(Call(body, caller, portal.data, METHODS, perform, portal.now(), max_rows))
        result = await result if inspect.isawaitable(result) else result
        await portal.leave_call(exchange, method.name, Effort() if method.name.endswith(LISTS) else None)
        return result


def _check_scope(method: Method, caller: Caller) -> None:
    if not caller.has_access(method.scopes):
        raise insufficient_scope()


def _params(body: Value) -> dict[str, Value]:
    """The body as recorded in `SeenCall`: the list of a batch is under ``calls``."""
    return body if isinstance(body, dict) else {"calls": body}
