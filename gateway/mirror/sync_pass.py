"""One full pass over one resource of one account: read, compare, settle what is missing."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing

from gateway.bitrix.client import PortalClient
from gateway.bitrix.errors import PortalError
from gateway.bitrix.lists.by_ids import read_by_ids
from gateway.bitrix.lists.full import read_full
from gateway.bitrix.lists.list_specs import Paging, Row
from gateway.bitrix.lists.page import Page
from gateway.bitrix.lists.walk import walk
from gateway.clock import Clock
from gateway.mirror.pages import Pages
from gateway.mirror.resources import PortalList, Resource
from gateway.mirror.row_json import render_rows
from storage.records import MirrorRow, SyncRun
from storage.syncs import SyncStore

ROWS_A_TRANSACTION = 250  # so that reads beside a sync stay quick
ASKED_AT_ONCE = 250  # rows that were not met, asked for again by id


class SyncPass:
    """Every page of rows is stored together with the place it ends at, so that a pass cut short goes on from there.

    *progressed* is called after each. Nothing is marked deleted before every list has been read to its proven end.
    """

    def __init__(
        self,
        store: SyncStore,
        client: PortalClient,
        pages: Pages,
        clock: Clock,
        resource: Resource,
        lists: Sequence[PortalList],
        run: SyncRun,
        progressed: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._client = client
        self._pages = pages
        self._clock = clock
        self._resource = resource
        self._lists = {one.sublist: one for one in lists}
        self._run = run
        self._progressed = progressed

    async def run(self) -> None:
        """Bring the mirror up to date.

        Raises:
            PortalError: when the portal cannot be read to its end; what was stored until then stays.
        """
        whole: list[PortalList] = []
        for sublist in self._run.sublists:
            if sublist.done:
                continue
            portal_list = self._lists[sublist.sublist]
            if portal_list.call.spec.paging is Paging.KEYSET:
                await self._read_by_keyset(portal_list, sublist.cursor or 0)
            else:
                whole.append(portal_list)
        if whole:
            await self._read_full(whole)
        await self._resolve_missing()

    async def _read_by_keyset(self, portal_list: PortalList, cursor: int) -> None:
        async with aclosing(walk(self._client, portal_list.call, cursor=cursor)) as pages:
            async for page in in_larger_pages(pages):
                await self._save(portal_list, page)

    async def _read_full(self, lists: Sequence[PortalList]) -> None:
        answers = await read_full(self._client, [one.call for one in lists])
        found: list[tuple[PortalList, dict[int, Row]]] = []
        refusal: PortalError | None = None
        for portal_list, answer in zip(lists, answers, strict=True):
            if isinstance(answer, PortalError):
                refusal = answer
                await self._store.skip_sublist(self._run.list_id, portal_list.sublist, answer.detail)
            else:
                found.append((portal_list, {row_id: row for row_id, row in answer.items() if portal_list.belongs(row)}))
        if refusal is not None and not found and len(lists) == len(self._lists):  # the portal offers none of it
            raise refusal
        await self._store.set_total(self._run.list_id, self._run.rows + sum(len(rows) for _, rows in found))
        for portal_list, rows in found:
            for page in cut(rows):
                await self._save(portal_list, page)

    async def _save(self, portal_list: PortalList, page: Page[list[Row]]) -> None:
        rendered = render_rows(page.ids, page.rows, portal_list.decode)
        generation = await self._store.save_page(
            self._run.list_id,
            portal_list.sublist,
            rendered,
            after=page.after,
            upto=page.upto,
            left_out=len(page.rows) - len(rendered),
            prefix=self._resource.prefix(int(self._clock.now())),
        )
        self._pages.changed(self._run.list_id, generation)
        self._progressed()

    async def _read_by_ids(self, portal_list: PortalList, ids: Sequence[int]) -> list[MirrorRow]:
        rows = await read_by_ids(self._client, portal_list.call, ids)
        return render_rows(rows, rows.values(), portal_list.decode)

    async def _resolve_missing(self) -> None:
        """Mark deleted what was not met, after asking for it once more where that can be done by id."""
        while asked := await self._store.load_missing(self._run.list_id, limit=ASKED_AT_ONCE):
            found: dict[int, list[MirrorRow]] = {}
            for sublist in {sublist for _, sublist, _ in asked}:
                portal_list = self._lists[sublist]
                if portal_list.call.spec.paging is Paging.KEYSET:
                    ids = [portal_row_id for _, of_sublist, portal_row_id in asked if of_sublist == sublist]
                    found[sublist] = await self._read_by_ids(portal_list, ids)
            generation = await self._store.resolve_missing(
                self._run.list_id, asked, found, prefix=self._resource.prefix(int(self._clock.now()))
            )
            self._pages.changed(self._run.list_id, generation)
            self._progressed()


async def in_larger_pages(pages: AsyncIterator[Page[list[Row]]]) -> AsyncIterator[Page[list[Row]]]:
    """The same rows in pages of at least ROWS_A_TRANSACTION, the last one apart."""
    gathered: Page[list[Row]] | None = None
    async for page in pages:
        if gathered is None:
            gathered = page
        else:
            gathered = Page([*gathered.rows, *page.rows], [*gathered.ids, *page.ids], gathered.after, page.upto)
        if len(gathered.rows) >= ROWS_A_TRANSACTION or gathered.upto is None:
            yield gathered
            gathered = None


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
