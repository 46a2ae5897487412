"""A proxy to a sandbox portal that alters the responses to batches, as a test demands."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson
from aiohttp import web

from tests.bitrix.protocol import php
from tests.gateway import Sandbox
from tests.support.rogue import listening

PARTS = {"result": "result", "error": "result_error", "total": "result_total", "next": "result_next"}


@dataclass
class CommandAnswer:
    """One command of a batch with the portal's answer: ``result``, ``error``, ``total`` and ``next``, if present."""

    position: int
    method: str
    params: dict[str, Any]
    answer: dict[str, Any]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of the answer; empty for an error."""
        rows: list[dict[str, Any]] = self.answer.get("result", [])
        return rows


@dataclass
class AlteringProxy:
    """The proxy. *before* runs before each batch is forwarded; *answer* may alter the answer to each command."""

    webhook: str
    before: Callable[[], None] = field(default=lambda: None)
    answer: Callable[[CommandAnswer], None] = field(default=lambda _command: None)
    batches: list[list[CommandAnswer]] = field(default_factory=list)


@asynccontextmanager
async def altering_proxy(sandbox: Sandbox) -> AsyncIterator[AlteringProxy]:
    """A proxy to *sandbox* that alters nothing by default."""
    async with aiohttp.ClientSession() as session:

        async def forward(request: web.Request) -> web.Response:
            body = orjson.loads(await request.read())
            is_batch = request.path.endswith("/batch")
            if is_batch:
                proxy.before()
            async with session.post(sandbox.origin + request.path, json=body) as response:
                raw, media = await response.read(), response.content_type
            if is_batch and media == "application/json" and "result" in (answer := orjson.loads(raw)):
                raw = orjson.dumps({**answer, "result": altered(body["cmd"], answer["result"])})
            return web.Response(status=response.status, body=raw, content_type=media)

        def altered(commands: dict[str, str], result: dict[str, Any]) -> dict[str, Any]:
            parts = {name: as_map(result[part]) for name, part in PARTS.items()}
            batch = []
            for position, (label, command) in enumerate(commands.items()):
                method, _, query = command.partition("?")
                answer = {name: part.pop(label) for name, part in parts.items() if label in part}
                answered = CommandAnswer(position, method, php.parse(query), answer)
                proxy.answer(answered)
                for name, value in answered.answer.items():
                    parts[name][label] = value
                batch.append(answered)
            proxy.batches.append(batch)
            return {**result, **{part: parts[name] for name, part in PARTS.items()}}

        async with listening(forward) as origin:
            proxy = AlteringProxy(origin + sandbox.portal.webhook_path)
            yield proxy


def as_map(value: Any) -> dict[str, Any]:
    """A map in a batch response; PHP encodes an empty or consecutively numbered map as a list."""
    return value if isinstance(value, dict) else {str(index): item for index, item in enumerate(value)}
