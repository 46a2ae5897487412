"""The real application on a real SQLite file, with a client that checks every response against openapi.yaml."""

import socket
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlencode

import aiohttp
import orjson
import pysqlite3
from aiohttp import web
from multidict import CIMultiDict

from gateway.auth.caller import Caller
from gateway.auth.tokens import issue_token
from gateway.redaction import Secret
from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.web.server import SandboxServer
from gateway.settings.config import load_config
from gateway.settings.secret_file import resolve_secrets
from handlers.app import make_app
from handlers.app_keys import CALL_COUNTERS
from handlers.http.server import Runner
from storage.database import migrations
from storage.database_file import create_file
from tests.canaries import WATCH
from tests.clock import STEP_GROWTH, ManualClock
from tests.contract import Contract

CONTRACT = Contract(Path(__file__).parent.parent / "openapi.yaml")
JWT_SECRET = "canary-jwt-secret-0123456789abcdef"
RESOURCES = ("users", "steps", "pipelines", "fields")
NO_TOKEN = ""
PASSED_THROUGH = ("/bitrix/call/", "/bitrix/batch", "/bitrix/v3/")


@dataclass(frozen=True)
class Answer:
    """A response that conforms to openapi.yaml."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


@dataclass(frozen=True)
class Streamed:
    """The rows of a stream, and its last line."""

    rows: list[dict[str, Any]]
    end: dict[str, Any]

    @classmethod
    def of(cls, body: bytes) -> "Streamed":
        *rows, end = [orjson.loads(line) for line in body.splitlines()]
        return cls(rows, end)

    @property
    def ids(self) -> list[int]:
        return [int(row["ID"] if "ID" in row else row["id"]) for row in self.rows]


class HttpVerbs:
    """Shortcuts for `request`, by HTTP method."""

    async def request(self, method: str, path: str, **options: Any) -> Answer:
        raise NotImplementedError

    async def get(self, path: str, **options: Any) -> Answer:
        return await self.request("GET", path, **options)

    async def post(self, path: str, **options: Any) -> Answer:
        return await self.request("POST", path, **options)

    async def patch(self, path: str, **options: Any) -> Answer:
        return await self.request("PATCH", path, **options)

    async def delete(self, path: str, **options: Any) -> Answer:
        return await self.request("DELETE", path, **options)


class Gateway(HttpVerbs):
    """A gateway under test. Requests carry a token of account "acme" by default."""

    def __init__(self, environ: Mapping[str, str], listener: socket.socket, clock: ManualClock) -> None:
        self.environ = dict(environ)
        self.clock = clock
        self._listener = listener
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None
        self._tokens: dict[tuple[str, int, int], str] = {}
        self.passes_through = False  # whether a test has named a method of the portal
        self.unlisted_calls = 0  # calls of methods that are not in METHOD_USES, before the last stop

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def app(self) -> web.Application:
        assert self._runner is not None
        return self._runner.app

    @property
    def requests(self) -> int:
        """The number of requests read since the start."""
        assert self._runner is not None
        assert self._runner.server is not None
        return self._runner.server.requests_count

    async def start(self, **environ: str) -> None:
        """Start as a fresh process would, on the same database; *environ* changes settings."""
        config = load_config(self.environ | environ)
        secrets = resolve_secrets(config)
        WATCH.database(config.database)
        WATCH.secret("the encryption key", secrets.encryption_key)
        WATCH.secret("the encryption key", urlsafe_b64encode(secrets.encryption_key).rstrip(b"="))
        WATCH.secret("the JWT secret", JWT_SECRET)
        provide_database(config.database)
        self._runner = Runner(make_app(config, secrets, self.clock), shutdown_timeout=1)
        await self._runner.setup()
        await web.SockSite(self._runner, self._listener.dup()).start()
        # A client without cookies.
        self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=True)

    async def stop(self) -> None:
        if self._session is not None:
            await self._session.close()
        if self._runner is not None:
            await self._runner.cleanup()
            if CALL_COUNTERS in self.app:
                self.unlisted_calls += self.app[CALL_COUNTERS].passed_through.calls

    async def restart(self, **environ: str) -> None:
        await self.stop()
        await self.start(**environ)

    def token(self, account: str = "acme", *, ttl_s: int = 10**7) -> str:
        """A token of *account*. One that is issued in the same second is the same."""
        key = (account, ttl_s, int(self.clock.now()))
        if key not in self._tokens:
            config = load_config(self.environ)
            self._tokens[key] = issue_token(config, Secret(JWT_SECRET), self.clock, Caller(account), ttl_s=ttl_s)
        return self._tokens[key]

    async def request(
        self,
        method: str,
        path: str,
        *,
        account: str = "acme",
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Answer:
        """Send one request and check its response against openapi.yaml. *token* NO_TOKEN sends none."""
        assert self._session is not None
        self.passes_through |= path.startswith(PASSED_THROUGH)
        if token is None:
            token = self.token(account)
            WATCH.secret("a caller's token", token.rpartition(".")[2])
        sent = CIMultiDict(headers or {})
        if token:
            sent.setdefault("Authorization", f"Bearer {token}")
        async with self._session.request(
            method, self.origin + path, headers=sent, allow_redirects=False, **options
        ) as response:
            body = await response.read()
            WATCH.answer(f"{method} {path.partition('?')[0]}", response.status, response.headers, body)
            CONTRACT.check(method, path, response.status, response.headers, body)
            return Answer(response.status, response.headers, body)

    @asynccontextmanager
    async def opened(
        self, path: str, *, account: str = "acme", **headers: str
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Yield the unread response to a GET, for tests that read slowly or disconnect. Its lines are not checked."""
        assert self._session is not None
        sent = {"Authorization": f"Bearer {self.token(account)}"} | headers
        async with self._session.get(self.origin + path, headers=sent) as response:
            yield response

    async def stream(self, path: str, *, account: str = "acme", step_s: float = 5, **params: object) -> "Streamed":
        """All lines of `/bitrix/stream/` + *path*, while the clock advances.

        A parameter that is not a string is sent as JSON.
        """
        sent = {
            name: value if isinstance(value, str) else orjson.dumps(value).decode() for name, value in params.items()
        }
        answer = await self.clock.until(
            self.get(f"/bitrix/stream/{path}{'&' if '?' in path else '?'}{urlencode(sent)}", account=account),
            step_s=step_s,
        )
        assert answer.status == 200, answer.body
        return Streamed.of(answer.body)

    async def connect(self, url: str, *, account: str = "acme") -> Answer:
        """Connect *account* and wait for its first sync, if one has started."""
        answer = await self.post("/bitrix/account", account=account, json={"client_bitrix_url": url})
        assert answer.status == 200, answer.body
        if "authorizeURL" not in answer.json:
            await self.synced(account=account)
        return answer

    async def synced(self, *resources: str, account: str = "acme") -> list[dict[str, Any]]:
        """The latest runs of *resources* (all by default), once none is running; the clock advances meanwhile."""
        return await self.clock.until(self._synced(resources or RESOURCES, account))

    async def _synced(self, resources: tuple[str, ...], account: str) -> list[dict[str, Any]]:
        pause_s = 0.25
        while True:
            runs = (await self.get("/bitrix/sync", account=account)).json["items"]
            selected = [run for run in runs if run["resource"] in resources]
            if not any(run["state"] == "running" for run in selected):
                return selected
            await self.clock.sleep(pause_s)
            pause_s *= STEP_GROWTH

    async def sync(self, *resources: str, account: str = "acme") -> list[dict[str, Any]]:
        """Start syncs by PATCH and wait for their end."""
        for resource in resources:
            answer = await self.patch(f"/bitrix/{resource}", account=account)
            assert answer.status == 200, answer.body
        return await self.synced(*resources, account=account)

    async def rows(self, resource: str, *, account: str = "acme") -> list[dict[str, Any]]:
        """All rows of a list, read page by page."""
        rows: list[dict[str, Any]] = []
        page = 1
        while True:
            answer = await self.get(f"/bitrix/{resource}?page={page}&size=50", account=account)
            if answer.status == 404:
                return rows
            rows += answer.json["items"]
            if page * 50 >= answer.json["count"]:
                return rows
            page += 1


class Sandbox:
    """A sandbox portal and its server."""

    def __init__(self, portal: SandboxPortal, server: SandboxServer) -> None:
        self.portal = portal
        self.server = server

    @property
    def origin(self) -> str:
        return self.server.origin

    @property
    def host(self) -> str:
        return self.origin.removeprefix("http://")

    @property
    def webhook(self) -> str:
        return self.origin + self.portal.webhook_path


@cache
def new_database() -> bytes:
    """The content of a database that a gateway has just created."""
    with TemporaryDirectory() as directory:
        path = Path(directory) / "new.db"
        with closing(pysqlite3.connect(str(path))) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript("".join(sql for _, sql in migrations()))
            connection.execute(f"PRAGMA user_version = {migrations()[-1][0]}")
        return path.read_bytes()


def provide_database(path: Path) -> None:
    """Provide a new database at *path*, unless there is one. That takes half as long as creating its tables."""
    if path.parent.is_dir() and not path.exists():
        create_file(path).write_bytes(new_database())


async def authorize(gateway: Gateway, sandbox: Sandbox, *, account: str = "acme", **body: str) -> Answer:
    """Connect *account* by OAuth: POST, the portal's page, the callback. Return the response of the callback."""
    answer = await gateway.post("/bitrix/account", account=account, json={"client_bitrix_url": sandbox.origin, **body})
    assert answer.status == 200, answer.body
    return await gateway.get(await callback_path(gateway, answer.json["authorizeURL"]), token=NO_TOKEN)


async def callback_path(gateway: Gateway, authorize_url: str) -> str:
    """Allow the access on the portal's page; return path and query of its redirect to the gateway."""
    async with aiohttp.ClientSession() as browser, browser.get(authorize_url, allow_redirects=False) as response:
        assert response.status == 302, await response.text()
        return response.headers["Location"].removeprefix(gateway.origin)


@asynccontextmanager
async def serve_sandbox(portal: SandboxPortal) -> AsyncIterator[Sandbox]:
    """Serve *portal* on a free port."""
    WATCH.portal(portal)
    async with SandboxServer(portal) as server:
        yield Sandbox(portal, server)
