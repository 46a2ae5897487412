"""The description of a REST 3.0 method: a function, its object and its scopes; and the call it gets."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from gateway.sandbox.caller import Caller
from gateway.sandbox.content.portal_data import PortalData
from gateway.sandbox.php import Value
from gateway.sandbox.rest3.dto import Dto
from gateway.sandbox.rest3.errors import missing_field, wrong_type
from gateway.sandbox.rest3.listing import MAX_ROWS


@dataclass(frozen=True)
class Call:
    """One call, with its *body* without the token.

    *perform* makes another call for the same caller. It returns the ``result`` or raises CallError.
    """

    body: Value
    caller: Caller
    data: PortalData
    methods: Mapping[str, "Method"]
    perform: Callable[[str, Value], Awaitable[Value]]
    now: float
    max_rows: int  # the largest page, whatever limit is requested

    @property
    def query(self) -> dict[str, Value]:
        """The parameters by name; empty if the body is not an object."""
        return self.body if isinstance(self.body, dict) else {}

    def int_of(self, name: str) -> int:
        """Return a required integer parameter.

        Raises:
            Rest3Error: the parameter is missing or has another type.
        """
        value = self.query.get(name)
        if value is None:
            raise missing_field(name)
        if type(value) is not int:
            raise wrong_type(name, "int")
        return value

    def text_of(self, name: str) -> str | None:
        """Return an optional string parameter.

        Raises:
            Rest3Error: the parameter has another type.
        """
        value = self.query.get(name)
        if value is not None and not isinstance(value, str):
            raise wrong_type(name, "string")
        return value

    def object_of(self, name: str) -> dict[str, Value]:
        """Return a required object parameter. ``[]`` is an empty object.

        Raises:
            Rest3Error: the parameter is missing or has another type.
        """
        value = self.query.get(name)
        if value is None:
            raise missing_field(name)
        if value == []:
            return {}
        if not isinstance(value, dict):
            raise wrong_type(name, "array")
        return value


@dataclass(frozen=True)
class Method:
    """One REST 3.0 method. Any one of the *scopes* gives access; without *scopes* every caller has access.

    If the method *writes*, calls with the same ``Idempotency-Key`` run once. A *bare* method answers without an
    envelope.
    """

    name: str
    run: Callable[[Call], Value] | Callable[[Call], Awaitable[Value]]
    scopes: tuple[str, ...] = ()
    dto: Dto | None = None
    writes: bool = False
    bare: bool = False
    is_billed: bool = True  # its duration is booked as operating time
    max_rows: int = MAX_ROWS  # the largest page, unless the portal's settings change it
