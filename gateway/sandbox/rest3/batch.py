"""batch in REST 3.0: up to 50 calls in an array that succeed or fail as a whole."""

from typing import Any

from gateway.sandbox.php import Value
from gateway.sandbox.rest3.errors import invalid_select, method_not_found
from gateway.sandbox.rest3.method import Call, Method
from gateway.sandbox.rest3.references import context_of, resolve

MAX_CALLS = 50


async def batch(call: Call) -> Value:
    """Return the results of all calls in order. The first error fails the request; earlier calls have run.

    Source: [docs] api-reference/rest-v3.md; [srv] rest/lib/v3; protocol notes 9.9
    """
    calls = _read(call.body)
    for command in calls:
        name = command["method"].lower()
        if name not in call.methods or name == BATCH:
            raise method_not_found(command["method"])
    results = []
    context: dict[str, Value] = {}
    for position, command in enumerate(calls):
        query = resolve(command.get("query", {}), context)
        result = await call.perform(command["method"].lower(), query)
        results.append(result)
        if reachable := context_of(result):
            context[command.get("as", str(position))] = reachable
    return results


def _read(body: Value) -> list[dict[str, Any]]:
    """Read the calls from a list or an object, which are the same in PHP."""
    if isinstance(body, dict):
        body = list(body.values())
    if not isinstance(body, list) or not body:
        raise invalid_select("A batch is an array of calls")
    if len(body) > MAX_CALLS:
        raise invalid_select(f"A batch has at most {MAX_CALLS} calls")
    for command in body:
        if not isinstance(command, dict) or not isinstance(command.get("method"), str):
            raise invalid_select("A call of a batch is an object with a `method`")
        if not isinstance(command.get("as", ""), str) or not isinstance(command.get("query", {}), (dict, list)):
            raise invalid_select("`as` is a string, `query` an object")
    names = [command["as"] for command in body if "as" in command]
    if len(names) != len(set(names)):
        raise invalid_select("Two calls of a batch have the same `as`")
    return body


BATCH = "batch"
METHODS = (Method(BATCH, batch, is_billed=False),)
