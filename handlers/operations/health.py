"""Health checks for callers, supervisors and load balancers."""

import logging

from aiohttp import web

from gateway import __version__
from handlers.app_keys import DATABASE, DRAINING
from handlers.http.keys import CLOCK
from handlers.http.responses import json_response
from storage.errors import StorageDamaged, StorageError

logger = logging.getLogger(__name__)


async def check_health(_request: web.Request) -> web.Response:
    """GET /bitrix"""
    return json_response("OK")


async def get_liveness(_request: web.Request) -> web.Response:
    """GET /healthz"""
    return json_response({"status": "ok", "version": __version__})


async def get_readiness(request: web.Request) -> web.Response:
    """GET /readyz"""
    if request.app[DRAINING].is_set():
        return not_ready("the gateway is shutting down")
    try:
        await request.app[DATABASE].check_writable(int(request.app[CLOCK].now()))
    except StorageDamaged as error:
        return not_ready(str(error))
    except StorageError as error:
        logger.warning("the database cannot be written", extra={"reason": str(error)})
        return not_ready(f"the database cannot be written: {error}")
    return json_response({"status": "ready"})


def not_ready(reason: str) -> web.Response:
    """Return 503 with *reason*."""
    response = json_response({"status": "unavailable", "reason": reason})
    response.set_status(503)
    return response
