"""The portal methods that the gateway calls, with their counters."""

from aiohttp import web

from gateway.bitrix.monitoring.counters import CallCount
from gateway.bitrix.monitoring.methods import METHOD_USES
from gateway.clock import format_time
from handlers.app_keys import CALL_COUNTERS
from handlers.http.responses import json_response


async def list_methods(request: web.Request) -> web.Response:
    """GET /bitrix/methods"""
    counters = request.app[CALL_COUNTERS]
    items = [
        {
            "method": method,
            "purpose": use.purpose,
            "scope": use.scope,
            "module": use.module,
            **render_count(counters.of(method)),
        }
        for use in METHOD_USES
        for method in use.methods
    ]
    passed_through = render_count(counters.passed_through)
    return json_response({"since": format_time(int(counters.since)), "items": items, "passedThrough": passed_through})


def render_count(count: CallCount) -> dict[str, int]:
    """Return the counters of a method."""
    return {"calls": count.calls, "errors": count.errors}
