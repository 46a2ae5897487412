"""One full pass over a resource of an account: read its lists, store the changes, resolve missing rows."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing

from gateway.bitrix.client import PortalClient
from gateway.bitrix.errors import PortalError
from gateway.bitrix.lists.by_ids import read_by_ids
from gateway.bitrix.lists.full import read_full
from gateway.bitrix.lists.list_specs import Paging, Row
from gateway.bitrix.lists.page import Page
from gateway.bitrix.lists.walk import walk
from gateway.mirror.resources import PortalList
from gateway.mirror.sync_writer import SyncWriter
from storage.records import RowPage, SyncRun
from storage.syncs import SyncStore

ROWS_A_TRANSACTION = 1000  # smaller transactions change the same pages of the database more often
MAX_RESOLVED_ROWS = 250  # missing rows that are requested by id at once


class SyncPass:
    """Reads every list of a resource. Stores each page with the cursor from which an interrupted run resumes.

    Rows are marked deleted only after all lists have been read to their proven ends.
    """

    def __init__(
        self,
        store: SyncStore,
        client: PortalClient,
        writer: SyncWriter,
        lists: Sequence[PortalList],
        run: SyncRun,
    ) -> None:
        self._store = store
        self._client = client
        self._writer = writer
        self._lists = {portal_list.sublist: portal_list for portal_list in lists}
        self._run = run

    async def run(self) -> None:
        """Bring the mirror up to date.

        Raises:
            PortalError: a list cannot be read completely. Pages already stored remain.
        """
        unkeyed: list[PortalList] = []
        for sublist in self._run.sublists:
            if sublist.done:
                continue
            portal_list = self._lists[sublist.sublist]
            if portal_list.call.spec.paging is Paging.KEYSET:
                await self._read_by_keyset(portal_list, sublist.cursor or 0)
            else:
                unkeyed.append(portal_list)
        if unkeyed:
            await self._read_full(unkeyed)
        await self._resolve_missing()

    async def _read_by_keyset(self, portal_list: PortalList, cursor: int) -> None:
        opening = self._writer.opening()
        rows = walk(self._client, portal_list.call, cursor=cursor, mark=self._writer.mark, opening=opening)
        async with aclosing(rows) as pages:
            async for page in in_larger_pages(pages):
                await self._writer.save_opening(opening)
                await self._writer.save_page(portal_list, page)

    async def _read_full(self, lists: Sequence[PortalList]) -> None:
        answers = await read_full(self._client, [portal_list.call for portal_list in lists])
        found: list[tuple[PortalList, dict[int, Row]]] = []
        refusal: PortalError | None = None
        for portal_list, answer in zip(lists, answers, strict=True):
            if isinstance(answer, PortalError):
                refusal = answer
                await self._store.skip_sublist(self._run.list_id, portal_list.sublist, answer.detail)
            else:
                found.append((portal_list, {row_id: row for row_id, row in answer.items() if portal_list.belongs(row)}))
        if refusal is not None and not found and len(lists) == len(self._lists):  # the portal has none of the lists
            raise refusal
        await self._store.set_total(self._run.list_id, self._run.rows + sum(len(rows) for _, rows in found))
        for portal_list, rows in found:
            for page in cut(rows):
                await self._writer.save_page(portal_list, page)

    async def _resolve_missing(self) -> None:
        """Mark the missing rows as deleted. Rows of keyset lists are first requested by id, and kept if they exist."""
        while missing := await self._store.load_missing(self._run.list_id, limit=MAX_RESOLVED_ROWS):
            ids: dict[int, list[int]] = {}
            for _, sublist, portal_row_id in missing:
                ids.setdefault(sublist, []).append(portal_row_id)
            found = [
                await read_existing(self._client, self._writer, self._lists[sublist], of_sublist)
                for sublist, of_sublist in ids.items()
            ]
            await self._writer.resolve_missing(missing, found)


async def read_existing(
    client: PortalClient, writer: SyncWriter, portal_list: PortalList, ids: Sequence[int]
) -> RowPage:
    """The rows among *ids* that the portal has, ready to store. None of them if the list has no keyset.

    Raises:
        PortalError: one of *ids* could not be requested.
    """
    mark = writer.mark()
    rows: dict[int, Row] = {}
    if portal_list.call.spec.paging is Paging.KEYSET:
        rows = await read_by_ids(client, portal_list.call, ids)
    return await writer.render(portal_list, Page(list(rows.values()), list(rows), 0, None, mark))


async def in_larger_pages(pages: AsyncIterator[Page[list[Row]]]) -> AsyncIterator[Page[list[Row]]]:
    """Join *pages* into pages of at least ROWS_A_TRANSACTION rows; the last one may be smaller.

    If reading them fails, what was read before comes first.
    """
    joined: Page[list[Row]] | None = None
    failure: PortalError | None = None
    try:
        async for page in pages:
            if joined is None:
                joined = page
            else:
                mark = min(joined.mark, page.mark)
                joined = Page([*joined.rows, *page.rows], [*joined.ids, *page.ids], joined.after, page.upto, mark)
            if len(joined.rows) >= ROWS_A_TRANSACTION or joined.upto is None:
                yield joined
                joined = None
    except PortalError as error:
        failure = error
    if joined is not None:
        yield joined
    if failure is not None:
        raise failure


def cut(rows: Mapping[int, Row]) -> list[Page[list[Row]]]:
    """Cut a full list, by ascending id, into pages of at most ROWS_A_TRANSACTION rows; at least one."""
    ids, values = list(rows), list(rows.values())
    pages: list[Page[list[Row]]] = []
    after = -1  # ids start at 0: the id of the deals' default pipeline
    for start in range(0, max(len(ids), 1), ROWS_A_TRANSACTION):
        end = start + ROWS_A_TRANSACTION
        upto = ids[end - 1] if end < len(ids) else None
        pages.append(Page(values[start:end], ids[start:end], after, upto))
        after = after if upto is None else upto
    return pages
