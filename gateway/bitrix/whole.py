"""Lists that are read whole, and rows that are read by their ids."""

from collections.abc import Sequence

from gateway.bitrix.client import PortalClient
from gateway.bitrix.errors import PortalBroken, PortalError, WalkFailed
from gateway.bitrix.methods import Paging, Row
from gateway.bitrix.pages import MAX_ASKS, PAGE_ROWS, ListCall, checked_ids
from gateway.bitrix.wire import Answer, Command

OFFSET_ROWS = 50_000  # read of a list by offset; one that counts more is not believed


async def read_whole(client: PortalClient, calls: Sequence[ListCall]) -> list[list[Row] | PortalError]:
    """The rows of each list, sorted by id, read together in batches; for lists without keyset.

    Pages by offset count only if all of them name one total and bring that many different ids, an unpaged list if its
    total, where given, is its number of rows; otherwise it is read again, up to three times. A list that the portal
    refuses stands as its error, and the others go on.

    Raises:
        WalkFailed: a list could not be had whole, or the failure concerns more than this one list.
    """
    lists: dict[int, list[Row] | PortalError] = {}
    for ask in range(1, MAX_ASKS + 1):
        pending = [index for index in range(len(calls)) if index not in lists]
        for index, outcome in zip(pending, await _read_once(client, [calls[i] for i in pending]), strict=True):
            if isinstance(outcome, list) or outcome.refuses_command:
                lists[index] = outcome
            elif ask == MAX_ASKS or not isinstance(outcome, PortalBroken):
                raise WalkFailed(calls[index].method, 0, outcome) from outcome
    return [lists[index] for index in range(len(calls))]


async def _read_once(client: PortalClient, calls: Sequence[ListCall]) -> list[list[Row] | PortalError]:
    """One reading of each list: all first pages, then all others."""
    firsts = await _together(client, [(call, 0) for call in calls])
    others = [
        (index, start)
        for index, (call, first) in enumerate(zip(calls, firsts, strict=True))
        if isinstance(first, Answer) and call.facts.paging is Paging.OFFSET
        for start in range(PAGE_ROWS, min(first.total or 0, OFFSET_ROWS), PAGE_ROWS)
    ]
    pages: list[list[Answer | PortalError]] = [[first] for first in firsts]
    answers = await _together(client, [(calls[index], start) for index, start in others])
    for (index, _), answer in zip(others, answers, strict=True):
        pages[index].append(answer)
    return [_whole(call, answers) for call, answers in zip(calls, pages, strict=True)]


async def _together(client: PortalClient, reads: Sequence[tuple[ListCall, int]]) -> list[Answer | PortalError]:
    try:
        return await client.batch([_offset_command(call, start) for call, start in reads])
    except PortalError as error:
        raise WalkFailed(reads[0][0].method, 0, error) from error


def _offset_command(call: ListCall, start: int) -> Command:
    if call.facts.paging is Paging.UNPAGED:
        return Command(call.method, call.params)
    return Command(call.method, {**call.params, **call.facts.ordered("ASC"), "start": start})


def _whole(call: ListCall, answers: Sequence[Answer | PortalError]) -> list[Row] | PortalError:
    rows: dict[int, Row] = {}
    totals: set[int | None] = set()
    count = 0
    for answer in answers:
        if isinstance(answer, PortalError):
            return answer
        totals.add(answer.total)
        try:
            page = call.facts.rows(answer)
        except PortalBroken as error:
            return error
        rows |= dict(page)
        count += len(page)
    unpaged = call.facts.paging is Paging.UNPAGED
    if len(rows) != count or not (totals == {count} or (unpaged and totals == {None})):
        return PortalBroken("the list changed while it was read")
    return [rows[row_id] for row_id in sorted(rows)]


async def read_by_ids(client: PortalClient, call: ListCall, ids: Sequence[int]) -> list[Row]:
    """The rows with the given *ids*, as far as the portal has them, sorted by id; for keyset lists.

    Raises:
        WalkFailed: not every one of *ids* could be asked for.
    """
    facts = call.facts
    wanted = sorted(set(ids))
    pending = [wanted[start : start + PAGE_ROWS] for start in range(0, len(wanted), PAGE_ROWS)]
    found: dict[int, Row] = {}
    for ask in range(1, MAX_ASKS + 1):
        commands = [
            Command(call.method, {**facts.filtered(call.params, {"@": chunk}), **facts.ordered("ASC")})
            for chunk in pending
        ]
        try:
            outcomes = await client.batch(commands)
        except PortalError as error:
            raise WalkFailed(call.method, 0, error) from error
        again = []
        for chunk, outcome in zip(pending, outcomes, strict=True):
            try:
                if isinstance(outcome, PortalError):
                    raise outcome
                rows = facts.rows(outcome)
                if not set(checked_ids(rows, 0, None)) <= set(chunk):
                    raise PortalBroken("rows that were not asked for")
                if (outcome.total or 0) != len(rows):  # no total comes with no rows
                    raise PortalBroken("fewer rows than it counts")
                found |= dict(rows)
            except PortalError as error:
                if ask == MAX_ASKS or not isinstance(error, PortalBroken):
                    raise WalkFailed(call.method, 0, error) from error
                again.append(chunk)
        pending = again
    return [found[row_id] for row_id in sorted(found)]
