"""One HTTP exchange with the portal, without sockets: request, reply and the record of the call."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.sandbox.blobs import StoredFile
from gateway.sandbox.php import Value

SEEN_CHARS = 2**16  # longer texts are not kept in the record of a call


@dataclass(frozen=True)
class Request:
    """A decoded REST request. *bearer* (from the header) or *webhook* (user id and code) may identify the caller.

    *source* is the address for which the leaky bucket counts the request, *origin* the one that the client calls.
    *files* are those of an upload, by field.
    """

    source: str
    method: str
    params: dict[str, Value]
    bearer: str | None = field(default=None, repr=False)
    webhook: tuple[int, str] | None = field(default=None, repr=False)
    origin: str = ""
    files: Mapping[str, StoredFile] = field(default_factory=dict)

    @property
    def token(self) -> str | None:
        """The access token, or None. The header takes precedence over the parameters.

        Source: [docs] settings/how-to-call-rest-api/authorization.md; [srv] rest/classes/general/rest.php
        """
        for token in (self.bearer, self.params.get("auth"), self.params.get("access_token")):
            if isinstance(token, str) and token:
                return token
        return None

    @property
    def credential(self) -> str | None:
        """The access token or the webhook's code, or None."""
        return self.token or (self.webhook[1] if self.webhook else None)


@dataclass(frozen=True)
class Reply:
    """An HTTP answer: status, JSON body, extra headers, and the fault of the connection, if any, with its value.

    A *download* takes the place of the JSON body.
    """

    status: int
    body: Mapping[str, Any]
    connection_fault: str | None = None
    fault_value: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    download: StoredFile | None = None


@dataclass(frozen=True)
class SeenCall:
    """A call that reached the portal. *credential* is the access token or the webhook's code.

    Long texts in *params* are replaced by their length. *version* is 2 or 3. Only a call of version 3 may have an
    ``Idempotency-Key``.
    """

    method: str
    params: Mapping[str, Value]
    credential: str | None = field(repr=False)
    in_batch: bool
    version: int = 2
    idempotency_key: str | None = None

    @classmethod
    def of(cls, method: str, params: Mapping[str, Value], credential: str | None, *, in_batch: bool) -> "SeenCall":
        """The record of a call of version 2."""
        return cls(method, {name: _shortened(value) for name, value in params.items()}, credential, in_batch)


def _shortened(value: Value) -> Value:
    if isinstance(value, dict):
        return {name: _shortened(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_shortened(inner) for inner in value]
    return f"({len(value)} characters)" if isinstance(value, str) and len(value) > SEEN_CHARS else value


@dataclass
class Exchange:
    """A request in progress. Any of its calls may set a fault of the connection.

    *due* is the monotonic time in seconds at which the request is finished by the cost model. It starts as the time of
    arrival. *fault_value* is the value of *connection_fault*. *has_calls*: its first call has begun, so that any other
    is a command of a batch.
    """

    request: Request
    due: float
    connection_fault: str | None = None
    fault_value: str = ""
    has_calls: bool = False
