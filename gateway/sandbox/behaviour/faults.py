"""Scripted faults: their kinds and their syntax."""

import re
from dataclasses import dataclass
from math import inf

from gateway.sandbox.behaviour.row_faults import DOUBLED, ESCAPES, IDS, alter_rows
from gateway.sandbox.errors import CallError, expired_token, invalid_token, operation_time_limit, query_limit_exceeded
from gateway.sandbox.php import Value

TOKEN_ADDRESS = "oauth.token"
UPLOAD = "upload"
ANY_METHOD = "*"
ANY_REQUEST = "request"

# The syntax of each kind, and its effect.
MEANINGS = {
    "drop": "the connection is closed without an answer",
    "cut": "the connection is closed in the middle of the answer",
    "truncated": "200 with half of the JSON, or of the file",
    "lost": "the connection is closed before the answer of a call that has run",
    "slow=BYTES": "BYTES bytes of the answer per second",
    "body_cut=BYTES": "the connection is closed after BYTES bytes of the file; only valid for upload",
    "body_slow=BYTES": "BYTES bytes of the file are read per second; only valid for upload",
    "unreadable": "200 with true as the result of a call that has run",
    "link_origin=ORIGIN": "the links to files and for uploads lead to another origin",
    "redirect=ORIGIN": "302 to the same address at another origin",
    "loop=STATUS": "a redirect (300 to 308) to the called address itself",
    "nowhere=STATUS": "a redirect (300 to 308) without a Location",
    "html200": "200 with an HTML page",
    "html500": "500 with an HTML page",
    "502": "502 with an HTML page",
    "qle": "503 QUERY_LIMIT_EXCEEDED",
    "qle200": "200 with QUERY_LIMIT_EXCEEDED",
    "otl": "429 OPERATION_TIME_LIMIT",
    "expired_token": "401 expired_token",
    "invalid_token": "401 invalid_token",
    "error=CODE": "400 with that code",
    "delay=SECONDS": "the call takes this long",
    "busy=SECONDS": "this much operating time is booked immediately",
    "total=N": "the list reports N as its total; its pages do not change",
    "invalid_grant": "400 invalid_grant",
    "json500": "500 with a JSON body",
    "member_id=OTHER": "a token of another portal; only valid for oauth.token",
    "client_endpoint=URL": "a token for another address; only valid for oauth.token",
    "endless": "endless JSON, as fast as it is read",
    "trickle": "endless JSON, one byte per second",
    "interim": "a 103 every second, never an answer",
    "huge=MB": "MB megabytes of JSON",
    "bomb=MB": "MB megabytes of JSON, compressed by gzip to a thousandth",
    "dense=MB": "MB megabytes of empty lists, which take thirty times as much memory",
    "deep=LEVELS": "LEVELS nested lists",
    "headers=KB": "a header of KB kilobytes",
    "ids=HOW": f"every row id as {', '.join(IDS)}; or {DOUBLED}, the last row twice",
    "escapes": "every name and title of a row ends in control characters and terminal escapes",
    "escapes400": "400 with a code and description made of the same characters",
}
KINDS = tuple(written.partition("=")[0] for written in MEANINGS)
WITH_VALUE = tuple(kind for kind, written in zip(KINDS, MEANINGS, strict=True) if kind != written)

# Faults of the connection or the bytes replace the whole HTTP answer.
HOSTILE_FAULTS = ("endless", "trickle", "interim", "huge", "bomb", "dense", "deep", "headers", "loop", "nowhere")
BEFORE_CALL = ("drop", "html200", "html500", "502", "redirect", *HOSTILE_FAULTS)  # the method does not run
AFTER_CALL = ("cut", "truncated", "lost", "slow")  # the method has run; its writes stay
BODY_FAULTS = ("body_cut", "body_slow")  # while the body of a request is read
ERROR_FAULTS = (
    "qle",
    "qle200",
    "otl",
    "expired_token",
    "invalid_token",
    "error",
    "invalid_grant",
    "json500",
    "escapes400",
)
TIME_FAULTS = ("delay", "busy")
ROW_FAULTS = ("ids", "escapes", "link_origin", "unreadable")  # the method runs; its result is changed
TOKEN_FAULTS = ("member_id", "client_endpoint")
LIST_FAULTS = ("total",)

_SPEC = re.compile(
    r"(?P<method>\*|[\w.]+):(?P<kind>\w+)(=(?P<value>[^*@\s]+))?(?P<repeat>\*((?P<percent>\d+)%|(?P<times>\d*)))?"
    r"(@(?P<after>\d+))?",
    re.ASCII,
)
MAX_DIGITS = 9
SHOWN_CHARS = 100
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?"), "seconds, below 1000000000"
_COUNT = re.compile(r"[0-9]{1,6}"), "an integer below 1000000"
_REDIRECT = re.compile(r"30[0-8]"), "a status between 300 and 308"
# The syntax of the value of a kind, and its description in error messages.
VALUES: dict[str, tuple[re.Pattern[str], str]] = {
    **dict.fromkeys(TIME_FAULTS, _SECONDS),
    **dict.fromkeys(("huge", "bomb", "dense", "deep", "headers"), _COUNT),
    **dict.fromkeys(("slow", *BODY_FAULTS), (re.compile(r"[1-9][0-9]{0,8}"), "bytes, from 1 to 999999999")),
    **dict.fromkeys(("loop", "nowhere"), _REDIRECT),
    **dict.fromkeys(LIST_FAULTS, (re.compile(r"-?[0-9]{1,15}"), "an integer of at most 15 digits")),
    "ids": (re.compile("|".join((*IDS, DOUBLED))), f"one of {', '.join((*IDS, DOUBLED))}"),
}


@dataclass
class Fault:
    """One fault, written ``METHOD:KIND[=VALUE][*[N|P%]][@M]``.

    METHOD is a REST method in lower case, ``*`` for any method, or ``oauth.token`` for the token address. Links to
    files are methods too: ``upload`` and ``download`` of Disk, ``uf.php`` of attachments; of CRM records
    ``crm.controller.item.getfile`` (``urlMachine``) and ``show_file.php`` (``downloadUrl``). MEANINGS describes KIND.
    ``*N`` injects the fault N times (default 1), ``*`` without a number forever, ``*P%`` into P percent of the calls at
    random. ``@M`` skips the first M calls. A command of a batch is a call too: its error becomes an entry of
    ``result_error``, a fault of the connection replaces the whole answer of the batch. ``batch:…`` applies to the HTTP
    request of the batch itself, ``request:…`` to every HTTP request, a single call or a whole batch.
    """

    method: str
    kind: str
    value: str = ""
    times: float = 1
    after: int = 0
    percent: int = 100

    @classmethod
    def parse(cls, spec: str) -> "Fault":
        """Parse a fault from the command line or the control address.

        Raises:
            ValueError: *spec* is invalid. The message gives the reason.
        """
        found = _SPEC.fullmatch(spec.strip())
        named = f"fault {spec if len(spec) <= SHOWN_CHARS else spec[:SHOWN_CHARS] + '…'!r}"
        if found is None:
            raise ValueError(f"{named}: expected METHOD:KIND[=VALUE][*[N|P%]][@M]")
        kind, value = found["kind"], found["value"] or ""
        if kind not in KINDS:
            raise ValueError(f"{named}: the kind must be one of {', '.join(KINDS)}")
        if bool(value) is not (kind in WITH_VALUE):
            raise ValueError(f"{named}: {kind} takes {'a value, ' + kind + '=VALUE' if not value else 'no value'}")
        if kind in TOKEN_FAULTS and found["method"] != TOKEN_ADDRESS:
            raise ValueError(f"{named}: {kind} is only valid for {TOKEN_ADDRESS}")
        if kind in BODY_FAULTS and found["method"] != UPLOAD:
            raise ValueError(f"{named}: {kind} is only valid for {UPLOAD}")
        if kind in VALUES and not VALUES[kind][0].fullmatch(value):
            raise ValueError(f"{named}: {kind} takes {VALUES[kind][1]}")
        if found["times"] and (len(found["times"]) > MAX_DIGITS or int(found["times"]) == 0):
            raise ValueError(f"{named}: *N must be an integer between 1 and 999999999")
        percent = found["percent"] or "100"
        if len(percent) > 3 or not 1 <= int(percent) <= 100:
            raise ValueError(f"{named}: *P% must be an integer between 1 and 100")
        if len(found["after"] or "") > MAX_DIGITS:
            raise ValueError(f"{named}: @M must be an integer up to 999999999")
        times = 1 if not found["repeat"] else float(found["times"]) if found["times"] else inf
        return cls(found["method"].lower(), kind, value, times, int(found["after"] or 0), int(percent))

    def __str__(self) -> str:
        value = f"={self.value}" if self.value else ""
        times = "" if self.times == 1 else "*" if self.times == inf else f"*{self.times:.0f}"
        if self.percent < 100:
            times = f"*{self.percent}%"
        return f"{self.method}:{self.kind}{value}{times}" + (f"@{self.after}" if self.after else "")

    @property
    def seconds(self) -> float:
        return float(self.value) if self.kind in TIME_FAULTS else 0.0

    @property
    def busy_s(self) -> float:
        """The operating time booked in addition to the duration of the call."""
        return self.seconds if self.kind == "busy" else 0.0

    def alter(self, result: Value) -> Value:
        """Return *result*, changed if the kind is in ROW_FAULTS."""
        return alter_rows(self.kind, self.value, result) if self.kind in ROW_FAULTS else result

    def error(self) -> CallError:
        """The error of a fault whose kind is in ERROR_FAULTS."""
        return {
            "qle": query_limit_exceeded(),
            "qle200": query_limit_exceeded(status=200),
            "otl": operation_time_limit(),
            "expired_token": expired_token(),
            "invalid_token": invalid_token(),
            "invalid_grant": CallError("invalid_grant", "Invalid grant"),
            "json500": CallError("INTERNAL_SERVER_ERROR", "Internal server error", 500),
            "error": CallError(self.value, "Scripted fault"),
            "escapes400": CallError(ESCAPES, ESCAPES),
        }[self.kind]


class ConnectionFault(Exception):
    """A fault that replaces the whole HTTP answer. Its *kind* is in BEFORE_CALL."""

    def __init__(self, kind: str, value: str) -> None:
        super().__init__(kind)
        self.kind = kind
        self.value = value
