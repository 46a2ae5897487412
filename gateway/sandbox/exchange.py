"""One HTTP exchange with the portal, apart from sockets: what came, what goes back, what is remembered of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.sandbox.php import Value


@dataclass(frozen=True)
class Request:
    """A REST request, decoded: *bearer* (from the header) or *webhook* (user id and code) may say who calls.

    *source* is the address that the leaky bucket counts for.
    """

    source: str
    method: str
    params: dict[str, Value]
    bearer: str | None = field(default=None, repr=False)
    webhook: tuple[int, str] | None = field(default=None, repr=False)

    @property
    def token(self) -> str | None:
        """The access token, if any: of the carriers the first wins.

        Source: [docs] settings/how-to-call-rest-api/authorization.md; [srv] rest/classes/general/rest.php
        """
        for carried in (self.bearer, self.params.get("auth"), self.params.get("access_token")):
            if isinstance(carried, str) and carried:
                return carried
        return None


@dataclass(frozen=True)
class Reply:
    """A JSON *body* under a *status*, the fault of the connection, if any, with its *value*, and further *headers*."""

    status: int
    body: Mapping[str, Any]
    damage: str | None = None
    value: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SeenCall:
    """One call that reached the portal; the *credential* is the access token or the webhook's code.

    *version* is 2 or 3; the key of a call in version 3 is its ``Idempotency-Key``, where it had one.
    """

    method: str
    params: Mapping[str, Value]
    credential: str | None = field(repr=False)
    in_batch: bool
    version: int = 2
    idempotency_key: str | None = None


@dataclass
class Exchange:
    """A request under way; a call in it may leave a fault for the answer as a whole.

    *due* is when the portal is through with it by its cost model, in seconds of its monotonic clock: when it came, at
    first.
    """

    request: Request
    due: float
    damage: str | None = None
