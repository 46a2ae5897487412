"""The baseline: an aiohttp handler that answers every request with the same bytes.

python -m tests.load.bare PORT FILE
"""

import asyncio
import sys
from pathlib import Path

from aiohttp import web

from gateway.cli.process import run


async def serve(port: int, body: bytes) -> None:
    """Answer with *body* until killed."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    app = web.Application()
    app.router.add_route("GET", "/bitrix/users", answer)
    await serve_app(app, port)


async def serve_app(app: web.Application, port: int) -> None:
    """Serve *app* until killed."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    run(serve(int(sys.argv[1]), Path(sys.argv[2]).read_bytes()))
