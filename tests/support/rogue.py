"""Servers that answer as no portal should: for faults that a portal of good faith cannot show."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from tests.bitrix.protocol import php

Handling = Callable[[web.Request], Awaitable[web.StreamResponse]]
Answers = Callable[[str, dict[str, object]], dict[str, object]]


def page(status: int, text: str = "", content_type: str = "text/html", location: str | None = None) -> Handling:
    """A handler that answers everything with the same page; *location* may hold the {host} and {target} asked for."""

    async def answer(request: web.Request) -> web.Response:
        headers = {} if location is None else {"Location": location.format(host=request.host, target=request.raw_path)}
        return web.Response(status=status, text=text, content_type=content_type, headers=headers)

    return answer


@asynccontextmanager
async def listening(handler: Handling) -> AsyncIterator[str]:
    """The origin of a server that answers everything with *handler*."""
    app = web.Application()
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
    """The webhook address of a portal whose commands, in batches only, answer what *answers* makes of them.

    *answers* takes the method and its parameters, and gives ``{"result": ...}`` with ``total`` or ``next`` beside it.
    """

    async def batch(request: web.Request) -> web.Response:
        body = await request.json()
        told: dict[str, dict[str, object]] = {name: {} for name in ("result", "total", "next")}
        for label, command in body["cmd"].items():
            method, _, query = command.partition("?")
            for name, value in answers(method, php.parse(query)).items():
                told[name][label] = value
        result = {"result": told["result"], "result_total": told["total"], "result_next": told["next"]}
        return web.json_response({"result": {**result, "result_error": [], "result_time": []}})

    async with listening(batch) as origin:
        yield f"{origin}/rest/1/rogue/"
