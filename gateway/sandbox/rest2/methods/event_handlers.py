"""events, event.bind, get, unbind and test: the handlers of an application."""

from collections.abc import Mapping
from dataclasses import replace

from gateway.sandbox.content.events import QUEUE_EVENT, TEST_EVENT, Handler
from gateway.sandbox.errors import CallError, empty_argument
from gateway.sandbox.php import Value, as_bool, as_number, is_array
from gateway.sandbox.rest2.handler_urls import check_handler_url
from gateway.sandbox.rest2.method import Answer, Call, Method, application_params
from gateway.sandbox.tables.table import Row


def list_events(call: Call) -> Answer:
    """Return the events that the application may bind, those of one scope, or with ``full`` all of them.

    Source: [docs] api-reference/events/events.md
    """
    params, scopes = application_params(call), call.data.events.scopes()
    if as_bool(params.get("full")):
        return Answer(list(scopes))
    if "scope" in params:
        return Answer([name for name, scope in scopes.items() if scope == params["scope"]])
    return Answer([name for name, scope in scopes.items() if _may_bind(call, scope)])


def bind_handler(call: Call) -> Answer:
    """Bind a handler to an event. The options of notifications are ignored, because none are sent.

    Source: [docs] api-reference/events/event-bind.md; [srv] rest/lib/api/event.php
    """
    params, events = application_params(call), call.data.events
    handler = _read_handler(params)
    if handler.offline:
        _check_administrator(call, "Offline events binding")
        if handler.event == QUEUE_EVENT:
            raise _wrong("Offline event cannot be registered for this event.", "EVENT_TYPE")
        handler = replace(handler, source_key=call.caller.source_key)
    else:
        handler = Handler(handler.event, handler.url, _user_of(call, params))
    scope = events.scopes().get(handler.event)
    if scope is None or not _may_bind(call, scope):
        raise CallError("ERROR_EVENT_NOT_FOUND", "Event not found")
    if not handler.offline:
        check_handler_url(handler.url)
    if handler in events.handlers:
        raise CallError("ERROR_CORE", "Unable to set event handler: Handler already binded")
    events.handlers.append(handler)
    return Answer(True)


def list_handlers(call: Call) -> Answer:
    """Return the handlers of the application, for a user who is no administrator only the user's own ones.

    Source: [docs] api-reference/events/event-get.md
    """
    application_params(call)
    caller = call.caller
    handlers = [
        handler for handler in call.data.events.handlers if caller.is_administrator or handler.user_id == caller.user_id
    ]
    return Answer([_shown(handler) for handler in handlers])


def unbind_handler(call: Call) -> Answer:
    """Unbind the handlers of an event and return their number. Without ``auth_type`` those of all users go.

    The portal compares the ``auth_type`` of a user who is no administrator strictly with the integer id.
    Source: [docs] api-reference/events/event-unbind.md; [srv] rest/lib/api/event.php
    """
    params, events, caller = application_params(call), call.data.events, call.caller
    wanted = _read_handler(params)
    users: tuple[int, ...] | None = None
    if wanted.offline:
        _check_administrator(call, "Offline events unbinding")
    elif not caller.is_administrator:
        if "auth_type" in params and params["auth_type"] != caller.user_id:
            raise _denied("Event unbinding with AUTH_TYPE")
        users = (caller.user_id,)
    elif "auth_type" in params:
        users = (int(as_number(params["auth_type"])),)
    removed = [
        handler
        for handler in events.handlers
        if (handler.event, handler.url, handler.offline) == (wanted.event, wanted.url, wanted.offline)
        and (not wanted.offline or handler.source_key == caller.source_key)
        and (users is None or handler.user_id in users)
    ]
    events.handlers = [handler for handler in events.handlers if handler not in removed]
    return Answer({"count": len(removed)})


def cause_test_event(call: Call) -> Answer:
    """Cause the event ONAPPTEST with the parameters of the call.

    Source: [docs] api-reference/events/event-test.md
    """
    application_params(call)
    call.data.events.record(TEST_EVENT, {"QUERY": dict(call.sent)}, call.now, call.caller.user_id)
    return Answer(1)


def _read_handler(params: Mapping[str, Value]) -> Handler:
    """The event, the address and the type of a request, without the user."""
    event = _text(params, "event").upper()
    if not event:
        raise empty_argument("EVENT")
    kind = _text(params, "event_type") or "online"
    if kind not in ("online", "offline"):
        raise _wrong("Value must be one of {online|offline}", "EVENT_TYPE")
    if kind == "offline":
        return Handler(event, offline=True)
    url = _text(params, "handler")
    if not url:
        raise empty_argument("HANDLER")
    return Handler(event, url)


def _text(params: Mapping[str, Value], name: str) -> str:
    value = params.get(name)
    return "" if value is None or is_array(value) else str(value).strip()


def _user_of(call: Call, params: Mapping[str, Value]) -> int:
    """The user whose tokens the handler gets: any for an administrator, otherwise the caller."""
    user_id = int(as_number(params.get("auth_type")))
    if call.caller.is_administrator:
        return user_id
    if user_id not in (0, call.caller.user_id):
        raise _denied("Event binding with AUTH_TYPE")
    return call.caller.user_id


def _may_bind(call: Call, scope: str) -> bool:
    return call.caller.has_access((scope,) if scope else ())


def _check_administrator(call: Call, action: str) -> None:
    if not call.caller.is_administrator:
        raise _denied(action)


def _denied(action: str) -> CallError:
    return CallError("ACCESS_DENIED", f"Access denied! {action} requires administrator access rights", 403)


def _wrong(text: str, argument: str) -> CallError:
    return CallError("ERROR_ARGUMENT", text, argument=argument)


def _shown(handler: Handler) -> Row:
    if handler.offline:
        return {"event": handler.event, "connector_id": handler.source_key, "offline": 1}
    return {"event": handler.event, "handler": handler.url, "auth_type": str(handler.user_id), "offline": 0}


METHODS = (
    Method("events", list_events),
    Method("event.bind", bind_handler),
    Method("event.get", list_handlers),
    Method("event.unbind", unbind_handler),
    Method("event.test", cause_test_event),
)
