"""The one middleware: request id, the caller's account, errors, headers and a log line, in one pass."""

import itertools
import logging
import re
import secrets

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.errors import GatewayError, Unauthenticated
from handlers.errors import INTERNAL, HttpError, http_error, render_error, status_of
from handlers.keys import ACCOUNT_KEY, CLOCK, REQUEST_LOG, TOKENS
from handlers.request_log import Served

logger = logging.getLogger(__name__)

REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
LONGEST_ADDRESS = 32 * 1024  # characters of path and query
NEEDS_TOKEN = "/bitrix"

# Ids of requests that bring none: unlike those of another start, and counted, which costs less than chance.
new_request_id = map(f"{secrets.token_hex(6)}-{{:x}}".format, itertools.count(1)).__next__


@web.middleware
async def border(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let a request in, and see to it that whatever comes out is an answer of ours."""
    app = request.app
    clock = app[CLOCK]
    began = clock.monotonic()
    route = route_of(request)
    request_id = request.headers.get("X-Request-ID")
    if request_id is None or not REQUEST_ID.fullmatch(request_id):
        request_id = new_request_id()
    try:
        if request.match_info.http_exception is None:
            if route.startswith(NEEDS_TOKEN):
                request[ACCOUNT_KEY] = app[TOKENS].verify(one_authorization(request))
            if len(request.raw_path) > LONGEST_ADDRESS:
                raise HttpError(400, f"the address is longer than {LONGEST_ADDRESS} characters")
        response = await handler(request)
    except web.HTTPException as error:
        response = render_error(http_error(error), request, request_id)
    except GatewayError as error:
        if status_of(error) >= 500:
            logger.error("request failed", exc_info=error, extra={"request_id": request_id})
        response = render_error(error, request, request_id)
    except Exception:
        logger.exception("request failed", extra={"request_id": request_id})
        response = render_error(INTERNAL, request, request_id)
    response.headers["X-Request-ID"] = request_id
    response.headers["X-Content-Type-Options"] = "nosniff"
    log = app[REQUEST_LOG]
    if log.enabled:
        seconds = clock.monotonic() - began
        log.add(Served(clock.now(), request.method, route, response.status, seconds, request_id))
    return response


def one_authorization(request: web.Request) -> str | None:
    """The Authorization header; None when there is none.

    Raises:
        Unauthenticated: when there are several.
    """
    found = request.headers.getall("Authorization", [])
    if len(found) > 1:
        raise Unauthenticated("there is more than one Authorization header", error="invalid_request")
    return found[0] if found else None


def route_of(request: web.Request) -> str:
    """The route's template, without what callers put into it; empty for an unknown address."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else ""
