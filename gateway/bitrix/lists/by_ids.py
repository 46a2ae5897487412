"""Rows of a keyset list that are read by their ids."""

from collections.abc import Sequence

from gateway.bitrix.client import PortalClient
from gateway.bitrix.errors import PortalBroken, PortalError, WalkFailed
from gateway.bitrix.lists.list_specs import Row
from gateway.bitrix.lists.page import MAX_PAGE_ATTEMPTS, PAGE_ROWS, ListCall, checked_ids
from gateway.bitrix.protocol.v2 import Answer, Command


async def read_by_ids(client: PortalClient, call: ListCall, ids: Sequence[int]) -> list[Row]:
    """The rows with the given *ids*, as far as the portal has them, sorted by id; for keyset lists.

    Only an empty page proves that rows are gone. Ids that are missing from a page with other rows are requested again,
    so a portal with smaller pages, or with a total that is too low, costs requests and no rows.

    Raises:
        WalkFailed: not every one of *ids* could be asked for.
    """
    wanted = sorted(set(ids))
    pending = [(wanted[start : start + PAGE_ROWS], 1) for start in range(0, len(wanted), PAGE_ROWS)]
    found: dict[int, Row] = {}
    while pending:
        try:
            outcomes = await client.batch([_command(call, chunk) for chunk, _ in pending])
        except PortalError as error:
            raise WalkFailed(call.method, 0, error) from error
        again: list[tuple[list[int], int]] = []
        for (chunk, ask), outcome in zip(pending, outcomes, strict=True):
            try:
                rows = _checked(call, chunk, outcome)
            except PortalError as error:
                if ask == MAX_PAGE_ATTEMPTS or not isinstance(error, PortalBroken):
                    raise WalkFailed(call.method, 0, error) from error
                again.append((chunk, ask + 1))
                continue
            found |= rows
            left = [row_id for row_id in chunk if row_id not in rows]
            if rows and left:
                again.append((left, 1))
        pending = again
    return [found[row_id] for row_id in sorted(found)]


def _command(call: ListCall, ids: Sequence[int]) -> Command:
    facts = call.facts
    return Command(call.method, {**facts.filtered(call.params, {"@": ids}), **facts.ordered("ASC")})


def _checked(call: ListCall, ids: Sequence[int], outcome: Answer | PortalError) -> dict[int, Row]:
    if isinstance(outcome, PortalError):
        raise outcome
    rows = call.facts.rows(outcome)
    if not set(checked_ids(rows, 0, None)) <= set(ids):
        raise PortalBroken("rows that were not asked for")
    if not rows and outcome.total:  # no total comes with no rows
        raise PortalBroken(f"the portal counts {outcome.total} rows and gives none")
    return dict(rows)
