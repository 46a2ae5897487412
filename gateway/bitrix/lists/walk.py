"""Read a keyset list of a portal by many cursors at once: complete and in order, or with a loud failure.

An opening reads the first page after the cursor and finds the largest id. A survey counts the rows of a long list and
finds how they lie. The ids between are then cut into ranges: where rows lie evenly one to a command, elsewhere one to a
batch, which reads it by a chain of commands. The batches run side by side, and every page is checked against the
boundary it should begin at. A tail reads what has come beyond the largest id, and its end is the end of the walk.
Nothing is addressed by offset, so deletions and additions meanwhile shift nothing.

Source: protocol.md 6.1 (b24restdocs settings/performance/huge-data.md)
"""

from collections.abc import AsyncGenerator, Callable
from math import inf
from typing import Any, overload

from gateway.bitrix.lists.id_filter import Bounded
from gateway.bitrix.lists.list_specs import HIGHEST_ID, Row
from gateway.bitrix.lists.page import ListCall, Page, Rendered, as_they_came
from gateway.bitrix.lists.page_reader import Pace, PageReader, Portal
from gateway.bitrix.lists.plan import Bounds, Plan, boundless
from gateway.bitrix.lists.scheduler import BatchScheduler


@overload
def walk(
    client: Portal, call: ListCall, *, cursor: int = 0, pace: Pace = Pace.THRIFTY, limit: int | None = None
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
    weight: Callable[[], float] = boundless,
) -> AsyncGenerator[Page[Rendered], None]: ...


async def walk(
    client: Portal,
    call: ListCall,
    *,
    cursor: int = 0,
    pace: Pace = Pace.THRIFTY,
    limit: int | None = None,
    render: Callable[[list[Row]], Any] = as_they_came,
    weight: Callable[[], float] = boundless,
) -> AsyncGenerator[Page[Any], None]:
    """The pages of a keyset list in the order of ids, from beyond *cursor* to the proven end; each follows on the last.

    A page shorter than PAGE_ROWS proves the end of its range. The opening finds portals with smaller pages: it reads
    the first and the last page in one request, and fails, saying so, unless they are the same page.

    Pages are rendered as they come, and held so until those before them have come: a bounded number of rows, whatever
    the length of the list, that weigh together no more than about *weight* at that time, by the length of what they
    were rendered to. Hardly more is asked for than *limit* rows, after which the reader must stop by itself.
    Conditions on the id in the call's own filter narrow what is read. An eager walk spends what the portal's bucket
    has room for: at once where that will do for all that is left, evenly where it will not.
    The first request has the client's own priority, all others BACKGROUND, so interactive calls overtake them.
    Closing the iterator (``contextlib.aclosing``) ends the requests under way.

    Raises:
        WalkFailed: the portal failed for good; its cursor is the end of the last page given out, to go on from.
        InvalidInput: the call's filter is none, or bounds the id by what is no number.
        TooBusy, AuthorizationRequired: nothing was given out; the limits, or the account's credential, forbid it.
    """
    reader = PageReader(client, Bounded.of(call, cursor), pace, render)
    after, upto = reader.bounded.after, reader.bounded.upto
    bounds = Bounds(pace.window, weight, inf if limit is None else limit)
    for tail in (upto or HIGHEST_ID, None):  # the second round only if the first one's tail is a full page
        first, largest = await reader.open(after)
        yield first
        if first.upto is None:
            return
        plan = Plan(first, largest, tail=tail if tail != largest else None, bounds=bounds)
        batches = BatchScheduler(reader, plan)
        try:
            while (page := await batches.next()) is not None:
                at_end = page.upto == (tail or largest)
                yield Page(page.rows, page.ids, page.after, None) if at_end else page
                if at_end:
                    return
        finally:
            await batches.close()
        if plan.position < largest:  # never: it would be an end without a proof
            raise AssertionError(f"the walk of {call.method} lost the ranges beyond id {plan.position}")
        after = plan.position
