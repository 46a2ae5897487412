"""One connection of a client: aiohttp's protocol, with limits on what is read, and an orderly end.

Closing a socket with unread bytes resets the connection, and the client may then lose a response that was sent while it
was still sending. So the last response is followed by the end of the sending side, and what the client still sends is
discarded, up to a limit of time and bytes.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from aiohttp import web
from aiohttp.hdrs import CONTENT_ENCODING, CONTENT_LENGTH, EXPECT
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import _ErrInfo

from handlers.http.errors import INTERNAL, ErrorStyle, HttpError, http_error
from handlers.http.refusals import LATE_HEAD, MALFORMED, TOO_LONG, refuse
from handlers.http.responses import PrebuiltResponse

if TYPE_CHECKING:
    from handlers.http.server import Server

logger = logging.getLogger(__name__)

MAX_HEAD_BYTES = 128 * 1024
MAX_FIELD_BYTES = 64 * 1024
MAX_QUEUED_REQUESTS = 4  # read ahead before reading pauses; aiohttp has 32
DISCARD_TIMEOUT_S = 5.0
MAX_DISCARDED_BYTES = 16 * 1024 * 1024
MAX_AWAITED_BODY_BYTES = 64 * 1024  # the connection is kept alive if an unread body is not longer
# For the client to read sent bytes: long enough for a slow line, not for a client that stopped reading.
WRITE_TIMEOUT_S = 600.0

CONNECTION_SETTINGS: dict[str, Any] = {
    "access_log": None,
    "keepalive_timeout": 75.0,
    "lingering_time": 0,  # see _wait_for_client
    "max_line_size": MAX_HEAD_BYTES,  # the middleware refuses shorter lines, after it has checked the token
    "max_field_size": MAX_FIELD_BYTES,
}
# Called for each request; `super()` would look them up each time.
receive = web.RequestHandler.data_received
finish_response = web.RequestHandler.finish_response


class Connection(web.RequestHandler):
    """A connection of a client. A malformed request gets an error response, which closes the connection."""

    __slots__ = (
        "_discarded_bytes",
        "_discarding",
        "_disconnect_callback",
        "_head_bytes",
        "_last_body",
        "_open_transport",
        "_server",
        "_waiting_for_client",
    )

    def __init__(self, server: "Server", loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(server, loop=loop, **CONNECTION_SETTINGS)
        self._max_msg_queue_size, self._msg_queue_resume_size = MAX_QUEUED_REQUESTS, MAX_QUEUED_REQUESTS // 2
        self._server = server
        self._open_transport: asyncio.Transport | None = None  # until connection_lost; aiohttp's own, until close
        self._disconnect_callback: Callable[[], None] | None = None
        self._last_body: StreamReader = EMPTY_PAYLOAD  # of the latest request
        self._head_bytes = 0  # received of an incomplete head
        self._discarding = False  # received bytes are not parsed any more
        self._discarded_bytes = 0
        self._waiting_for_client: asyncio.Future[None] | None = None  # while the end of the connection waits

    @property
    def idle_after(self) -> int | None:
        """The number of requests received, while the connection waits for the next one; else None."""
        idle = self._waiter is not None and not self._waiter.done() and not self._head_bytes
        return self._request_count if idle and self._request_count else None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start reading, unless too many connections are open."""
        open_transport = cast("asyncio.Transport", transport)
        if self._server.admission.admit(self, open_transport):
            self._open_transport = open_transport
            super().connection_made(transport)
            self._server.head_deadlines.start(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Release everything held for the client, which has left."""
        server, self._open_transport = self._server, None
        server.admission.release(self)
        for deadlines in (server.head_deadlines, server.discard_deadlines, server.write_deadlines):
            deadlines.remove(self)
        super().connection_lost(exc)
        self._stop_waiting()
        callback, self._disconnect_callback = self._disconnect_callback, None
        if callback is not None:
            callback()

    def on_disconnect(self, callback: Callable[[], None]) -> None:
        """Call *callback* if the client leaves before its response, or now if it has left. Replaces an earlier one."""
        if self.transport is None:
            callback()
        else:
            self._disconnect_callback = callback

    def data_received(self, data: bytes) -> None:
        """Parse *data* within the limits of a request head. `read_body` has the limits of a body."""
        if self._discarding:
            self._discard(len(data))
            return
        requests_before = self._request_count
        between_bodies = self._last_body is EMPTY_PAYLOAD or self._last_body.is_eof()
        receive(self, data)
        # A head that begins in the same *data* as a request or a body ends is limited from its next bytes on; until
        # then, by the keep-alive timeout.
        if self._request_count == requests_before:
            if data and between_bodies:
                self._on_partial_head(len(data))
        elif requests_before and not self._head_bytes and len(data) <= MAX_HEAD_BYTES:
            self._on_last_request()  # no head is too long, and no head deadline runs
        else:
            self._on_requests(self._request_count - requests_before, len(data))

    def _on_requests(self, requests: int, size: int) -> None:
        """Check the heads of the latest *requests*, which were completed by *size* bytes."""
        if self._head_bytes or self._request_count == requests:  # started by a partial head, or by the connection
            self._server.head_deadlines.remove(self)
        size += self._head_bytes
        self._head_bytes = 0
        if size > MAX_HEAD_BYTES and any(
            head_bytes(message) > MAX_HEAD_BYTES for message, _ in list(self._messages)[-requests:]
        ):
            for _ in range(requests):
                self._messages.pop()
            self._refuse_head(TOO_LONG)
            return
        self._on_last_request()

    def _on_last_request(self) -> None:
        message, payload = self._messages[-1]
        if isinstance(message, _ErrInfo):
            self._stop_parsing()
        else:
            self._last_body = payload

    def _on_partial_head(self, size: int) -> None:
        if not self._head_bytes and self._request_count:
            self._server.head_deadlines.start(self)
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse_head(TOO_LONG)

    def on_late_head(self) -> None:
        """Refuse a head that is incomplete after its timeout; close a connection on which nothing was received."""
        if self._reading_paused or self._buffer_paused:
            self._server.head_deadlines.start(self)  # the gateway itself stopped reading
        elif self._head_bytes:
            self._refuse_head(LATE_HEAD)
        else:
            self.force_close()

    def _refuse_head(self, error: HttpError) -> None:
        """Respond with *error* to a request whose head is not read to its end."""
        self._server.head_deadlines.remove(self)
        self._head_bytes = 0
        self._messages.append((_ErrInfo(status=error.status, exc=error, message=error.detail), EMPTY_PAYLOAD))
        self._stop_parsing()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _stop_parsing(self) -> None:
        """Parse no further request and no further body."""
        self._discarding = True
        if not self._last_body.is_eof():
            self._last_body.set_exception(web.RequestPayloadError("the framing of the body is invalid"))
        self._stop_waiting()

    def _discard(self, size: int) -> None:
        self._discarded_bytes += size
        if self._discarded_bytes > MAX_DISCARDED_BYTES:
            self._pause_transport_reading()
            self._stop_waiting()

    def pause_writing(self) -> None:
        """Start the write timeout: the client reads more slowly than the gateway sends."""
        super().pause_writing()
        self._server.write_deadlines.start(self)

    def resume_writing(self) -> None:
        """End the write timeout: the client has read what was sent."""
        super().resume_writing()
        self._server.write_deadlines.remove(self)

    def abort(self) -> None:
        """Close the connection and drop unsent data."""
        if self._open_transport is not None:
            self._open_transport.abort()

    def close(self) -> None:
        """Close the connection after the current response."""
        super().close()
        self._stop_waiting()

    async def start(self) -> None:
        """Serve requests until the connection is closed. Unsent data then has the write timeout."""
        try:
            await super().start()
        finally:
            if self._open_transport is not None and self._open_transport.get_write_buffer_size():
                self._server.write_deadlines.start(self)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        _message: str | None = None,
    ) -> web.StreamResponse:
        """Return the response to a malformed request, or to an exception that passed the middleware.

        The text of a malformed request is neither sent back nor logged.

        Raises:
            ConnectionResetError: A part of the response has been sent.
        """
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            logger.error("request failed outside the middleware", exc_info=exc)
            if request.writer.output_size > 0:
                raise ConnectionResetError("a part of the response has been sent")
            return refuse(request, INTERNAL)
        if isinstance(exc, HttpError):
            return refuse(request, exc)
        return refuse(request, TOO_LONG if isinstance(exc, LineTooLong) else MALFORMED)

    def log_exception(self, *args: Any, exc_info: BaseException | None = None, **more: Any) -> None:
        """Log an exception, unless it is that of a malformed body that is discarded after the response."""
        if not isinstance(exc_info, web.RequestPayloadError):
            super().log_exception(*args, exc_info=exc_info, **more)

    def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> Coroutine[Any, Any, tuple[web.StreamResponse, bool]]:
        """Send *resp*, or an error response if it is aiohttp's own page for an address that no route can have ("*")."""
        self._disconnect_callback = None
        if not isinstance(resp, PrebuiltResponse) and isinstance(resp, web.HTTPException):  # the second is slow
            resp = refuse(request, http_error(resp), ErrorStyle.PROBLEM)
        body = request._payload
        if self._discarding or not (body is EMPTY_PAYLOAD or body.is_eof()):
            return self._finish_before_end(request, resp, start_time)
        return finish_response(self, request, resp, start_time)

    async def _finish_before_end(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send *resp* before the whole request was received, or to a malformed request."""
        keep_alive = not self._discarding and request.keep_alive and resp.keep_alive is not False and is_short(request)
        if not keep_alive:
            resp.force_close()
        finished = await super().finish_response(request, resp, start_time)
        if self.transport is not None and (self._discarding or not request.content.is_eof()):
            await self._wait_for_client(request.content if keep_alive else None)
        return finished

    async def _wait_for_client(self, body: StreamReader | None) -> None:
        """Wait for the rest of *body*; without one, close the sending side and wait until the client closes its own."""
        assert self.transport is not None
        self._waiting_for_client = self._loop.create_future()
        if body is not None:
            body.on_eof(self._stop_waiting)
        else:
            self._discarding = True
            if not self.transport.is_closing():
                self.transport.write_eof()
            self._reading_paused = self._buffer_paused = False  # discarded bytes fill no buffer
            self._resume_transport_reading()
        self._server.discard_deadlines.start(self)
        try:
            if not self._close and not self._force_close:
                await self._waiting_for_client
        finally:
            self._server.discard_deadlines.remove(self)
            self._waiting_for_client = None

    def _stop_waiting(self) -> None:
        if self._waiting_for_client is not None and not self._waiting_for_client.done():
            self._waiting_for_client.set_result(None)

    on_discard_timeout = _stop_waiting


def is_short(request: web.BaseRequest) -> bool:
    """Return whether the body is small and already being sent.

    A client that expects 100 Continue has not started to send it. An encoded body may be large when it is decoded.
    """
    headers = request.headers
    if EXPECT in headers or CONTENT_ENCODING in headers:
        return False
    return CONTENT_LENGTH in headers and int(headers[CONTENT_LENGTH]) <= MAX_AWAITED_BODY_BYTES


def head_bytes(message: "RawRequestMessage | _ErrInfo") -> int:
    """Return the length of a request head without its line ends."""
    if isinstance(message, _ErrInfo):
        return 0
    return len(message.path) + sum(len(name) + len(value) for name, value in message.raw_headers)
