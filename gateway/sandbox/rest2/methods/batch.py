"""batch: up to 50 commands in one request, each of them a complete call."""

from gateway.sandbox.errors import CallError
from gateway.sandbox.php import Value, as_array, as_bool, entries_of, is_array, parse_query
from gateway.sandbox.rest2.method import Answer, Call, Envelope, Method, Param
from gateway.sandbox.rest2.references import resolve

MAX_COMMANDS = 50
_FORBIDDEN = ("batch", "download", "upload")


async def batch(call: Call) -> Answer:
    """Return the answers of all commands by label, in five maps. Failed commands are in ``result_error`` only.

    A command past the fiftieth fails alone; the request succeeds. The maps are PHP arrays: lists or objects, depending
    on their labels.
    Source: [docs] settings/how-to-call-rest-api/batch.md; [srv] rest/classes/general/rest_provider.php
    """
    commands = call.params.get("cmd")
    halt = as_bool(call.params.get("halt"))
    answers: dict[str, dict[str, Value]] = {name: {} for name in ("result", "error", "total", "next", "time")}
    for position, (label, command) in enumerate(entries_of(commands).items() if is_array(commands) else ()):
        try:
            if position >= MAX_COMMANDS:
                raise CallError("ERROR_BATCH_LENGTH_EXCEEDED", "Max batch length exceeded")
            envelope = await _run(call, command, answers)
        except CallError as error:
            answers["error"][label] = _entry(error)
            if halt:
                break
        else:
            answers["result"][label] = envelope.answer.result
            answers["time"][label] = envelope.time
            for name, number in envelope.answer.paging.items():
                answers[name][label] = number
    return Answer({"result" if name == "result" else f"result_{name}": as_array(answers[name]) for name in answers})


async def _run(call: Call, command: Value, answers: dict[str, dict[str, Value]]) -> Envelope:
    """Run one command, ``method?query``. A fragment is dropped, as by PHP's parse_url."""
    name, _, query = (command if isinstance(command, str) else "").partition("#")[0].partition("?")
    if name.lower() in _FORBIDDEN:
        raise CallError("ERROR_BATCH_METHOD_NOT_ALLOWED", "Method is not allowed for batch usage")
    return await call.perform(name, {key: resolve(value, answers) for key, value in parse_query(query).items()})


def _entry(error: CallError) -> dict[str, Value]:
    body = error.body()
    return {**body, "error_description": ""} if error.code == "insufficient_scope" else body


METHODS = (Method("batch", batch, params=(Param("cmd"), Param("halt")), is_billed=False),)
