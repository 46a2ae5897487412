"""A client of the running gateway, as any caller could write one: starts syncs and watches them to their end."""

import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import click
from aiohttp import ClientError, ClientSession, ClientTimeout
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from gateway.clock import Clock
from gateway.config import Config
from gateway.errors import GatewayError

HERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # what listens everywhere is reached on this machine
POLL_S = 0.2
POLLS_A_PLAIN_LINE = 25
ANSWER_WITHIN_S = 90  # connecting by webhook waits for the portal


class RequestFailed(GatewayError):
    """the gateway did not do what was asked of it"""

    code = "request_failed"


@dataclass(frozen=True)
class SyncStatus:
    """How far one sync is; *total* is None where the portal does not count, *left_out* are among the *rows*."""

    resource: str
    state: str
    rows: int
    total: int | None
    left_out: int
    error: str | None
    skipped: tuple[str, ...]

    @property
    def ended(self) -> bool:
        return self.state not in ("running", "paused")

    def __str__(self) -> str:
        line = f"{self.resource}: {self.state}, {self.rows:,} rows"
        if self.left_out:
            line += f", {self.left_out:,} of them of types that are not shown"
        if self.skipped:
            line += f" (not offered by the portal: {'; '.join(self.skipped)})"
        return line + (f": {self.error}" if self.error else "")


class GatewayClient:
    """Speaks to the gateway at *origin* with a bearer token."""

    def __init__(self, session: ClientSession, origin: str, token: str) -> None:
        self._session = session
        self._origin = origin
        self._headers = {"Authorization": f"Bearer {token}"}

    async def request(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:
        """The JSON that *method* on *path* answers with, None where there is none.

        Raises:
            RequestFailed: when the gateway cannot be reached, or refuses; it says which and why.
        """
        url = f"{self._origin}{path}"
        try:
            async with self._session.request(method, url, json=body, headers=self._headers) as response:
                answer = await response.json() if await response.read() else None
        except (ClientError, TimeoutError) as error:
            raise RequestFailed(
                f"no gateway answers at {self._origin} ({type(error).__name__}): is it running?"
            ) from error
        if response.status >= 400:
            raise RequestFailed(f"{method} {path} was answered {response.status}: {answer}")
        return answer

    async def start_sync(self, resource: str) -> None:
        """Start to mirror *resource*, or join the sync that runs."""
        await self.request("PATCH", f"/bitrix/{resource}")

    async def load_sync(self, resource: str) -> SyncStatus:
        """How the latest sync of *resource* goes."""
        run = await self.request("GET", f"/bitrix/sync/{resource}")
        skipped = tuple(one["list"] for one in run["skipped"])
        return SyncStatus(resource, run["state"], run["rows"], run["total"], run["leftOut"], run["error"], skipped)


@asynccontextmanager
async def connected(origin: str, token: str) -> AsyncIterator[GatewayClient]:
    """A client of the gateway at *origin*."""
    async with ClientSession(timeout=ClientTimeout(total=ANSWER_WITHIN_S)) as session:
        yield GatewayClient(session, origin, token)


async def sync_resources(config: Config, token: str, resources: Sequence[str], clock: Clock) -> bool:
    """Let the gateway that runs by the settings of *config* mirror *resources* anew; whether all ended well.

    Raises:
        RequestFailed: when the gateway cannot be reached, or refuses.
    """
    host = HERE.get(config.host, config.host)
    async with connected(f"http://{f'[{host}]' if ':' in host else host}:{config.port}", token) as client:
        for resource in resources:
            await client.start_sync(resource)
        ended = await watch(client, resources, clock)
    return all(status.state == "done" for status in ended)


async def watch(client: GatewayClient, resources: Sequence[str], clock: Clock) -> list[SyncStatus]:
    """Show how the syncs of *resources* go until all have ended; how each ended."""
    ended: dict[str, SyncStatus] = {}
    with progress_of(resources) as show:
        while True:
            for resource in resources:
                if resource not in ended:
                    status = await client.load_sync(resource)
                    show(status)
                    if status.ended:
                        ended[resource] = status
            if len(ended) == len(resources):
                return list(ended.values())
            await clock.sleep(POLL_S)


@contextmanager
def progress_of(resources: Sequence[str]) -> Iterator[Callable[[SyncStatus], None]]:
    """What shows a status: a bar for each of *resources* on a terminal, plain lines elsewhere."""
    if not sys.stdout.isatty():
        yield PlainProgress().show
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:<12}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console()) as progress:
        bars = {resource: progress.add_task(resource, total=None) for resource in resources}

        def show(status: SyncStatus) -> None:
            total = status.rows if status.state == "done" else status.total
            progress.update(bars[status.resource], completed=status.rows, total=total)
            if status.ended:
                progress.stop_task(bars[status.resource])
                if status.error or status.skipped or status.left_out:
                    progress.console.print(str(status), highlight=False)

        yield show


class PlainProgress:
    """A line now and then while a sync runs, and one at its end."""

    def __init__(self) -> None:
        self._polls: Counter[str] = Counter()

    def show(self, status: SyncStatus) -> None:
        self._polls[status.resource] += 1
        if status.ended or self._polls[status.resource] % POLLS_A_PLAIN_LINE == 0:
            click.echo(str(status))
