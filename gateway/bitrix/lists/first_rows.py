"""Reads the first rows of a keyset list for a caller who waits: in few requests, one after another."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeVar

from gateway.bitrix.errors import AnswerTooLarge, PortalBroken, PortalError
from gateway.bitrix.lists.list_specs import Row
from gateway.bitrix.lists.page import MAX_PAGE_ATTEMPTS, PAGE_ROWS, ListCall, answer_of, checked_ids
from gateway.bitrix.lists.page_reader import checked_last_page
from gateway.bitrix.protocol.v2 import BATCH_COMMANDS, Answer, Command, batch_label

T = TypeVar("T")
NumberedRow = tuple[int, Row]


class Portal(Protocol):
    """The part of a portal's client that is used."""

    async def batch(self, commands: Sequence[Command], *, wait_for_budget: bool) -> list[Answer | PortalError]:
        """The outcome of each of *commands*, after all retries."""

    async def batch_once(self, commands: Mapping[str, Command], *, halt: bool) -> dict[str, Answer | PortalError]:
        """The outcome of each of the named *commands*, which may refer to each other's results."""


async def read_first_rows(client: Portal, call: ListCall, *, after: int, limit: int) -> list[NumberedRow]:
    """The first *limit* rows with ids above *after*, ascending, with their ids; all of them if there are fewer.

    The first request reads both ends of the list. Each later one reads the pages that are still needed in a chain, in
    which each command starts after the last row of the one before. If the portal does not resolve these references, or
    the pages of a chain are too large together, each request reads one page. Every page is checked.

    Raises:
        PortalError: the portal refused or failed, or its pages repeatedly failed a check.
        TooBusy: the portal's limits leave no room for a request in time.
    """
    rows, largest = await _read_ends(client, call, after)
    has_chains = True
    while rows and len(rows) < limit and (last := rows[-1][0]) < largest:
        pages = min(math.ceil((limit - len(rows)) / PAGE_ROWS), _expected_pages(rows, largest), BATCH_COMMANDS)
        found = await _read_chain(client, call, last, pages) if has_chains and pages > 1 else []
        has_chains = len(found) > PAGE_ROWS
        if not found:
            found = await _read_page(client, call, last)
        rows += found
        if len(found) % PAGE_ROWS or not found:  # the last page is not full: the end of the list
            break
    return rows[:limit]


async def _read_ends(client: Portal, call: ListCall, after: int) -> tuple[list[NumberedRow], int]:
    """The first page, joined with the last one if they overlap, and the largest id."""

    def check(answers: Sequence[Answer]) -> tuple[list[NumberedRow], int]:
        rows, descending = (call.spec.rows(answer) for answer in answers)
        ids = checked_ids(rows, after, None)
        last_page = checked_last_page(descending, after, ids)
        largest = max(row_id for row_id, _ in [(after, None), *rows, *last_page])
        if rows and last_page and last_page[-1][0] <= ids[-1]:
            rows += [(row_id, row) for row_id, row in reversed(last_page) if row_id > ids[-1]]
        return rows, largest

    return await _checked(client, [_command(call, after), _command(call, after, "DESC")], check)


async def _read_page(client: Portal, call: ListCall, after: int) -> list[NumberedRow]:
    def check(answers: Sequence[Answer]) -> list[NumberedRow]:
        return _page(call, answers[0], after)

    return await _checked(client, [_command(call, after)], check)


async def _read_chain(client: Portal, call: ListCall, after: int, pages: int) -> list[NumberedRow]:
    """The rows of up to *pages* pages: of those before the first one that failed, or does not follow the one before.

    Past the end of the list, a reference does not resolve, and the portal answers from the start.
    Source: protocol.md 8.4 (b24restdocs settings/how-to-call-rest-api/batch.md)
    """
    labels = [batch_label(index) for index in range(pages)]
    starts: list[int | str] = [after, *(call.spec.reference(label, PAGE_ROWS - 1) for label in labels[:-1])]
    commands = {label: _command(call, start) for label, start in zip(labels, starts, strict=True)}
    try:
        outcomes = await client.batch_once(commands, halt=False)
    except AnswerTooLarge:
        return []
    rows: list[NumberedRow] = []
    for label in labels:
        try:
            page = _page(call, answer_of(outcomes[label]), rows[-1][0] if rows else after)
        except PortalError:
            break
        rows += page
        if len(page) < PAGE_ROWS:
            break
    return rows


async def _checked(client: Portal, commands: Sequence[Command], check: Callable[[Sequence[Answer]], T]) -> T:
    """What *check* returns for the answers of *commands*, which are requested again while it raises PortalBroken."""
    attempt = 0
    while True:
        attempt += 1
        answers = [answer_of(outcome) for outcome in await client.batch(commands, wait_for_budget=False)]
        try:
            return check(answers)
        except PortalBroken:
            if attempt == MAX_PAGE_ATTEMPTS:
                raise


def _page(call: ListCall, answer: Answer, after: int) -> list[NumberedRow]:
    rows = call.spec.rows(answer)
    checked_ids(rows, after, None)
    return rows


def _expected_pages(rows: Sequence[NumberedRow], largest: int) -> int:
    """How many pages reach from the last row to the *largest* id if the ids go on about as densely as in *rows*.

    It is one more than their mean: a needless command costs less than another request.
    """
    ids_per_row = (rows[-1][0] - rows[0][0] + 1) / len(rows)
    return math.ceil((largest - rows[-1][0]) / ids_per_row / PAGE_ROWS) + 1


def _command(call: ListCall, after: int | str, direction: str = "ASC") -> Command:
    """One page from after *after*, an id or a reference. ``start: -1`` spares the portal counting the rows."""
    params = call.spec.filtered(call.params, {">": after})
    return Command(call.method, {**params, **call.spec.ordered(direction), "start": -1})
