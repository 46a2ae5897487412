"""What a method of REST 3.0 is in the sandbox: one small function, and one row of facts about it."""

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
    """One call as its method sees it: the *body* that came, without the token.

    *perform* makes another call on behalf of the same caller; it returns the ``result`` or raises CallError.
    """

    body: Value
    caller: Caller
    data: PortalData
    methods: Mapping[str, "Method"]
    perform: Callable[[str, Value], Awaitable[Value]]
    now: float
    max_rows: int  # of a page, whatever larger limit is asked for

    @property
    def query(self) -> dict[str, Value]:
        """The parameters by name; a body that is no object has none."""
        return self.body if isinstance(self.body, dict) else {}

    def int_of(self, name: str) -> int:
        """A required parameter that is an integer.

        Raises:
            Rest3Error: it is missing, or anything else.
        """
        value = self.query.get(name)
        if value is None:
            raise missing_field(name)
        if type(value) is not int:
            raise wrong_type(name, "int")
        return value

    def object_of(self, name: str) -> dict[str, Value]:
        """A required parameter that is an object; ``[]`` is an empty one.

        Raises:
            Rest3Error: it is missing, or anything else.
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
    """The row of facts. *scopes*: any one of them will do, none are needed where it is empty.

    Of those that *write*, a call with an ``Idempotency-Key`` is run once. A *bare* one answers without an envelope.
    """

    name: str
    run: Callable[[Call], Value] | Callable[[Call], Awaitable[Value]]
    scopes: tuple[str, ...] = ()
    dto: Dto | None = None
    writes: bool = False
    bare: bool = False
    is_billed: bool = True  # its duration is booked as operating time
    max_rows: int = MAX_ROWS  # of a page, unless the portal is set up with another size

    def is_open_to(self, scopes: tuple[str, ...]) -> bool:
        return not self.scopes or any(scope in scopes for scope in self.scopes)
