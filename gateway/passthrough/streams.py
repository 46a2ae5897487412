"""A portal's lists, row by row, to callers who wait for them: complete and in order, or told where they broke off."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field

import orjson

from gateway.accounts.connections import Connections
from gateway.bitrix.errors import PortalBroken, WalkFailed
from gateway.bitrix.lists.field_rules import FIELD_RULES, FIELD_RULES3
from gateway.bitrix.lists.list_specs import Row
from gateway.bitrix.lists.page import ListCall, Page
from gateway.bitrix.lists.page_reader import Pace
from gateway.bitrix.lists.tail import read_tail
from gateway.bitrix.lists.walk import walk
from gateway.bitrix.protocol.filters3 import check_filter_parameter
from gateway.bitrix.protocol.json_body import TOO_DEEP
from gateway.errors import GatewayError, InvalidInput, Stopping, StorageFailed
from gateway.passthrough.allowed_methods import MethodAllowlist
from gateway.passthrough.field_names import FieldNames
from storage.errors import StorageUnusable
from storage.records import Account

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StreamedList:
    """How a list is read for a stream: by its method, with its own *params*, and in which version of REST."""

    method: str
    version: int = 2
    params: Mapping[str, object] = field(default_factory=dict)


# Source: methods.md 1.1, 4, 5, 12 (b24restdocs api-reference/user/, crm/, tasks/, event-log/)
STREAMS = {
    "users": StreamedList("user.get"),
    "leads": StreamedList("crm.lead.list"),
    "deals": StreamedList("crm.deal.list"),
    "contacts": StreamedList("crm.contact.list"),
    "companies": StreamedList("crm.company.list"),
    "quotes": StreamedList("crm.quote.list"),
    "invoices": StreamedList("crm.item.list", params={"entityTypeId": 31}),
    "tasks": StreamedList("tasks.task.list"),
    "eventlog": StreamedList("main.eventlog.tail", version=3),
}
TASKS3 = StreamedList("tasks.task.list", version=3)


def items_of(entity_type_id: int) -> StreamedList:
    """The items of one type, smart processes included."""
    return StreamedList("crm.item.list", params={"entityTypeId": entity_type_id})


@dataclass(frozen=True)
class StreamAsked:
    """What a caller wants of a list: rows beyond *cursor* that pass *filter*, at most *limit* of them."""

    listed: StreamedList
    cursor: int = 0
    limit: int | None = None
    filter: object = None
    select: tuple[str, ...] = ()
    pace: Pace = Pace.EAGER


def as_lines(rows: list[Row]) -> bytes:
    """The rows as lines of NDJSON; one piece, for many small ones would leave as many gaps in memory.

    Raises:
        PortalBroken: a row is nested too deeply to be written.
    """
    try:
        return b"".join([orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows])
    except orjson.JSONEncodeError:
        raise PortalBroken(TOO_DEEP) from None


class Stream:
    """The rows of one list as NDJSON, and a last line that says how it ended."""

    def __init__(self, pages: AsyncGenerator[Page[bytes], None], asked: StreamAsked) -> None:
        self._pages = pages
        self._asked = asked
        self._over: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._cursor = asked.cursor
        self._count = 0

    def end(self, reason: str | None) -> None:
        """Let no further row out; *reason* goes into the last line, None where nobody is left to read it."""
        if not self._over.done():
            self._over.set_result(reason)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Lines, some at a time, the last one alone.

        Raises:
            GatewayError, StorageError: before the first line; a later failure is told in the last one.
        """
        began = False
        try:
            while (page := await self._next()) is not None:
                lines, rows, limit = page.rows, len(page.ids), self._asked.limit
                cut = limit is not None and self._count + rows >= limit
                if cut and limit is not None:
                    rows = limit - self._count
                    lines = b"".join(lines.splitlines(keepends=True)[:rows])
                self._count += rows
                complete = page.upto is None and rows == len(page.ids)
                if rows and (cut or page.upto is None):
                    self._cursor = page.ids[rows - 1]
                elif page.upto is not None:
                    self._cursor = page.upto
                began = True
                yield lines
                if complete or cut:
                    yield self._line(count=self._count, complete=complete)
                    return
        except GatewayError as error:
            if began:
                yield self._line(error=error.detail, code=error.code)
                return
            if isinstance(error, WalkFailed):
                raise error.cause from error
            raise
        except StorageUnusable as error:
            if not began:
                raise
            logger.warning("stream ended", extra={"reason": str(error)})
            yield self._line(error=error.told, code=StorageFailed.code)
            return
        reason = self._over.result() if self._over.done() else None
        if reason is not None:
            yield self._line(error=reason, code="ended")

    def _line(self, **said: object) -> bytes:
        return orjson.dumps({**said, "cursor": self._cursor}, option=orjson.OPT_APPEND_NEWLINE)

    async def _next(self) -> Page[bytes] | None:
        """The next page; None when the stream is ended first."""
        if self._over.done():
            return None
        page = asyncio.ensure_future(anext(self._pages, None))
        try:
            await asyncio.wait((page, self._over), return_when=asyncio.FIRST_COMPLETED)
            if not page.done():
                return None
            found = page.result()
            return None if self._over.done() else found
        finally:
            if not page.done():
                page.cancel()
                await asyncio.gather(page, return_exceptions=True)


class StreamService:
    """Opens streams, and ends them when their account leaves or the gateway stops."""

    def __init__(
        self, rules: MethodAllowlist, connections: Connections, names: FieldNames, *, buffer_bytes: int
    ) -> None:
        self._buffer_bytes = buffer_bytes  # of lines that wait for earlier ones or for their reader, in all streams
        self._rules = rules
        self._connections = connections
        self._names = names
        self._open: dict[Stream, int] = {}
        self._stopping = False

    @asynccontextmanager
    async def open(self, account: Account, asked: StreamAsked) -> AsyncIterator[Stream]:
        """A stream for as long as the block lasts; its portal calls end with it.

        Raises:
            MethodDenied: the settings keep callers from the list.
            Stopping: the gateway begins no stream any more.

        What is wrong with *asked* is told before its first line:
        InvalidInput: the filter is none, or it or the select holds what the list would ignore.
        """
        self._rules.check(asked.listed.method)
        if self._stopping:
            raise Stopping
        async with aclosing(self._pages(account, asked)) as pages:
            stream = Stream(pages, asked)
            self._open[stream] = account.account_id
            try:
                yield stream
            finally:
                del self._open[stream]

    @asynccontextmanager
    async def suspended(self, account: Account, reason: str) -> AsyncIterator[None]:
        """End the streams of *account*; *reason* goes into their last line."""
        for stream, account_id in self._open.items():
            if account_id == account.account_id:
                stream.end(reason)
        yield

    async def connected(self, account: Account) -> None:
        """Do nothing: a stream starts when a caller requests it."""

    def end_all(self) -> None:
        """End every stream, and begin none any more: the gateway stops."""
        self._stopping = True
        for stream in self._open:
            stream.end(Stopping().detail)

    def _share(self) -> float:
        """How many bytes each stream may hold."""
        return self._buffer_bytes / max(len(self._open), 1)

    async def _pages(self, account: Account, asked: StreamAsked) -> AsyncGenerator[Page[bytes], None]:
        """The list's pages; the account is stale from now on where its credential proves dead."""
        async with (
            self._connections.mark_stale_on_auth_failure(account),
            aclosing(await self._read(account, asked)) as pages,
        ):
            async for page in pages:
                yield page

    async def _read(self, account: Account, asked: StreamAsked) -> AsyncGenerator[Page[bytes], None]:
        client, listed = self._connections.client(account), asked.listed
        if listed.version == 3:
            given = [] if asked.filter is None else asked.filter
            check_filter_parameter(given, "filter")
            checked = await self._names.check(account, client, FIELD_RULES3[listed.method], {}, asked.select)
            return read_tail(
                client,
                listed.method,
                given,
                checked.select,
                cursor=asked.cursor,
                unverified=checked.unverified,
                render=as_lines,
            )
        given = {} if asked.filter is None else asked.filter
        if not isinstance(given, dict):
            raise InvalidInput.of_parameter("filter", "invalid_value", "must be a JSON object")
        rules, spec = FIELD_RULES[listed.method], ListCall(listed.method).spec
        checked = await self._names.check(account, client, rules, given, asked.select, listed.params)
        params = {**listed.params, **({spec.filter_key: checked.filter} if given else {})}
        if checked.select:
            params["select"] = list(dict.fromkeys([*checked.select, spec.filter_id_key]))
        call = ListCall(listed.method, params)
        return walk(
            client,
            call,
            cursor=asked.cursor,
            pace=asked.pace,
            limit=asked.limit,
            render=as_lines,
            weight=self._share,
        )
