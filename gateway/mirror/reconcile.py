"""Finds the ids in which the mirror differs from the portal, with few requests, and stores what the portal has.

The ids are cut into ranges with equal numbers of stored rows, and the portal counts the rows of each, up to 50 ranges
in a request. A range whose count differs is halved; the portal counts one half, which tells the other. What remains
are short ranges, whose ids are read. Where a portal deletes one row and adds another in the same range, the counts are
equal; `compare_all_ids` therefore reads all ids, from time to time.

Whatever is found is confirmed by a request for the ids themselves before a row is stored or marked deleted.
"""

import math
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from gateway.bitrix.client import PortalClient
from gateway.bitrix.errors import PortalBroken
from gateway.bitrix.lists.list_specs import MAX_ID
from gateway.bitrix.lists.page import PAGE_ROWS, ListCall, answer_of, checked_ids
from gateway.bitrix.lists.walk import walk
from gateway.bitrix.protocol.v2 import BATCH_COMMANDS, Answer, Command, Params
from gateway.mirror.resources import PortalList
from gateway.mirror.sync_pass import MAX_RESOLVED_ROWS, read_existing
from gateway.mirror.sync_writer import SyncWriter
from storage.syncs import SyncStore

SHORT_RANGE_ROWS = 45  # a range with no more stored rows is read instead of halved: one page, with room for new rows


@dataclass
class Differences:
    """Ids that the mirror has and the portal does not list, and the other way round."""

    gone: list[int] = field(default_factory=list)
    new: list[int] = field(default_factory=list)

    def compare(self, stored: Sequence[int], listed: Sequence[int]) -> None:
        """Add the differences of one range; both are all its ids, ascending."""
        if list(stored) != list(listed):
            self.gone += sorted({*stored} - {*listed})
            self.new += sorted({*listed} - {*stored})


@dataclass(frozen=True)
class IdRange:
    """The ids with ``after < id <= upto``; *first* to *end* is the slice of the stored ids that lie in it."""

    after: int
    upto: int
    first: int
    end: int

    @property
    def rows(self) -> int:
        """How many stored rows lie in it."""
        return self.end - self.first

    def split(self, ids: Sequence[int], parts: int) -> list["IdRange"]:
        """Cut it into up to *parts* ranges with equal numbers of stored rows."""
        bounds = sorted({self.first + self.rows * part // parts for part in range(1, parts)} - {self.first})
        ranges, after, first = [], self.after, self.first
        for end in bounds:
            ranges.append(IdRange(after, ids[end - 1], first, end))
            after, first = ids[end - 1], end
        return [*ranges, IdRange(after, self.upto, first, self.end)]

    def is_short(self, counted_rows: int) -> bool:
        """Whether reading its ids takes no more commands than halving it until each difference is found."""
        pages = math.ceil(max(self.rows, counted_rows) / SHORT_RANGE_ROWS)
        if pages <= 1:
            return True
        return pages <= abs(self.rows - counted_rows) * math.log2(pages)


async def compare_counts(client: PortalClient, call: ListCall, ids: "array[int]") -> Differences:
    """Compare the stored *ids*, ascending, with those of the portal's list, where the numbers of rows differ.

    Raises:
        PortalError: the rows of a range could not be counted or read.
    """
    pending = IdRange(0, MAX_ID, 0, len(ids)).split(ids, BATCH_COMMANDS)
    counts = await _count_ranges(client, call, pending)
    different = [(counted_range, rows) for counted_range, rows in zip(pending, counts, strict=True)]
    short: list[IdRange] = []
    while different := [(item, rows) for item, rows in different if rows != item.rows]:
        short += [item for item, rows in different if item.is_short(rows)]
        halved = [(item.split(ids, 2), rows) for item, rows in different if not item.is_short(rows)]
        counts = await _count_ranges(client, call, [halves[0] for halves, _ in halved])
        different = []
        for ((first, second), rows), first_rows in zip(halved, counts, strict=True):
            different += [(first, first_rows), (second, rows - first_rows)]
    return await _read_ranges(client, call, ids, short)


async def compare_all_ids(client: PortalClient, call: ListCall, ids: "array[int]") -> Differences:
    """Compare the stored *ids*, ascending, with all ids of the portal's list.

    Raises:
        PortalError: the ids could not be read to their proven end.
    """
    differences = Differences()
    async with aclosing(walk(client, ids_only(call))) as pages:
        async for page in pages:
            first = bisect_right(ids, page.after)
            end = len(ids) if page.upto is None else bisect_right(ids, page.upto)
            differences.compare(ids[first:end], page.ids)
    return differences


async def resolve_differences(
    store: SyncStore, client: PortalClient, writer: SyncWriter, portal_list: PortalList, differences: Differences
) -> None:
    """Request the differing ids. Store the rows that exist, and mark the others deleted.

    Raises:
        PortalError: an id could not be requested.
    """
    for ids in _chunks(differences.new):
        await writer.resolve_missing([], [await read_existing(client, writer, portal_list, ids)])
    for ids in _chunks(differences.gone):
        missing = await store.find_rows(writer.list_id, portal_list.sublist, ids)
        await writer.resolve_missing(missing, [await read_existing(client, writer, portal_list, ids)])


def ids_only(call: ListCall) -> ListCall:
    """*call* for rows of which only the id is needed."""
    return ListCall(call.method, {**call.params, "select": [call.spec.filter_id_key]})


def count_command(call: ListCall, bounds: Params | None = None) -> Command:
    """The command that counts the rows of *call*, within *bounds* of the id (value by operator)."""
    counted = ids_only(call)
    return Command(call.method, {**call.spec.filtered(counted.params, bounds or {}), "start": 0})


def counted_rows(answer: Answer) -> int:
    """The number of rows that the answer to a `count_command` tells.

    Raises:
        PortalBroken: it tells none.
    """
    if answer.total is None:
        raise PortalBroken("a list without a total")
    return answer.total


async def _count_ranges(client: PortalClient, call: ListCall, ranges: Sequence[IdRange]) -> list[int]:
    commands = [count_command(call, _bounds(item.after, item.upto)) for item in ranges]
    return [counted_rows(answer_of(outcome)) for outcome in await client.batch(commands)]


async def _read_ranges(
    client: PortalClient, call: ListCall, ids: "array[int]", ranges: Sequence[IdRange]
) -> Differences:
    """Read the ids of *ranges* page by page, all ranges side by side, and compare them with the stored *ids*."""
    spec, listed_call = call.spec, ids_only(call)
    listed: dict[IdRange, list[int]] = {}
    pending: list[tuple[IdRange, int]] = []
    for item in ranges:
        for part in item.split(ids, math.ceil(max(item.rows, 1) / SHORT_RANGE_ROWS)):
            listed[part] = []
            pending.append((part, part.after))
    while pending:
        commands = [
            Command(
                call.method,
                {
                    **spec.filtered(listed_call.params, _bounds(after, item.upto)),
                    **spec.ordered("ASC"),
                    "start": -1,
                },
            )
            for item, after in pending
        ]
        outcomes = await client.batch(commands)
        continued = []
        for (item, after), outcome in zip(pending, outcomes, strict=True):
            page = checked_ids(spec.rows(answer_of(outcome)), after, item.upto)
            listed[item] += page
            if len(page) == PAGE_ROWS and page[-1] != item.upto:
                continued.append((item, page[-1]))
        pending = continued
    differences = Differences()
    for item, page in listed.items():
        differences.compare(ids[item.first : item.end], page)
    return differences


def _bounds(after: int, upto: int) -> Params:
    return {">": after} if upto == MAX_ID else {">": after, "<=": upto}


def _chunks(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(ids), MAX_RESOLVED_ROWS):
        yield ids[start : start + MAX_RESOLVED_ROWS]
