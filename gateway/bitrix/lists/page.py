"""A call that lists rows, the pages it is read in, and the checks that every page must pass."""

from collections.abc import Callable, Sequence, Sized
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from gateway.bitrix.errors import PortalBroken, PortalError
from gateway.bitrix.lists.list_specs import LIST_SPECS, ListSpec, Row
from gateway.bitrix.protocol.v2 import Answer, Command, Params

PAGE_ROWS = 50  # documented page size of REST version 2
MAX_PAGE_ATTEMPTS = 3  # requests for one page whose answers fail a check

Rendered = TypeVar("Rendered", bound=Sized)  # the form into which a reader renders the rows of a page


@dataclass(frozen=True)
class ListCall:
    """A list method with the caller's parameters. The reader adds ordering and paging."""

    method: str
    params: Params = field(default_factory=dict)

    @property
    def spec(self) -> ListSpec:
        return LIST_SPECS[self.method]


@dataclass(frozen=True)
class Page(Generic[Rendered]):
    """All rows with ``after < id <= upto``, ascending, and their *ids*. *upto* is None on the last page of a list.

    *mark* is what the `Mark` of its walk returned when the page was requested.
    """

    rows: Rendered
    ids: list[int]
    after: int
    upto: int | None
    mark: int = 0


def answer_of(outcome: Answer | PortalError) -> Answer:
    """The answer of a command.

    Raises:
        PortalError: the command failed with this error.
    """
    if isinstance(outcome, PortalError):
        raise outcome
    return outcome


def page_size_error(rows: int) -> PortalBroken:
    """The error for a portal whose pages hold only *rows* rows: a short page then proves nothing."""
    return PortalBroken(f"the portal gives pages of {rows} rows, not {PAGE_ROWS}")


Mark = Callable[[], int]
"""Returns a number that marks the present moment, for instance a version of what the pages will be compared with."""


def unmarked() -> int:
    """The default `Mark`."""
    return 0


@dataclass
class Opening:
    """The first request of a walk: *companions* are sent with it, and the rest is set once it is answered.

    *outcomes* are those of the companions, *first* is the answer with the first page, and *largest* is the largest id.
    """

    companions: Sequence[Command] = ()
    outcomes: Sequence[Answer | PortalError] = ()
    first: Answer | None = None
    largest: int = 0


def unrendered(rows: list[Row]) -> list[Row]:
    """Render nothing: return the rows unchanged."""
    return rows


def check_ascending(ids: Sequence[int], after: int) -> None:
    """
    Raises:
        PortalBroken: *ids* are not strictly ascending, or do not start after *after*.
    """
    if any(current >= following for current, following in zip([after, *ids], ids, strict=False)):
        raise PortalBroken("a page that does not ascend from where it should begin")


def checked_ids(rows: Sequence[tuple[int, Row]], after: int, upto: int | None) -> list[int]:
    """The ids of a page of at most PAGE_ROWS rows that ascend from after *after* to at most *upto* (None: unbounded).

    Raises:
        PortalBroken: the rows are not such a page.
    """
    ids = [row_id for row_id, _ in rows]
    check_ascending(ids, after)
    if upto is not None and ids and ids[-1] > upto:
        raise PortalBroken("a page that goes past its range")
    if len(ids) > PAGE_ROWS:
        raise PortalBroken(f"a page of more than {PAGE_ROWS} rows")
    return ids
