"""event.offline.*: the application reads its event queue. Only an administrator's application has access."""

from gateway.sandbox.content.offline import COLUMNS, SOURCE_KEY, OfflineEvents
from gateway.sandbox.errors import CallError, empty_argument
from gateway.sandbox.php import Value, as_number, entries_of, is_array
from gateway.sandbox.query.filters import WITH_NOT_LIKE, Filter, Kind, Schema, read_filter, split_operator
from gateway.sandbox.query.listing import PAGE_ROWS, Order, Window, find, read_order
from gateway.sandbox.rest2.method import Answer, Call, Method, administrator_params
from gateway.sandbox.tables.table import Row

_SHOWN = COLUMNS[:6]  # the columns in answers of event.offline.get
_COLUMNS = {"ID": Kind.NUMBER, "TIMESTAMP_X": Kind.DATE, "EVENT_NAME": Kind.TEXT, "MESSAGE_ID": Kind.TEXT}
_TAKEN = Schema(_COLUMNS, key="ID")
_LISTED = Schema({**_COLUMNS, "PROCESS_ID": Kind.TEXT, "ERROR": Kind.NUMBER}, key="ID")
_OPERATORS = ("=", ">", "<", ">=", "<=", "@", "%")
_MESSAGE_ID_CHARS = 32
_ALL = Window(unpaged=True)


def take_events(call: Call) -> Answer:
    """Return the first events of the queue and delete them or, with ``clear=0``, reserve them for a new process.

    With a ``process_id``, return the events reserved for that process, and delete them only when ``clear`` is set.
    Source: [docs] api-reference/events/event-offline-get.md; [srv] rest/lib/api/event.php; protocol notes 16
    """
    params, queue = administrator_params(call), call.data.offline_events
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
        if row["PROCESS_ID"] == (process_id or "") and row["ERROR"] == error and _is_ours(row, call)
    ][:limit]
    reserved_for = process_id or queue.reserve([int(row["ID"]) for row in found])
    if clears:
        queue.remove(queue.of_process(reserved_for))
    shown_process_id = None if clears and process_id is None else reserved_for
    return Answer({"process_id": shown_process_id, "events": [{name: row[name] for name in _SHOWN} for row in found]})


def list_events(call: Call) -> Answer:
    """Return one page of the queue without changing it.

    Source: [docs] api-reference/events/event-offline-list.md
    """
    params = administrator_params(call)
    conditions, order = _query(params, _LISTED, {"ID": "ASC"})
    window = Window.at(params.get("start", 0), whole_pages=False, page_rows=call.page_rows)
    ours = {row_id: row for row_id, row in call.data.offline_events.items() if _is_ours(row, call)}
    page = find(OfflineEvents(call.now, ours), conditions, order, _LISTED, window)
    return Answer.of_page(page, [{name: row[name] for name in COLUMNS} for row in page.rows])


def clear_events(call: Call) -> Answer:
    """Delete events reserved for a process: all of them, or those with the given message ids or ids.

    Source: [docs] api-reference/events/event-offline-clear.md; [srv] rest/lib/api/event.php
    """
    params, queue = administrator_params(call), call.data.offline_events
    process_id = _process_id(params, required=True)
    ids = queue.of_process(process_id or "")
    if "message_id" in params:
        wanted = _message_ids(params)
        ids = [row_id for row_id in ids if queue[row_id]["MESSAGE_ID"] in wanted]
    elif "id" in params:
        value = params["id"]
        numbers = {as_number(item) for item in (entries_of(value).values() if is_array(value) else [value])}
        ids = [row_id for row_id in ids if row_id in numbers]
    queue.remove(ids)
    return Answer(True)


def mark_errors(call: Call) -> Answer:
    """Return events of a process to the queue, marked as errors. Only ``error=1`` finds them.

    Source: [docs] api-reference/events/event-offline-error.md; [srv] rest/lib/eventoffline.php
    """
    params, queue = administrator_params(call), call.data.offline_events
    process_id, wanted = _process_id(params, required=True), _message_ids(params)
    ids = [row_id for row_id in queue.of_process(process_id or "") if queue[row_id]["MESSAGE_ID"] in wanted]
    queue.change(ids, {"PROCESS_ID": "", "ERROR": "1"})
    return Answer(True)


def _is_ours(row: Row, call: Call) -> bool:
    """Whether an event is in the queue of the caller's source key. Source: [docs] protocol notes 16"""
    return bool(row[SOURCE_KEY] == call.caller.source_key)


def _process_id(params: dict[str, Value], *, required: bool = False) -> str | None:
    value = params.get("process_id")
    if value is None and required:
        raise empty_argument("PROCESS_ID")
    return None if value is None else str(value).strip()


def _message_ids(params: dict[str, Value]) -> set[str]:
    value = params.get("message_id")
    ids = [str(item).strip() for item in entries_of(value).values()] if is_array(value) else []
    if not is_array(value) or any(len(message_id) != _MESSAGE_ID_CHARS for message_id in ids):
        raise _wrong("Value must be array of MESSAGE_ID values", "message_id")
    return set(ids)


def _query(params: dict[str, Value], schema: Schema, order: dict[str, str]) -> tuple[Filter, Order]:
    conditions = entries_of(params["filter"]) if is_array(params.get("filter")) else {}
    for entry in conditions:
        operator, column = split_operator(entry, WITH_NOT_LIKE)
        if column not in schema.columns:
            raise _wrong(f"Filter field not allowed: {column}", "filter")
        if operator not in _OPERATORS:
            raise _wrong(f"Filter operation not allowed: {operator}", "filter")
    return read_filter(conditions, schema), read_order(params.get("order") or order, schema)


def _wrong(text: str, argument: str) -> CallError:
    return CallError("ERROR_ARGUMENT", text, argument=argument)


METHODS = (
    Method("event.offline.get", take_events),
    Method("event.offline.list", list_events),
    Method("event.offline.clear", clear_events),
    Method("event.offline.error", mark_errors),
)
