"""The catalogue of widgets: reading it, and the manifests of one's own widgets."""

from http import HTTPStatus

from aiohttp import web

from gateway.widgets.manifests import read_manifest
from gateway.widgets.rendering import widget_address
from handlers.app_keys import CATALOGUE
from handlers.http.bodies import load_json
from handlers.http.keys import CALLER, CONFIG
from handlers.http.pages import respond_page
from handlers.http.query import cached_if_short, check_names, parse_raw_query, positive, zero_or_one

DEFAULT_LIMIT, MAX_LIMIT = 50, 250
HAL_JSON = "application/hal+json"
LIST_PARAMETERS, DELETE_PARAMETERS = ("page", "limit"), ("uninstall",)
QUERY_CACHE_SIZE, MAX_CACHED_QUERY_CHARACTERS = 1024, 128


async def list_widgets(request: web.Request) -> web.StreamResponse:
    """GET /api/v4/widgets"""
    page, limit = page_and_limit(request.rel_url.raw_query_string)
    served = await request.app[CATALOGUE].page(request[CALLER], page=page, limit=limit)
    return respond_page(request, served, content_type=HAL_JSON)


async def get_widget(request: web.Request) -> web.StreamResponse:
    """GET /api/v4/widgets/{code}"""
    served = await request.app[CATALOGUE].widget(request[CALLER], request.match_info["code"])
    check_names(request.query, ())
    return respond_page(request, served, content_type=HAL_JSON)


async def add_widget(request: web.Request) -> web.Response:
    """POST /api/v4/widgets"""
    check_names(request.query, ())
    manifest = read_manifest(await load_json(request))
    await request.app[CATALOGUE].add(request[CALLER], manifest)
    location = widget_address(request.app[CONFIG].own_origin, manifest.code)
    return await respond_widget(request, manifest.code, HTTPStatus.CREATED, location=location)


async def replace_manifest(request: web.Request) -> web.Response:
    """PUT /api/v4/widgets/{code}/manifest"""
    code = request.match_info["code"]
    await request.app[CATALOGUE].own(request[CALLER], code)  # a stranger learns nothing from errors of the body
    check_names(request.query, ())
    await request.app[CATALOGUE].replace(request[CALLER], code, read_manifest(await load_json(request)))
    return await respond_widget(request, code)


async def delete_manifest(request: web.Request) -> web.Response:
    """DELETE /api/v4/widgets/{code}/manifest"""
    code = request.match_info["code"]
    await request.app[CATALOGUE].own(request[CALLER], code)
    check_names(request.query, DELETE_PARAMETERS)
    uninstall = zero_or_one(request.query, "uninstall", default=False)
    await request.app[CATALOGUE].delete(request[CALLER], code, uninstall=uninstall)
    return web.Response(status=HTTPStatus.NO_CONTENT)


async def respond_widget(
    request: web.Request, code: str, status: HTTPStatus = HTTPStatus.OK, *, location: str | None = None
) -> web.Response:
    """Return the response with a widget that was just changed."""
    body = await request.app[CATALOGUE].show(request[CALLER], code)
    headers = {} if location is None else {"Location": location}
    return web.Response(status=status, body=body, content_type=HAL_JSON, headers=headers)


@cached_if_short(entries=QUERY_CACHE_SIZE, characters=MAX_CACHED_QUERY_CHARACTERS)
def page_and_limit(raw_query: str) -> tuple[int, int]:
    """Return `page` and `limit` of a raw query string, by default 1 and 50. More than 250 are 250.

    Raises:
        InvalidInput: One of them is not a positive integer, or another parameter is given.
    """
    query = parse_raw_query(raw_query)
    check_names(query, LIST_PARAMETERS)
    return positive(query, "page", 1), min(positive(query, "limit", DEFAULT_LIMIT), MAX_LIMIT)
