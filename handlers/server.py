"""How the application is put on the net: aiohttp's server, with every refusal of its own in our words."""

import logging
from asyncio import AbstractEventLoop
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from gateway.errors import GatewayError
from handlers.border import finish, request_id_of
from handlers.errors import INTERNAL, HttpError, http_error, render_error

logger = logging.getLogger(__name__)

# A request that has begun is finished even when its caller leaves, so that nothing is stored without the memory of it
# being told.
HANDLER_CANCELLATION = False
# Most long lines are for the border to refuse, which looks at the token first.
CONNECTION_SETTINGS: dict[str, Any] = {
    "access_log": None,
    "keepalive_timeout": 75.0,
    "max_line_size": 4 * 1024 * 1024,
    "max_field_size": 64 * 1024,
}
TOO_LONG = HttpError(400, "the address or a header is longer than this gateway reads")
UNREADABLE = HttpError(400, "this is not a valid HTTP request")


class Connection(web.RequestHandler):
    """One client's connection. What is no request is answered as everything else is, and ends it."""

    __slots__ = ("_tell_lost",)

    def __init__(self, manager: web.Server, loop: AbstractEventLoop) -> None:
        super().__init__(manager, loop=loop, **CONNECTION_SETTINGS)
        self._tell_lost: Callable[[], None] | None = None

    def connection_lost(self, exc: BaseException | None) -> None:
        """The client has left, whatever is still under way for it."""
        super().connection_lost(exc)
        tell, self._tell_lost = self._tell_lost, None
        if tell is not None:
            tell()

    def when_lost(self, tell: Callable[[], None]) -> None:
        """Call *tell* if the client leaves before its request is answered, at once if it has; of several, the last."""
        if self.transport is None:
            tell()
        else:
            self._tell_lost = tell

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
            resp = refuse(request, http_error(resp))
        return super().finish_response(request, resp, start_time)


class Server(web.Server):
    """Makes the connections of an application, whose own server is *made*."""

    def __init__(self, made: web.Server) -> None:
        super().__init__(
            made.request_handler, request_factory=made.request_factory, handler_cancellation=made.handler_cancellation
        )

    def __call__(self) -> web.RequestHandler:
        return Connection(self, self._loop)


class Runner(web.AppRunner):
    """Starts and ends *app*; tests run it just so."""

    def __init__(self, app: web.Application, *, shutdown_timeout: float) -> None:
        super().__init__(app, shutdown_timeout=shutdown_timeout, handler_cancellation=HANDLER_CANCELLATION)

    async def _make_server(self) -> web.Server:
        return Server(await super()._make_server())


def refuse(request: web.BaseRequest, error: GatewayError) -> web.Response:
    """The last answer on its connection."""
    request_id = request_id_of(request)
    response = render_error(error, request, request_id)
    finish(response, request_id)
    response.force_close()
    logger.info("refused", extra={"status": response.status, "reason": error.detail, "request_id": request_id})
    return response
