"""A proxy to a sandbox portal that replaces what the portal says about the fields of its lists."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import web

from tests.gateway import Sandbox
from tests.support.altering_proxy import as_map
from tests.support.rogue import listening


@dataclass
class FieldsProxy:
    """The proxy. While *answers* is not None, its item is the result of every fields method."""

    webhook: str
    answers: tuple[object] | None = None


@asynccontextmanager
async def fields_proxy(sandbox: Sandbox) -> AsyncIterator[FieldsProxy]:
    """A proxy to *sandbox* that replaces nothing by default."""
    async with aiohttp.ClientSession() as session:

        async def forward(request: web.Request) -> web.Response:
            body = json.loads(await request.read())
            async with session.post(sandbox.origin + request.path, json=body) as response:
                raw, status, media = await response.read(), response.status, response.content_type
            if proxy.answers is not None and status == 200:
                raw = json.dumps(replaced(request.path, body, json.loads(raw), proxy.answers[0])).encode()
            return web.Response(status=status, body=raw, content_type=media)

        async with listening(forward) as origin:
            proxy = FieldsProxy(origin + sandbox.portal.webhook_path)
            yield proxy


def replaced(path: str, body: dict[str, Any], answer: dict[str, Any], result: object) -> dict[str, Any]:
    """The portal's *answer* with *result* as that of each fields method."""
    if is_fields_method(path.rpartition("/")[2]):
        return {**answer, "result": result}
    if path.endswith("/batch"):
        results = as_map(answer["result"]["result"])
        for label, command in body["cmd"].items():
            if is_fields_method(command.partition("?")[0]) and label in results:
                results[label] = result
        answer["result"]["result"] = results
    return answer


def is_fields_method(method: str) -> bool:
    return method.removesuffix(".json").endswith(".fields")
