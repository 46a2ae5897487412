"""The control address of the sandbox, ``/_sandbox/``: counters, faults, holds, rights, rows, files, widgets."""

from collections.abc import Iterable
from typing import Any

import orjson
from aiohttp import web

from gateway.sandbox.content.changes import Change
from gateway.sandbox.content.disk.objects import FILE, FOLDER
from gateway.sandbox.php import as_id
from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.web.opening import Opening, open_placement


def control_routes(portal: SandboxPortal) -> Iterable[web.RouteDef]:
    """The routes of the control address. Bodies are JSON; an error is a 400 with a message in plain text.

    - ``GET /_sandbox/``: counters and pending faults
    - ``POST /_sandbox/faults`` with ``{"fault": SPEC}``, ``DELETE`` clears the faults
    - ``POST /_sandbox/hold``, ``/_sandbox/release`` with ``{"method": NAME}``
    - ``POST /_sandbox/deny``, ``/_sandbox/allow`` with ``{"table": "deals"}``: no user may read these CRM records
    - ``POST /_sandbox/rows`` with ``{"table": "users", "set": {"7": {…}}, "remove": [9]}``: a row of ``set`` is
      added, or its given columns are changed; with ``"after": {"method": NAME, "calls": N}`` after N more calls
    - ``GET /_sandbox/disk/FOLDER``: the folders and files in a folder of Disk, with the size and SHA-256 of each file
    - ``POST /_sandbox/open`` with ``{"placement": CODE, "options": {"ID": "1"}}`` opens a placement as a portal does;
      `Opening` has all properties. It answers with what was sent to the handler and what came back. It is a 404 if no
      such handler is bound, a 409 if several are or if the application's installation is not finished, and a 502 if
      the handler does not answer.
    """
    control = _Control(portal)
    return (
        web.get("/_sandbox/", control.show),
        web.post("/_sandbox/faults", control.add_fault),
        web.delete("/_sandbox/faults", control.clear_faults),
        web.post("/_sandbox/hold", control.hold),
        web.post("/_sandbox/release", control.release),
        web.post("/_sandbox/deny", control.deny),
        web.post("/_sandbox/allow", control.allow),
        web.post("/_sandbox/rows", control.change_rows),
        web.get("/_sandbox/disk/{folder}", control.show_folder),
        web.post("/_sandbox/open", control.open_placement),
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
                "commands": portal.commands,
                "busy_s": portal.busy_s,
                "refusals": portal.refusals,
                "faults": [str(fault) for fault in portal.faults],
                "changes": len(portal.changes),
                "rows": {name: len(table) for name, table in portal.data.tables.items()},
            }
        )

    async def add_fault(self, request: web.Request) -> web.Response:
        spec = await _text(request, "fault")
        try:
            self._portal.fault(spec)
        except ValueError as error:
            raise _bad_request(str(error)) from None
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

    async def deny(self, request: web.Request) -> web.Response:
        table = await _text(request, "table")
        try:
            self._portal.deny(table)
        except ValueError as error:
            raise _bad_request(str(error)) from None
        return _json({"denied": table})

    async def allow(self, request: web.Request) -> web.Response:
        table = await _text(request, "table")
        try:
            self._portal.allow(table)
        except ValueError as error:
            raise _bad_request(str(error)) from None
        return _json({"allowed": table})

    async def change_rows(self, request: web.Request) -> web.Response:
        body = await _object(request)
        try:
            change = Change.parse(body)
            method, calls = _read_after(body)
            if method is None:
                self._portal.change(change)
            else:
                self._portal.change_after(method, calls, change)
        except ValueError as error:
            raise _bad_request(str(error)) from None
        return _json({"rows": len(self._portal.data.tables[change.table])})

    async def show_folder(self, request: web.Request) -> web.Response:
        disk, folder_id = self._portal.data.disk, as_id(request.match_info["folder"])
        folder = disk.objects.get(folder_id)
        if folder is None or folder["TYPE"] != FOLDER:
            raise web.HTTPNotFound(text="no such folder")
        children = disk.children(folder_id)
        return _json(
            {
                "folders": [{"id": int(row["ID"]), "name": row["NAME"]} for row in children if row["TYPE"] == FOLDER],
                "files": [
                    {
                        "id": int(row["ID"]),
                        "name": row["NAME"],
                        "size": int(row["SIZE"]),
                        "sha256": disk.blobs[int(row["FILE_ID"])].sha256,
                    }
                    for row in children
                    if row["TYPE"] == FILE
                ],
            }
        )

    async def open_placement(self, request: web.Request) -> web.Response:
        body = await _object(request)
        try:
            opening = Opening.parse(body, self._portal.data)
        except ValueError as error:
            raise _bad_request(str(error)) from None
        return _json(await open_placement(self._portal, opening, str(request.url.origin())))


def _read_after(body: dict[str, Any]) -> tuple[str | None, int]:
    """The method and the number of its calls after which a change applies; None to apply it now."""
    after = body.get("after")
    if after is None:
        return None, 0
    if not isinstance(after, dict) or not isinstance(after.get("method"), str):
        raise ValueError("after: must be an object of method, a string, and calls")
    calls = after.get("calls")
    if not isinstance(calls, int) or isinstance(calls, bool) or calls < 1:
        raise ValueError("after.calls: must be an integer of at least 1")
    return after["method"], calls


async def _object(request: web.Request) -> dict[str, Any]:
    try:
        body = orjson.loads(await request.read())
    except orjson.JSONDecodeError:
        raise _bad_request("the body is not JSON") from None
    if not isinstance(body, dict):
        raise _bad_request("the body is not a JSON object")
    return body


async def _text(request: web.Request, name: str) -> str:
    value = (await _object(request)).get(name)
    if not isinstance(value, str):
        raise _bad_request(f"{name}: must be a string")
    return value


def _json(value: Any) -> web.Response:
    return web.Response(body=orjson.dumps(value), content_type="application/json")


def _bad_request(sentence: str) -> web.HTTPBadRequest:
    return web.HTTPBadRequest(text=sentence)
