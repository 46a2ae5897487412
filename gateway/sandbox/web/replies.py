"""Sends replies: as JSON or as a file, whole or broken by the fault of the connection."""

from aiohttp import web

from gateway.clock import Clock
from gateway.sandbox.behaviour.faults import HOSTILE_FAULTS
from gateway.sandbox.behaviour.hostile import send_hostile
from gateway.sandbox.exchange import Reply
from gateway.sandbox.php import encode_json
from gateway.sandbox.web.bodies import send_cut, send_download, send_slowly
from gateway.sandbox.web.pages import BAD_GATEWAY, CRASHED, MAINTENANCE

# Source: [srv] rest/classes/general/rest.php
REST_HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Headers": "origin, content-type, accept",
    "X-Content-Type-Options": "nosniff",
}


async def send_reply(request: web.Request, reply: Reply, clock: Clock) -> web.StreamResponse:
    """Send the *reply*, changed by its fault of the connection, if any."""
    fault, value = reply.connection_fault, reply.fault_value
    if fault in HOSTILE_FAULTS:
        return await send_hostile(request, fault, value, clock)
    match fault:
        case "drop" | "lost":
            return abort(request)
        case "redirect":
            return web.Response(status=302, headers={"Location": value + request.raw_path})
        case "html200":
            return web.Response(text=MAINTENANCE, content_type="text/html")
        case "html500":
            return web.Response(status=500, text=CRASHED, content_type="text/html")
        case "502":
            return web.Response(status=502, text=BAD_GATEWAY, content_type="text/html")
    if reply.download:
        return await send_download(request, reply.download, clock, fault, value)
    body = encode_json(reply.body)
    headers = {**REST_HEADERS, **reply.headers, "Content-Type": "application/json; charset=utf-8"}
    match fault:
        case "truncated":
            body = body[: len(body) // 2]
        case "cut":
            return await send_cut(request, body, headers, clock)
        case "slow":
            return await send_slowly(request, reply.status, body, headers, int(value), clock)
    return web.Response(status=reply.status, body=body, headers=headers)


def abort(request: web.Request) -> web.Response:
    """Close the connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
