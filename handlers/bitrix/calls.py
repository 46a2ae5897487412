"""Calls of any method of the portal: single calls and batches, of REST and of REST 3.0."""

import asyncio
from functools import partial
from typing import Any, TypeVar, cast

import orjson
from aiohttp import web
from marshmallow import ValidationError

from gateway.bitrix.errors import OutcomeUnknown, PortalBroken, PortalError
from gateway.bitrix.protocol.json_body import TOO_DEEP
from gateway.bitrix.protocol.v2 import Answer
from gateway.bitrix.transport.session import HttpAnswer
from gateway.errors import GatewayError, InvalidInput, pointer_token
from gateway.passthrough.calls import Work
from gateway.schemas import Boolean, ClosedBody, StrictField, String, require_object
from handlers.app_keys import CALLS
from handlers.bitrix.account_loading import load_authorized_account
from handlers.http.bodies import load_body, load_json
from handlers.http.body_reader import CallerLeft
from handlers.http.connection import Connection
from handlers.http.errors import command_error
from handlers.http.idempotency import REPLAYED, idempotency_key
from handlers.http.responses import json_response

T = TypeVar("T")

NOT_RUN = {"code": "not_run", "description": "an earlier command failed and stopped the batch", "status": None}
MAX_BATCH3_CALLS = 50
OPENAPI_METHOD = "rest.documentation.openapi"


class Arguments(StrictField):
    rule = "must be an object or, for a method that takes arguments by position, a list"

    def accepts(self, value: Any) -> bool:
        return isinstance(value, dict | list)


class BatchCommand(ClosedBody):
    method = String()
    params = Arguments(required=False)


BATCH_COMMAND = BatchCommand()


class Commands(StrictField):
    """The commands of a batch, in a list or by name."""

    rule = "must be a list or an object of commands, and not empty"

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        if not isinstance(value, list | dict) or not value:
            raise ValidationError(self.rule)
        named = value if isinstance(value, dict) else dict(enumerate(value))
        loaded, errors = {}, {}
        for name, command in named.items():
            try:
                loaded[name] = BATCH_COMMAND.load(command)
            except ValidationError as error:
                errors[str(name)] = error.messages
        if errors:
            raise ValidationError(cast("Any", errors))
        return loaded if isinstance(value, dict) else list(loaded.values())


class BatchBody(ClosedBody):
    halt = Boolean(required=False)
    commands = Commands()


BATCH_BODY = BatchBody()


async def call_method(request: web.Request) -> web.Response:
    """POST /bitrix/call/{method}"""
    params = await load_arguments(request)
    work = request.app[CALLS].call(request.match_info["method"], params)
    answer = await cancel_on_disconnect(request, work)
    try:
        return json_response(render_answer(answer))
    except orjson.JSONEncodeError:
        raise too_deep(work) from None


async def call_batch(request: web.Request) -> web.Response:
    """POST /bitrix/batch"""
    body = await load_body(request, BATCH_BODY)
    commands = body["commands"]
    by_name = commands if isinstance(commands, dict) else {str(index): item for index, item in enumerate(commands)}
    calls = [(name, command["method"], command.get("params", {})) for name, command in by_name.items()]
    pointers = [f"/commands/{pointer_token(name)}" for name in by_name]
    halt = body.get("halt", False)
    work = request.app[CALLS].batch(calls, halt=halt, pointers=pointers)
    outcomes = await cancel_on_disconnect(request, work)
    results = {name: render_outcome(outcome) for name, outcome in outcomes.items()}
    try:
        return batch_response(commands, results)
    except orjson.JSONEncodeError:
        failure: dict[str, object] = {"error": command_error(too_deep(work))}
        encodable = {name: result if is_encodable(result) else failure for name, result in results.items()}
        return batch_response(commands, encodable)


async def call_method3(request: web.Request) -> web.Response:
    """POST /bitrix/v3/{method}"""
    body, method = await load_object(request), request.match_info["method"]
    work = request.app[CALLS].call3(method, body, idempotency_key(request))
    return portal_response(await cancel_on_disconnect(request, work))


async def call_batch3(request: web.Request) -> web.Response:
    """POST /bitrix/v3/batch"""
    calls = await load_json(request)
    if not isinstance(calls, list) or not 0 < len(calls) <= MAX_BATCH3_CALLS:
        raise InvalidInput.of_field("", "invalid_value", f"must be a list of 1 to {MAX_BATCH3_CALLS} calls")
    for index, call in enumerate(calls):
        if not isinstance(call, dict):
            raise InvalidInput.of_field(f"/{index}", "invalid_value", "must be an object")
    work = request.app[CALLS].batch3(calls, idempotency_key(request))
    return portal_response(await cancel_on_disconnect(request, work))


async def get_openapi3(request: web.Request) -> web.Response:
    """GET /bitrix/v3/openapi"""
    work = request.app[CALLS].call3(OPENAPI_METHOD, {}, None)
    return portal_response(await cancel_on_disconnect(request, work))


async def cancel_on_disconnect(request: web.Request, work: Work[T]) -> T:
    """Return the result of *work* for the caller's account.

    Work that does not write is cancelled when the caller leaves.

    Raises:
        CallerLeft: The caller has left, and the work was cancelled.
    """
    running = run_work(request, work)
    if work.write:
        return await running
    task = asyncio.create_task(running)
    if isinstance(request.protocol, Connection):
        request.protocol.on_disconnect(partial(cancel, task))
    try:
        return await task
    except asyncio.CancelledError:
        if request.transport is None and task.cancelled():
            raise CallerLeft from None
        raise


async def run_work(request: web.Request, work: Work[T]) -> T:
    """Return the result of *work* for the caller's account."""
    return await work.run(await load_authorized_account(request))


def cancel(task: asyncio.Task[T]) -> None:
    """Cancel *task* and return nothing, as a callback must."""
    task.cancel()


async def load_arguments(request: web.Request) -> dict[str, Any] | list[Any]:
    """Return the body: an object or a list; an empty object if there is no body.

    Raises:
        InvalidInput: The body is anything else.
    """
    if not request.can_read_body:
        return {}
    body = await load_json(request)
    return body if isinstance(body, list) else require_object(body)


async def load_object(request: web.Request) -> dict[str, Any]:
    """Return the body: an object; an empty one if there is no body.

    Raises:
        InvalidInput: The body is anything else.
    """
    return require_object(await load_arguments(request))


def portal_response(answer: HttpAnswer) -> web.Response:
    """Return the portal's response unchanged."""
    headers = REPLAYED if answer.replayed else {}
    return web.Response(body=answer.body, content_type="application/json", headers=headers)


def batch_response(commands: object, results: dict[str, dict[str, object]]) -> web.Response:
    """Return the *results* in the form of the *commands*, an object or a list."""
    return json_response({"results": results if isinstance(commands, dict) else list(results.values())})


def too_deep(work: Work[T]) -> PortalError:
    """Return the error for a response of the portal that can be decoded, but is nested too deeply to be encoded."""
    error = PortalBroken(TOO_DEEP)
    return OutcomeUnknown(error) if work.write else error


def is_encodable(result: object) -> bool:
    """Return whether *result* can be encoded as a result of a batch; the depth of JSON is limited."""
    try:
        orjson.dumps({"results": [result]})
    except orjson.JSONEncodeError:
        return False
    return True


def render_answer(answer: Answer) -> dict[str, object]:
    """Return the portal's envelope of one result."""
    envelope: dict[str, object] = {"result": answer.result}
    if answer.total is not None:
        envelope["total"] = answer.total
    if answer.next is not None:
        envelope["next"] = answer.next
    if answer.time:
        envelope["time"] = answer.time
    return envelope


def render_outcome(outcome: Answer | GatewayError | None) -> dict[str, object]:
    """Return the result or the error of one command of a batch."""
    if outcome is None:
        return {"error": NOT_RUN}
    if isinstance(outcome, Answer):
        return render_answer(outcome)
    return {"error": command_error(outcome)}
