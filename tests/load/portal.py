"""A sandbox portal in a process of its own, under the cost model, and what it counted."""

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
    """A list to read: by which method, how the gateway streams it, and how many rows there are to it.

    The share *holes* of the ids up to the last is missing, in clusters.
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
        """Those of a portal that has it."""
        some = SandboxSettings(cost=CostModel(), holes=self.holes, tariff=self.tariff)
        if self.table == "users":
            return replace(some, users=self.rows)
        return replace(some, deals=self.rows)

    @property
    def limits(self) -> Tariff:
        limits = TARIFFS[self.tariff]
        assert limits is not None
        return limits

    def load_ids(self) -> set[int]:
        """The ids of its rows."""
        return set(SandboxPortal(self.settings, SystemClock()).data.tables[self.table])


@dataclass(frozen=True)
class Counted:
    """What a portal has seen: HTTP requests, calls alone or in batches, and the seconds these took it."""

    requests: int
    commands: int
    busy_s: float
    refusals: int


@dataclass(frozen=True)
class Portal:
    """A running one; whoever reads from it must trust its *certificate*."""

    server: Server
    certificate: Path

    @property
    def webhook(self) -> str:
        return self.server.origin + WEBHOOK

    def count(self) -> Counted:
        """What it has seen so far."""
        told = json.loads(self.server.fetch("/_sandbox/", {}))
        return Counted(told["http_requests"], told["commands"], told["busy_s"], sum(told["refusals"].values()))


@contextmanager
def open_portal(listed: Listed, scratch: Path) -> Iterator[Portal]:
    """A new one with the list, its bucket at rest, for as long as the block lasts."""
    certificate, key = make_certificate(scratch)
    port, chosen = free_port("127.0.0.1"), listed.settings
    flags: Sequence[object] = (
        *("--port", port, "--tls-cert", certificate, "--tls-key", key, "--cost"),
        *("--users", chosen.users, "--deals", chosen.deals, "--holes", chosen.holes, "--tariff", chosen.tariff),
    )
    command = ["-m", "gateway", "sandbox", *map(str, flags)]
    server = Server(command, port, log=scratch / "sandbox.log", certificate=certificate)
    try:
        server.start("/_sandbox/", {})
        yield Portal(server, certificate)
    finally:
        if server.process is not None:
            server.stop()
