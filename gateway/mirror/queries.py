"""Answers queries of mirrored records: filtered, ordered and selected pages."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass

import orjson

from gateway.bitrix.lists.page import Page
from gateway.clock import Clock
from gateway.errors import InvalidInput, QueryTimeLimit
from gateway.fields.service import KnownFields
from gateway.mirror.column_conditions import ColumnValues, with_columns
from gateway.mirror.cursors import Cursor, CursorSigner
from gateway.mirror.field_access import LoadFields, with_mirrored_fields
from gateway.mirror.filters import parse_filter
from gateway.mirror.page_links import link_header, page_links
from gateway.mirror.pages import PageContent, Pages
from gateway.mirror.query_fields import QueryFields, parse_order, parse_select
from gateway.mirror.resources import Resource, list_fields, not_mirrored, record_type
from gateway.mirror.translation import Translation, TranslationService, pick
from gateway.page_cache import ServedPage
from storage.conditions import Group, comparisons
from storage.json_values import QueryField
from storage.mirror import MirrorStore
from storage.mirror_plans import ORDERED
from storage.mirror_queries import QueryFacts, QueryStore, SelectedRecords, Selection, Window
from storage.records import Account, ListFacts

DEFAULT_SIZE, MAX_SIZE = 25, 1000
MAX_SKIPPED_ROWS = 10_000  # of a filtered or ordered list; later pages need a cursor
COUNTED_ROWS = 10_000  # matching rows are counted up to here
ALL_ROWS = 2**62
STREAMED_ROWS = 1000  # of a stream are read at once
SCANNED_ROWS = 5000  # are compared with a filter at once


@dataclass(frozen=True)
class RecordQuery:
    """What a caller asks of a list of records, not yet checked against its fields.

    *cursor* is None for a numbered *page*, and empty for the first of a cursor's pages. *filter* is JSON, None for all
    rows; *columns* are further conditions. *exact*: count all matching rows. *translate*: show names in the place of
    ids. *others* are all parameters but page and cursor, for links. *text* is the whole query as it was sent, by which
    its page is cached; None if it is too long for that.
    """

    page: int | None = None
    cursor: str | None = None
    size: int = DEFAULT_SIZE
    filter: object = None
    columns: ColumnValues = ()
    order: str | None = None
    select: str | None = None
    exact: bool = False
    translate: bool = False
    others: tuple[tuple[str, str], ...] = ()
    text: str | None = None

    @property
    def is_plain(self) -> bool:
        """Whether it asks for a numbered page of all rows in their default order."""
        return self.cursor is None and self.order is None and self.select is None and not self.is_filtered

    @property
    def is_filtered(self) -> bool:
        """Whether it asks for some of the rows only."""
        return self.filter is not None or bool(self.columns)


_Page = tuple[ListFacts, int, bytes, dict[str, str]]
"""The list, its generation, the JSON of the page and its links: relation and parameter."""


@dataclass(frozen=True)
class _Checked:
    """A query whose names and values are checked."""

    condition: Group | None
    order: QueryField | None
    descending: bool
    select: tuple[str, ...]


class QueryService:
    """Answers queries from the mirror, within *limit_s* seconds each."""

    def __init__(
        self,
        store: QueryStore,
        mirror: MirrorStore,
        pages: Pages,
        cursors: CursorSigner,
        translations: TranslationService,
        clock: Clock,
        *,
        limit_s: float,
    ) -> None:
        self._store = store
        self._mirror = mirror
        self._pages = pages
        self._cursors = cursors
        self._translations = translations
        self._clock = clock
        self._limit_s = limit_s

    async def page(
        self, account: Account, resource: Resource, query: RecordQuery, load_fields: LoadFields
    ) -> ServedPage:
        """The page of records that *query* asks for.

        Raises:
            StateConflict: the account does not mirror these records.
            InvalidInput: a name or value does not fit the fields, the cursor belongs to another query, or the page is
                too deep.
            QueryTimeLimit: the query takes too long.
        """
        key = None
        if query.text is not None:
            portal = account.portal
            key = (account.account_id, portal.portal_id, portal.bitrix_id, resource.name, query.text)
            cached = self._pages.find(key)
            if cached is not None and self._pages.synced_at(cached.list_id) is not None:
                return cached
        read = self._read_plain if query.is_plain else self._read
        invalidations = self._pages.invalidations
        translation = None
        if query.translate:
            await self._load_facts(account, resource)  # the fields of records that are not mirrored are not needed
            translation = await self._translations.load(account, resource, (await load_fields()).known)
        facts, generation, body, links = await read(account, resource, query, load_fields, translation)
        others = () if translation is None else translation.versions
        content = PageContent(body, link_header(query.others, links), invalidations, others)
        is_cached = translation is None or translation.versions
        return self._pages.serve(key if is_cached else None, account, facts, generation, content)

    async def _read_plain(
        self,
        account: Account,
        resource: Resource,
        query: RecordQuery,
        _load_fields: LoadFields,
        translation: Translation | None,
    ) -> _Page:
        """Read a numbered page of all rows in their default order, which is as fast at any depth."""
        page = query.page or 1
        found = await self._mirror.page(
            account.account_id, account.portal, resource.name, records=True, page=page, size=query.size
        )
        if found is None or not found.facts.enabled:
            raise not_mirrored(resource)
        links = page_links(page, more=page * query.size < found.count)
        items = found.items
        if translation is not None:
            items = b",".join(orjson.dumps(translation.show(each)) for each in orjson.loads(b"[%b]" % items))
        return found.facts, found.generation, b'{"count":%d,"items":[%b]}' % (found.count, items), links

    async def _read(
        self,
        account: Account,
        resource: Resource,
        query: RecordQuery,
        load_fields: LoadFields,
        translation: Translation | None,
    ) -> _Page:
        """Read any other page."""
        facts = await self._load_facts(account, resource)
        checked = await self._check(resource, query, facts, load_fields)
        question = [account.account_id, facts.list.list_id, query.filter, query.order, *query.columns]
        cursor = self._cursors.read(question, query.cursor) if query.cursor else None
        skip = 0 if query.cursor is not None else ((query.page or 1) - 1) * query.size
        if skip + query.size > MAX_SKIPPED_ROWS and query.cursor is None:
            rule = f"is too deep for a filtered or ordered list: use cursor beyond {MAX_SKIPPED_ROWS:,} rows"
            raise InvalidInput.of_parameter("page", "page_too_deep", rule)
        selection = Selection(
            facts.list.list_id,
            with_columns(checked.condition, query.columns, record_type(resource)),
            checked.order,
            checked.descending,
            facts.zone_s,
            size=query.size,
            skip=skip,
            after=None if cursor is None else cursor.position,
            backward=cursor is not None and cursor.backward,
            count=self._counted_rows(query),
        )
        selected = await self._select(selection, resource)
        count = selected.count if query.is_filtered else facts.list.count
        suffix, links = b"", page_links(query.page or 1, more=selected.more)
        if query.cursor is not None:
            following, links = self._cursor_links(question, cursor, selected)
            suffix = b',"next":' + orjson.dumps(following)
        items = pick(selected.items, None if query.select is None else checked.select, translation)
        shown_count = b"null" if count is None else b"%d" % count
        body = b'{"count":%b,"items":[%b]%b}' % (shown_count, b",".join(items), suffix)
        return facts.list, selected.generation, body, links

    async def stream(
        self,
        account: Account,
        resource: Resource,
        query: RecordQuery,
        cursor: int,
        load_fields: LoadFields,
    ) -> AsyncGenerator[Page[bytes], None]:
        """Yield the records with ids above *cursor* that match *query*, by ascending id, as lines of NDJSON.

        Each page is a short read of its own, so nothing is held while the caller reads. Only filter and select of
        *query* count.

        Raises:
            StateConflict: the account does not mirror these records.
            InvalidInput: a name or value does not fit the fields.
            QueryTimeLimit: a read takes too long.
        """
        facts = await self._load_facts(account, resource)
        checked = await self._check(resource, query, facts, load_fields)
        rows = STREAMED_ROWS if checked.condition is None else SCANNED_ROWS
        upto: int | None = cursor
        while upto is not None:
            after = upto
            window = Window(facts.list.list_id, checked.condition, facts.zone_s, after, rows)
            try:
                found = await self._store.lines(window, self._clock.timeout(self._limit_s))
            except TimeoutError:
                raise QueryTimeLimit(f"a read takes longer than {self._limit_s:g} s: narrow the filter") from None
            if found is None:
                raise not_mirrored(resource)
            items, ids, upto = found
            items = pick(items, None if query.select is None else checked.select, None)
            lines = b"\n".join(items)
            yield Page(lines + b"\n" if items else lines, ids, after, upto)

    def _counted_rows(self, query: RecordQuery) -> int | None:
        if not query.is_filtered:
            return None
        return ALL_ROWS if query.exact else COUNTED_ROWS

    async def _load_facts(self, account: Account, resource: Resource) -> QueryFacts:
        facts = await self._store.facts(account.account_id, account.portal, resource.name)
        if facts is None or not facts.list.enabled:
            raise not_mirrored(resource)
        return facts

    async def _check(
        self, resource: Resource, query: RecordQuery, facts: QueryFacts, load_fields: LoadFields
    ) -> _Checked:
        """Check the names and values of *query*. Before an unknown name is refused, the fields are fetched again."""
        if query.filter is None and query.order is None and query.select is None:
            return _Checked(None, None, False, ())

        async def check(known: KnownFields) -> _Checked:
            return _check(query, query_fields(resource, known, facts))

        return await with_mirrored_fields(await load_fields(), self._clock, check)

    async def _select(self, selection: Selection, resource: Resource) -> SelectedRecords:
        try:
            selected = await self._store.select(selection, self._clock.timeout(self._limit_s))
        except TimeoutError:
            raise QueryTimeLimit(_time_limit_sentence(selection, resource, self._limit_s)) from None
        if selected is None:
            raise not_mirrored(resource)
        return selected

    def _cursor_links(
        self, question: object, cursor: Cursor | None, selected: SelectedRecords
    ) -> tuple[str | None, dict[str, str]]:
        """The cursor of the following page, None at the end, and the links of this page."""
        backward = cursor is not None and cursor.backward
        links = {"first": "cursor="}
        following = None
        if selected.positions and (selected.more or backward):
            following = self._cursors.issue(question, Cursor(selected.positions[-1], backward=False))
            links["next"] = f"cursor={following}"
        if selected.positions and cursor is not None and (selected.more or not backward):
            links["prev"] = f"cursor={self._cursors.issue(question, Cursor(selected.positions[0], backward=True))}"
        return following, links


def query_fields(resource: Resource, known: KnownFields, facts: QueryFacts) -> QueryFields:
    """The fields by which the records of *resource* can be queried."""
    return QueryFields(list_fields(resource, known.fields), record_type(resource).columns, facts.indexes, facts.zone_s)


def _check(query: RecordQuery, fields: QueryFields) -> _Checked:
    """
    Raises:
        InvalidInput: with all mistakes of the first parameter that has any.
    """
    condition = None if query.filter is None else parse_filter(query.filter, fields)
    order, descending = (None, False) if query.order is None else parse_order(query.order, fields)
    return _Checked(condition, order, descending, () if query.select is None else parse_select(query.select, fields))


def _time_limit_sentence(selection: Selection, resource: Resource, limit_s: float) -> str:
    """What to do about a query that takes too long: index the first field that no index finds, or orders by."""
    fields = [comparison.field for comparison in comparisons(selection.condition)]
    slow = next((field.name for field in fields if field.column is None and field.index_id is None), None)
    order = selection.order
    if slow is None and order is not None and order.column not in ORDERED and order.index_id is None:
        slow = order.name
    sentence = f"the query takes longer than {limit_s:g} s"
    if slow is None:
        return f"{sentence}: narrow the filter"
    how = f'PUT /bitrix/sync/{resource.name} with {{"indexed": ["{slow}"]}}'
    return f"{sentence}: add {slow} to `indexed` by {how}, or narrow the filter"
