"""The mirrored dictionaries: pages of them, and the responses of any page and of any list of a portal."""

from collections.abc import Sequence
from functools import lru_cache
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.bitrix.protocol.json_body import encode_json
from gateway.clock import format_time
from gateway.mirror.pages import ServedPage
from gateway.mirror.resources import Resource
from handlers.app_keys import PAGES
from handlers.bitrix.account_loading import find_account
from handlers.http.etags import etag_matches
from handlers.http.query import page_and_size
from handlers.http.responses import PrebuiltResponse

CACHED_HEADS = 256  # with long links, one takes some 7 KB


def page_of(resource: Resource) -> Handler:
    """Return the handler that GETs one page of *resource*, or 304 if the caller already has it."""

    async def get_page(request: web.Request) -> web.StreamResponse:
        page, size = page_and_size(request.rel_url.raw_query_string)
        account = await find_account(request)
        return respond_page(request, await request.app[PAGES].page(account, resource, page=page, size=size))

    return get_page


def respond_page(request: web.Request, page: ServedPage, synced_at: int | None = None) -> PrebuiltResponse:
    """Return the response with *page*, or 304 if the caller already has it.

    *synced_at* is the Unix time since when its records are up to date; None if that is not known.
    """
    if etag_matches(request, page.etag):
        return PrebuiltResponse(HTTPStatus.NOT_MODIFIED, _head(page.etag, page.link, synced_at, None))
    return PrebuiltResponse(HTTPStatus.OK, _head(page.etag, page.link, synced_at, len(page.body)), page.body)


def respond_items(items: Sequence[object]) -> web.Response:
    """Return the response with all *items* of a list that was read from a portal.

    Raises:
        PortalBroken: They are nested too deeply.
    """
    return web.Response(body=encode_json({"items": items}, "the items are"), content_type="application/json")


@lru_cache(maxsize=CACHED_HEADS)
def _head(etag: str, link: str, synced_at: int | None, length: int | None) -> str:
    """The header lines of a page with a body of *length* bytes; None: without a body."""
    lines = ["Cache-Control: private, no-cache", "Vary: Authorization", f"ETag: {etag}"]
    if synced_at is not None:
        lines.append(f"X-Synced-At: {format_time(synced_at)}")
    if link:
        lines.append(f"Link: {link}")
    if length is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {length}"]
    return "".join(f"{line}\r\n" for line in lines)
