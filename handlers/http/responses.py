"""Responses that several handlers send."""

from http import HTTPStatus

import orjson
from aiohttp import HttpVersion, HttpVersion10, HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http import SERVER_SOFTWARE

# The Connection header, by the version of the request and whether the connection is kept alive.
CONNECTION: dict[tuple[HttpVersion, bool], str] = {
    (HttpVersion11, True): "",
    (HttpVersion11, False): "Connection: close\r\n",
    (HttpVersion10, True): "Connection: keep-alive\r\n",
}


def json_response(value: object) -> web.Response:
    """Return a response with *value* as JSON."""
    return web.Response(body=orjson.dumps(value), content_type="application/json")


class PrebuiltResponse(web.StreamResponse):
    """A response that is written in one piece: *head*, header lines that each end in CRLF, and *body*.

    Pages use it: a `web.Response` builds its head from a multidict, which takes some 5 µs. *request_id* is set before
    the response is sent.
    """

    def __init__(self, status: HTTPStatus, head: str, body: bytes = b"") -> None:
        super().__init__(status=status)
        self._head = head
        self._prebuilt_body = body
        self.request_id = ""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Write the response, with the headers that every response has, and those that were added to `headers`.

        Raises:
            ConnectionResetError: The caller has left.
        """
        if self.prepared:
            return None
        if self._keep_alive is None:
            self._keep_alive = request.keep_alive
        added = "".join([f"{name}: {value}\r\n" for name, value in self._headers.items()]) if self._headers else ""
        head = (
            f"HTTP/1.1 {self._status} {self._reason}\r\n{self._head}{added}"
            f"X-Request-ID: {self.request_id}\r\nX-Content-Type-Options: nosniff\r\n"
            f"Date: {rfc822_formatted_time()}\r\nServer: {SERVER_SOFTWARE}\r\n"
            f"{CONNECTION.get((request.version, self._keep_alive), '')}\r\n"
        )
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the caller has left")
        transport.write(head.encode("latin-1") + self._prebuilt_body)
        self._eof_sent = True
        await request.writer.drain()
        return None
