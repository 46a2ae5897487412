"""The progress of mirroring each list."""

from aiohttp import web

from gateway.clock import format_time
from gateway.errors import NotFound
from gateway.mirror.resources import RESOURCES, Resource
from handlers.app_keys import SYNCS
from handlers.bitrix.account_loading import load_account
from handlers.http.keys import CONFIG
from handlers.http.responses import json_response
from storage.errors import StorageDamaged
from storage.records import Account, SyncRun


async def list_syncs(request: web.Request) -> web.Response:
    """GET /bitrix/sync"""
    account = await load_account(request)
    return json_response({"items": [await load_sync(request, account, resource) for resource in RESOURCES.values()]})


async def get_sync(request: web.Request) -> web.Response:
    """GET /bitrix/sync/{resource}"""
    name = request.match_info["resource"]
    if name not in RESOURCES:
        expected = ", ".join(RESOURCES)
        raise NotFound(f"resource: unknown list {name[:64]!r}, expected one of {expected}", code="resource_not_found")
    account = await load_account(request)
    return json_response(await load_sync(request, account, RESOURCES[name]))


async def load_sync(request: web.Request, account: Account, resource: Resource) -> dict[str, object]:
    """Return the latest sync of *resource*; its state is `idle` if there was none."""
    unknown = dict.fromkeys(("mode", "total", "cursor", "startedAt", "finishedAt", "error"))
    blank: dict[str, object] = {"resource": resource.name, "rows": 0, "leftOut": 0, "skipped": []}
    try:
        run = await request.app[SYNCS].load(account, resource)
    except StorageDamaged as error:
        return blank | unknown | {"state": "failed", "error": error.message}
    if run is None:
        return blank | unknown | {"state": "idle"}
    names = {item.sublist: item.name for item in resource.lists(request.app[CONFIG].field_language)}
    return render_run(run, names)


def render_run(run: SyncRun, names: dict[int, str]) -> dict[str, object]:
    """Return the JSON of *run*; *names* has the names of the portal's lists by part."""
    return {
        "resource": run.resource,
        "state": run.state,
        "mode": "full",
        "rows": run.rows,
        "total": run.total,
        "cursor": run.cursor,
        "startedAt": format_time(run.started_at),
        "finishedAt": None if run.finished_at is None else format_time(run.finished_at),
        "error": run.error,
        "leftOut": run.left_out,
        "skipped": [
            {"list": names[item.sublist], "reason": item.skipped} for item in run.sublists if item.skipped is not None
        ],
    }
