"""Build a call, decode an answer: the portal's wire format (v2), with no I/O.

Source: protocol.md 2, 3 and 8 (b24restdocs settings/how-to-call-rest-api/, api-reference/data-types.md)
"""

import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias
from urllib.parse import quote

from gateway.bitrix.errors import PortalBroken, PortalError
from gateway.bitrix.protocol.error_codes import portal_error
from gateway.bitrix.protocol.json_body import decode_json
from gateway.bitrix.protocol.v3 import rest3_error
from gateway.errors import InvalidInput

BATCH_COMMANDS = 50
LATEST_S = 1e11  # of Unix times and durations; a number beyond it is not one of seconds

Params = Mapping[str, object]
Arguments: TypeAlias = Params | list[object]
"""What a method is given: parameters by name, or arguments by position."""


@dataclass(frozen=True)
class Command:
    """One call of one *method*, which is a name; a *write* is repeated only when it provably did not run.

    It is given *params* by name or, where there are any, *positional* arguments.
    """

    method: str
    params: Params = field(default_factory=dict)
    write: bool = False
    positional: list[object] | None = None

    @property
    def arguments(self) -> Arguments:
        """What the method is given."""
        return self.params if self.positional is None else self.positional


@dataclass(frozen=True)
class Answer:
    """What one call brought: its data, and what the portal says of the list and of our operating time.

    *total* and *next* are absent outside lists; *operating_s* is the portal's own gauge for the method, in seconds,
    and *operating_reset_at* the Unix time when it next shrinks; *duration_s* is how long it took by its own clock, and
    *time* all that it says of time.
    """

    result: object
    total: int | None = None
    next: int | None = None
    operating_s: float | None = None
    operating_reset_at: float | None = None
    duration_s: float | None = None
    time: Params = field(default_factory=dict)


def encode_params(params: Arguments) -> str:
    """*params* as a PHP-style nested query string, every name and value percent-encoded; a list is named 0, 1, 2, …

    True and false become 1 and 0, as PHP writes them; None and an empty list or mapping below the top become an empty
    value, which empties a field and makes a filter match nothing rather than everything. At the top they are left out:
    to PHP an empty array and no array are the same, an empty string is a wrong type.

    Raises:
        InvalidInput: a name or value that PHP's notation cannot say.
    """
    pairs: list[tuple[str, str]] = []
    if isinstance(params, list):
        params = _by_place(params)
    for name, value in params.items():
        if re.search(r"[\[\]. \0]", name) or not name:
            raise _unsayable(name)
        if not _is_empty_array(value):
            pairs += _pairs(quote(name, safe=""), value)
    return "&".join(f"{name}={value}" for name, value in pairs)


def batch_label(index: int) -> str:
    """The label of a batch's command number *index*, from 0."""
    return f"c{index}"


def encode_command(method: str, params: Arguments) -> str:
    """One command of a batch: the method and its query, encoded once (the JSON body around it needs no second time)."""
    query = encode_params(params)
    return f"{method}?{query}" if query else method


def decode_answer(status: int, body: bytes, secrets: Collection[str] = ()) -> Answer:
    """Turn the *status* and *body* of one HTTP answer into data; no error tells any of *secrets*.

    Raises:
        PortalError: the body carries an error; it may do so under any status, 200 included, and the error may be "",
            0 or "0", so that the presence of the key decides; where it is an object, it is REST 3.0's.
        PortalBroken: the body is no JSON object, or none of the documented envelope.
        AnswerTooLarge: the body holds too many values.
    """
    return _decode_envelope(decode_json(body, status), status, secrets)


def _decode_envelope(envelope: object, status: int, secrets: Collection[str]) -> Answer:
    if not isinstance(envelope, dict):
        raise PortalBroken("not a JSON object", status)
    if "error" in envelope:
        error = envelope["error"]
        if isinstance(error, dict):
            raise rest3_error(error, status, secrets)
        raise portal_error(error, envelope.get("error_description"), status, secrets)
    if status >= 400 or "result" not in envelope:
        raise PortalBroken("neither a result nor an error", status)
    return _answer(envelope["result"], envelope.get("total"), envelope.get("next"), envelope.get("time"))


def decode_answer3(status: int, body: bytes, secrets: Collection[str] = ()) -> Answer:
    """As `decode_answer`, of REST 3.0; what has no envelope, as the portal's OpenAPI document, is its own result."""
    document = decode_json(body, status)
    if status < 400 and isinstance(document, dict) and not document.keys() & {"error", "result"}:
        return Answer(document)
    return _decode_envelope(document, status, secrets)


def decode_batch(
    answer: Answer, labels: Sequence[str], secrets: Collection[str] = (), *, halt: bool = False
) -> dict[str, Answer | PortalError]:
    """What each command of a batch brought, in the order of *labels*; no error tells any of *secrets*.

    A map of the answer may come as an object, as a list (labels 0..n-1) or, when nothing is in it, as ``[]``. A
    command that appears neither among the results nor among the errors is PortalBroken. With *halt*, those after the
    first error were not run, and are left out.

    Raises:
        PortalBroken: the answer is not that of a batch.
    """
    if not isinstance(answer.result, dict):
        raise PortalBroken("no maps of results")
    errors, results, totals, nexts, times = (
        _php_map(answer.result.get(name, []))
        for name in ("result_error", "result", "result_total", "result_next", "result_time")
    )
    outcomes: dict[str, Answer | PortalError] = {}
    for label in labels:
        outcomes[label] = _outcome(label, errors, results, totals, nexts, times, secrets)
        if halt and isinstance(outcomes[label], PortalError):
            break
    return outcomes


def _outcome(
    label: str,
    errors: Params,
    results: Params,
    totals: Params,
    nexts: Params,
    times: Params,
    secrets: Collection[str],
) -> Answer | PortalError:
    if label in errors:
        error = errors[label]
        if isinstance(error, dict) and "error" in error:
            return portal_error(error["error"], error.get("error_description"), None, secrets)
        return PortalBroken("an error without a code in a batch")
    if label not in results:
        return PortalBroken("a command of a batch has no answer")
    try:
        return _answer(results[label], totals.get(label), nexts.get(label), times.get(label))
    except PortalBroken as error:
        return error


def _php_map(value: object) -> Params:
    if isinstance(value, list):
        return {str(index): item for index, item in enumerate(value)}
    if isinstance(value, dict):
        return value
    raise PortalBroken("a batch's member is no map")


def _answer(result: object, total: object, following: object, time: object) -> Answer:
    spent: Params = time if isinstance(time, dict) else {}
    return Answer(
        result=result,
        total=_count("total", total),
        next=_count("next", following),
        operating_s=_seconds(spent.get("operating")),
        operating_reset_at=_seconds(spent.get("operating_reset_at")),
        duration_s=_seconds(spent.get("duration")),
        time=spent,
    )


def _count(name: str, value: object) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise PortalBroken(f"{name} is no number")


def _seconds(value: object) -> float | None:
    """A number of seconds; None for anything else, so that nothing is reckoned with it."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LATEST_S:
        return None
    return float(value)


def _by_place(arguments: list[object]) -> Params:
    """*arguments* under the names that PHP gives them.

    Raises:
        InvalidInput: an empty list or object comes before others, which would move up in its place.
    """
    sent = [at for at, value in enumerate(arguments) if not _is_empty_array(value)]
    if sent and sent[-1] >= len(sent):
        rule = "an empty list or object before other arguments cannot be sent to a portal in a batch"
        raise InvalidInput.of_parameter("params", "params", rule)
    return {str(at): arguments[at] for at in sent}


def _pairs(name: str, value: object) -> Iterator[tuple[str, str]]:
    if _is_empty_array(value):
        yield name, ""
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str) or not key.strip() or re.search(r"[\]\0]", key):
                raise _unsayable(str(key))
            yield from _pairs(f"{name}[{quote(key, safe='')}]", item)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _pairs(f"{name}[{index}]", item)
    else:
        yield name, quote(_scalar(value), safe="")


def _scalar(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float) and not math.isfinite(value):
        raise _unsayable(str(value))
    if isinstance(value, str | int | float):
        return str(value)
    raise _unsayable(type(value).__name__)


def _is_empty_array(value: object) -> bool:
    return isinstance(value, Mapping | list | tuple) and not value


def _unsayable(what: str) -> InvalidInput:
    return InvalidInput.of_parameter("params", "params", f"{what!r} cannot be sent to a portal in a batch")
