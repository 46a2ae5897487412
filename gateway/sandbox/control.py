"""The control address of the sandbox, ``/_sandbox/``: what the Python surface does, for those outside the process."""

from collections.abc import Iterable
from typing import Any

import orjson
from aiohttp import web

from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.table import Table


def control_routes(portal: SandboxPortal) -> Iterable[web.RouteDef]:
    """The routes of the control address; every body is JSON, every refusal a 400 with a sentence.

    - ``GET /_sandbox/``: counters and pending faults
    - ``POST /_sandbox/faults`` with ``{"fault": SPEC}``, ``DELETE`` to clear them
    - ``POST /_sandbox/hold``, ``/_sandbox/release`` with ``{"method": NAME}``
    - ``POST /_sandbox/rows`` with ``{"table": "users", "set": {"7": {…}}, "remove": [9]}``: a row of ``set`` is added,
      or changed in the columns it names
    """
    control = _Control(portal)
    return (
        web.get("/_sandbox/", control.show),
        web.post("/_sandbox/faults", control.add_fault),
        web.delete("/_sandbox/faults", control.clear_faults),
        web.post("/_sandbox/hold", control.hold),
        web.post("/_sandbox/release", control.release),
        web.post("/_sandbox/rows", control.change_rows),
    )


class _Control:
    def __init__(self, portal: SandboxPortal) -> None:
        self._portal = portal

    async def show(self, _request: web.Request) -> web.Response:
        portal = self._portal
        return _json(
            {
                "http_requests": portal.http_requests,
                "token_requests": len(portal.token_requests),
                "calls": portal.calls,
                "refusals": portal.refusals,
                "faults": [str(fault) for fault in portal.faults],
                "rows": {name: len(table) for name, table in portal.data.tables.items()},
            }
        )

    async def add_fault(self, request: web.Request) -> web.Response:
        spec = await _text(request, "fault")
        try:
            self._portal.fault(spec)
        except ValueError as error:
            raise _refused(str(error)) from None
        return _json({"faults": [str(fault) for fault in self._portal.faults]})

    async def clear_faults(self, _request: web.Request) -> web.Response:
        self._portal.clear_faults()
        return _json({"faults": []})

    async def hold(self, request: web.Request) -> web.Response:
        method = await _text(request, "method")
        self._portal.hold(method)
        return _json({"held": method})

    async def release(self, request: web.Request) -> web.Response:
        method = await _text(request, "method")
        self._portal.release(method)
        return _json({"released": method})

    async def change_rows(self, request: web.Request) -> web.Response:
        body = await _object(request)
        table = self._portal.data.tables.get(str(body.get("table")))
        if table is None:
            raise _refused(f"table: one of {', '.join(self._portal.data.tables)}")
        changed, removed = body.get("set", {}), body.get("remove", [])
        if not isinstance(changed, dict) or not all(
            isinstance(row, dict) and key.isdecimal() for key, row in changed.items()
        ):
            raise _refused("set: an object of rows by id")
        if not isinstance(removed, list) or not all(isinstance(row_id, int) for row_id in removed):
            raise _refused("remove: a list of ids")
        _change(table, {int(key): row for key, row in changed.items()}, removed)
        return _json({"rows": len(table)})


def _change(table: Table, changed: dict[int, dict[str, Any]], removed: list[int]) -> None:
    for row_id, row in changed.items():
        table[row_id] = {**table.get(row_id, {}), **row}
    for row_id in removed:
        table.pop(row_id, None)


async def _object(request: web.Request) -> dict[str, Any]:
    try:
        body = orjson.loads(await request.read())
    except orjson.JSONDecodeError:
        raise _refused("the body is not JSON") from None
    if not isinstance(body, dict):
        raise _refused("the body is not a JSON object")
    return body


async def _text(request: web.Request, name: str) -> str:
    value = (await _object(request)).get(name)
    if not isinstance(value, str):
        raise _refused(f"{name}: a string")
    return value


def _json(value: Any) -> web.Response:
    return web.Response(body=orjson.dumps(value), content_type="application/json")


def _refused(sentence: str) -> web.HTTPBadRequest:
    return web.HTTPBadRequest(text=sentence)
