"""The mirror of a portal's deals: the cost of its syncs, and the speed of queries of what it holds.

    python -m tests.load.mirror [--rows N] [--rounds N] [--seconds S]

A sandbox portal without response times and without limits has the deals. A gateway mirrors them, and then finds 1,000
changes and 100 deletions. Its CPU time is compared with that of a bare aiohttp handler on the same machine. Then pages,
streams and the write-ahead log are measured; see `tests.load.queries`.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from gateway.cli.process import free_port
from tests.load.contest import Contestant, Server, load
from tests.load.mirrored import DEALS, SYNC, Mirror, open_mirror
from tests.load.queries import measure_queries
from tests.load.read import show_goal

BARE_US = 36.0  # the CPU time of a bare answer on the machine for which the goal of a row was set
CHANGES, DELETIONS = 1_000, 100


def bare_cpu_us(scratch: Path) -> float:
    """The CPU time of a bare aiohttp answer on this machine, in microseconds."""
    body, port = scratch / "bare.json", free_port("127.0.0.1")
    body.write_bytes(b'{"count":1,"items":[]}')
    bare = Server(["-m", "tests.load.bare", str(port), str(body)], port)
    bare.start("/bitrix/users", {})
    try:
        return load(Contestant("", bare, "/bitrix/users"), 3, 32, scratch).cpu_us
    finally:
        bare.stop()


def measure_syncs(mirror: Mirror, rows: int, scratch: Path) -> None:
    """Measure the first sync, and incremental ones."""
    bare = [bare_cpu_us(scratch)]
    first = mirror.watch("PUT", SYNC, {"enabled": True})
    bare.append(bare_cpu_us(scratch))
    bare_us = sum(bare) / len(bare)
    print(f"a bare aiohttp answer takes {bare[0]:.1f} µs of CPU before the first sync, {bare[1]:.1f} after", flush=True)
    row_us = first.cpu_s / rows * 1e6
    print(
        f"first sync: {first.seconds:.0f} s, {first.requests:,} requests, {row_us:.1f} µs of the gateway's CPU a row; "
        f"database {mirror.database.stat().st_size / 2**20:,.0f} MB",
        flush=True,
    )
    show_goal(f"CPU µs a row where a bare answer takes {BARE_US:.0f}, at most", 45, row_us / bare_us * BARE_US)
    show_goal("peak memory, MB, at most", 250, mirror.gateway.peak_mb)
    time.sleep(2)  # longer than the overlap of incremental syncs
    quiet = mirror.watch("PATCH", DEALS)
    show_goal("nothing changed: requests, at most", 1, quiet.requests)
    step = rows // CHANGES
    edited: dict[int, dict[str, object]] = {
        row_id: {"TITLE": f"changed {row_id}"} for row_id in portal_ids(mirror, CHANGES, step)
    }
    mirror.change(edited, [])
    changed = mirror.watch("PATCH", DEALS)
    show_goal(f"{CHANGES:,} changes: requests, at most", 5, changed.requests)
    show_goal(f"{CHANGES:,} changes: seconds of our CPU, at most", 1, changed.cpu_s)
    time.sleep(2)
    mirror.change({}, portal_ids(mirror, DELETIONS, rows // DELETIONS))
    deleted = mirror.watch("PATCH", DEALS)
    show_goal(f"{DELETIONS} deletions: requests, at most", 30, deleted.requests)
    print(f"{DELETIONS} deletions: {deleted.seconds:.1f} s, {deleted.cpu_s:.2f} s of CPU", flush=True)
    left = mirror.call("GET", f"{DEALS}?size=1")["count"]
    if left != rows - DELETIONS:
        sys.exit(f"{left:,} deals are mirrored instead of {rows - DELETIONS:,}")


def portal_ids(mirror: Mirror, count: int, step: int) -> list[int]:
    """*count* ids of deals, *step* places apart."""
    found: list[int] = []
    for number in range(count):
        answer = mirror.call("GET", f"{DEALS}?size=1&page={number * step + 1}")
        found.append(answer["items"][0]["id"])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="load-") as directory:
        scratch = Path(directory)
        print(f"{options.rows:,} deals", flush=True)
        with open_mirror(options.rows, scratch) as mirror:
            measure_syncs(mirror, options.rows, scratch)
            measure_queries(mirror, options, scratch)


if __name__ == "__main__":
    main()
