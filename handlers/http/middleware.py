"""What every request passes on its way in and out: request id, the caller's account, errors, headers, a log line."""

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
from handlers.app_keys import ACCOUNT_KEY, CLOCK, REQUEST_ID, REQUEST_LOG, STORAGE_LOG, TOKENS
from handlers.http.access_log import AccessLogEntry
from handlers.http.body_reader import CallerLeft
from handlers.http.errors import INTERNAL, HttpError, http_error, is_internal, render_error, status_of
from storage.errors import StorageUnusable

logger = logging.getLogger(__name__)

# Names in the form that a multidict compares without folding their case first.
X_REQUEST_ID = istr("X-Request-ID")
X_CONTENT_TYPE_OPTIONS = istr("X-Content-Type-Options")

MODEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
CALLER_LEFT = 499  # in the log alone; the number that other servers have for it
MAX_ADDRESS_CHARACTERS = 32 * 1024  # characters of path and query
NEEDS_TOKEN = "/bitrix"
STREAMS = "/bitrix/stream"

# Ids of requests that bring none: unlike those of another start, and counted, which costs less than chance.
new_request_id = map(f"{secrets.token_hex(6)}-{{:x}}".format, itertools.count(1)).__next__


def with_middleware(handler: Handler, *, route: str = "", promised: bool = False) -> Handler:
    """Wrap *handler*: check the token, turn exceptions into error responses, log the request.

    *route* is the path template for the log; "" for unknown addresses and methods, which need no token. Errors take the
    form of the *promised* contract or that of all other addresses. Each handler is wrapped when its route is added,
    because a middleware of aiohttp costs a request about 3 µs more.
    """
    needs_token = route.startswith(NEEDS_TOKEN)
    streams = route.startswith(STREAMS)

    async def answer(request: web.Request) -> web.StreamResponse:
        app = request.app
        log = app[REQUEST_LOG]
        began = app[CLOCK].monotonic() if log.enabled else 0.0
        request_id = request_id_of(request)
        if streams:
            request[REQUEST_ID] = request_id
        try:
            if needs_token:
                request[ACCOUNT_KEY] = app[TOKENS].verify(one_authorization(request))
            if len(request.raw_path) > MAX_ADDRESS_CHARACTERS:
                raise HttpError(400, f"the address is longer than {MAX_ADDRESS_CHARACTERS} characters")
            response = await handler(request)
        except web.HTTPException as error:
            response = render_error(http_error(error), request, request_id, promised=promised)
        except GatewayError as error:
            if is_internal(error, promised=promised):
                logger.error("request failed", exc_info=error, extra={"request_id": request_id})
            elif status_of(error, promised=promised) >= 500:
                logger.warning("request failed", extra={"reason": error.detail, "request_id": request_id})
            response = render_error(error, request, request_id, promised=promised)
        except CallerLeft:
            response = web.Response(status=CALLER_LEFT)
        except StorageUnusable as error:
            app[STORAGE_LOG].refused(error.told, request_id)
            response = render_error(StorageFailed(error.told), request, request_id, promised=promised)
        except Exception:
            if request.writer.output_size > 0:
                raise  # a part of the answer has been sent: the server ends the connection, and says why
            logger.exception("request failed", extra={"request_id": request_id})
            response = render_error(INTERNAL, request, request_id, promised=promised)
        if not response.prepared:
            finish(response, request_id)
        if log.enabled:
            clock = app[CLOCK]
            seconds = clock.monotonic() - began
            log.add(AccessLogEntry(clock.now(), request.method, route, response.status, seconds, request_id))
        return response

    return answer


def request_id_of(request: web.BaseRequest) -> str:
    """The id that *request* brings, if it is a modest one, or a new one."""
    request_id = request.headers.get(X_REQUEST_ID)
    return request_id if request_id is not None and MODEST_ID.fullmatch(request_id) else new_request_id()


def finish(response: web.StreamResponse, request_id: str) -> None:
    """Give *response* the headers that every answer has."""
    response.headers[X_REQUEST_ID] = request_id
    response.headers[X_CONTENT_TYPE_OPTIONS] = "nosniff"


def refuse_method(allowed: Iterable[str]) -> Handler:
    """The answer to a method that an address does not have."""
    listed = ", ".join(sorted(allowed))

    async def refuse(request: web.Request) -> web.StreamResponse:
        raise HttpError(405, f"{request.method} is not allowed here: use {listed}", {"Allow": listed})

    return refuse


async def refuse_address(_request: web.Request) -> web.StreamResponse:
    """The answer at an address where there is nothing."""
    raise web.HTTPNotFound


def one_authorization(request: web.Request) -> str | None:
    """The Authorization header; None when there is none.

    Raises:
        MalformedAuthorization: when there are several.
    """
    found = request.headers.getall(AUTHORIZATION, [])
    if len(found) > 1:
        raise MalformedAuthorization("there is more than one Authorization header", error="invalid_request")
    return found[0] if found else None
