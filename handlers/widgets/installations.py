"""Installing widgets in accounts, removing them, and choosing the pipeline of sources of leads."""

from http import HTTPStatus
from typing import Any

from aiohttp import web

from gateway.schemas import MAX_DIGITS, ClosedBody, StrictField, require_object
from handlers.app_keys import CATALOGUE, INSTALLATIONS
from handlers.http.bodies import load_body, load_json
from handlers.http.keys import CALLER
from handlers.http.query import check_names
from handlers.widgets.catalogue import HAL_JSON, respond_widget
from storage.widgets import FoundWidget


class PipelineNumber(StrictField):
    """The portal's number of a pipeline, or null."""

    rule = f"must be null or an integer from 0, of at most {MAX_DIGITS} digits"

    def __init__(self) -> None:
        super().__init__()
        self.allow_none = True

    def accepts(self, value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**MAX_DIGITS


class SourceBody(ClosedBody):
    """The pipeline of a source of leads."""

    pipeline_id = PipelineNumber()


SOURCE_BODY = SourceBody()


async def find_installable(request: web.Request) -> FoundWidget:
    """Return the widget that the path names, for an administrator, who learns of errors of the request only then.

    Raises:
        Forbidden: the caller is no administrator.
        NotFound: there is no such widget that the caller may see.
        InvalidInput: the request has query parameters.
    """
    found = await request.app[INSTALLATIONS].find(request[CALLER], request.match_info["code"])
    check_names(request.query, ())
    return found


async def install_widget(request: web.Request) -> web.Response:
    """POST /api/v4/widgets/{code}"""
    found = await find_installable(request)
    settings = require_object(await load_json(request))
    await request.app[INSTALLATIONS].install(request[CALLER], found, settings)
    body = await request.app[CATALOGUE].show(request[CALLER], found.widget.code, with_settings=True)
    return web.Response(body=body, content_type=HAL_JSON, headers={"Cache-Control": "no-store"})  # has passwords


async def uninstall_widget(request: web.Request) -> web.Response:
    """DELETE /api/v4/widgets/{code}"""
    found = await find_installable(request)
    await request.app[INSTALLATIONS].remove(request[CALLER], found)
    return web.Response(status=HTTPStatus.NO_CONTENT)


async def set_source(request: web.Request) -> web.Response:
    """PUT /api/v4/widgets/{code}/source"""
    found = await find_installable(request)
    body = await load_body(request, SOURCE_BODY)
    await request.app[INSTALLATIONS].set_source(request[CALLER], found, body["pipeline_id"])
    return await respond_widget(request, found.widget.code)
