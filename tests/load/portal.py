"""A sandbox portal with the cost model in its own process, and its counters."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from gateway.cli.process import free_port
from gateway.clock import SystemClock
from gateway.sandbox.behaviour.cost import CostModel
from gateway.sandbox.behaviour.limits import TARIFFS, Tariff
from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.settings import SandboxSettings
from tests.load.certificate import make_certificate
from tests.load.contest import Server

WEBHOOK = "/rest/1/sandbox/"


@dataclass(frozen=True)
class Listed:
    """A list to read: its method, its name in the gateway's streams, its table and its number of rows.

    *holes* is the share of missing ids, in clusters.
    """

    resource: str
    method: str
    id_key: str
    table: str
    rows: int
    holes: float
    entity_type_id: int | None = None
    tariff: str = "standard"

    def __str__(self) -> str:
        return (
            f"{self.rows:,} {self.table} by {self.method}, {self.holes:.0%} of the ids missing, "
            f"portal of the {self.tariff} tariff"
        )

    @property
    def params(self) -> dict[str, object]:
        return {} if self.entity_type_id is None else {"entityTypeId": self.entity_type_id}

    @property
    def settings(self) -> SandboxSettings:
        """The settings of a portal with the list."""
        settings = SandboxSettings(cost=CostModel(), holes=self.holes, tariff=self.tariff)
        if self.table == "users":
            return replace(settings, users=self.rows)
        return replace(settings, deals=self.rows)

    @property
    def limits(self) -> Tariff:
        limits = TARIFFS[self.tariff]
        assert limits is not None
        return limits

    def load_ids(self) -> set[int]:
        """Return the ids of its rows."""
        return set(SandboxPortal(self.settings, SystemClock()).data.tables[self.table])


@dataclass(frozen=True)
class Counted:
    """The counters of a portal: HTTP requests, calls (single and in batches), the seconds these took, and refusals."""

    requests: int
    commands: int
    busy_s: float
    refusals: int


@dataclass(frozen=True)
class Portal:
    """A running portal. Clients must trust its *certificate*."""

    server: Server
    certificate: Path

    @property
    def webhook(self) -> str:
        return self.server.origin + WEBHOOK

    def count(self) -> Counted:
        """Return its counters."""
        counters = json.loads(self.server.fetch("/_sandbox/", {}))
        return Counted(
            counters["http_requests"], counters["commands"], counters["busy_s"], sum(counters["refusals"].values())
        )


@contextmanager
def open_portal(listed: Listed, scratch: Path) -> Iterator[Portal]:
    """Run a new portal with the list and an empty bucket until the block ends."""
    certificate, key = make_certificate(scratch)
    port, settings = free_port("127.0.0.1"), listed.settings
    flags: Sequence[object] = (
        *("--port", port, "--tls-cert", certificate, "--tls-key", key, "--cost"),
        *("--users", settings.users, "--deals", settings.deals, "--holes", settings.holes, "--tariff", settings.tariff),
    )
    command = ["-m", "gateway", "sandbox", *map(str, flags)]
    server = Server(command, port, log=scratch / "sandbox.log", certificate=certificate)
    try:
        server.start("/_sandbox/", {})
        yield Portal(server, certificate)
    finally:
        if server.process is not None:
            server.stop()
