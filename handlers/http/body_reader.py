"""Reads the body of a request within the limits of size, time and rate."""

from dataclasses import dataclass

from aiohttp import HttpVersion11, web
from aiohttp.hdrs import CONTENT_LENGTH, EXPECT

from handlers.http.errors import HttpError
from handlers.http.keys import CLOCK, CONFIG

RATE_WINDOW_S = 10.0
LATE_BODY = "body: was not received in time (GATEWAY_BODY_TIMEOUT_S)"
SLOW_BODY = "body: was received too slowly (GATEWAY_MIN_BODY_BYTES_PER_S)"


@dataclass(frozen=True)
class BodyLimit:
    """The maximum size of a body, and the *source* of that limit, for the error."""

    max_bytes: int
    source: str

    @classmethod
    def of(cls, configured: int, max_bytes: int | None) -> "BodyLimit":
        """Return the lower one of the *configured* limit and *max_bytes*, if that is given."""
        if max_bytes is None or configured <= max_bytes:
            return cls(configured, " (GATEWAY_MAX_BODY_BYTES)")
        return cls(max_bytes, "")

    def check(self, size: int) -> None:
        """Check the *size* of a body, or of what has been received of it.

        Raises:
            HttpError: 413: it is too large.
        """
        if size > self.max_bytes:
            raise HttpError(413, f"body: is larger than {self.max_bytes:,} bytes{self.source}")


class CallerLeft(Exception):
    """The caller closed the connection before the response."""


async def ignore_expectation(_request: web.Request) -> None:
    """Accept any `Expect` header: `read_body` handles `100-continue`, other values are ignored.

    aiohttp would refuse other values with a page of its own. Source: RFC 9110, section 10.1.1
    """


async def read_body(request: web.Request, max_bytes: int | None = None) -> bytes:
    """Return the whole body. A client that waits for `100 Continue` is told to send it.

    *max_bytes* may lower the maximum size of the body, which is GATEWAY_MAX_BODY_BYTES.

    Raises:
        HttpError: 413 if the body is too large; 408 if it is too late or too slow.
        CallerLeft: The connection was closed before the end of the body.
        web.RequestPayloadError: The framing or the content encoding of the body is invalid.
    """
    limit = BodyLimit.of(request.app[CONFIG].max_body_bytes, max_bytes)
    length = request.headers.get(CONTENT_LENGTH)
    if length is not None:
        limit.check(int(length))
    try:
        if EXPECT in request.headers and not request.content.is_eof():
            await send_continue(request)
        return await _read(request, limit)
    except (OSError, RuntimeError) as error:
        if request.transport is None:
            raise CallerLeft from error
        raise


async def send_continue(request: web.Request) -> None:
    """Tell a client that waits for `100 Continue` to send its body."""
    if request.headers[EXPECT].lower() == "100-continue" and request.version == HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # the response itself has not started


async def _read(request: web.Request, limit: BodyLimit) -> bytes:
    content, config, clock = request.content, request.app[CONFIG], request.app[CLOCK]
    received = bytearray()
    started_at = window_at = clock.monotonic()
    bytes_before_window = 0
    while not content.at_eof():
        now = clock.monotonic()
        if content.is_eof():
            received += await content.readany()
        elif now >= started_at + config.body_timeout_s:
            raise HttpError(408, LATE_BODY)
        elif now >= window_at + RATE_WINDOW_S:
            window_bytes = content.total_raw_bytes - bytes_before_window
            if window_bytes < config.min_body_bytes_per_s * (now - window_at):
                raise HttpError(408, SLOW_BODY)
            window_at, bytes_before_window = now, content.total_raw_bytes
        else:
            try:
                async with clock.timeout(min(started_at + config.body_timeout_s, window_at + RATE_WINDOW_S) - now):
                    received += await content.readany()
            except TimeoutError:
                if content.exception() is not None:
                    raise  # a timeout of the connection
        limit.check(len(received))
    return bytes(received)
