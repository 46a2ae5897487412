"""The mirrored lists: a page of each, and the start of its sync. One pair of handlers for every Resource."""

from aiohttp import web
from aiohttp.hdrs import CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY
from aiohttp.typedefs import Handler

from gateway.errors import InvalidInput
from gateway.resources import Resource
from handlers.keys import ACCOUNT_KEY, ACCOUNTS, CONNECTIONS, PAGES, SYNCS
from handlers.query import one_value, page_and_size

LIST_HEADERS = {CACHE_CONTROL: "private, no-cache", VARY: "Authorization"}
PAGE_HEADERS = {**LIST_HEADERS, CONTENT_TYPE: "application/json"}


def page_of(resource: Resource) -> Handler:
    """GET one page of *resource*, lowest of our ids first; 304 where the caller has it already."""

    async def get_page(request: web.Request) -> web.Response:
        page, size = page_and_size(request.rel_url.raw_query_string)
        account = await request.app[CONNECTIONS].find(request[ACCOUNT_KEY])
        served = await request.app[PAGES].page(account, resource, page=page, size=size)
        if has_it(request.headers.get(IF_NONE_MATCH), served.etag):
            return web.Response(status=304, headers={**LIST_HEADERS, ETAG: served.etag})
        return web.Response(body=served.body, headers={**PAGE_HEADERS, ETAG: served.etag})

    return get_page


def sync_of(resource: Resource) -> Handler:
    """PATCH: start a sync of *resource*, or join the one that runs."""

    async def start_sync(request: web.Request) -> web.Response:
        mode = one_value(request.query, "mode")
        if mode not in (None, "full"):
            raise InvalidInput.of_parameter("mode", "invalid_value", "has to be full: this list is always read whole")
        account = await request.app[CONNECTIONS].require(request[ACCOUNT_KEY])
        await request.app[ACCOUNTS].ensure_authorized(account)
        await request.app[SYNCS].start(account, resource)
        return web.Response(headers={"Location": f"/bitrix/sync/{resource.name}"})

    return start_sync


def has_it(if_none_match: str | None, etag: str) -> bool:
    """Whether an If-None-Match names *etag*, weakly compared as RFC 9110 section 13.1.2 asks."""
    if if_none_match is None:
        return False
    named = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return etag in named or named == ["*"]
