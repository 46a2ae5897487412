"""What a REST method is in the sandbox: one small function, and one row of facts about it."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.sandbox.caller import Caller
from gateway.sandbox.content.portal_data import PortalData
from gateway.sandbox.errors import missing_parameter, not_an_array, wrong_parameter
from gateway.sandbox.php import Value, as_number, is_array
from gateway.sandbox.query.listing import PAGE_ROWS, Effort, Page, Window


@dataclass(frozen=True)
class Call:
    """One call as its method sees it: *params* by their declared names, *given* as the client sent them.

    *perform* makes another call on behalf of the same caller; it returns that call's envelope or raises CallError.
    """

    params: Mapping[str, Value]
    given: Mapping[str, Value]
    caller: Caller
    data: PortalData
    methods: Mapping[str, "Method"]
    perform: Callable[[str, dict[str, Value]], Awaitable["Envelope"]]
    now: float
    page_rows: int = PAGE_ROWS


@dataclass(frozen=True)
class Answer:
    """What a method returns: the result, and for lists the keys that the envelope carries beside it, and the effort."""

    result: Value
    total: int | None = None
    next: int | None = None
    effort: Effort | None = None  # of lists alone

    @classmethod
    def of_page(cls, page: Page, rows: Value = None) -> "Answer":
        """The answer to a list method; *rows* where the result is not the bare list of the page's rows."""
        return cls(page.rows if rows is None else rows, page.total, page.next, page.effort)

    @property
    def paging(self) -> dict[str, int]:
        """``next`` and ``total``, as far as there are any, in the order of the envelope."""
        found = {"next": self.next, "total": self.total}
        return {name: number for name, number in found.items() if number is not None}


@dataclass(frozen=True)
class Envelope:
    """An answer with the ``time`` it took: what a client gets of a call that went well."""

    answer: Answer
    time: Mapping[str, Any]

    def body(self) -> dict[str, Any]:
        return {"result": self.answer.result, **self.answer.paging, "time": self.time}


@dataclass(frozen=True)
class Param:
    """A parameter of a method; its kind is ``any``, ``int``, ``string`` or ``array``."""

    name: str
    kind: str = "any"
    required: bool = False


@dataclass(frozen=True)
class Method:
    """The row of facts. *scopes*: any one of them will do, none are needed where it is empty.

    *exact* methods (controllers) take a parameter by its very name and refuse a wrong type with the code "100"; classic
    ones take the name in lower or upper case and insist only that arrays are arrays.
    Source: [srv] rest/classes/general/rest.php, main/engine; [docs] the method's own page
    """

    name: str
    run: Callable[[Call], Answer] | Callable[[Call], Awaitable[Answer]]
    scopes: tuple[str, ...] = ()
    params: tuple[Param, ...] = ()
    exact: bool = False
    is_billed: bool = True  # its duration is booked as operating time

    def is_open_to(self, scopes: tuple[str, ...]) -> bool:
        return not self.scopes or any(scope in scopes for scope in self.scopes)

    def bind(self, given: Mapping[str, Value]) -> dict[str, Value]:
        """The declared parameters among those *given*.

        Raises:
            CallError: one is missing or of the wrong type.
        """
        bound = {}
        for param in self.params:
            names = [param.name] if self.exact else [param.name, param.name.upper()]
            found = [given[name] for name in names if name in given]
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
    """The window that a call of a paged list asks for by ``start``; absent means 0."""
    return Window.at(call.params.get("start", 0), whole_pages=whole_pages, page_rows=call.page_rows)
