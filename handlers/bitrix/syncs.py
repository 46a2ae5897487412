"""How far the mirroring of each list has come."""

from aiohttp import web

from gateway.errors import NotFound
from gateway.mirror.resources import RESOURCES, Resource, format_time
from handlers.app_keys import CONFIG, SYNCS
from handlers.bitrix.account_loading import load_account
from handlers.http.responses import json_response
from storage.errors import StorageDamaged
from storage.records import Account, SyncRun


async def list_syncs(request: web.Request) -> web.Response:
    """GET /bitrix/sync"""
    account = await load_account(request)
    return json_response({"items": [await load_sync(request, account, one) for one in RESOURCES.values()]})


async def get_sync(request: web.Request) -> web.Response:
    """GET /bitrix/sync/{resource}"""
    name = request.match_info["resource"]
    if name not in RESOURCES:
        raise NotFound(f"resource: there is no {name[:64]!r}, only {', '.join(RESOURCES)}", code="resource_not_found")
    account = await load_account(request)
    return json_response(await load_sync(request, account, RESOURCES[name]))


async def load_sync(request: web.Request, account: Account, resource: Resource) -> dict[str, object]:
    """The latest run of *resource*; an idle one before the first."""
    nothing = ("mode", "total", "cursor", "startedAt", "finishedAt", "error")
    blank: dict[str, object] = {"resource": resource.name, "rows": 0, "leftOut": 0, "skipped": []}
    try:
        run = await request.app[SYNCS].load(account, resource)
    except StorageDamaged as error:
        return blank | dict.fromkeys(nothing) | {"state": "failed", "error": error.told}
    if run is None:
        return blank | dict.fromkeys(nothing) | {"state": "idle"}
    names = {one.part: one.name for one in resource.lists(request.app[CONFIG].field_language)}
    return render_run(run, names)


def render_run(run: SyncRun, names: dict[int, str]) -> dict[str, object]:
    """*run* as callers see it; *names* are those of the portal's lists."""
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
        "skipped": [{"list": names[one.part], "reason": one.skipped} for one in run.parts if one.skipped is not None],
    }
