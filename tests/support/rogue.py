"""Servers with faults that the sandbox portal does not have."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from tests.bitrix.protocol import php

Handling = Callable[[web.Request], Awaitable[web.StreamResponse]]
Answers = Callable[[str, dict[str, object]], dict[str, object]]


def page(status: int, text: str = "", content_type: str = "text/html", location: str | None = None) -> Handling:
    """A handler that answers every request with this page; *location* may contain the request's {host} and {target}."""

    async def answer(request: web.Request) -> web.Response:
        headers = {} if location is None else {"Location": location.format(host=request.host, target=request.raw_path)}
        return web.Response(status=status, text=text, content_type=content_type, headers=headers)

    return answer


@asynccontextmanager
async def listening(handler: Handling) -> AsyncIterator[str]:
    """Run a server that answers every request with *handler*; yield its origin."""
    app = web.Application(client_max_size=0)  # no limit
    app.router.add_route("*", "/{tail:.*}", handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def answering(answers: Answers) -> AsyncIterator[str]:
    """Run a portal that answers the commands of batches with *answers*; yield its webhook.

    *answers* takes a method and its parameters and returns ``{"result": ...}``, with ``total`` or ``next`` if needed.
    """

    async def batch(request: web.Request) -> web.Response:
        body = await request.json()
        parts: dict[str, dict[str, object]] = {name: {} for name in ("result", "total", "next")}
        for label, command in body["cmd"].items():
            method, _, query = command.partition("?")
            for name, value in answers(method, php.parse(query)).items():
                parts[name][label] = value
        result = {"result": parts["result"], "result_total": parts["total"], "result_next": parts["next"]}
        return web.json_response({"result": {**result, "result_error": [], "result_time": []}})

    async with listening(batch) as origin:
        yield f"{origin}/rest/1/rogue/"
