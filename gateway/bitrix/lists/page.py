"""A list to be read, the pages that it comes in, and what a page must fulfil before it counts."""

from collections.abc import Sequence, Sized
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from gateway.bitrix.errors import PortalBroken
from gateway.bitrix.lists.list_specs import METHODS, ListSpec, Row
from gateway.bitrix.protocol.v2 import Params

PAGE_ROWS = 50  # of version 2, as documented
MAX_PAGE_ATTEMPTS = 3  # of the same page, when it comes and breaks a check

Rendered = TypeVar("Rendered", bound=Sized)  # what a reader makes of the rows of a page


@dataclass(frozen=True)
class ListCall:
    """A list method and its own parameters; ordering and paging are the reader's to add."""

    method: str
    params: Params = field(default_factory=dict)

    @property
    def facts(self) -> ListSpec:
        return METHODS[self.method]


@dataclass(frozen=True)
class Page(Generic[Rendered]):
    """All rows with ``after < id <= upto``, ascending, and their *ids*; *upto* None: there is nothing beyond."""

    rows: Rendered
    ids: list[int]
    after: int
    upto: int | None


def smaller_pages(rows: int) -> PortalBroken:
    """The error of a portal whose pages have only so many *rows*, so that a short page does not prove an end."""
    return PortalBroken(f"the portal gives pages of {rows} rows, not {PAGE_ROWS}")


def as_they_came(rows: list[Row]) -> list[Row]:
    """The rows."""
    return rows


def check_ascent(ids: Sequence[int], after: int) -> None:
    """
    Raises:
        PortalBroken: the *ids* do not ascend from beyond *after*.
    """
    if any(here >= following for here, following in zip([after, *ids], ids, strict=False)):
        raise PortalBroken("a page that does not ascend from where it should begin")


def checked_ids(rows: Sequence[tuple[int, Row]], lo: int, hi: int | None) -> list[int]:
    """The ids of a page that begins after *lo*, ascends, ends by *hi*, and is no longer than a page.

    Raises:
        PortalBroken: it is no such page.
    """
    ids = [row_id for row_id, _ in rows]
    check_ascent(ids, lo)
    if hi is not None and ids and ids[-1] > hi:
        raise PortalBroken("a page that goes past its range")
    if len(ids) > PAGE_ROWS:
        raise PortalBroken(f"a page of more than {PAGE_ROWS} rows")
    return ids
