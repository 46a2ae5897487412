"""A stand-in for a portal's Disk, as fast as aiohttp allows: it counts requests and keeps no content.

python -m tests.load.disk_portal PORT FILE

FILE is the content of each download.
"""

import itertools
import sys
from pathlib import Path

from aiohttp import web

from gateway.cli.process import run
from tests.load.bare import serve_app
from tests.load.portal import WEBHOOK


class DiskPortal:
    """Takes files within the call or in two steps, and gives one file."""

    def __init__(self, origin: str, file: Path) -> None:
        self._origin = origin
        self._file = file
        self._ids = itertools.count(1)
        self.requests = 0

    async def upload(self, request: web.Request) -> web.Response:
        """Take a file within the call; a call without one is answered with an address."""
        self.requests += 1
        first = await request.content.readany()
        if b'"fileContent"' not in first:
            return web.json_response({"result": {"uploadUrl": f"{self._origin}/upload?token=1", "field": "file"}})
        return await self._take(request, len(first))

    async def upload_form(self, request: web.Request) -> web.Response:
        """Take a file as a form."""
        self.requests += 1
        return await self._take(request, 0)

    async def _take(self, request: web.Request, size: int) -> web.Response:
        async for chunk in request.content.iter_any():
            size += len(chunk)
        number = next(self._ids)
        return web.json_response({"result": {"ID": number, "NAME": f"{number}.bin", "SIZE": size, "DETAIL_URL": ""}})

    async def get(self, _request: web.Request) -> web.Response:
        """Tell where the content of the file is."""
        self.requests += 1
        facts = {"ID": 1, "NAME": "1.bin", "SIZE": self._file.stat().st_size, "FILE_ID": 1, "UPDATE_TIME": ""}
        return web.json_response({"result": {**facts, "DOWNLOAD_URL": f"{self._origin}/download?token=1"}})

    async def download(self, _request: web.Request) -> web.StreamResponse:
        """Give the content."""
        self.requests += 1
        return web.FileResponse(self._file)

    async def count(self, _request: web.Request) -> web.Response:
        """Tell the number of requests."""
        return web.json_response(self.requests)


async def serve(port: int, file: Path) -> None:
    """Serve until killed."""
    portal = DiskPortal(f"http://127.0.0.1:{port}", file)
    app = web.Application(client_max_size=0)
    app.router.add_post(f"{WEBHOOK}disk.folder.uploadfile", portal.upload)
    app.router.add_post("/upload", portal.upload_form)
    app.router.add_post(f"{WEBHOOK}disk.file.get", portal.get)
    app.router.add_get("/download", portal.download)
    app.router.add_get("/count", portal.count)
    await serve_app(app, port)


if __name__ == "__main__":
    run(serve(int(sys.argv[1]), Path(sys.argv[2])))
