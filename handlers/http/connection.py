"""One client's connection: aiohttp's protocol, with bounds on what it reads and for how long, and an end in good order.

Whatever is answered while the client still sends would be lost in the reset that closing a socket with unread bytes
causes. So after the last answer the sending side is closed first, and what still comes is dropped, for a bounded time
and number of bytes.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from aiohttp import web
from aiohttp.hdrs import CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, EXPECT
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import _ErrInfo

from gateway.errors import GatewayError
from handlers.http.errors import INTERNAL, HttpError, http_error, render_error
from handlers.http.middleware import finish, request_id_of

if TYPE_CHECKING:
    from handlers.http.server import Server

logger = logging.getLogger(__name__)

MAX_HEAD_BYTES = 128 * 1024
MAX_FIELD_BYTES = 64 * 1024
MAX_QUEUED_REQUESTS = 4  # read ahead of their turn, before reading pauses; aiohttp has 32
DROPPED_S = 5.0
DROPPED_BYTES = 16 * 1024 * 1024
AWAITED_BYTES = 64 * 1024  # a body that nobody reads and is not longer costs no connection
WRITE_TIMEOUT_S = 600.0  # for what was sent to be taken: a line that crawls is quicker, who just stopped is not

CONNECTION_SETTINGS: dict[str, Any] = {
    "access_log": None,
    "keepalive_timeout": 75.0,
    "lingering_time": 0,  # the end is ours
    "max_line_size": MAX_HEAD_BYTES,  # most long lines are for the border to refuse, which looks at the token first
    "max_field_size": MAX_FIELD_BYTES,
}
TOO_LONG = HttpError(400, "the address or a header is longer than this gateway reads")
UNREADABLE = HttpError(400, "this is not a valid HTTP request")
# Each request passes these: `super()` would look them up for each.
receive = web.RequestHandler.data_received
finish_response = web.RequestHandler.finish_response
LATE_HEAD = HttpError(408, "the head of the request did not come in time (GATEWAY_HEAD_TIMEOUT_S)")


class Connection(web.RequestHandler):
    """A connection. What is no request is answered as everything else is, and ends it."""

    __slots__ = (
        "_deaf",
        "_dropped",
        "_head_bytes",
        "_incoming",
        "_over",
        "_server",
        "_tell_lost",
        "_wire",
    )

    def __init__(self, server: "Server", loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(server, loop=loop, **CONNECTION_SETTINGS)
        self._max_msg_queue_size, self._msg_queue_resume_size = MAX_QUEUED_REQUESTS, MAX_QUEUED_REQUESTS // 2
        self._server = server
        self._wire: asyncio.Transport | None = None  # until the connection is lost; aiohttp's own goes as it is closed
        self._tell_lost: Callable[[], None] | None = None
        self._incoming: StreamReader = EMPTY_PAYLOAD  # the body of the request whose head came last
        self._head_bytes = 0  # of a request whose head is not complete
        self._deaf = False  # what comes now is not read: it is no request, or comes too late
        self._dropped = 0
        self._over: asyncio.Future[None] | None = None  # set once there is nothing more to wait for at the end

    @property
    def idle_after(self) -> int | None:
        """The number of requests that it has brought, while it waits for the next one; None while it does not."""
        waits = self._waiter is not None and not self._waiter.done() and not self._head_bytes
        return self._request_count if waits and self._request_count else None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to read, unless there are too many connections."""
        wire = cast("asyncio.Transport", transport)
        if self._server.admission.admit(self, wire):
            self._wire = wire
            super().connection_made(transport)
            self._server.heads.begin(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """The client has left, whatever is still under way for it."""
        server, self._wire = self._server, None
        server.admission.leave(self)
        for deadlines in (server.heads, server.ends, server.untaken):
            deadlines.end(self)
        super().connection_lost(exc)
        self._be_over()
        tell, self._tell_lost = self._tell_lost, None
        if tell is not None:
            tell()

    def on_disconnect(self, tell: Callable[[], None]) -> None:
        """Call *tell* if the client leaves before its request is answered, at once if it has; of several, the last."""
        if self.transport is None:
            tell()
        else:
            self._tell_lost = tell

    def data_received(self, data: bytes) -> None:
        """Read on, within the bounds of a head; a body's are for who reads it."""
        if self._deaf:
            self._drop(len(data))
            return
        requests, between_bodies = self._request_count, self._incoming is EMPTY_PAYLOAD or self._incoming.is_eof()
        receive(self, data)
        if self._request_count == requests:
            if data and between_bodies:
                self._head_grows(len(data))
        elif requests and not self._head_bytes and len(data) <= MAX_HEAD_BYTES:
            self._heed_last()
        else:
            self._head_complete(self._request_count - requests, len(data))

    def _head_complete(self, requests: int, size: int) -> None:
        """Take in what the last of so many new *requests*, read from *size* bytes, means for what comes now."""
        if self._head_bytes or self._request_count == requests:
            self._server.heads.end(self)
        size += self._head_bytes
        self._head_bytes = 0
        if size > MAX_HEAD_BYTES and any(
            head_bytes(one) > MAX_HEAD_BYTES for one, _ in list(self._messages)[-requests:]
        ):
            for _ in range(requests):
                self._messages.pop()
            self._fail(TOO_LONG)
            return
        self._heed_last()

    def _heed_last(self) -> None:
        message, payload = self._messages[-1]
        if isinstance(message, _ErrInfo):
            self._break()
        else:
            self._incoming = payload

    def _head_grows(self, size: int) -> None:
        if not self._head_bytes and self._request_count:
            self._server.heads.begin(self)
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES:
            self._fail(TOO_LONG)

    def head_is_late(self) -> None:
        """End the connection: the head that has begun is not complete in time, or none has begun after connecting."""
        if self._reading_paused or self._buffer_paused:
            self._server.heads.begin(self)  # the delay is ours
        elif self._head_bytes:
            self._fail(LATE_HEAD)
        else:
            self.force_close()

    def _fail(self, error: HttpError) -> None:
        """Answer with *error* in the place of a request that does not come."""
        self._server.heads.end(self)
        self._head_bytes = 0
        self._messages.append((_ErrInfo(status=error.status, exc=error, message=error.detail), EMPTY_PAYLOAD))
        self._break()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _break(self) -> None:
        """Read nothing more as a request, nor as a body."""
        self._deaf = True
        if not self._incoming.is_eof():
            self._incoming.set_exception(web.RequestPayloadError("the body is not framed as it must be"))
        self._be_over()

    def _drop(self, size: int) -> None:
        self._dropped += size
        if self._dropped > DROPPED_BYTES:
            self._pause_transport_reading()
            self._be_over()

    def pause_writing(self) -> None:
        """The client takes less than is sent to it."""
        super().pause_writing()
        self._server.untaken.begin(self)

    def resume_writing(self) -> None:
        """The client has taken what was sent to it."""
        super().resume_writing()
        self._server.untaken.end(self)

    def abort(self) -> None:
        """End the connection without sending what the client has not taken."""
        if self._wire is not None:
            self._wire.abort()

    def close(self) -> None:
        """Close the connection after the answer that is under way."""
        super().close()
        self._be_over()

    async def start(self) -> None:
        """Answer requests until the connection ends; what then waits to be taken, waits for a bounded time."""
        try:
            await super().start()
        finally:
            if self._wire is not None and self._wire.get_write_buffer_size():
                self._server.untaken.begin(self)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        _message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what could not be read (its text is not repeated, nor logged), or to a failure of ours."""
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            logger.error("request failed outside the border", exc_info=exc)
            if request.writer.output_size > 0:
                raise ConnectionResetError("a part of the answer has been sent")
            return refuse(request, INTERNAL)
        if isinstance(exc, HttpError):
            return refuse(request, exc)
        return refuse(request, TOO_LONG if isinstance(exc, LineTooLong) else UNREADABLE)

    def log_exception(self, *args: Any, exc_info: BaseException | None = None, **more: Any) -> None:
        """Log what befell the connection, unless it is a client's unreadable body, dropped after its answer."""
        if not isinstance(exc_info, web.RequestPayloadError):
            super().log_exception(*args, exc_info=exc_info, **more)

    def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> Coroutine[Any, Any, tuple[web.StreamResponse, bool]]:
        """Send *resp*; a page of aiohttp's own comes from an address that no route can have, like "*"."""
        self._tell_lost = None
        if isinstance(resp, web.HTTPException):
            resp = refuse(request, http_error(resp), promised=False)
        body = request._payload
        if self._deaf or not (body is EMPTY_PAYLOAD or body.is_eof()):
            return self._finish_early(request, resp, start_time)
        return finish_response(self, request, resp, start_time)

    async def _finish_early(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send *resp* to a client that has not sent all of its request, or something that is none."""
        awaited = not self._deaf and request.keep_alive and resp.keep_alive is not False and is_short(request)
        if not awaited:
            resp.force_close()
        finished = await super().finish_response(request, resp, start_time)
        if self.transport is not None and (self._deaf or not request.content.is_eof()):
            await self._see_off(request.content if awaited else None)
        return finished

    async def _see_off(self, awaited: StreamReader | None) -> None:
        """Wait for the rest of the *awaited* body; without one, take leave, and wait for the client to do so."""
        assert self.transport is not None
        self._over = self._loop.create_future()
        if awaited is not None:
            awaited.on_eof(self._be_over)
        else:
            self._deaf = True
            if not self.transport.is_closing():
                self.transport.write_eof()
            self._reading_paused = self._buffer_paused = False
            self._resume_transport_reading()
        self._server.ends.begin(self)
        try:
            if not self._close and not self._force_close:
                await self._over
        finally:
            self._server.ends.end(self)
            self._over = None

    def _be_over(self) -> None:
        if self._over is not None and not self._over.done():
            self._over.set_result(None)

    end_is_late = _be_over


def is_short(request: web.BaseRequest) -> bool:
    """Whether the rest of the body is on its way and soon here."""
    headers = request.headers
    if EXPECT in headers or CONTENT_ENCODING in headers:
        return False
    return CONTENT_LENGTH in headers and int(headers[CONTENT_LENGTH]) <= AWAITED_BYTES


def head_bytes(message: "RawRequestMessage | _ErrInfo") -> int:
    """The length of a request's head, its line ends left out."""
    if isinstance(message, _ErrInfo):
        return 0
    return len(message.path) + sum(len(name) + len(value) for name, value in message.raw_headers)


def refuse(request: web.BaseRequest, error: GatewayError, *, promised: bool = True) -> web.Response:
    """Return the last response on its connection.

    The address of a malformed request is unknown, so its error has the form of the *promised* contract.
    """
    request_id = request_id_of(request)
    response = render_error(error, request, request_id, promised=promised)
    finish(response, request_id)
    response.headers[CONNECTION] = "close"  # aiohttp leaves it out towards a client whose version it does not know
    response.force_close()
    logger.info("refused", extra={"status": response.status, "reason": error.detail, "request_id": request_id})
    return response
