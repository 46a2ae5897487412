"""How fast pages are served, next to a bare aiohttp handler that returns the same bytes.

    python -m tests.load.pages [--rows N] [--rounds N] [--seconds S] [--connections N]

Real processes under wrk, in rounds that alternate; ratios are of the medians.
"""

import argparse
import asyncio
import sys
import tempfile
import urllib.request
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from pathlib import Path

from gateway.auth.tokens import issue_token
from gateway.cli.process import free_port
from gateway.clock import SystemClock
from gateway.redaction import Secret
from gateway.settings.config import load_config
from tests.load.contest import Contestant, Server, compete, show
from tests.load.fill import ACCOUNT, KEY, fill

JWT_SECRET = "load-load-load-load-load-load-load"
TOKENS = 10_000
PAGE = "/bitrix/users?page=1&size=25"


def settings(database: Path, port: int, **more: str) -> dict[str, str]:
    """The environment of a gateway under load."""
    return {
        "GATEWAY_PORT": str(port),
        "GATEWAY_DATABASE": str(database),
        "GATEWAY_JWT_SECRET": JWT_SECRET,
        "GATEWAY_ENCRYPTION_KEY": urlsafe_b64encode(KEY).decode(),
        "GATEWAY_SYNC_INTERVAL_S": "0",
        "GATEWAY_LOG_LEVEL": "warning",
        **more,
    }


def token(number: int = 0) -> str:
    """A token of the account; different for each *number*."""
    config = load_config({"GATEWAY_JWT_SECRET": JWT_SECRET})
    return issue_token(config, Secret(JWT_SECRET), SystemClock(), ACCOUNT, ttl_s=100_000 + number)


def bearer(one: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {one}"}


def fetch(port: int, path: str, headers: dict[str, str]) -> tuple[bytes, str]:
    """A body and its entity tag."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
    with urllib.request.urlopen(request) as answer:
        return answer.read(), answer.headers["ETag"]


def many_tokens(tokens: list[str]) -> str:
    """wrk's Lua: each request with the next of *tokens*."""
    listed = ",".join(f'"Bearer {one}"' for one in tokens)
    return (
        f"local tokens = {{{listed}}}\nlocal at = 0\n"
        "request = function()\n at = at % #tokens + 1\n"
        f' return wrk.format("GET", "{PAGE}", {{["Authorization"] = tokens[at]}})\nend\n'
    )


def different_pages(pages: int) -> str:
    """wrk's Lua: each request for another page."""
    return (
        "local at = 0\nrequest = function()\n"
        f" at = (at + 7919) % {pages}\n"
        ' return wrk.format("GET", "/bitrix/users?size=25&page=" .. (at + 1))\nend\n'
    )


def main() -> None:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--rows", type=int, default=10_000)
    ask.add_argument("--rounds", type=int, default=5)
    ask.add_argument("--seconds", type=int, default=3)
    ask.add_argument("--connections", type=int, default=32)
    chosen = ask.parse_args()
    with tempfile.TemporaryDirectory(prefix="load-") as directory:
        measure(chosen, Path(directory))


def measure(chosen: argparse.Namespace, scratch: Path) -> None:
    databases = [scratch / f"{name}.db" for name in ("quiet", "logged", "cold", "busy")]
    for database in databases:
        asyncio.run(fill(database, chosen.rows))
    one = bearer(token())
    ports = [free_port("127.0.0.1") for _ in range(5)]
    quiet, logged, cold = (
        Server(["-m", "gateway", "serve"], port, settings(database, port, **more), scratch / f"{database.stem}.log")
        for database, port, more in zip(
            databases,
            ports,
            ({}, {"GATEWAY_LOG_LEVEL": "info", "GATEWAY_LOG_FORMAT": "json"}, {"GATEWAY_PAGE_CACHE_BYTES": "0"}),
            strict=False,
        )
    )
    busy = Server(
        ["-m", "tests.load.busy"],
        ports[4],
        settings(databases[3], ports[4], LOAD_ROWS=str(chosen.rows)),
        scratch / "busy.log",
    )
    bare = Server(["-m", "tests.load.bare", str(ports[3]), str(scratch / "body.json")], ports[3])
    try:
        started_s = quiet.start(PAGE, one)
        idle_mb = quiet.memory_mb
        body, etag = fetch(quiet.port, PAGE, one)
        (scratch / "body.json").write_bytes(body)
        for server in (logged, cold, busy, bare):
            server.start(PAGE, one)
        last = chosen.rows // 25
        deep = f"/bitrix/users?size=25&page={min(40_000, last)}"
        tokens = [token(number) for number in range(TOKENS)]
        yardstick = Contestant("bare aiohttp handler", bare, PAGE)
        contestants = [
            yardstick,
            Contestant("warm page, request log off", quiet, PAGE, one),
            Contestant("warm page, request log on", logged, PAGE, one),
            Contestant("304", quiet, PAGE, one | {"If-None-Match": etag}),
            Contestant("one token, by script", quiet, PAGE, script=many_tokens(tokens[:1] * TOKENS)),
            Contestant(f"{TOKENS:,} tokens, by script", quiet, PAGE, script=many_tokens(tokens)),
            Contestant("page 1, no cache", cold, PAGE, one),
            Contestant("a different page each, no cache", cold, PAGE, one, different_pages(last)),
            Contestant(f"page {min(40_000, last):,}, no cache", cold, deep, one),
            Contestant("page 1, no sync (as below)", quiet, PAGE, one),
            Contestant("page 1, 2,500 rows/s coming in", busy, PAGE, one),
        ]
        print(f"{chosen.rows:,} rows; {len(body):,} bytes a page; Python {sys.version.split()[0]}")
        print(f"started in {started_s:.2f} s, {idle_mb:.0f} MB idle", flush=True)
        compete(
            contestants,
            rounds=chosen.rounds,
            seconds=chosen.seconds,
            connections=chosen.connections,
            scratch=scratch,
        )
        show(contestants, yardstick)
        show_targets(contestants)
        print(f"memory afterwards: {quiet.memory_mb:.0f} MB with the page cache, {cold.memory_mb:.0f} MB without")
    finally:
        for server in (quiet, logged, cold, busy, bare):
            if server.process is not None:
                server.stop()


def show_targets(contestants: Sequence[Contestant]) -> None:
    """What was set as the goal, next to what was reached."""
    bare, warm, logged, unchanged, one_token, many, first, spread, deep, calm, busy = contestants

    def rate(one: Contestant, of: Contestant) -> float:
        return one.median("requests_per_s") / of.median("requests_per_s")

    for name, reached, goal in (
        ("warm page to bare, at least", rate(warm, bare), 0.8),
        ("warm page with the request log to bare, at least", rate(logged, bare), 0.65),
        ("every page missed to bare, at least", rate(spread, bare), 0.4),
        ("deep page's CPU to page 1's, at most", deep.median("cpu_us") / first.median("cpu_us"), 1.3),
        ("304 to 200, at least", rate(unchanged, warm), 1.2),
        ("many tokens to one, at least", rate(many, one_token), 0.9),
        ("p99 during a sync to p99 without, at most", busy.median("p99_ms") / calm.median("p99_ms"), 3.0),
    ):
        print(f"{name:52}{goal:6.2f}{reached:8.2f}")


if __name__ == "__main__":
    main()
