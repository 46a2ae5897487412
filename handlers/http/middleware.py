"""What every request passes: request id, token, error responses, common headers, access log."""

import itertools
import logging
import re
import secrets
from collections.abc import Iterable

from aiohttp import web
from aiohttp.hdrs import AUTHORIZATION
from aiohttp.typedefs import Handler
from multidict import istr

from gateway.errors import GatewayError, MalformedAuthorization, StorageFailed
from gateway.request_id import CURRENT_REQUEST_ID
from handlers.http.access_log import AccessLogEntry
from handlers.http.body_reader import CallerLeft
from handlers.http.errors import INTERNAL, ErrorStyle, HttpError, http_error, is_internal, render_error, status_of
from handlers.http.keys import ACCESS_LOG, CALLER, CLOCK, REQUEST_ID, STORAGE_LOG, TOKENS
from handlers.http.responses import PrebuiltResponse
from storage.errors import StorageUnusable

logger = logging.getLogger(__name__)

# A multidict compares names of this type without folding their case first.
X_REQUEST_ID = istr("X-Request-ID")
X_CONTENT_TYPE_OPTIONS = istr("X-Content-Type-Options")

REQUEST_ID_FORMAT = re.compile(r"[A-Za-z0-9._:-]{1,128}")
CALLER_LEFT = 499  # in the log only, as nginx logs it
MAX_ADDRESS_CHARACTERS = 32 * 1024  # of path and query
TOKEN_PREFIXES = ("/bitrix", "/api/v4")  # of the addresses that need a token
STREAM_PREFIX, CONTENT_SUFFIX = "/bitrix/stream", "/content"  # of addresses that send their responses themselves

# Ids of requests that have none: a random prefix for each start, then a counter, which is faster than random ids.
new_request_id = map(f"{secrets.token_hex(6)}-{{:x}}".format, itertools.count(1)).__next__


def with_middleware(handler: Handler, *, route: str = "", style: ErrorStyle = ErrorStyle.PROBLEM) -> Handler:
    """Wrap *handler*: verify the token, turn exceptions into error responses, log the request.

    *route* is the path template for the log; "" for unknown addresses and methods, which need no token. Errors look as
    *style* says. Each handler is wrapped when its route is added: a middleware of aiohttp costs a request about 3 µs
    more.
    """
    needs_token = route.startswith(TOKEN_PREFIXES)
    streams = route.startswith(STREAM_PREFIX) or route.endswith(CONTENT_SUFFIX)

    async def handle(request: web.Request) -> web.StreamResponse:
        app = request.app
        log = app[ACCESS_LOG]
        started_at = app[CLOCK].monotonic() if log.enabled else 0.0
        request_id = request_id_of(request)
        CURRENT_REQUEST_ID.set(request_id)
        if streams:  # the handler sends the headers itself, before it returns
            request[REQUEST_ID] = request_id
        try:
            if needs_token:
                request[CALLER] = app[TOKENS].verify(authorization_of(request))
            if len(request.raw_path) > MAX_ADDRESS_CHARACTERS:
                raise HttpError(400, f"the address is longer than {MAX_ADDRESS_CHARACTERS} characters")
            response = await handler(request)
        except web.HTTPException as error:
            response = render_error(http_error(error), request, request_id, style)
        except GatewayError as error:
            if is_internal(error, style):
                logger.error("request failed", exc_info=error, extra={"request_id": request_id})
            elif status_of(error, style) >= 500:
                logger.warning("request failed", extra={"reason": error.detail, "request_id": request_id})
            response = render_error(error, request, request_id, style)
        except CallerLeft:
            response = web.Response(status=CALLER_LEFT)
        except StorageUnusable as error:
            app[STORAGE_LOG].add(error.message, request_id)
            response = render_error(StorageFailed(error.message), request, request_id, style)
        except Exception:
            if request.writer.output_size > 0:
                raise  # a part of the response has been sent: the server closes the connection and logs the error
            logger.exception("request failed", extra={"request_id": request_id})
            response = render_error(INTERNAL, request, request_id, style)
        if not response.prepared:
            add_common_headers(response, request_id)
        if log.enabled:
            clock = app[CLOCK]
            duration_s = clock.monotonic() - started_at
            log.add(AccessLogEntry(clock.now(), request.method, route, response.status, duration_s, request_id))
        return response

    return handle


def request_id_of(request: web.BaseRequest) -> str:
    """Return the caller's X-Request-ID if it has a valid format, else a new id."""
    request_id = request.headers.get(X_REQUEST_ID)
    return request_id if request_id is not None and REQUEST_ID_FORMAT.fullmatch(request_id) else new_request_id()


def add_common_headers(response: web.StreamResponse, request_id: str) -> None:
    """Add the headers that every response has. A `PrebuiltResponse` writes them itself."""
    if isinstance(response, PrebuiltResponse):
        response.request_id = request_id
        return
    response.headers[X_REQUEST_ID] = request_id
    response.headers[X_CONTENT_TYPE_OPTIONS] = "nosniff"


def refuse_method(allowed: Iterable[str]) -> Handler:
    """Return the handler for all methods of an address but the *allowed* ones."""
    methods = ", ".join(sorted(allowed))

    async def refuse(request: web.Request) -> web.StreamResponse:
        raise HttpError(405, f"{request.method} is not allowed here: use {methods}", {"Allow": methods})

    return refuse


async def refuse_address(_request: web.Request) -> web.StreamResponse:
    """Respond with 404 to an unknown address."""
    raise web.HTTPNotFound


def authorization_of(request: web.Request) -> str | None:
    """Return the Authorization header, or None if there is none.

    Raises:
        MalformedAuthorization: There is more than one.
    """
    values = request.headers.getall(AUTHORIZATION, [])
    if len(values) > 1:
        raise MalformedAuthorization("there is more than one Authorization header", error="invalid_request")
    return values[0] if values else None
