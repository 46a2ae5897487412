"""The description of a REST 2 method: a function, its parameters and its scopes; and the call it gets."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.sandbox.blobs import StoredFile
from gateway.sandbox.caller import Caller
from gateway.sandbox.content.portal_data import PortalData
from gateway.sandbox.errors import CallError, missing_parameter, not_an_array, wrong_auth_type, wrong_parameter
from gateway.sandbox.exchange import Request
from gateway.sandbox.php import Value, as_number, is_array
from gateway.sandbox.query.listing import PAGE_ROWS, Effort, Page, Window


@dataclass(frozen=True)
class Call:
    """One call: *params* by their declared names, *sent* as the client sent them. *request* is the HTTP request.

    *perform* makes another call for the same caller. It returns that call's envelope or raises CallError.
    """

    params: Mapping[str, Value]
    sent: Mapping[str, Value]
    caller: Caller
    request: Request
    data: PortalData
    methods: Mapping[str, "Method"]
    perform: Callable[[str, dict[str, Value]], Awaitable["Envelope"]]
    now: float
    page_rows: int = PAGE_ROWS

    def require_administrator(self, refusal: CallError) -> None:
        """Raise *refusal* unless the caller is the administrator."""
        if not self.caller.is_administrator:
            raise refusal


@dataclass(frozen=True)
class Answer:
    """What a method returns: the result, and for lists the total, the next offset and the effort.

    A *download* is sent instead of the result.
    """

    result: Value
    total: int | None = None
    next: int | None = None
    effort: Effort | None = None  # of lists only
    download: StoredFile | None = None

    @classmethod
    def of_page(cls, page: Page, rows: Value = None) -> "Answer":
        """The answer of a list method. *rows* replaces the page's rows as the result."""
        return cls(page.rows if rows is None else rows, page.total, page.next, page.effort)

    @property
    def paging(self) -> dict[str, int]:
        """``next`` and ``total``, those that are set, in the order of the envelope."""
        found = {"next": self.next, "total": self.total}
        return {name: number for name, number in found.items() if number is not None}


@dataclass(frozen=True)
class Envelope:
    """A successful answer with its ``time``."""

    answer: Answer
    time: Mapping[str, Any]

    def body(self) -> dict[str, Any]:
        return {"result": self.answer.result, **self.answer.paging, "time": self.time}


@dataclass(frozen=True)
class Param:
    """A parameter of a method. Its kind is ``any``, ``int``, ``string`` or ``array``."""

    name: str
    kind: str = "any"
    required: bool = False


@dataclass(frozen=True)
class Method:
    """One REST 2 method. Any one of the *scopes* gives access; without *scopes* every caller has access.

    *exact* methods (controllers) match parameter names case-sensitively and refuse a wrong type with the code "100".
    Classic methods take a name in lower or upper case and check only that arrays are arrays.
    Source: [srv] rest/classes/general/rest.php, main/engine; [docs] the method's own page
    """

    name: str
    run: Callable[[Call], Answer] | Callable[[Call], Awaitable[Answer]]
    scopes: tuple[str, ...] = ()
    params: tuple[Param, ...] = ()
    exact: bool = False
    is_billed: bool = True  # its duration is booked as operating time
    is_listed: bool = True  # ``methods`` names it

    def bind(self, sent: Mapping[str, Value]) -> dict[str, Value]:
        """Return the declared parameters among those *sent*.

        Raises:
            CallError: one is missing or of the wrong type.
        """
        bound = {}
        for param in self.params:
            names = [param.name] if self.exact else [param.name, param.name.upper()]
            found = [sent[name] for name in names if name in sent]
            if found:
                bound[param.name] = self._checked(param, found[0])
            elif param.required:
                raise missing_parameter(param.name)
        return bound

    def _checked(self, param: Param, value: Value) -> Value:
        if param.kind == "array" and not is_array(value):
            raise wrong_parameter(param.name, value, "array") if self.exact else not_an_array(param.name)
        if param.kind == "int":
            if is_array(value) or not str(value).strip().removeprefix("-").isdecimal():
                raise wrong_parameter(param.name, value, "int")
            return int(as_number(value))
        if param.kind == "string" and is_array(value):
            raise wrong_parameter(param.name, value, "string")
        return value


def by_name(methods: Iterable[Method]) -> dict[str, Method]:
    return {method.name: method for method in methods}


def page_window(call: Call, *, whole_pages: bool) -> Window:
    """The window that a call requests with ``start``, 0 by default."""
    return Window.at(call.params.get("start", 0), whole_pages=whole_pages, page_rows=call.page_rows)


def application_params(call: Call) -> dict[str, Value]:
    """The parameters of a method for applications, by name in lower case.

    Raises:
        CallError: a webhook makes the call.
    """
    if not call.caller.is_application:
        raise wrong_auth_type()
    return {name.lower(): value for name, value in call.sent.items()}


def administrator_params(call: Call) -> dict[str, Value]:
    """The parameters of a method for applications of administrators, by name in lower case.

    Raises:
        CallError: a webhook makes the call, or a user who is no administrator.
    """
    params = application_params(call)
    call.require_administrator(CallError("ACCESS_DENIED", "Access denied!", 403))
    return params
