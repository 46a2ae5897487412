"""The mirrored dictionaries: pages of them; and the responses of lists that are read from a portal."""

from collections.abc import Sequence

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.bitrix.protocol.json_body import encode_json
from gateway.mirror.resources import Resource
from handlers.app_keys import PAGES
from handlers.bitrix.account_loading import find_account
from handlers.http.pages import respond_page
from handlers.http.query import page_and_size


def page_of(resource: Resource) -> Handler:
    """Return the handler that GETs one page of *resource*, or 304 if the caller already has it."""

    async def get_page(request: web.Request) -> web.StreamResponse:
        page, size = page_and_size(request.rel_url.raw_query_string)
        account = await find_account(request)
        return respond_page(request, await request.app[PAGES].page(account, resource, page=page, size=size))

    return get_page


def respond_items(items: Sequence[object]) -> web.Response:
    """Return the response with all *items* of a list that was read from a portal.

    Raises:
        PortalBroken: They are nested too deeply.
    """
    return web.Response(body=encode_json({"items": items}, "the items are"), content_type="application/json")
