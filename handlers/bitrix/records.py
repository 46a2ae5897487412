"""The mirrored records of the CRM: pages of them."""

from http import HTTPStatus

from aiohttp import web

from gateway.clock import format_time
from handlers.app_keys import PAGES
from handlers.bitrix.account_loading import load_account
from handlers.bitrix.lists import LIST_HEAD, PAGE_HEAD
from handlers.bitrix.syncs import requested_resource
from handlers.http.etags import etag_matches
from handlers.http.query import page_and_size
from handlers.http.responses import PrebuiltResponse


async def list_records(request: web.Request) -> web.StreamResponse:
    """GET /bitrix/{resource}"""
    resource = requested_resource(request)
    page, size = page_and_size(request.rel_url.raw_query_string)
    account = await load_account(request)
    pages = request.app[PAGES]
    served = await pages.page(account, resource, page=page, size=size)
    synced_at = pages.synced_at(served.list_id)
    head = "" if synced_at is None else f"X-Synced-At: {format_time(synced_at)}\r\n"
    if etag_matches(request, served.etag):
        return PrebuiltResponse(HTTPStatus.NOT_MODIFIED, head + LIST_HEAD.format(etag=served.etag))
    head += PAGE_HEAD.format(etag=served.etag, length=len(served.body))
    return PrebuiltResponse(HTTPStatus.OK, head, served.body)
