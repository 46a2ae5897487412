"""The mirrored lists: pages, and the start of a sync. Each Resource has one pair of handlers."""

from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.errors import InvalidInput
from gateway.mirror.resources import Resource
from handlers.app_keys import PAGES, SYNCS
from handlers.bitrix.account_loading import find_account, load_authorized_account
from handlers.http.etags import etag_matches
from handlers.http.query import one_value, page_and_size
from handlers.http.responses import PrebuiltResponse

LIST_HEAD = "Cache-Control: private, no-cache\r\nVary: Authorization\r\nETag: {etag}\r\n"
PAGE_HEAD = LIST_HEAD + "Content-Type: application/json\r\nContent-Length: {length}\r\n"


def page_of(resource: Resource) -> Handler:
    """Return the handler that GETs one page of *resource*, or 304 if the caller already has it."""

    async def get_page(request: web.Request) -> web.StreamResponse:
        page, size = page_and_size(request.rel_url.raw_query_string)
        account = await find_account(request)
        served = await request.app[PAGES].page(account, resource, page=page, size=size)
        if etag_matches(request, served.etag):
            return PrebuiltResponse(HTTPStatus.NOT_MODIFIED, LIST_HEAD.format(etag=served.etag))
        return PrebuiltResponse(HTTPStatus.OK, PAGE_HEAD.format(etag=served.etag, length=len(served.body)), served.body)

    return get_page


def sync_of(resource: Resource) -> Handler:
    """Return the PATCH handler that starts a sync of *resource*, unless one is running."""

    async def start_sync(request: web.Request) -> web.Response:
        mode = one_value(request.query, "mode")
        if mode not in (None, "full"):
            raise InvalidInput.of_parameter("mode", "invalid_value", "must be full: this list is always read in full")
        await request.app[SYNCS].start(await load_authorized_account(request), resource)
        return web.Response(headers={"Location": f"/bitrix/sync/{resource.name}"})

    return start_sync
