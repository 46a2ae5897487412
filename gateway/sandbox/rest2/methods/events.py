"""event.offline.*: the application takes the events that wait for it; for administrators, through an application."""

from gateway.sandbox.content.offline import COLUMNS
from gateway.sandbox.errors import CallError
from gateway.sandbox.php import Value, as_number, entries_of, is_array
from gateway.sandbox.query.filters import WITH_NOT_LIKE, Filter, Kind, Schema, read_filter, split_operator
from gateway.sandbox.query.listing import PAGE_ROWS, Order, Window, find, read_order
from gateway.sandbox.rest2.method import Answer, Call, Method

_SHOWN = COLUMNS[:6]  # what a process gets to see
_COLUMNS = {"ID": Kind.NUMBER, "TIMESTAMP_X": Kind.DATE, "EVENT_NAME": Kind.TEXT, "MESSAGE_ID": Kind.TEXT}
_TAKEN = Schema(_COLUMNS, key="ID")
_LISTED = Schema({**_COLUMNS, "PROCESS_ID": Kind.TEXT, "ERROR": Kind.NUMBER}, key="ID")
_OPERATORS = ("=", ">", "<", ">=", "<=", "@", "%")
_MESSAGE_ID_CHARS = 32
_ALL = Window(whole=True)


def take_events(call: Call) -> Answer:
    """The first events of the queue, which are deleted or, with ``clear=0``, reserved for a new process.

    With a ``process_id``, what is reserved for that process: it is kept unless ``clear`` is given.
    Source: [docs] api-reference/events/event-offline-get.md; [srv] rest/lib/api/event.php; protocol notes 16
    """
    params, queue = _admit(call), call.data.offline_events
    process_id = _process_id(params)
    clears = as_number(params["clear"]) != 0 if params.get("clear") is not None else process_id is None
    limit = int(as_number(params.get("limit", PAGE_ROWS)))
    if limit <= 0:
        raise _wrong("Value must be positive integer", "LIMIT")
    error = "1" if as_number(params.get("error")) == 1 else "0"
    conditions, order = _query(params, _TAKEN, {"TIMESTAMP_X": "ASC"})
    found = [
        row
        for row in find(queue, conditions, order, _TAKEN, _ALL).rows
        if row["PROCESS_ID"] == (process_id or "") and row["ERROR"] == error
    ][:limit]
    reserved_for = process_id or queue.reserve([int(row["ID"]) for row in found])
    if clears:
        queue.remove(queue.of_process(reserved_for))
    told = None if clears and process_id is None else reserved_for
    return Answer({"process_id": told, "events": [{name: row[name] for name in _SHOWN} for row in found]})


def list_events(call: Call) -> Answer:
    """One page of the queue, as it is left.

    Source: [docs] api-reference/events/event-offline-list.md
    """
    params = _admit(call)
    conditions, order = _query(params, _LISTED, {"ID": "ASC"})
    window = Window.at(params.get("start", 0), whole_pages=False, page_rows=call.page_rows)
    return Answer.of_page(find(call.data.offline_events, conditions, order, _LISTED, window))


def clear_events(call: Call) -> Answer:
    """Deletes what is reserved for a process: all of it, or some by message or by id.

    Source: [docs] api-reference/events/event-offline-clear.md; [srv] rest/lib/api/event.php
    """
    params, queue = _admit(call), call.data.offline_events
    process_id = _process_id(params, required=True)
    ids = queue.of_process(process_id or "")
    if "message_id" in params:
        wanted = _message_ids(params)
        ids = [row_id for row_id in ids if queue[row_id]["MESSAGE_ID"] in wanted]
    elif "id" in params:
        given = params["id"]
        numbers = {as_number(one) for one in (entries_of(given).values() if is_array(given) else [given])}
        ids = [row_id for row_id in ids if row_id in numbers]
    queue.remove(ids)
    return Answer(True)


def mark_errors(call: Call) -> Answer:
    """Gives events of a process back to the queue, where only ``error=1`` finds them.

    Source: [docs] api-reference/events/event-offline-error.md; [srv] rest/lib/eventoffline.php
    """
    params, queue = _admit(call), call.data.offline_events
    process_id, wanted = _process_id(params, required=True), _message_ids(params)
    ids = [row_id for row_id in queue.of_process(process_id or "") if queue[row_id]["MESSAGE_ID"] in wanted]
    queue.change(ids, {"PROCESS_ID": "", "ERROR": "1"})
    return Answer(True)


def _admit(call: Call) -> dict[str, Value]:
    """The parameters, whose names count in any case."""
    if not call.caller.is_application:
        text = "Current authorization type is denied for this method Application context required"
        raise CallError("WRONG_AUTH_TYPE", text, 403)
    if not call.caller.is_administrator:
        raise CallError("ACCESS_DENIED", "Access denied!", 403)
    return {name.lower(): value for name, value in call.given.items()}


def _process_id(params: dict[str, Value], *, required: bool = False) -> str | None:
    given = params.get("process_id")
    if given is None and required:
        raise _wrong("Argument 'PROCESS_ID' is null or empty", "PROCESS_ID")
    return None if given is None else str(given).strip()


def _message_ids(params: dict[str, Value]) -> set[str]:
    given = params.get("message_id")
    ids = [str(one).strip() for one in entries_of(given).values()] if is_array(given) else []
    if not is_array(given) or any(len(one) != _MESSAGE_ID_CHARS for one in ids):
        raise _wrong("Value must be array of MESSAGE_ID values", "message_id")
    return set(ids)


def _query(params: dict[str, Value], schema: Schema, order: dict[str, str]) -> tuple[Filter, Order]:
    given = entries_of(params["filter"]) if is_array(params.get("filter")) else {}
    for entry in given:
        operator, column = split_operator(entry, WITH_NOT_LIKE)
        if column not in schema.columns:
            raise _wrong(f"Filter field not allowed: {column}", "filter")
        if operator not in _OPERATORS:
            raise _wrong(f"Filter operation not allowed: {operator}", "filter")
    return read_filter(given, schema), read_order(params.get("order") or order, schema)


def _wrong(text: str, argument: str) -> CallError:
    return CallError("ERROR_ARGUMENT", text, argument=argument)


METHODS = (
    Method("event.offline.get", take_events),
    Method("event.offline.list", list_events),
    Method("event.offline.clear", clear_events),
    Method("event.offline.error", mark_errors),
)
