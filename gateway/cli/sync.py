"""The command `sync`: starts syncs in the running gateway and shows them until they end."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.cli.gateway_client import GatewayClient, local_origin, open_client
from gateway.cli.progress import Display, Progress, show_progress
from gateway.clock import Clock
from gateway.redaction import printable
from gateway.settings.config import Config

POLL_INTERVAL_S = 0.2
POLLS_PER_LINE = 25


@dataclass(frozen=True)
class SyncStatus:
    """The state of a sync.

    *total* is None where the portal does not count its rows. *left_out* rows are mirrored but not served.
    """

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
            line += f" ({self.left_out:,} of unsupported types)"
        if self.skipped:
            line += f" (not available on the portal: {'; '.join(self.skipped)})"
        return printable(line + (f": {self.error}" if self.error else ""))


async def sync_resources(
    config: Config, token: str, resources: Sequence[str], clock: Clock, *, enable: bool = False, mode: str | None = None
) -> bool:
    """Sync *resources* in the gateway that runs with *config*; True if every sync succeeded.

    With *enable*, those that are not mirrored are from now on. *mode* is full or incremental, None the default.

    Raises:
        RequestFailed: when the gateway cannot be reached or refuses a request.
    """
    async with open_client(local_origin(config), token) as client:
        for resource in resources:
            if enable:
                await client.request("PUT", f"/bitrix/sync/{resource}", {"enabled": True})
            await client.request("PATCH", f"/bitrix/{resource}" + (f"?mode={mode}" if mode else ""))
        ended = await watch_syncs(client, resources, clock)
    return all(status.state == "done" for status in ended)


async def watch_syncs(client: GatewayClient, resources: Sequence[str], clock: Clock) -> list[SyncStatus]:
    """Show the syncs of *resources* until all have ended; their final states."""
    ended: dict[str, SyncStatus] = {}
    with show_progress(dict.fromkeys(resources), sys.stdout, steps_per_line=POLLS_PER_LINE) as display:
        while True:
            for resource in resources:
                if resource not in ended:
                    status = await fetch_status(client, resource)
                    show_status(display, status)
                    if status.ended:
                        ended[resource] = status
            if len(ended) == len(resources):
                return list(ended.values())
            await clock.sleep(POLL_INTERVAL_S)


async def fetch_status(client: GatewayClient, resource: str) -> SyncStatus:
    """The state of the latest sync of *resource*."""
    run = await client.request("GET", f"/bitrix/sync/{resource}")
    skipped = tuple(item["list"] for item in run["skipped"])
    return SyncStatus(resource, run["state"], run["rows"], run["total"], run["leftOut"], run["error"], skipped)


def show_status(display: Display, status: SyncStatus) -> None:
    total = status.rows if status.state == "done" else status.total
    progress = Progress(status.resource, status.rows, total, str(status))
    if status.ended:
        display.finish(progress, bool(status.error or status.skipped or status.left_out))
    else:
        display.update(progress, 1)
