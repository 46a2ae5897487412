"""Runs gateways in separate processes, one after another on one database. Each may be killed at any moment."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from gateway.auth.caller import Caller
from gateway.auth.tokens import issue_token
from gateway.clock import SystemClock
from gateway.redaction import Secret
from gateway.settings.config import load_config
from tests.gateway import JWT_SECRET, RESOURCES, Answer, HttpVerbs, Sandbox

ROOT = Path(__file__).parents[2]
ENCRYPTION_KEY = "A" * 43
Death = tuple[str, int]
"""When to die: before or after a commit, and its number."""


class Died(Exception):
    """The gateway exited before it answered."""


class House(HttpVerbs):
    """Runs at most one gateway at a time. Requests use an administrator's token of account "acme" by default."""

    def __init__(
        self,
        launcher: asyncio.subprocess.Process,
        session: aiohttp.ClientSession,
        environ: Mapping[str, str],
        log: Path,
    ) -> None:
        self.environ = dict(environ)
        self.config = load_config(self.environ)
        self.database = self.config.database
        self.log = log
        self.pid = 0
        self.launcher_pid = launcher.pid
        self._launcher = launcher
        self._session = session
        self._tokens: dict[str, str] = {}
        self._status: asyncio.Task[int] | None = None

    async def start(self, death: Death | None = None) -> None:
        """Start a gateway and wait until it accepts requests.

        Raises:
            Died: it exited before that.
        """
        await self.launch(death)
        while True:
            try:
                await self.request("GET", "/healthz")
                return
            except Died:
                if self.ended:
                    raise
                await asyncio.sleep(0.01)

    async def launch(self, death: Death | None = None) -> None:
        """Start a gateway without waiting for it."""
        assert self.ended
        assert self._launcher.stdin is not None
        job = {"environ": self.environ, "log": str(self.log), "death": death}
        self._launcher.stdin.write(json.dumps(job).encode() + b"\n")
        self.pid = int(await self._read_line())
        self._status = asyncio.create_task(self._read_status())

    async def _read_line(self) -> bytes:
        assert self._launcher.stdout is not None
        return await self._launcher.stdout.readline()

    async def _read_status(self) -> int:
        return int(await self._read_line())

    @property
    def ended(self) -> bool:
        return self._status is None or self._status.done()

    async def end(self, number: int | None = None) -> int:
        """Wait for the gateway to exit and return its exit status. Send it signal *number* first, if given."""
        assert self._status is not None
        if number is not None and not self.ended:
            os.kill(self.pid, number)
        return await self._status

    async def request(self, method: str, path: str, *, account: str = "acme", **options: Any) -> Answer:
        """Send a request and return its answer.

        Raises:
            Died: the gateway did not answer.
        """
        if account not in self._tokens:
            self._tokens[account] = issue_token(
                self.config, Secret(JWT_SECRET), SystemClock(), Caller(account, "1", is_admin=True), ttl_s=86_400
            )
        headers = {"Authorization": f"Bearer {self._tokens[account]}"}
        try:
            async with self._session.request(
                method, self.config.own_origin + path, headers=headers, allow_redirects=False, **options
            ) as response:
                return Answer(response.status, response.headers, await response.read())
        except (aiohttp.ClientError, ConnectionError) as error:
            raise Died from error

    async def connect(self, url: str, *, account: str = "acme") -> Answer:
        answer = await self.post("/bitrix/account", account=account, json={"client_bitrix_url": url})
        assert answer.status == 200, answer.body
        return answer

    async def authorize(self, sandbox: Sandbox, *, account: str = "acme") -> None:
        """Connect *account* by OAuth as a user does, unless it is already connected."""
        answer = await self.connect(sandbox.origin, account=account)
        if "authorizeURL" not in answer.json:
            return
        async with self._session.get(answer.json["authorizeURL"], allow_redirects=False) as page:
            back = page.headers["Location"].removeprefix(self.config.own_origin)
        answer = await self.get(back)
        assert answer.status == 302, answer.body

    async def finished_runs(self, *resources: str, account: str = "acme") -> dict[str, dict[str, Any]]:
        """Wait until each of *resources* (default: all) has started and ended a run, and return the latest runs."""
        while True:
            runs = {run["resource"]: run for run in (await self.get("/bitrix/sync", account=account)).json["items"]}
            wanted = {name: runs[name] for name in resources or RESOURCES}
            if not {run["state"] for run in wanted.values()} & {"running", "idle"}:
                return wanted
            await asyncio.sleep(0.02)

    async def user_ids(self, *, account: str = "acme") -> list[str]:
        """Return the portal ids of the listed users, in ascending order."""
        listed = (await self.get("/bitrix/users?size=10000", account=account)).json
        assert listed["count"] == len(listed["items"])
        return sorted((user["bitrixUserID"] for user in listed["items"]), key=int)


async def until(seen: Callable[[], bool]) -> None:
    """Return once *seen* is true."""
    while not seen():  # noqa: ASYNC110  the sandbox's plain values cannot be awaited
        await asyncio.sleep(0.002)


@asynccontextmanager
async def house_at(environ: Mapping[str, str], home: Path, prefix: Iterable[str] = ()) -> AsyncIterator[House]:
    """Open a house whose gateways use the settings *environ* and run in *home*, under the command *prefix* if any."""
    launcher = await asyncio.create_subprocess_exec(
        *prefix,
        *(sys.executable, "-m", "tests.crash.launcher"),
        cwd=home,
        env={name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
        | {"PYTHONPATH": str(ROOT)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
        house = House(launcher, session, environ, home / "gateway.log")
        try:
            yield house
        finally:
            if not house.ended:
                await house.end(signal.SIGKILL)
            assert launcher.stdin is not None
            launcher.stdin.close()
            await launcher.wait()
