"""Reads the body of a request: within its limits of size, time and pace."""

from aiohttp import HttpVersion11, web
from aiohttp.hdrs import CONTENT_LENGTH, EXPECT

from handlers.app_keys import CLOCK, CONFIG
from handlers.http.errors import HttpError

PACE_S = 10.0  # over which the pace of a body is measured
LATE_BODY = "body: did not come in time (GATEWAY_BODY_TIMEOUT_S)"
SLOW_BODY = "body: came too slowly (GATEWAY_MIN_BODY_BYTES_PER_S)"
TOO_LARGE = "body: is larger than this gateway accepts (GATEWAY_MAX_BODY_BYTES)"


class CallerLeft(Exception):
    """The caller has closed the connection before the answer, which nobody is left to read."""


async def expect_nothing(_request: web.Request) -> None:
    """Take note of what a client expects: `read_body` asks for a body that is held back, anything else is let be.

    aiohttp would refuse other expectations with a page of its own. Source: RFC 9110, section 10.1.1
    """


async def read_body(request: web.Request) -> bytes:
    """The whole body; a client that holds it back is asked for it.

    Raises:
        HttpError: 413, it is too large; 408, it does not come in time, or too slowly.
        CallerLeft: the connection has ended before the body.
        web.RequestPayloadError: it is not framed or encoded as it says.
    """
    most = request.app[CONFIG].max_body_bytes
    length = request.headers.get(CONTENT_LENGTH)
    if length is not None and int(length) > most:
        raise HttpError(413, TOO_LARGE)
    try:
        if EXPECT in request.headers and not request.content.is_eof():
            await _ask_for_body(request)
        return await _read(request, most)
    except (OSError, RuntimeError) as error:
        if request.transport is None:
            raise CallerLeft from error
        raise


async def _ask_for_body(request: web.Request) -> None:
    if request.headers[EXPECT].lower() == "100-continue" and request.version == HttpVersion11:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # nothing of the answer itself has been sent


async def _read(request: web.Request, most: int) -> bytes:
    content, config, clock = request.content, request.app[CONFIG], request.app[CLOCK]
    received = bytearray()
    began_at = measured_at = clock.monotonic()
    measured_bytes = 0
    while not content.at_eof():
        now = clock.monotonic()
        if content.is_eof():
            received += await content.readany()
        elif now >= began_at + config.body_timeout_s:
            raise HttpError(408, LATE_BODY)
        elif now >= measured_at + PACE_S:
            came_bytes = content.total_raw_bytes - measured_bytes
            if came_bytes < config.min_body_bytes_per_s * (now - measured_at):
                raise HttpError(408, SLOW_BODY)
            measured_at, measured_bytes = now, content.total_raw_bytes
        else:
            try:
                async with clock.timeout(min(began_at + config.body_timeout_s, measured_at + PACE_S) - now):
                    received += await content.readany()
            except TimeoutError:
                if content.exception() is not None:
                    raise  # of the connection
        if len(received) > most:
            raise HttpError(413, TOO_LARGE)
    return bytes(received)
