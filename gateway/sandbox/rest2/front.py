"""Answers requests of REST 2: the order of checks, faults and limits."""

import inspect
from dataclasses import replace
from functools import partial

from gateway.sandbox.behaviour.faults import LIST_FAULTS, ConnectionFault
from gateway.sandbox.caller import Caller
from gateway.sandbox.content.written_values import TimeOutOfRange
from gateway.sandbox.errors import CallError, insufficient_scope, method_not_found, time_out_of_range
from gateway.sandbox.exchange import Exchange, Reply, Request, SeenCall
from gateway.sandbox.php import Value
from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.rest2.method import Answer, Call, Envelope, Method
from gateway.sandbox.rest2.methods import METHODS

# Removed before the method gets its parameters. Source: [srv] rest/classes/general/rest.php
_AUTH_PARAMS = ("auth", "access_token", "auth_connector", "aplogin", "ap")


class Rest2:
    """REST 2 of one portal."""

    def __init__(self, portal: SandboxPortal) -> None:
        self._portal = portal

    async def answer(self, request: Request) -> Reply:
        """Answer one HTTP request to the REST address.

        Source of the order of checks: [srv] rest/classes/general/rest.php; the leaky bucket comes first.
        """
        self._portal.http_requests += 1
        exchange = self._portal.open_exchange(request)
        try:
            self._portal.admit(request.source)
            envelope = await self._perform(exchange, None, request.method, request.params)
        except CallError as error:
            return Reply(error.status, error.body(), exchange.connection_fault, exchange.fault_value)
        except ConnectionFault as fault:
            return Reply(200, {}, fault.kind, fault.value)
        download = envelope.answer.download
        body = {} if download else envelope.body()
        return Reply(200, body, exchange.connection_fault, exchange.fault_value, download=download)

    async def _perform(self, exchange: Exchange, caller: Caller | None, name: str, sent: dict[str, Value]) -> Envelope:
        """Make one call, single or inside a batch. Count its error, if any, in `SandboxPortal.refusals`."""
        try:
            return await self._call(exchange, caller, name, sent)
        except CallError as error:
            self._portal.refusals[str(error.code)] += 1
            raise

    async def _call(self, exchange: Exchange, caller: Caller | None, name: str, sent: dict[str, Value]) -> Envelope:
        """Make one call. *caller* is None for a single call, and known for a command of a batch.

        Raises:
            CallError: the portal refuses the call.
            ConnectionFault: a fault replaces the whole HTTP answer.
        """
        started = self._portal.now()
        request, name = exchange.request, name.lower()
        params = {key: value for key, value in sent.items() if key not in _AUTH_PARAMS}
        self._portal.seen.append(SeenCall.of(name, params, request.credential, in_batch=caller is not None))
        method = METHODS.get(name)
        if method is None:
            raise method_not_found()
        fault = await self._portal.enter_call(exchange, name)
        caller = caller or self._portal.authorize(request)
        if not caller.has_access(method.scopes):
            raise insufficient_scope("access" if caller.is_application else "webhook")
        self._portal.check_operating_time(caller, name)
        answer = await self._run(method, params, exchange, caller)
        if fault and fault.kind in LIST_FAULTS and answer.total is not None:
            answer = replace(answer, total=int(fault.value))
        if fault:
            answer = replace(answer, result=fault.alter(answer.result))
        await self._portal.leave_call(exchange, name, answer.effort)
        return Envelope(answer, self._portal.book_time(started, method, caller, fault.busy_s if fault else 0.0))

    async def _run(self, method: Method, params: dict[str, Value], exchange: Exchange, caller: Caller) -> Answer:
        self._portal.data.events.source_key = caller.source_key
        call = Call(
            params=method.bind(params),
            sent=params,
            caller=caller,
            request=exchange.request,
            data=self._portal.data,
            methods=METHODS,
            perform=partial(self._perform, exchange, caller),
            now=self._portal.now(),
            page_rows=self._portal.settings.page_rows,
        )
        try:
            answer = method.run(call)
            return await answer if inspect.isawaitable(answer) else answer
        except TimeOutOfRange:
            raise time_out_of_range() from None
