"""How fast whole lists are read from a portal, next to what others can do.

    python -m tests.load.read [--lists users deals items] [--stop-after S] [--long]

A sandbox portal in a process of its own takes the time that its cost model says, under the standard tariff. Each
contestant, in a process of its own on another core, reads the list from a fresh one, over TLS. Who has not ended after
a minute is stopped, and its time projected (~) from the pages that were read in the second half of it. Beside the
stream, somebody makes one small call a second, and its requests count as the stream's. Seconds do not begin before a
contestant has started; its peak memory is that of the whole process, and of the gateway's where it streams.

The other clients are installed into a temporary environment of their own, by pip.
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
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--lists", nargs="+", choices=LISTS, default=list(LISTS))
    ask.add_argument("--stop-after", type=float, default=60.0, metavar="S")
    ask.add_argument("--long", action="store_true", help="also dense, with 70 %% holes, and a million deals")
    chosen = ask.parse_args()
    with tempfile.TemporaryDirectory(prefix="load-") as directory:
        scratch = Path(directory)
        readers = (EAGER, STREAM, THRIFTY, *install(scratch / "others"), KEYSET)
        deals_mb = None
        for name in chosen.lists:
            found = compete(readers, LISTS[name], scratch, stop_after_s=chosen.stop_after)
            show_goals(found, LISTS[name], FASTER_THAN_OTHERS[name])
            if name == "deals":
                deals_mb = named(found, STREAM).peak_mb
        if chosen.long:
            read_long(scratch, deals_mb)


def install(directory: Path) -> tuple[Reader, Reader]:
    """The other clients, in a new environment in *directory*."""
    venv.create(directory, with_pip=True)
    python = directory / "bin" / "python"
    quiet = ("-q", "--disable-pip-version-check")
    installed = subprocess.run([python, "-m", "pip", "install", *quiet, *OTHERS], capture_output=True, text=True)
    if installed.returncode != 0:
        sys.exit(f"the other clients could not be installed: {installed.stderr}")
    told = subprocess.run([python, "-m", "pip", "freeze"], check=True, capture_output=True, text=True).stdout
    versions = {name.lower(): version for name, _, version in (line.partition("==") for line in told.split())}
    fast, sdk = (f"{name} {versions[name]}" for name in OTHERS)
    return Reader(fast, "fast", python, ours=False), Reader(sdk, "sdk", python, ours=False)


def compete(readers: Iterable[Reader], listed: Listed, scratch: Path, *, stop_after_s: float) -> list[Figures]:
    """Let each read the list in turn, and print what it took."""
    expected = listed.load_ids()
    print(f"\n{listed}")
    print(
        f"{'':24}{'seconds':>9}{'requests':>10}{'commands':>10}{'busy s':>8}{'refused':>9}"
        f"{'lost':>7}{'doubled':>9}{'peak MB':>9}{'portal CPU s':>14}",
        flush=True,
    )
    found = []
    for reader in readers:
        figures = race(reader, listed, expected, scratch, stop_after_s=stop_after_s)
        show(figures)
        found.append(figures)
    return found


def show(one: Figures) -> None:
    """A line of the table."""
    rows = f"{'-':>7}{'-':>9}" if one.projected or one.failed else f"{one.lost:7,}{one.doubled:9,}"
    seconds = f"{'~' if one.projected else ''}{one.seconds:.2f}"
    print(
        f"{one.reader.name:24}{seconds:>9}{one.counted.requests:10,}{one.counted.commands:10,}{one.counted.busy_s:8.1f}"
        f"{one.counted.refusals:9,}{rows}{one.peak_mb:9.0f}{one.portal_cpu_s:14.1f}{one.failed and '  ' + one.failed}",
        flush=True,
    )


def named(found: Sequence[Figures], reader: Reader) -> Figures:
    return next(one for one in found if one.reader is reader)


def show_goals(found: Sequence[Figures], listed: Listed, faster: float) -> None:
    """What was set as the goal, next to what was reached."""
    eager, stream = named(found, EAGER), named(found, STREAM)
    best = min((one for one in found if not one.reader.ours), key=lambda one: one.seconds)
    mark = "~" if best.projected else ""
    print(f"the fastest other client: {best.reader.name}")
    show_goal("the walk is faster, times at least", faster, best.seconds / eager.seconds, mark)
    show_goal("the stream is faster, times at least", faster, best.seconds / stream.seconds, mark)
    if listed.table == "deals" and not best.projected:
        show_goal("the walk's portal-busy seconds to its, at most", 0.5, eager.counted.busy_s / best.counted.busy_s)
        show_goal("the stream's portal-busy seconds to its, at most", 0.5, stream.counted.busy_s / best.counted.busy_s)
    show_thrift(named(found, THRIFTY), listed)
    show_stream(stream)
    show_soundness(found)


def show_thrift(thrifty: Figures, listed: Listed) -> None:
    """Few requests: the goals are those of dense ids, or of many holes."""
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


def show_soundness(found: Sequence[Figures]) -> None:
    ours = [one for one in found if one.reader.ours]
    show_goal("rows lost or doubled by us", 0, sum(one.lost + one.doubled for one in ours))
    show_goal("requests of ours refused", 0, sum(one.counted.refusals for one in ours))


def show_goal(name: str, goal: float, reached: float, mark: str = "") -> None:
    print(f"{name:52}{goal:8.2f}{f'{mark}{reached:.2f}':>9}", flush=True)


def read_long(scratch: Path, deals_mb: float | None) -> None:
    """Our own walk alone: without holes, with many, and a million rows under the largest tariff."""
    for holes in (0.0, 0.7):
        listed = replace(LISTS["deals"], holes=holes)
        found = compete((EAGER, THRIFTY), listed, scratch, stop_after_s=LONG_STOP_S)
        show_thrift(named(found, THRIFTY), listed)
        show_soundness(found)
    listed = replace(LISTS["deals"], rows=1_000_000, tariff="enterprise")
    found = compete((EAGER, STREAM), listed, scratch, stop_after_s=LONG_STOP_S)
    least_s, limits = least_seconds(listed), listed.limits
    print(f"bucket and page cost alone allow {least_s:.1f} s")
    kept = limits.bucket_leak_per_s + max(MIN_RESERVE, ceil(limits.bucket_capacity * RESERVE_SHARE))
    show_goal("the walk takes times that, at most", 1.3, named(found, EAGER).seconds / least_s)
    for one in found:
        calls_per_s = 1 / EVERY_S if one.reader is STREAM else 0.0
        fair_s = least_seconds(listed, kept=kept, calls_per_s=calls_per_s)
        print(f"{f'{one.reader.name}: without what callers have of it':52}{'':8}{one.seconds / fair_s:9.2f}")
    stream = named(found, STREAM)
    show_goal("peak memory of the stream, MB, at most", 200.0, stream.peak_mb)
    if deals_mb is not None:
        show_goal("the same to that of 100,000 deals, at most", 1.2, stream.peak_mb / deals_mb)
    show_stream(stream)
    show_soundness(found)


def least_seconds(listed: Listed, *, kept: float = 0.0, calls_per_s: float = 0.0) -> float:
    """What the least number of full pages takes.

    Either the bucket decides, which lets the last full batch go only when it has leaked enough, or the places in flight
    that all pages share. Of the bucket, so many requests are *kept* back, and calls beside take theirs.
    """
    limits, cost = listed.limits, CostModel()
    pages = ceil(listed.rows / PAGE_ROWS)
    batches = ceil(pages / BATCH_COMMANDS)
    over = max(batches - (limits.bucket_capacity - kept), 0)
    by_bucket = over / (limits.bucket_leak_per_s - calls_per_s) + BATCH_COMMANDS * cost.list_s
    return max(by_bucket, pages * cost.list_s / CONCURRENCY)


if __name__ == "__main__":
    main()
