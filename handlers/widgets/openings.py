"""Opening widgets from a portal, and the public key of what widgets are told then."""

import logging
from http import HTTPStatus

import orjson
from aiohttp import web

from gateway.bitrix.protocol.opened_placement import OpenedPlacement, decode_opened_placement
from gateway.request_id import CURRENT_REQUEST_ID
from gateway.widgets.openings import OpeningRefused
from handlers.app_keys import CONTEXT_KEYS, OPENINGS
from handlers.http.body_reader import read_body

logger = logging.getLogger(__name__)

PARAMETERS = ("DOMAIN", "PROTOCOL", "LANG", "APP_SID")  # that a portal sends. Source: methods.md 10.3
FORM, UTF_8 = "application/x-www-form-urlencoded", "utf-8"
MAX_FORM_BYTES = 64 * 1024
KEY_LIFETIME_S = 300
# The address has the context, which no cache keeps and no page after the widget's own gets as its referrer.
OPENING_HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}


async def open_widget(request: web.Request) -> web.Response:
    """POST /widgets/open/{id}"""
    try:
        address = await request.app[OPENINGS].open(request.match_info["id"], await read_opened(request))
    except OpeningRefused as error:
        about = {"account": error.account, "widget": error.widget, "request_id": CURRENT_REQUEST_ID.get()}
        known = {name: value for name, value in about.items() if value is not None}
        logger.warning("a widget was not opened", extra={"reason": error.reason, **known})
        raise
    return web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": address, **OPENING_HEADERS})


async def read_opened(request: web.Request) -> OpenedPlacement:
    """Return what a portal has posted.

    Raises:
        OpeningRefused: it is not the form that a portal posts.
        HttpError: As in `read_body`.
        CallerLeft: As in `read_body`.
    """
    try:
        body = await read_body(request, MAX_FORM_BYTES)
    except web.RequestPayloadError as error:
        raise OpeningRefused("the body cannot be read in its Content-Encoding") from error
    if request.content_type != FORM or (request.charset or UTF_8).lower() != UTF_8:
        raise OpeningRefused(f"the body is not {FORM} in UTF-8")
    try:
        return decode_opened_placement(body)
    except ValueError as error:
        raise OpeningRefused(str(error)) from error


async def get_widget_keys(request: web.Request) -> web.Response:
    """GET /widgets/keys"""
    key = await request.app[CONTEXT_KEYS].current()
    headers = {"Cache-Control": f"public, max-age={KEY_LIFETIME_S}"}
    return web.Response(body=orjson.dumps({"keys": [key.public_jwk]}), content_type="application/json", headers=headers)
