"""Error responses to requests that do not reach the middleware. Each is the last response on its connection."""

import logging

from aiohttp import web
from aiohttp.hdrs import CONNECTION

from gateway.errors import GatewayError
from handlers.http.errors import ErrorStyle, HttpError, render_error
from handlers.http.middleware import add_common_headers, request_id_of

logger = logging.getLogger(__name__)

TOO_LONG = HttpError(400, "the address or a header is longer than this gateway reads")
MALFORMED = HttpError(400, "this is not a valid HTTP request")
LATE_HEAD = HttpError(408, "the head of the request was not received in time (GATEWAY_HEAD_TIMEOUT_S)")


def refuse(request: web.BaseRequest, error: GatewayError, style: ErrorStyle = ErrorStyle.PROMISED) -> web.Response:
    """Return the response to *request*, with *error*.

    The address of a malformed request is unknown, so its error has the style of the promised contract.
    """
    request_id = request_id_of(request)
    response = render_error(error, request, request_id, style)
    add_common_headers(response, request_id)
    response.headers[CONNECTION] = "close"  # aiohttp omits it when the HTTP version of the request is unknown
    response.force_close()
    logger.info("refused", extra={"status": response.status, "reason": error.detail, "request_id": request_id})
    return response
