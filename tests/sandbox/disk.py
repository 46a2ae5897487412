"""Disk as a client of the sandbox sees it: shared by the tests of its methods."""

import base64
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import orjson
from aiohttp import ClientSession, FormData
from yarl import URL

from tests.sandbox.client import Answer, RestClient


def base64_of(content: bytes) -> str:
    return base64.b64encode(content).decode()


@dataclass(frozen=True)
class DiskClient:
    """Calls ``disk.*`` with the credential of *rest*."""

    rest: RestClient
    auth: str = ""

    async def call(self, method: str, **params: Any) -> Answer:
        """POST as JSON, from a file in memory: aiohttp warns of large bodies in bytes."""
        body = orjson.dumps({**params, "auth": self.auth} if self.auth else params)
        headers = {"Content-Type": "application/json"}
        return await self.rest.send("POST", f"{self.rest.base}disk.{method}", data=BytesIO(body), headers=headers)

    async def result(self, method: str, **params: Any) -> Any:
        return (await self.call(method, **params)).result

    async def root(self, **owner: str) -> str:
        """The id of the root folder of one storage, by default the common drive."""
        (storage,) = await self.result("storage.getlist", filter=owner or {"ENTITY_TYPE": "common"})
        return str(storage["ROOT_OBJECT_ID"])

    async def folder(self, name: str, parent: str | int | None = None) -> Any:
        return await self.result("folder.addsubfolder", id=parent or await self.root(), data={"NAME": name})

    async def file(self, name: str, content: bytes = b"content", parent: str | int | None = None) -> Any:
        """Upload a file within the call."""
        folder = parent or await self.root()
        pair = [name, base64_of(content)]
        return await self.result("folder.uploadfile", id=folder, data={"NAME": name}, fileContent=pair)

    async def names(self, folder: str | int) -> list[str]:
        return [row["NAME"] for row in await self.result("folder.getchildren", id=folder)]

    async def upload_url(self, folder: str | int, **params: Any) -> str:
        return str((await self.result("folder.uploadfile", id=folder, **params))["uploadUrl"])

    async def send(self, url: str, name: str, content: Any, field: str = "file") -> Answer:
        """POST a file to an upload address, with its name as it is."""
        form = FormData(quote_fields=False)
        form.add_field(field, content, filename=name)
        return await self.rest.send("POST", url, data=form)


async def fetch(session: ClientSession, url: str, **headers: str) -> tuple[int, bytes, Any]:
    """GET a link: the status, the body and the headers."""
    async with session.get(URL(url, encoded=True), headers=headers) as answer:
        return answer.status, await answer.read(), answer.headers
