"""The gateway's own OpenAPI document, as YAML and as JSON."""

from http import HTTPStatus

from aiohttp import web

from handlers.http.etags import etag_matches
from handlers.operations.openapi_document import OPENAPI, Representation


async def get_openapi_yaml(request: web.Request) -> web.Response:
    """GET /openapi.yaml"""
    return respond(request, request.app[OPENAPI].yaml)


async def get_openapi_json(request: web.Request) -> web.Response:
    """GET /openapi.json"""
    return respond(request, request.app[OPENAPI].json)


def respond(request: web.Request, document: Representation) -> web.Response:
    """Return *document*, or 304 if the caller already has it."""
    headers = {"ETag": document.etag, "Cache-Control": "no-cache"}
    if etag_matches(request, document.etag):
        return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
    return web.Response(body=document.body, content_type=document.content_type, headers=headers)
