"""The one middleware: request id, the caller's account, errors, headers and a log line, in one pass."""

import logging
import re
import secrets

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.errors import GatewayError, Unauthenticated
from handlers.errors import INTERNAL, HttpError, http_error, render_error, status_of
from handlers.keys import ACCOUNT_KEY, CLOCK, TOKENS

logger = logging.getLogger("handlers.requests")

REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
LONGEST_ADDRESS = 32 * 1024  # characters of path and query
NEEDS_TOKEN = "/bitrix"


@web.middleware
async def border(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let a request in, and see to it that whatever comes out is an answer of ours."""
    clock = request.app[CLOCK]
    began = clock.monotonic()
    request_id = request.headers.get("X-Request-ID", "")
    if not REQUEST_ID.fullmatch(request_id):
        request_id = secrets.token_hex(8)
    try:
        response = await admit(request, handler)
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
    logger.info(
        "%s %s %d",
        request.method,
        route_of(request),
        response.status,
        extra={"request_id": request_id, "ms": round((clock.monotonic() - began) * 1000, 1)},
    )
    return response


async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The handler's answer, once the caller is known where an account is needed."""
    if request.match_info.http_exception is None:
        if route_of(request).startswith(NEEDS_TOKEN):
            request[ACCOUNT_KEY] = request.app[TOKENS].verify(one_authorization(request))
        if len(request.raw_path) > LONGEST_ADDRESS:
            raise HttpError(400, f"the address is longer than {LONGEST_ADDRESS} characters")
    return await handler(request)


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
