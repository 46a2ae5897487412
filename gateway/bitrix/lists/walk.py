"""Reads a keyset list by many cursors at once: completely and in the order of ids, or with an error.

The opening reads both ends of the list. The survey of a long list measures its density. The ids between are cut into
ranges, which batches read side by side; every page is checked against the range it belongs to. The growth range reads
the rows created meanwhile. No offset is used, so rows that are added or deleted during the walk shift nothing.
README.md in this package explains each step.

Source: protocol.md 6.1 (b24restdocs settings/performance/huge-data.md)
"""

from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from math import inf
from typing import Any, overload

from gateway.bitrix.lists.id_filter import BoundedCall
from gateway.bitrix.lists.list_specs import MAX_ID, Row
from gateway.bitrix.lists.page import ListCall, Mark, Opening, Page, Rendered, unmarked, unrendered
from gateway.bitrix.lists.page_reader import Pace, PageReader, Portal
from gateway.bitrix.lists.plan import Plan, Window, unlimited
from gateway.bitrix.lists.scheduler import BatchScheduler


@overload
def walk(
    client: Portal,
    call: ListCall,
    *,
    cursor: int = 0,
    pace: Pace = Pace.THRIFTY,
    limit: int | None = None,
    mark: Mark = unmarked,
    opening: Opening | None = None,
) -> AsyncGenerator[Page[list[Row]], None]: ...


@overload
def walk(
    client: Portal,
    call: ListCall,
    *,
    cursor: int = 0,
    pace: Pace = Pace.THRIFTY,
    limit: int | None = None,
    render: Callable[[list[Row]], Rendered],
    weight: Callable[[], float] = unlimited,
    mark: Mark = unmarked,
    opening: Opening | None = None,
) -> AsyncGenerator[Page[Rendered], None]: ...


async def walk(
    client: Portal,
    call: ListCall,
    *,
    cursor: int = 0,
    pace: Pace = Pace.THRIFTY,
    limit: int | None = None,
    render: Callable[[list[Row]], Any] = unrendered,
    weight: Callable[[], float] = unlimited,
    mark: Mark = unmarked,
    opening: Opening | None = None,
) -> AsyncGenerator[Page[Any], None]:
    """Yield the pages of a keyset list in the order of ids, from after *cursor* to the proven end.

    *render* is applied to the rows of each page when it is read. A page is then held back until all pages before it
    have been read. The number of rows held back is limited, and so is their weight, the total length of the rendered
    rows: to about what *weight* returns at the time. The walk requests few rows beyond *limit*, but does not stop
    there; the caller does. Conditions on the id in the call's own filter narrow the walk. An eager walk spends the
    portal's request budget at once if it suffices for the rest of the list, otherwise evenly.
    The first request has the client's own priority, all others BACKGROUND, so interactive calls overtake them.
    Each page carries the *mark* of the moment at which it was requested. The commands of *opening* are sent with the
    first request, and their outcomes are in it before the first page is yielded.
    Closing the iterator (``contextlib.aclosing``) cancels the requests in flight.

    Raises:
        WalkFailed: the portal failed permanently, or its pages are smaller than PAGE_ROWS. A new walk can continue
            from the error's cursor: the end of the last page yielded.
        InvalidInput: the call's filter is not an object, or bounds the id by a value that is not a number.
        TooBusy: the first request would have to wait too long for the limits; no page was yielded.
        AuthorizationRequired: the credential does not permit the first request; no page was yielded.
    """
    reader = PageReader(client, BoundedCall.of(call, cursor), pace, render, mark)
    opening = opening or Opening()
    after, upto = reader.bounded_call.after, reader.bounded_call.upto
    window = Window(pace.window_rows, weight, inf if limit is None else limit)
    for growth_upto in (upto or MAX_ID, None):  # a second round follows only if the growth range has a full page
        first = await reader.open(after, opening)
        largest = opening.largest
        yield first
        if first.upto is None:
            return
        plan = Plan(first, largest, growth_upto=growth_upto if growth_upto != largest else None, window=window)
        batches = BatchScheduler(reader, plan)
        try:
            while (page := await batches.next()) is not None:
                at_end = page.upto == (growth_upto or largest)
                yield replace(page, upto=None) if at_end else page
                if at_end:
                    return
        finally:
            await batches.close()
        if plan.position < largest:  # would end the walk without a proof; never happens
            raise AssertionError(f"the walk of {call.method} lost the ranges beyond id {plan.position}")
        after, opening = plan.position, Opening()
