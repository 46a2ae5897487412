"""The syncs of mirrored lists: their progress, their settings, and starting, pausing and cancelling them."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.clock import format_time
from gateway.errors import InvalidInput
from gateway.mirror.resources import Resource
from gateway.mirror.sync import SyncStatus
from gateway.mirror.sync_control import SettingsChange, SyncControl
from gateway.schemas import INT32, Boolean, ClosedBody, Int32, StrictField
from handlers.app_keys import SYNC_CONTROL, SYNCS
from handlers.bitrix.account_loading import load_account, load_authorized_account
from handlers.bitrix.fields import access_fields, requested_resource
from handlers.http.bodies import load_body
from handlers.http.keys import CONFIG
from handlers.http.query import one_value
from handlers.http.responses import json_response
from storage.errors import StorageDamaged
from storage.records import Account, SyncMode, SyncRun

MIN_INTERVAL_S = 60
MODES: dict[str, SyncMode] = {"full": "full", "incremental": "incremental"}


async def list_syncs(request: web.Request) -> web.Response:
    """GET /bitrix/sync"""
    account = await load_account(request)
    mirrored = await request.app[SYNCS].list_mirrored(account)
    return json_response({"items": [await load_sync(request, account, resource) for resource, _ in mirrored]})


async def get_sync(request: web.Request) -> web.Response:
    """GET /bitrix/sync/{resource}"""
    resource = requested_resource(request)
    return json_response(await load_sync(request, await load_account(request), resource))


def sync_of(find: Callable[[web.Request], Resource]) -> Handler:
    """Return the PATCH handler that starts a sync of the resource that *find* returns, unless one is running."""

    async def start_sync(request: web.Request) -> web.Response:
        resource = find(request)
        mode = one_value(request.query, "mode")
        if resource.record is None and mode not in (None, "full"):
            raise InvalidInput.of_parameter("mode", "invalid_value", "must be full: this list is always read in full")
        if mode is not None and mode not in MODES:
            raise InvalidInput.of_parameter("mode", "invalid_value", "must be full or incremental")
        account = await load_authorized_account(request)
        await request.app[SYNCS].start(account, resource, None if mode is None else MODES[mode])
        return web.Response(headers={"Location": f"/bitrix/sync/{resource.name}"})

    return start_sync


class Interval(Int32):
    """A number of seconds between two syncs."""

    rule = f"must be 0 or an integer from {MIN_INTERVAL_S} to {INT32[-1]}"

    def accepts(self, value: Any) -> bool:
        return super().accepts(value) and (value == 0 or value >= MIN_INTERVAL_S)


class Names(StrictField):
    """Names of fields."""

    rule = "must be a list of names"

    def accepts(self, value: Any) -> bool:
        return isinstance(value, list) and all(isinstance(name, str) for name in value)


class SettingsBody(ClosedBody):
    """The settings of a sync. What is absent stays as it is."""

    enabled = Boolean(required=False)
    interval_s = Interval(required=False, name="intervalSeconds")
    indexed = Names(required=False)
    purge = Boolean(required=False)


async def change_sync(request: web.Request) -> web.Response:
    """PUT /bitrix/sync/{resource}"""
    resource = requested_resource(request)
    body = await load_body(request, SettingsBody())
    if "indexed" in body:
        body["indexed"] = tuple(body["indexed"])
    change = SettingsChange(**body)
    account = await (load_authorized_account if change.enabled else load_account)(request)
    access = partial(access_fields, request, account, resource)
    await request.app[SYNC_CONTROL].change(account, resource, change, access)
    return json_response(await load_sync(request, account, resource))


def controlling(act: Callable[[SyncControl, Account, Resource], Awaitable[None]]) -> Handler:
    """Return the POST handler that calls *act*, a method of SyncControl."""

    async def control_sync(request: web.Request) -> web.Response:
        resource = requested_resource(request)
        account = await load_account(request)
        await act(request.app[SYNC_CONTROL], account, resource)
        return json_response(await load_sync(request, account, resource))

    return control_sync


CONTROLS = {"pause": SyncControl.pause, "resume": SyncControl.resume, "cancel": SyncControl.cancel}


async def load_sync(request: web.Request, account: Account, resource: Resource) -> dict[str, object]:
    """Return the settings and the latest run of the sync of *resource*; its state is `idle` if there was none."""
    try:
        status = await request.app[SYNCS].load(account, resource)
    except StorageDamaged as error:
        return BLANK | {"resource": resource.name, "state": "failed", "error": error.message}
    names = {item.sublist: item.name for item in resource.lists(request.app[CONFIG].field_language)}
    run = {} if status.run is None else render_run(status.run, names)
    indexed = await request.app[SYNC_CONTROL].list_indexed(status.settings)
    return BLANK | run | render_settings(status, request.app[CONFIG].sync_interval_s) | {"indexed": indexed}


BLANK: dict[str, object] = {
    "resource": None,
    "state": "idle",
    **dict.fromkeys(("mode", "total", "cursor", "startedAt", "finishedAt", "error")),
    **{"rows": 0, "leftOut": 0, "skipped": [], "enabled": True, "intervalSeconds": 0, "indexed": []},
    **dict.fromkeys(("ratePerSecond", "secondsLeft", "watermark")),
}


def render_settings(status: SyncStatus, default_interval_s: int) -> dict[str, object]:
    """Return the JSON of a sync's settings and speed; a paused sync also has that state."""
    settings = status.settings
    interval_s = default_interval_s if settings is None or settings.interval_s is None else settings.interval_s
    watermark = None if settings is None else settings.watermark
    return {
        "resource": status.resource.name,
        **({"state": "paused"} if status.paused else {}),
        "enabled": status.enabled,
        "intervalSeconds": interval_s,
        "ratePerSecond": None if status.rate_per_s is None else round(status.rate_per_s, 1),
        "secondsLeft": None if status.seconds_left is None else round(status.seconds_left),
        "watermark": None if watermark is None else format_time(watermark),
    }


def render_run(run: SyncRun, names: dict[int, str]) -> dict[str, object]:
    """Return the JSON of *run*; *names* has the names of the portal's lists by part."""
    return {
        "state": run.state,
        "mode": run.mode,
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
