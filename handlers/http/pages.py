"""The responses of pages that callers may keep and ask for again with `If-None-Match`."""

from functools import lru_cache
from http import HTTPStatus

from aiohttp import web

from gateway.clock import format_time
from gateway.page_cache import ServedPage
from handlers.http.etags import etag_matches
from handlers.http.responses import PrebuiltResponse

JSON = "application/json"
CACHED_HEADS = 256  # with long links, one takes some 7 KB


def respond_page(
    request: web.Request, page: ServedPage, synced_at: int | None = None, content_type: str = JSON
) -> PrebuiltResponse:
    """Return the response with *page*, or 304 if the caller already has it.

    *synced_at* is the Unix time since when its records are up to date; None if that is not known.
    """
    if etag_matches(request, page.etag):
        return PrebuiltResponse(HTTPStatus.NOT_MODIFIED, _head(page.etag, page.link, synced_at, "", 0))
    head = _head(page.etag, page.link, synced_at, content_type, len(page.body))
    return PrebuiltResponse(HTTPStatus.OK, head, page.body)


@lru_cache(maxsize=CACHED_HEADS)
def _head(etag: str, link: str, synced_at: int | None, content_type: str, length: int) -> str:
    """The header lines of a page with a body of *length* bytes; without a body if *content_type* is empty."""
    lines = ["Cache-Control: private, no-cache", "Vary: Authorization", f"ETag: {etag}"]
    if synced_at is not None:
        lines.append(f"X-Synced-At: {format_time(synced_at)}")
    if link:
        lines.append(f"Link: {link}")
    if content_type:
        lines += [f"Content-Type: {content_type}", f"Content-Length: {length}"]
    return "".join(f"{line}\r\n" for line in lines)
