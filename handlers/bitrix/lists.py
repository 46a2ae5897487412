"""The mirrored dictionaries: pages of them."""

from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.mirror.resources import Resource
from handlers.app_keys import PAGES
from handlers.bitrix.account_loading import find_account
from handlers.http.etags import etag_matches
from handlers.http.query import page_and_size
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
