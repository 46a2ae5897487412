"""Streams of a portal's lists: complete and in order, or with the cursor from which to resume."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

import orjson

from gateway.accounts.allowed_methods import MethodAllowlist
from gateway.accounts.clients import PortalClients
from gateway.accounts.directory import AccountDirectory
from gateway.bitrix.errors import PortalBroken, WalkFailed
from gateway.bitrix.lists.field_rules import FIELD_RULES, FIELD_RULES3
from gateway.bitrix.lists.list_specs import Row
from gateway.bitrix.lists.page import ListCall, Page
from gateway.bitrix.lists.page_reader import Pace
from gateway.bitrix.lists.tail import read_tail
from gateway.bitrix.lists.walk import walk
from gateway.bitrix.protocol.filters3 import check_filter_parameter
from gateway.bitrix.protocol.json_body import TOO_DEEP
from gateway.bitrix.rows.files import has_secret_addresses, without_secret_addresses
from gateway.errors import GatewayError, InvalidInput, Stopping, StorageFailed
from gateway.fields.service import FieldService
from gateway.passthrough.streamed_lists import StreamedList
from storage.errors import StorageUnusable
from storage.records import Account

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StreamRequest:
    """The rows of a list with ids above *cursor* that match *filter*, at most *limit* of them.

    *select* names the fields to return; the default is those that the portal returns by default.
    """

    listed: StreamedList
    cursor: int = 0
    limit: int | None = None
    filter: object = None
    select: tuple[str, ...] = ()
    pace: Pace = Pace.EAGER


def encode_lines(rows: list[Row]) -> bytes:
    """Encode the rows as lines of NDJSON, in one piece: many small ones would fragment memory.

    Files have no addresses that hold a credential, see `gateway.bitrix.rows.files`.

    Raises:
        PortalBroken: a row is nested too deeply to be encoded.
    """
    try:
        return b"".join([_line(row) for row in rows])
    except orjson.JSONEncodeError:
        raise PortalBroken(TOO_DEEP) from None


def _line(row: Row) -> bytes:
    line = orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
    if has_secret_addresses(line):
        return orjson.dumps(without_secret_addresses(row), option=orjson.OPT_APPEND_NEWLINE)
    return line


class Stream:
    """The rows of one list as NDJSON. The last line says how the stream ended and holds its cursor."""

    def __init__(self, pages: AsyncGenerator[Page[bytes], None], *, cursor: int, limit: int | None) -> None:
        self._pages = pages
        self._limit = limit
        self._ended: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._cursor = cursor
        self._count = 0

    def end(self, reason: str | None) -> None:
        """Send no more rows. *reason* is the error of the last line; None if the caller has disconnected."""
        if not self._ended.done():
            self._ended.set_result(reason)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the lines, a page at a time, and then the last line.

        Raises:
            GatewayError, StorageError: before the first line. Later failures are reported in the last line.
        """
        started = False
        try:
            while (page := await self._next()) is not None:
                lines, complete, cut = self._take(page)
                started = True
                yield lines
                if complete or cut:
                    yield self._last_line(count=self._count, complete=complete)
                    return
        except GatewayError as error:
            if started:
                yield self._last_line(error=error.detail, code=error.code)
                return
            if isinstance(error, WalkFailed):
                raise error.cause from error
            raise
        except StorageUnusable as error:
            if not started:
                raise
            logger.warning("stream ended", extra={"reason": str(error)})
            yield self._last_line(error=error.message, code=StorageFailed.code)
            return
        reason = self._ended.result() if self._ended.done() else None
        if reason is not None:
            yield self._last_line(error=reason, code="ended")

    def _take(self, page: Page[bytes]) -> tuple[bytes, bool, bool]:
        """Count the rows of *page* and move the cursor behind them.

        Returns the lines to send, whether the list is complete with them, and whether the limit is reached.
        """
        lines, rows, limit = page.rows, len(page.ids), self._limit
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
        return lines, complete, cut

    def _last_line(self, **fields: object) -> bytes:
        return orjson.dumps({**fields, "cursor": self._cursor}, option=orjson.OPT_APPEND_NEWLINE)

    async def _next(self) -> Page[bytes] | None:
        """Return the next page; None if the stream was ended first."""
        if self._ended.done():
            return None
        reading = asyncio.ensure_future(anext(self._pages, None))
        try:
            await asyncio.wait((reading, self._ended), return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                return None
            page = reading.result()
            return None if self._ended.done() else page
        finally:
            if not reading.done():
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)


class StreamService:
    """Opens streams. Ends them when their account is suspended or the gateway stops."""

    def __init__(
        self,
        allowlist: MethodAllowlist,
        directory: AccountDirectory,
        clients: PortalClients,
        fields: FieldService,
        *,
        buffer_bytes: int,
    ) -> None:
        self._buffer_bytes = buffer_bytes  # for the lines that wait to be sent, in all streams
        self._allowlist = allowlist
        self._directory = directory
        self._clients = clients
        self._fields = fields
        self._open: dict[Stream, int] = {}  # with the id of the account
        self._stopping = False

    @asynccontextmanager
    async def open(self, account: Account, request: StreamRequest) -> AsyncIterator[Stream]:
        """Yield a stream. Its portal calls are cancelled when the block ends.

        Raises:
            MethodDenied: the settings deny the list's method.
            Stopping: the gateway is shutting down.

        The stream raises before its first line:
        InvalidInput: the filter is invalid, or the list would ignore a part of the filter or the select.
        """
        self._allowlist.check(request.listed.method)
        pages = self._pages(account, request)
        async with self.open_pages(account, pages, cursor=request.cursor, limit=request.limit) as stream:
            yield stream

    @asynccontextmanager
    async def open_pages(
        self, account: Account, pages: AsyncGenerator[Page[bytes], None], *, cursor: int, limit: int | None
    ) -> AsyncIterator[Stream]:
        """Yield a stream of *pages*, lines of NDJSON after the id *cursor*, of which at most *limit* are sent.

        Raises:
            Stopping: the gateway is shutting down.
        """
        if self._stopping:
            raise Stopping
        async with aclosing(pages):
            stream = Stream(pages, cursor=cursor, limit=limit)
            self._open[stream] = account.account_id
            try:
                yield stream
            finally:
                del self._open[stream]

    @asynccontextmanager
    async def suspended(self, account: Account, reason: str) -> AsyncIterator[None]:
        """End the streams of *account*; *reason* is the error of their last line."""
        for stream, account_id in self._open.items():
            if account_id == account.account_id:
                stream.end(reason)
        yield

    async def connected(self, account: Account) -> None:
        """Do nothing: a stream starts when a caller requests it."""

    def end_all(self) -> None:
        """End every stream and open no more: the gateway is shutting down."""
        self._stopping = True
        for stream in self._open:
            stream.end(Stopping().detail)

    def _share(self) -> float:
        """Return the bytes that each stream may buffer."""
        return self._buffer_bytes / max(len(self._open), 1)

    async def _pages(self, account: Account, request: StreamRequest) -> AsyncGenerator[Page[bytes], None]:
        """Yield the pages of the list. Mark the account stale if its credential is rejected."""
        async with (
            self._directory.mark_stale_on_auth_failure(account),
            aclosing(await self._read(account, request)) as pages,
        ):
            async for page in pages:
                yield page

    async def _read(self, account: Account, request: StreamRequest) -> AsyncGenerator[Page[bytes], None]:
        reader = self._read3 if request.listed.version == 3 else self._read2
        return await reader(account, request)

    async def _read3(self, account: Account, request: StreamRequest) -> AsyncGenerator[Page[bytes], None]:
        client, method = self._clients.client(account), request.listed.method
        conditions = [] if request.filter is None else request.filter
        check_filter_parameter(conditions, "filter")
        checked = await self._fields.check(account, client, FIELD_RULES3[method], {}, request.select)
        return read_tail(
            client,
            method,
            conditions,
            checked.select,
            cursor=request.cursor,
            unverified=checked.unverified,
            render=encode_lines,
        )

    async def _read2(self, account: Account, request: StreamRequest) -> AsyncGenerator[Page[bytes], None]:
        client, listed = self._clients.client(account), request.listed
        conditions = {} if request.filter is None else request.filter
        if not isinstance(conditions, dict):
            raise InvalidInput.of_parameter("filter", "invalid_value", "must be a JSON object")
        rules, spec = FIELD_RULES[listed.method], ListCall(listed.method).spec
        checked = await self._fields.check(account, client, rules, conditions, request.select, listed.params)
        params = {**listed.params, **({spec.filter_key: checked.filter} if conditions else {})}
        if checked.select:
            params["select"] = list(dict.fromkeys([*checked.select, spec.filter_id_key]))
        return walk(
            client,
            ListCall(listed.method, params),
            cursor=request.cursor,
            pace=request.pace,
            limit=request.limit,
            render=encode_lines,
            weight=self._share,
        )
