"""The time to read whole lists from a portal, compared with other clients.

    python -m tests.load.read [--lists users deals items] [--stop-after S] [--long]

A sandbox portal of the standard tariff runs in its own process with the response times of the cost model. Each
contestant reads the list from a new portal over TLS, in its own process on another core. A contestant that has not
finished after a minute is stopped, and its time is projected (~) from the pages read in the second half. During the
stream, another caller makes one small call a second; its requests count as requests of the stream. Seconds do not
include the start of a contestant. Peak memory is that of its process; for the stream, that of the gateway.

The other clients are installed with pip in a temporary environment.
"""

import argparse
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterable, Sequence
from dataclasses import replace
from math import ceil
from pathlib import Path

from gateway.bitrix.limits.request_queue import MIN_RESERVE, RESERVE_SHARE
from gateway.bitrix.lists.page import PAGE_ROWS
from gateway.bitrix.protocol.v2 import BATCH_COMMANDS
from gateway.sandbox.behaviour.cost import CostModel
from tests.load.portal import Listed
from tests.load.race import Figures, Reader, race
from tests.load.readers.streamed import EVERY_S
from tests.load.readers.walked import CONCURRENCY

OTHERS = ("fast_bitrix24", "b24pysdk")
LISTS = {
    "users": Listed("users", "user.get", "ID", "users", 5_000, 0.35),
    "deals": Listed("deals", "crm.deal.list", "ID", "deals", 100_000, 0.35),
    "items": Listed("items/2", "crm.item.list", "id", "deals", 100_000, 0.35, entity_type_id=2),
}
FASTER_THAN_OTHERS = {"users": 4.0, "deals": 1.8, "items": 2.3}
EAGER = Reader("walk, eager", "walked", more={"pace": "eager"})
THRIFTY = Reader("walk, thrifty", "walked", more={"pace": "thrifty"})
STREAM = Reader("NDJSON stream, eager", "streamed")
KEYSET = Reader("sequential keyset", "keyset", ours=False)
LONG_STOP_S = 600.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lists", nargs="+", choices=LISTS, default=list(LISTS))
    parser.add_argument("--stop-after", type=float, default=60.0, metavar="S")
    parser.add_argument("--long", action="store_true", help="also dense, with 70 %% holes, and a million deals")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="load-") as directory:
        scratch = Path(directory)
        readers = (EAGER, STREAM, THRIFTY, *install(scratch / "others"), KEYSET)
        deals_mb = None
        for name in options.lists:
            results = compete(readers, LISTS[name], scratch, stop_after_s=options.stop_after)
            show_goals(results, LISTS[name], FASTER_THAN_OTHERS[name])
            if name == "deals":
                deals_mb = named(results, STREAM).peak_mb
        if options.long:
            read_long(scratch, deals_mb)


def install(directory: Path) -> tuple[Reader, Reader]:
    """Install the other clients in a new environment in *directory*."""
    venv.create(directory, with_pip=True)
    python = directory / "bin" / "python"
    quiet = ("-q", "--disable-pip-version-check")
    installed = subprocess.run([python, "-m", "pip", "install", *quiet, *OTHERS], capture_output=True, text=True)
    if installed.returncode != 0:
        sys.exit(f"the other clients could not be installed: {installed.stderr}")
    frozen = subprocess.run([python, "-m", "pip", "freeze"], check=True, capture_output=True, text=True).stdout
    versions = {name.lower(): version for name, _, version in (line.partition("==") for line in frozen.split())}
    fast, sdk = (f"{name} {versions[name]}" for name in OTHERS)
    return Reader(fast, "fast", python, ours=False), Reader(sdk, "sdk", python, ours=False)


def compete(readers: Iterable[Reader], listed: Listed, scratch: Path, *, stop_after_s: float) -> list[Figures]:
    """Run each reader in turn and print its results."""
    expected = listed.load_ids()
    print(f"\n{listed}")
    print(
        f"{'':24}{'seconds':>9}{'requests':>10}{'commands':>10}{'busy s':>8}{'refused':>9}"
        f"{'lost':>7}{'doubled':>9}{'peak MB':>9}{'portal CPU s':>14}",
        flush=True,
    )
    results = []
    for reader in readers:
        figures = race(reader, listed, expected, scratch, stop_after_s=stop_after_s)
        show(figures)
        results.append(figures)
    return results


def show(figures: Figures) -> None:
    """Print a line of the table."""
    rows = f"{'-':>7}{'-':>9}" if figures.projected or figures.failed else f"{figures.lost:7,}{figures.doubled:9,}"
    seconds = f"{'~' if figures.projected else ''}{figures.seconds:.2f}"
    counted, failed = figures.counted, f"  {figures.failed}" if figures.failed else ""
    print(
        f"{figures.reader.name:24}{seconds:>9}{counted.requests:10,}{counted.commands:10,}{counted.busy_s:8.1f}"
        f"{counted.refusals:9,}{rows}{figures.peak_mb:9.0f}{figures.portal_cpu_s:14.1f}{failed}",
        flush=True,
    )


def named(results: Sequence[Figures], reader: Reader) -> Figures:
    return next(figures for figures in results if figures.reader is reader)


def show_goals(results: Sequence[Figures], listed: Listed, faster: float) -> None:
    """Print each goal next to the measured value."""
    eager, stream = named(results, EAGER), named(results, STREAM)
    best = min((figures for figures in results if not figures.reader.ours), key=lambda figures: figures.seconds)
    mark = "~" if best.projected else ""
    print(f"the fastest other client: {best.reader.name}")
    show_goal("the walk is faster, times at least", faster, best.seconds / eager.seconds, mark)
    show_goal("the stream is faster, times at least", faster, best.seconds / stream.seconds, mark)
    if listed.table == "deals" and not best.projected:
        show_goal("the walk's portal-busy seconds to its, at most", 0.5, eager.counted.busy_s / best.counted.busy_s)
        show_goal("the stream's portal-busy seconds to its, at most", 0.5, stream.counted.busy_s / best.counted.busy_s)
    show_thrift(named(results, THRIFTY), listed)
    show_stream(stream)
    show_soundness(results)


def show_thrift(thrifty: Figures, listed: Listed) -> None:
    """Print the goals for the number of requests, which depend on the holes."""
    batches, pages = ceil(listed.rows / (PAGE_ROWS * BATCH_COMMANDS)), ceil(listed.rows / PAGE_ROWS)
    of_requests, of_commands = (1.5, 1.3) if listed.holes else (1.1, 1.1)
    show_goal("thrifty, HTTP requests, at most", of_requests * batches + 3, thrifty.counted.requests)
    show_goal("thrifty, commands to the least, at most", of_commands, thrifty.counted.commands / pages)


def show_stream(stream: Figures) -> None:
    if stream.longest_s is not None:
        show_goal("a call a second beside the stream, longest s", 1.0, stream.longest_s)
    if stream.cpu_us is not None and stream.orjson_us is not None:
        show_goal("the gateway's CPU of the stream, µs a row, at most", 20.0, stream.cpu_us)
        print(f"{'orjson alone, the same bytes, µs a row':52}{stream.orjson_us:17.2f}")


def show_soundness(results: Sequence[Figures]) -> None:
    ours = [figures for figures in results if figures.reader.ours]
    show_goal("rows lost or doubled by us", 0, sum(figures.lost + figures.doubled for figures in ours))
    show_goal("requests of ours refused", 0, sum(figures.counted.refusals for figures in ours))


def show_goal(name: str, goal: float, measured: float, mark: str = "") -> None:
    print(f"{name:52}{goal:8.2f}{f'{mark}{measured:.2f}':>9}", flush=True)


def read_long(scratch: Path, deals_mb: float | None) -> None:
    """Run only the gateway's readers: without holes, with many, and on a million rows with the largest tariff."""
    for holes in (0.0, 0.7):
        listed = replace(LISTS["deals"], holes=holes)
        results = compete((EAGER, THRIFTY), listed, scratch, stop_after_s=LONG_STOP_S)
        show_thrift(named(results, THRIFTY), listed)
        show_soundness(results)
    listed = replace(LISTS["deals"], rows=1_000_000, tariff="enterprise")
    results = compete((EAGER, STREAM), listed, scratch, stop_after_s=LONG_STOP_S)
    min_s, limits = min_seconds(listed), listed.limits
    print(f"bucket and page cost alone allow {min_s:.1f} s")
    reserved = limits.bucket_leak_per_s + max(MIN_RESERVE, ceil(limits.bucket_capacity * RESERVE_SHARE))
    show_goal("the walk takes times that, at most", 1.3, named(results, EAGER).seconds / min_s)
    for figures in results:
        calls_per_s = 1 / EVERY_S if figures.reader is STREAM else 0.0
        fair_s = min_seconds(listed, reserved=reserved, calls_per_s=calls_per_s)
        print(f"{f'{figures.reader.name}: without what callers have of it':52}{'':8}{figures.seconds / fair_s:9.2f}")
    stream = named(results, STREAM)
    show_goal("peak memory of the stream, MB, at most", 200.0, stream.peak_mb)
    if deals_mb is not None:
        show_goal("the same to that of 100,000 deals, at most", 1.2, stream.peak_mb / deals_mb)
    show_stream(stream)
    show_soundness(results)


def min_seconds(listed: Listed, *, reserved: float = 0.0, calls_per_s: float = 0.0) -> float:
    """The minimum time for all full pages.

    The limit is either the bucket, which must leak before the last full batch is sent, or the number of concurrent
    pages. *reserved* requests of the bucket are not available, nor are those of *calls_per_s* concurrent calls.
    """
    limits, cost = listed.limits, CostModel()
    pages = ceil(listed.rows / PAGE_ROWS)
    batches = ceil(pages / BATCH_COMMANDS)
    over = max(batches - (limits.bucket_capacity - reserved), 0)
    by_bucket = over / (limits.bucket_leak_per_s - calls_per_s) + BATCH_COMMANDS * cost.list_s
    return max(by_bucket, pages * cost.list_s / CONCURRENCY)


if __name__ == "__main__":
    main()
