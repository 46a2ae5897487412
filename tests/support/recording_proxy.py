"""A proxy to a sandbox portal that records requests and lets a test answer some of them."""

from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import aiohttp
import orjson
from aiohttp import web

from tests.gateway import Sandbox
from tests.support.rogue import listening

Responder = Callable[["Sent"], Awaitable[web.StreamResponse]]
PASSED_ON = ("Authorization", "Content-Type", "Accept", "Idempotency-Key", "Host")
PASSED_BACK = ("Location", "Idempotency-Key", "Idempotent-Replayed")


@dataclass(frozen=True)
class Sent:
    """A request that the gateway sent."""

    verb: str
    address: str
    headers: Mapping[str, str]
    body: bytes
    transport: Any = field(repr=False)

    @property
    def method(self) -> str:
        return self.address.partition("?")[0].rstrip("/").rpartition("/")[2]

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


@dataclass
class RecordingProxy:
    """The proxy. *sent* are the requests of the gateway; *answers* are, by method, the answers to its next calls.

    *replaced* are texts in the portal's answers, and what the gateway gets in their place.
    """

    origin: str = ""
    webhook: str = ""
    sent: list[Sent] = field(default_factory=list)
    answers: dict[str, deque[Responder]] = field(default_factory=dict)
    replaced: dict[bytes, bytes] = field(default_factory=dict)
    in_flight: int = 0
    max_in_flight: int = 0

    def answer(self, method: str, *answers: Responder) -> None:
        """Answer the next calls of *method* instead of the portal."""
        self.answers.setdefault(method, deque()).extend(answers)

    @property
    def counts(self) -> Counter[str]:
        return Counter(sent.method for sent in self.sent)

    def of(self, method: str) -> list[Sent]:
        return [sent for sent in self.sent if sent.method == method]


def respond(status: int, body: bytes, content_type: str = "application/json") -> Responder:
    """Answers with these bytes."""

    async def answer(_sent: Sent) -> web.StreamResponse:
        return web.Response(status=status, body=body, content_type=content_type)

    return answer


def respond_json(body: object, status: int = 200) -> Responder:
    return respond(status, orjson.dumps(body))


async def drop_connection(sent: Sent) -> web.StreamResponse:
    """Closes the connection without an answer."""
    sent.transport.abort()
    return web.Response()


@asynccontextmanager
async def recording_proxy(sandbox: Sandbox) -> AsyncIterator[RecordingProxy]:
    """A proxy to *sandbox* that forwards everything by default."""
    proxy = RecordingProxy()
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:

        async def forward(request: web.Request) -> web.StreamResponse:
            body = await request.read()
            sent = Sent(request.method, request.raw_path, dict(request.headers), body, request.transport)
            proxy.sent.append(sent)
            proxy.in_flight += 1
            proxy.max_in_flight = max(proxy.max_in_flight, proxy.in_flight)
            try:
                if proxy.answers.get(sent.method):
                    return await proxy.answers[sent.method].popleft()(sent)
                headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
                async with session.request(
                    request.method,
                    sandbox.origin + request.raw_path,
                    data=BytesIO(body) if body else None,
                    headers=headers,
                    allow_redirects=False,
                ) as answer:
                    back = {name: answer.headers[name] for name in PASSED_BACK if name in answer.headers}
                    body = await answer.read()
                    for text, other in proxy.replaced.items():
                        body = body.replace(text, other)
                    return web.Response(status=answer.status, body=body, content_type=answer.content_type, headers=back)
            finally:
                proxy.in_flight -= 1

        async with listening(forward) as proxy.origin:
            proxy.webhook = proxy.origin + sandbox.portal.webhook_path
            yield proxy
