"""The speed of records that are shown with names, compared with a bare aiohttp handler that returns the same bytes.

    python -m tests.load.names [--rows N] [--rounds N] [--seconds S]

A gateway mirrors the deals of a sandbox portal. Real processes under wrk, in alternating rounds. Ratios are those
of the medians. The first read of a page is measured too, with names and without.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from gateway.cli.process import free_port
from tests.load.contest import Contestant, Server, compete, show
from tests.load.mirrored import DEALS, Mirror, open_mirror
from tests.load.pages import bearer, token
from tests.load.read import show_goal

PATHS = {
    "25 deals, translated": (f"{DEALS}?size=25&translate=1", 0.5),
    "one deal, translated": (f"{DEALS}/{{row_id}}?translate=1", 0.8),
    "one deal": (f"{DEALS}/{{row_id}}", 0.8),
}
COLD_PAGES = 200


def measure(mirror: Mirror, options: argparse.Namespace, scratch: Path) -> None:
    """Print the ratio of each path to a bare handler, next to its goal."""
    row_id = mirror.call("GET", f"{DEALS}?size=1")["items"][0]["id"]
    for name, (path, goal) in PATHS.items():
        path = path.format(row_id=row_id)
        body, port = scratch / "body.json", free_port("127.0.0.1")
        body.write_bytes(mirror.gateway.fetch(path, bearer(token())))
        bare = Server(["-m", "tests.load.bare", str(port), str(body)], port)
        bare.start("/bitrix/users", {})
        try:
            baseline = Contestant("bare aiohttp handler", bare, "/bitrix/users")
            measured = Contestant(name, mirror.gateway, path, bearer(token()))
            contestants = [baseline, measured]
            compete(contestants, rounds=options.rounds, seconds=options.seconds, connections=32, scratch=scratch)
        finally:
            bare.stop()
        print(f"{len(body.read_bytes()):,} bytes")
        show(contestants, baseline)
        ratio = measured.median("requests_per_s") / baseline.median("requests_per_s")
        show_goal(f"{name} to bare, at least", goal, ratio)


def measure_first_reads(mirror: Mirror) -> None:
    """Print how long a page takes that is not in memory, with names and without."""
    for parameters in ("", "&translate=1"):
        times = []
        for number in range(1, COLD_PAGES + 1):
            started = time.perf_counter()
            mirror.gateway.fetch(f"{DEALS}?size=25&page={number}{parameters}", bearer(token()))
            times.append(time.perf_counter() - started)
        print(f"{f'first read of a page{parameters}, median ms':52}{statistics.median(times) * 1000:8.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="load-") as directory:
        scratch = Path(directory)
        print(f"{options.rows:,} deals; Python {sys.version.split()[0]}", flush=True)
        with open_mirror(options.rows, scratch) as mirror:
            mirror.watch("PUT", "/bitrix/sync/deals", {"enabled": True})
            measure_first_reads(mirror)
            measure(mirror, options, scratch)


if __name__ == "__main__":
    main()
