"""The speed of queries of mirrored deals: pages, cursors, streams, and the write-ahead log beside a slow reader."""

import argparse
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from pathlib import Path
from urllib.parse import urlencode

import orjson
import pysqlite3

from gateway.cli.process import free_port
from tests.load.contest import Contestant, Server, compete, load, show
from tests.load.mirrored import DEALS, SYNC, Mirror
from tests.load.pages import bearer, token
from tests.load.read import show_goal

PAGES = 400  # of 25 rows, which numbered pages may reach
CHANGES_A_SECOND = 50
SLOW_S = 60
SLOW_CHANGES = 1_000  # rows a second beside the slow reader
STREAM = "/bitrix/stream/deals?source=mirror"
ROWS = """
SELECT head, tail FROM mirror_rows JOIN mirror_lists USING (list_id)
WHERE resource = 'deals' AND deleted = 0 ORDER BY part, portal_row_id
"""


def measure_queries(mirror: Mirror, options: argparse.Namespace, scratch: Path) -> None:
    """Measure all queries and print each goal next to the measured value."""
    measure_warm_pages(mirror, options, scratch)
    mirror.restart(GATEWAY_PAGE_CACHE_BYTES="0")
    measure_cold_pages(mirror, options, scratch)
    measure_cursors(mirror, options, scratch)
    measure_stream(mirror)
    measure_write_ahead_log(mirror)


def filtered(mirror: Mirror) -> str:
    """The path of a page of the stage of a pipeline that the first deal is in."""
    deal = mirror.call("GET", f"{DEALS}?size=1")["items"][0]
    conditions = [["STAGE_ID", "=", deal["STAGE_ID"]], ["CATEGORY_ID", "=", int(deal["CATEGORY_ID"])]]
    return f"{DEALS}?{urlencode({'filter': orjson.dumps(conditions).decode(), 'size': 25})}"


def measure_warm_pages(mirror: Mirror, options: argparse.Namespace, scratch: Path) -> None:
    """Compare a cached page with a bare handler of the same bytes."""
    path, port = filtered(mirror), free_port("127.0.0.1")
    body = scratch / "page.json"
    body.write_bytes(mirror.gateway.fetch(path, bearer(token())))
    bare = Server(["-m", "tests.load.bare", str(port), str(body)], port)
    bare.start("/bitrix/users", {})
    try:
        baseline = Contestant("bare aiohttp handler", bare, "/bitrix/users")
        warm = Contestant("25 deals by stage and pipeline", mirror.gateway, path, bearer(token()))
        compete([baseline, warm], rounds=options.rounds, seconds=options.seconds, connections=32, scratch=scratch)
        show([baseline, warm], baseline)
        ratio = warm.median("requests_per_s") / baseline.median("requests_per_s")
        show_goal("warm page by stage and pipeline to bare, at least", 0.8, ratio)
    finally:
        bare.stop()


def measure_cold_pages(mirror: Mirror, options: argparse.Namespace, scratch: Path) -> None:
    """Measure pages that are read from the database, while nothing and while something changes."""
    script = (
        "local at = 0\nrequest = function()\n"
        f" at = (at + 79) % {PAGES}\n"
        f' return wrk.format("GET", "{filtered(mirror)}&page=" .. (at + 1))\nend\n'
    )
    cold = Contestant("", mirror.gateway, DEALS, bearer(token()), script)
    load(cold, 1, 1, scratch)
    idle = load(cold, options.seconds, 1, scratch)
    show_goal("cold page by stage and pipeline, p99 ms, at most", 5, idle.p99_ms)
    with changing(mirror, CHANGES_A_SECOND):
        busy = load(cold, 3 * options.seconds, 1, scratch)
    print(f"{'cold page, p50 ms: idle, while rows change':52}{idle.p50_ms:8.2f}{busy.p50_ms:9.2f}")
    print(f"{'cold page, p99 ms: idle, while rows change':52}{idle.p99_ms:8.2f}{busy.p99_ms:9.2f}")
    ratio = idle.requests_per_s / busy.requests_per_s
    show_goal(f"cold page while {CHANGES_A_SECOND} rows/s change to idle, at most", 1.5, ratio)


def measure_cursors(mirror: Mirror, options: argparse.Namespace, scratch: Path) -> None:
    """Compare the first page by cursor with the deepest one, of all deals and of a filtered list."""
    index(mirror, "DATE_CREATE")
    pipeline = urlencode({"filter": '[["CATEGORY_ID", "=", 0]]'})
    for name, query in (("all deals", "order=ID"), ("a pipeline, newest first", f"{pipeline}&order=-DATE_CREATE")):
        cursor = ""
        pages = 1
        while following := mirror.call("GET", f"{DEALS}?{query}&size=1000&cursor={cursor}")["next"]:
            cursor = following
            pages += 1
        first, deepest = [
            Contestant("", mirror.gateway, f"{DEALS}?{query}&size=25&cursor={position}", bearer(token()))
            for position in ("", cursor)
        ]
        compete([first, deepest], rounds=options.rounds, seconds=options.seconds, connections=1, scratch=scratch)
        ratio = deepest.median("cpu_us") / first.median("cpu_us")
        show_goal(f"{name}, {pages:,} pages: deepest to first, at most", 1.3, ratio)


def index(mirror: Mirror, field: str) -> None:
    """Index *field*, and print how long that takes."""
    started = time.perf_counter()
    mirror.call("PUT", SYNC, {"indexed": [field]})
    connection = pysqlite3.connect(f"file:{mirror.database}?mode=ro", uri=True)
    while connection.execute("SELECT 1 FROM mirror_indexes WHERE state <> 'ready'").fetchone():
        time.sleep(0.1)
    connection.close()
    print(f"{field} indexed in {time.perf_counter() - started:.0f} s", flush=True)


def measure_stream(mirror: Mirror) -> None:
    """Compare a stream of all deals with reading and joining the same bytes from SQLite."""
    connection = pysqlite3.connect(f"file:{mirror.database}?mode=ro", uri=True)
    started, joined_bytes = time.perf_counter(), 0
    cursor = connection.execute(ROWS)
    while rows := cursor.fetchmany(1000):
        joined_bytes += len(b"\n".join([head + tail for head, tail in rows]))
    bare_s = time.perf_counter() - started
    connection.close()
    started, streamed_bytes, cpu_s = time.perf_counter(), 0, mirror.gateway.cpu_s
    with open_stream(mirror) as response:
        while part := response.read(262_144):
            streamed_bytes += len(part)
    stream_s = time.perf_counter() - started
    cpu_s = mirror.gateway.cpu_s - cpu_s
    megabytes = streamed_bytes / 2**20
    print(
        f"{megabytes:,.0f} MB of NDJSON in {stream_s:.1f} s, {cpu_s:.1f} s of CPU; "
        f"{joined_bytes / 2**20:,.0f} MB read and joined in {bare_s:.1f} s",
        flush=True,
    )
    show_goal("rate of the stream to reading and joining, at least", 0.5, bare_s / stream_s)


def measure_write_ahead_log(mirror: Mirror) -> None:
    """Measure the largest write-ahead log while a caller takes a minute to read a stream and rows change."""
    log = mirror.database.with_name(f"{mirror.database.name}-wal")
    largest, ends = 0, time.monotonic() + SLOW_S
    with open_stream(mirror) as response, changing(mirror, SLOW_CHANGES):
        while time.monotonic() < ends:
            response.read(65_536)
            largest = max(largest, log.stat().st_size)
            time.sleep(0.1)
    show_goal(f"write-ahead log beside a reader of {SLOW_S} s, MB, at most", 64, largest / 2**20)


@contextmanager
def open_stream(mirror: Mirror) -> Iterator[HTTPResponse]:
    """Begin a stream of all deals."""
    request = urllib.request.Request(f"{mirror.gateway.origin}{STREAM}", headers=bearer(token()))
    with urllib.request.urlopen(request, timeout=60) as response:
        yield response


@contextmanager
def changing(mirror: Mirror, rows_a_second: int) -> Iterator[None]:
    """Change so many rows of the portal each second, and sync them, until the block ends."""
    ended = threading.Event()
    first = mirror.call("GET", f"{DEALS}?order=-ID&size=1")["items"][0]["id"] - 20 * rows_a_second

    def change() -> None:
        version = 0
        while not ended.wait(1):
            version += 1
            start = first + version % 19 * rows_a_second
            edited: dict[int, dict[str, object]] = {
                row_id: {"TITLE": f"version {version}"} for row_id in range(start, start + rows_a_second)
            }
            mirror.change(edited, [])
            mirror.call("PATCH", DEALS)

    changer = threading.Thread(target=change)
    changer.start()
    try:
        yield
    finally:
        ended.set()
        changer.join()
