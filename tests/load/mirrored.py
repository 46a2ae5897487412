"""A gateway that mirrors the deals of a sandbox portal, both in processes of their own."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from gateway.cli.process import free_port
from tests.load.contest import LOAD_CORE, Server
from tests.load.pages import bearer, settings, token
from tests.load.portal import WEBHOOK

DEALS = "/bitrix/deals"
SYNC = "/bitrix/sync/deals"
POLL_S, MAX_POLL_S = 0.05, 1.0  # polls of a long sync must not be a part of its cost


@dataclass(frozen=True)
class Work:
    """What one sync took: portal requests, seconds, and seconds of the gateway's CPU."""

    requests: int
    seconds: float
    cpu_s: float


@dataclass(frozen=True)
class Mirror:
    """A gateway that mirrors the deals of a sandbox portal, both in processes of their own."""

    gateway: Server
    portal: Server
    database: Path

    def call(self, method: str, path: str, json: object = None) -> Any:
        """Send a request of the account to the gateway; return the answer's JSON, None if it is empty."""
        body = self.gateway.fetch(path, bearer(token()), method=method, json=json)
        return orjson.loads(body) if body else None

    def change(self, edited: dict[int, dict[str, object]], removed: list[int]) -> None:
        """Change deals of the portal."""
        body = {"table": "deals", "set": {str(row_id): row for row_id, row in edited.items()}, "remove": removed}
        self.portal.fetch("/_sandbox/rows", {}, method="POST", json=body)

    @property
    def requests(self) -> int:
        """The number of requests that the portal has answered."""
        counters = orjson.loads(self.portal.fetch("/_sandbox/", {}))
        return int(counters["http_requests"])

    def restart(self, **environ: str) -> None:
        """Start the gateway again with other settings."""
        self.gateway.stop()
        self.gateway.environ = {**self.gateway.environ, **environ}
        self.gateway.start("/healthz", {})

    def watch(self, method: str, path: str, json: object = None) -> Work:
        """Start a sync by a request, and wait for its end."""
        requests, cpu_s, started = self.requests, self.gateway.cpu_s, time.perf_counter()
        self.call(method, path, json)
        poll_s = POLL_S
        while (run := self.call("GET", SYNC))["state"] == "running":
            time.sleep(poll_s)
            poll_s = min(poll_s * 1.2, MAX_POLL_S)
        if run["state"] != "done":
            sys.exit(f"the sync failed: {run['error']}")
        return Work(self.requests - requests, time.perf_counter() - started, self.gateway.cpu_s - cpu_s)


@contextmanager
def open_mirror(rows: int, scratch: Path) -> Iterator[Mirror]:
    """Run a portal with *rows* deals, and a gateway whose account is connected to it, until the block ends."""
    ports = [free_port("127.0.0.1") for _ in range(2)]
    sandbox = ["-m", "gateway", "sandbox", "--port", str(ports[0]), "--deals", str(rows), "--tariff", "off"]
    portal = Server(sandbox, ports[0], log=scratch / "sandbox.log", core=LOAD_CORE)
    database = scratch / "mirror.db"
    environ = settings(
        database,
        ports[1],
        GATEWAY_INSECURE_PORTALS="1",
        GATEWAY_BUCKET_CAPACITY="100000",
        GATEWAY_BUCKET_LEAK_PER_S="1000",
        GATEWAY_SYNC_OVERLAP_S="1",
        GATEWAY_PAGE_CACHE_BYTES="67108864",
    )
    gateway = Server(["-m", "gateway", "serve"], ports[1], environ, scratch / "gateway.log")
    try:
        portal.start("/_sandbox/", {})
        gateway.start("/healthz", {})
        mirror = Mirror(gateway, portal, database)
        mirror.call("POST", "/bitrix/account", {"client_bitrix_url": portal.origin + WEBHOOK})
        yield mirror
    finally:
        for server in (gateway, portal):
            if server.process is not None:
                server.stop()
