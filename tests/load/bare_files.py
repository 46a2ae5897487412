"""The baseline: aiohttp alone copies files from a form to a portal, and from a portal to a caller.

python -m tests.load.bare_files PORT PORTAL_ORIGIN DIRECTORY

A form is read into files in DIRECTORY. Then each is posted in base64, as many at once as the gateway does.
"""

import asyncio
import sys
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import ExitStack
from tempfile import TemporaryFile
from typing import IO

import aiohttp
from aiohttp import BodyPartReader, web

from gateway.bitrix.protocol.file_bodies import CHUNK_BYTES
from gateway.cli.process import run
from gateway.disk.uploads import SIDE_BY_SIDE
from tests.load.bare import serve_app
from tests.load.portal import WEBHOOK

READ_BYTES = 64 * 1024
BEFORE, AFTER = b'{"id":1,"data":{"NAME":"1.bin"},"fileContent":["1.bin","', b'"]}'


async def encoded(file: IO[bytes]) -> AsyncIterator[bytes]:
    """The body of an upload."""
    yield BEFORE
    file.seek(0)
    while chunk := file.read(CHUNK_BYTES):
        yield b64encode(chunk)
    yield AFTER


class Copier:
    """Copies files with one session."""

    def __init__(self, session: aiohttp.ClientSession, portal: str, directory: str) -> None:
        self._session = session
        self._portal = portal
        self._directory = directory

    async def upload(self, request: web.Request) -> web.Response:
        """Copy the files of a form to the portal."""
        places = asyncio.Semaphore(SIDE_BY_SIDE)

        async def post(file: IO[bytes]) -> object:
            async with places:
                length = len(BEFORE) + (file.tell() + 2) // 3 * 4 + len(AFTER)
                headers = {"Content-Type": "application/json", "Content-Length": str(length)}
                url = f"{self._portal}{WEBHOOK}disk.folder.uploadfile"
                async with self._session.post(url, data=encoded(file), headers=headers) as response:
                    return await response.json()

        with ExitStack() as opened:
            files = []
            async for part in await request.multipart():
                assert isinstance(part, BodyPartReader)
                file = opened.enter_context(TemporaryFile(dir=self._directory))
                while chunk := await part.read_chunk(READ_BYTES):
                    file.write(chunk)
                files.append(file)
            return web.json_response(await asyncio.gather(*map(post, files)))

    async def download(self, request: web.Request) -> web.StreamResponse:
        """Copy a file from the portal to the caller."""
        async with self._session.post(f"{self._portal}{WEBHOOK}disk.file.get", json={"id": 1}) as answer:
            facts = (await answer.json())["result"]
        async with self._session.get(facts["DOWNLOAD_URL"]) as source:
            response = web.StreamResponse(headers={"Content-Length": str(facts["SIZE"])})
            await response.prepare(request)
            async for chunk in source.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
        return response


async def serve(port: int, portal: str, directory: str) -> None:
    """Serve until killed."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session:
        copier = Copier(session, portal, directory)
        app = web.Application(client_max_size=2**40)
        app.router.add_post("/bitrix/files", copier.upload)
        app.router.add_get("/bitrix/files/1/content", copier.download)
        await serve_app(app, port)


if __name__ == "__main__":
    run(serve(int(sys.argv[1]), *sys.argv[2:]))
