"""Reads selected rows of a keyset list by their ids."""

from collections.abc import Sequence

from gateway.bitrix.client import PortalClient
from gateway.bitrix.errors import PortalBroken, PortalError, WalkFailed
from gateway.bitrix.lists.list_specs import Row
from gateway.bitrix.lists.page import MAX_PAGE_ATTEMPTS, PAGE_ROWS, ListCall, answer_of, checked_ids
from gateway.bitrix.protocol.v2 import Answer, Command


async def read_by_ids(client: PortalClient, call: ListCall, ids: Sequence[int]) -> dict[int, Row]:
    """The existing rows among *ids*, by id in ascending order. The list must be a keyset list.

    Only an empty page proves that rows do not exist. Ids missing from a page with other rows are requested again, so
    smaller pages, or a total that is too low, cost requests but no rows.

    Raises:
        WalkFailed: one of *ids* could not be requested.
    """
    wanted = sorted(set(ids))
    pending = [(wanted[start : start + PAGE_ROWS], 1) for start in range(0, len(wanted), PAGE_ROWS)]
    found: dict[int, Row] = {}
    while pending:
        try:
            outcomes = await client.batch([command_of(call, chunk) for chunk, _ in pending])
        except PortalError as error:
            raise WalkFailed(call.method, 0, error) from error
        retried: list[tuple[list[int], int]] = []
        for (chunk, attempt), outcome in zip(pending, outcomes, strict=True):
            try:
                rows = rows_of(call, chunk, outcome)
            except PortalError as error:
                if attempt == MAX_PAGE_ATTEMPTS or not isinstance(error, PortalBroken):
                    raise WalkFailed(call.method, 0, error) from error
                retried.append((chunk, attempt + 1))
                continue
            found |= rows
            missing = [row_id for row_id in chunk if row_id not in rows]
            if rows and missing:
                retried.append((missing, 1))
        pending = retried
    return dict(sorted(found.items()))


def command_of(call: ListCall, ids: Sequence[int]) -> Command:
    """The command that lists the rows with *ids*, of which there are at most PAGE_ROWS."""
    spec = call.spec
    return Command(call.method, {**spec.filtered(call.params, {"@": ids}), **spec.ordered("ASC"), "start": -1})


def rows_of(call: ListCall, ids: Sequence[int], outcome: Answer | PortalError) -> dict[int, Row]:
    """The rows of an answer to the command that lists those with *ids*.

    Raises:
        PortalError: the command failed, or its rows are not among *ids*, or contradict its total.
    """
    answer = answer_of(outcome)
    rows = call.spec.rows(answer)
    if not set(checked_ids(rows, 0, None)) <= set(ids):
        raise PortalBroken("rows that were not requested")
    if not rows and answer.total:  # an empty page may come without a total
        raise PortalBroken(f"the portal counts {answer.total} rows and gives none")
    return dict(rows)
