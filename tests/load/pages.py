"""The rate at which pages are served, compared with a bare aiohttp handler that returns the same bytes.

    python -m tests.load.pages [--rows N] [--rounds N] [--seconds S] [--connections N]

Real processes under wrk, in alternating rounds. Ratios are those of the medians.
"""

import argparse
import asyncio
import sys
import urllib.request
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from pathlib import Path

from gateway.auth.caller import Caller
from gateway.auth.tokens import issue_token
from gateway.cli.process import free_port
from gateway.clock import SystemClock
from gateway.redaction import Secret
from gateway.settings.config import load_config
from tests.load.contest import Contestant, Server, compete, run_contest, show
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
    """A token of the account. Each *number* gives another token."""
    config = load_config({"GATEWAY_JWT_SECRET": JWT_SECRET})
    return issue_token(config, Secret(JWT_SECRET), SystemClock(), Caller(ACCOUNT), ttl_s=100_000 + number)


def bearer(value: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {value}"}


def fetch(port: int, path: str, headers: dict[str, str]) -> tuple[bytes, str]:
    """Return a response body and its ETag."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
    with urllib.request.urlopen(request) as answer:
        return answer.read(), answer.headers["ETag"]


def many_tokens(tokens: list[str]) -> str:
    """A wrk script in which each request uses the next of *tokens*."""
    listed = ",".join(f'"Bearer {value}"' for value in tokens)
    return (
        f"local tokens = {{{listed}}}\nlocal at = 0\n"
        "request = function()\n at = at % #tokens + 1\n"
        f' return wrk.format("GET", "{PAGE}", {{["Authorization"] = tokens[at]}})\nend\n'
    )


def different_pages(pages: int) -> str:
    """A wrk script in which each request is for another page."""
    return (
        "local at = 0\nrequest = function()\n"
        f" at = (at + 7919) % {pages}\n"
        ' return wrk.format("GET", "/bitrix/users?size=25&page=" .. (at + 1))\nend\n'
    )


def measure(options: argparse.Namespace, scratch: Path) -> None:
    databases = [scratch / f"{name}.db" for name in ("quiet", "logged", "cold", "busy")]
    for database in databases:
        asyncio.run(fill(database, options.rows))
    authorization = bearer(token())
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
        settings(databases[3], ports[4], LOAD_ROWS=str(options.rows)),
        scratch / "busy.log",
    )
    bare = Server(["-m", "tests.load.bare", str(ports[3]), str(scratch / "body.json")], ports[3])
    try:
        started_s = quiet.start(PAGE, authorization)
        idle_mb = quiet.memory_mb
        body, etag = fetch(quiet.port, PAGE, authorization)
        (scratch / "body.json").write_bytes(body)
        for server in (logged, cold, busy, bare):
            server.start(PAGE, authorization)
        last = options.rows // 25
        deep = f"/bitrix/users?size=25&page={min(40_000, last)}"
        tokens = [token(number) for number in range(TOKENS)]
        baseline = Contestant("bare aiohttp handler", bare, PAGE)
        contestants = [
            baseline,
            Contestant("warm page, request log off", quiet, PAGE, authorization),
            Contestant("warm page, request log on", logged, PAGE, authorization),
            Contestant("304", quiet, PAGE, authorization | {"If-None-Match": etag}),
            Contestant("one token, by script", quiet, PAGE, script=many_tokens(tokens[:1] * TOKENS)),
            Contestant(f"{TOKENS:,} tokens, by script", quiet, PAGE, script=many_tokens(tokens)),
            Contestant("page 1, no cache", cold, PAGE, authorization),
            Contestant("a different page each, no cache", cold, PAGE, authorization, different_pages(last)),
            Contestant(f"page {min(40_000, last):,}, no cache", cold, deep, authorization),
            Contestant("page 1, no sync (as below)", quiet, PAGE, authorization),
            Contestant("page 1, 2,500 rows/s coming in", busy, PAGE, authorization),
        ]
        print(f"{options.rows:,} rows; {len(body):,} bytes a page; Python {sys.version.split()[0]}")
        print(f"started in {started_s:.2f} s, {idle_mb:.0f} MB idle", flush=True)
        compete(
            contestants,
            rounds=options.rounds,
            seconds=options.seconds,
            connections=options.connections,
            scratch=scratch,
        )
        show(contestants, baseline)
        show_targets(contestants)
        print(f"memory afterwards: {quiet.memory_mb:.0f} MB with the page cache, {cold.memory_mb:.0f} MB without")
    finally:
        for server in (quiet, logged, cold, busy, bare):
            if server.process is not None:
                server.stop()


def show_targets(contestants: Sequence[Contestant]) -> None:
    """Print each goal next to the measured value."""
    bare, warm, logged, unchanged, one_token, many, first, spread, deep, calm, busy = contestants

    def rate(contestant: Contestant, of: Contestant) -> float:
        return contestant.median("requests_per_s") / of.median("requests_per_s")

    for name, measured, goal in (
        ("warm page to bare, at least", rate(warm, bare), 0.8),
        ("warm page with the request log to bare, at least", rate(logged, bare), 0.65),
        ("every page missed to bare, at least", rate(spread, bare), 0.4),
        ("deep page's CPU to page 1's, at most", deep.median("cpu_us") / first.median("cpu_us"), 1.3),
        ("304 to 200, at least", rate(unchanged, warm), 1.2),
        ("many tokens to one, at least", rate(many, one_token), 0.9),
        ("p99 during a sync to p99 without, at most", busy.median("p99_ms") / calm.median("p99_ms"), 3.0),
    ):
        print(f"{name:52}{goal:6.2f}{measured:8.2f}")


if __name__ == "__main__":
    run_contest(measure, __doc__, rows=10_000)
