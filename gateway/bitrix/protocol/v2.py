"""The wire format of REST 2: encode calls, decode answers; no I/O.

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
MAX_SECONDS = 1e11  # of Unix times and durations; a larger number cannot be one

Params = Mapping[str, object]
Arguments: TypeAlias = Params | list[object]
"""Parameters by name, or arguments by position."""


@dataclass(frozen=True)
class Command:
    """One call of *method* with *params* by name, or with *positional* arguments.

    *write* says that the call may change something: it is repeated only if it certainly was not executed.
    """

    method: str
    params: Params = field(default_factory=dict)
    write: bool = False
    positional: list[object] | None = None

    @property
    def arguments(self) -> Arguments:
        """The parameters by name, or the arguments by position."""
        return self.params if self.positional is None else self.positional


@dataclass(frozen=True)
class Answer:
    """The decoded answer to one call.

    *total* and *next* are None outside lists. *operating_s* is the operating time that the portal has counted for the
    method, *operating_reset_at* the Unix time at which it drops, and *duration_s* the portal's own measure of the call.
    *time* is the complete ``time`` object.
    """

    result: object
    total: int | None = None
    next: int | None = None
    operating_s: float | None = None
    operating_reset_at: float | None = None
    duration_s: float | None = None
    time: Params = field(default_factory=dict)


def encode_params(params: Arguments) -> str:
    """Encode *params* as a PHP-style nested query string, all names and values percent-encoded.

    The items of a list are named 0, 1, 2 and so on. True and False become 1 and 0, as in PHP.

    Below the top level, None and an empty list or mapping become an empty value. It clears a field, and makes a filter
    match nothing rather than everything. At the top level, empty lists and mappings are left out: PHP treats a missing
    array as an empty one, but an empty string has the wrong type.

    Raises:
        InvalidInput: a name or value has no representation in PHP's notation.
    """
    pairs: list[tuple[str, str]] = []
    if isinstance(params, list):
        params = _named_by_position(params)
    for name, value in params.items():
        if re.search(r"[\[\]. \0]", name) or not name:
            raise _not_encodable(name)
        if not _is_empty_array(value):
            pairs += _pairs(quote(name, safe=""), value)
    return "&".join(f"{name}={value}" for name, value in pairs)


def batch_label(index: int) -> str:
    """Return the label of a batch's command by its *index*, from 0."""
    return f"c{index}"


def encode_command(method: str, params: Arguments) -> str:
    """Encode one command of a batch as method and query. The query is not encoded again in the JSON body."""
    query = encode_params(params)
    return f"{method}?{query}" if query else method


def decode_answer(status: int, body: bytes, secrets: Collection[str] = ()) -> Answer:
    """Decode an HTTP answer. The *secrets* that were sent are masked in errors.

    Raises:
        PortalError: the body has the key ``error``. Any status may come with it, also 200, and its value may be "", 0
            or "0". An object is an error of REST 3.0.
        PortalBroken: the body is not a JSON object, or not the documented envelope.
        AnswerTooLarge: the body has too many values.
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
    """As `decode_answer`, for REST 3.0. A document without an envelope, such as the OpenAPI document, is the result."""
    document = decode_json(body, status)
    if status < 400 and isinstance(document, dict) and not document.keys() & {"error", "result"}:
        return Answer(document)
    return _decode_envelope(document, status, secrets)


def decode_batch(
    answer: Answer, labels: Sequence[str], secrets: Collection[str] = (), *, halt: bool = False
) -> dict[str, Answer | PortalError]:
    """Return the outcome of each command of a batch, in the order of *labels*. *secrets* are masked in errors.

    PHP encodes the maps of the answer as objects, as lists if the labels are 0 to n-1, and as ``[]`` if they are empty.
    The outcome of a command without a result or an error is PortalBroken. With *halt*, commands after the first error
    were not executed and are left out.

    Raises:
        PortalBroken: not the answer to a batch.
    """
    if not isinstance(answer.result, dict):
        raise PortalBroken("a batch without results")
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
        return PortalBroken("a batch with an error without a code")
    if label not in results:
        return PortalBroken("a batch without an outcome for a command")
    try:
        return _answer(results[label], totals.get(label), nexts.get(label), times.get(label))
    except PortalBroken as error:
        return error


def _php_map(value: object) -> Params:
    if isinstance(value, list):
        return {str(index): item for index, item in enumerate(value)}
    if isinstance(value, dict):
        return value
    raise PortalBroken("a batch with an unknown envelope")


def _answer(result: object, total: object, next_start: object, time: object) -> Answer:
    times: Params = time if isinstance(time, dict) else {}
    return Answer(
        result=result,
        total=_integer("total", total),
        next=_integer("next", next_start),
        operating_s=_seconds(times.get("operating")),
        operating_reset_at=_seconds(times.get("operating_reset_at")),
        duration_s=_seconds(times.get("duration")),
        time=times,
    )


def _integer(name: str, value: object) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise PortalBroken(f"{name} is not an integer")


def _seconds(value: object) -> float | None:
    """Return *value* if it is a plausible number of seconds, otherwise None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= MAX_SECONDS:
        return None
    return float(value)


def _named_by_position(arguments: list[object]) -> Params:
    """Return *arguments* by their index, as PHP names them. Empty lists and objects at the end are left out.

    Raises:
        InvalidInput: an empty list or object before other arguments, which PHP would shift into its position.
    """
    sent = [index for index, value in enumerate(arguments) if not _is_empty_array(value)]
    if sent and sent[-1] >= len(sent):
        rule = "an empty list or object before other arguments cannot be sent to a portal in a batch"
        raise InvalidInput.of_parameter("params", "params", rule)
    return {str(index): arguments[index] for index in sent}


def _pairs(name: str, value: object) -> Iterator[tuple[str, str]]:
    if _is_empty_array(value):
        yield name, ""
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str) or not key.strip() or re.search(r"[\]\0]", key):
                raise _not_encodable(str(key))
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
        raise _not_encodable(str(value))
    if isinstance(value, str | int | float):
        return str(value)
    raise _not_encodable(type(value).__name__)


def _is_empty_array(value: object) -> bool:
    return isinstance(value, Mapping | list | tuple) and not value


def _not_encodable(text: str) -> InvalidInput:
    return InvalidInput.of_parameter("params", "params", f"{text!r} cannot be sent to a portal in a batch")
