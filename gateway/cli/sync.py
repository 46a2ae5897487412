"""Syncs of the running gateway, started from outside and watched to their end."""

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from gateway.cli.gateway_client import GatewayClient, connected, origin_of
from gateway.clock import Clock
from gateway.redaction import printable
from gateway.settings.config import Config

POLL_S = 0.2
POLLS_A_PLAIN_LINE = 25


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
        return printable(line + (f": {self.error}" if self.error else ""))


async def load_sync(client: GatewayClient, resource: str) -> SyncStatus:
    """How the latest sync of *resource* goes."""
    run = await client.request("GET", f"/bitrix/sync/{resource}")
    skipped = tuple(one["list"] for one in run["skipped"])
    return SyncStatus(resource, run["state"], run["rows"], run["total"], run["leftOut"], run["error"], skipped)


async def sync_resources(config: Config, token: str, resources: Sequence[str], clock: Clock) -> bool:
    """Let the gateway that runs by the settings of *config* mirror *resources* anew; whether all ended well.

    Raises:
        RequestFailed: when the gateway cannot be reached, or refuses.
    """
    async with connected(origin_of(config), token) as client:
        for resource in resources:
            await client.request("PATCH", f"/bitrix/{resource}")
        ended = await watch(client, resources, clock)
    return all(status.state == "done" for status in ended)


async def watch(client: GatewayClient, resources: Sequence[str], clock: Clock) -> list[SyncStatus]:
    """Show how the syncs of *resources* go until all have ended; how each ended."""
    ended: dict[str, SyncStatus] = {}
    with progress_of(resources) as show:
        while True:
            for resource in resources:
                if resource not in ended:
                    status = await load_sync(client, resource)
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
                    progress.console.print(str(status), markup=False, highlight=False)

        yield show


class PlainProgress:
    """A line now and then while a sync runs, and one at its end."""

    def __init__(self) -> None:
        self._polls: Counter[str] = Counter()

    def show(self, status: SyncStatus) -> None:
        self._polls[status.resource] += 1
        if status.ended or self._polls[status.resource] % POLLS_A_PLAIN_LINE == 0:
            click.echo(str(status))
