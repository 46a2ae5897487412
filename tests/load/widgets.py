"""The rate at which pages of widgets are served, compared with a bare aiohttp handler that returns the same bytes.

    python -m tests.load.widgets [--widgets N] [--rounds N] [--seconds S] [--connections N]

Real processes under wrk, in alternating rounds. Ratios are those of the medians.
"""

import argparse
import asyncio
import sys
from pathlib import Path

from gateway.cli.process import free_port
from gateway.crypto.vault import KEY_CHECK, Vault
from gateway.widgets.catalogue import add_widget
from gateway.widgets.manifests import read_manifest
from gateway.widgets.rendering import WIDGETS_PATH
from storage.database import Database
from storage.metadata import MetadataStore
from storage.widgets import Owner, WidgetStore
from tests.load.contest import Contestant, Server, compete, run_contest, show
from tests.load.fill import KEY
from tests.load.pages import bearer, fetch, settings, token
from tests.load.read import show_goal

LIMIT = 50
TEMPLATE = [
    {"key": "login", "name": "Логин", "type": "text", "is_required": True},
    {"key": "password", "name": "Пароль", "type": "pass", "is_required": True},
    {"key": "phones", "name": "Список телефонов", "type": "users", "is_required": False},
]


async def fill(database: Path, widgets: int) -> None:
    """Create a database with public widgets."""
    async with Database.open(database) as opened:
        await MetadataStore(opened).save(KEY_CHECK, Vault(KEY).check_value())
        store, owner = WidgetStore(opened), Owner("public", None, None)
        for number in range(widgets):
            manifest = {"code": f"widget_{number}", "version": "1.1.6", "name": "Телефония", "rating": "2,7"}
            await add_widget(store, owner, read_manifest(manifest | {"settings_template": TEMPLATE}), now=0)


def page(number: int) -> str:
    """The address of a page."""
    return f"{WIDGETS_PATH}?limit={LIMIT}&page={number}"


def measure(options: argparse.Namespace, scratch: Path) -> None:
    """Print the ratio of warm pages to a bare handler, and that of the last page to the first."""
    database, copy = scratch / "warm.db", scratch / "cold.db"
    for path in (database, copy):
        asyncio.run(fill(path, options.widgets))
    authorization = bearer(token())
    warm, cold = (
        Server(["-m", "gateway", "serve"], port, settings(path, port, **more), scratch / f"{path.stem}.log")
        for path, port, more in (
            (database, free_port("127.0.0.1"), {}),
            (copy, free_port("127.0.0.1"), {"GATEWAY_PAGE_CACHE_BYTES": "0"}),
        )
    )
    bare = Server(["-m", "tests.load.bare", str(port := free_port("127.0.0.1")), str(scratch / "body.json")], port)
    try:
        warm.start(page(1), authorization)
        body, etag = fetch(warm.port, page(1), authorization)
        (scratch / "body.json").write_bytes(body)
        cold.start(page(1), authorization)
        bare.start("/bitrix/users", {})
        last = options.widgets // LIMIT
        contestants = [
            baseline := Contestant("bare aiohttp handler", bare, "/bitrix/users"),
            first := Contestant("warm page 1", warm, page(1), authorization),
            Contestant("304", warm, page(1), authorization | {"If-None-Match": etag}),
            single := Contestant("one widget, warm", warm, f"{WIDGETS_PATH}/widget_0", authorization),
            deep := Contestant(f"warm page {last}", warm, page(last), authorization),
            cold_first := Contestant("page 1, no cache", cold, page(1), authorization),
            cold_deep := Contestant(f"page {last}, no cache", cold, page(last), authorization),
        ]
        print(f"{options.widgets:,} widgets; {len(body):,} bytes a page; Python {sys.version.split()[0]}", flush=True)
        rounds, seconds, connections = options.rounds, options.seconds, options.connections
        compete(contestants, rounds=rounds, seconds=seconds, connections=connections, scratch=scratch)
        show(contestants, baseline)
        rates = [each.median("requests_per_s") for each in (baseline, first, deep)]
        show_goal(f"warm list of {LIMIT} to bare, at least", 0.8, rates[1] / rates[0])
        show_goal(f"warm page {last} to page 1, time, at most", 1.3, rates[1] / rates[2])
        ratio = cold_deep.median("cpu_us") / cold_first.median("cpu_us")
        show_goal(f"page {last} to page 1 without the cache, CPU, at most", 1.3, ratio)
        print(f"one widget: {single.median('cpu_us'):.1f} µs")
    finally:
        for server in (warm, cold, bare):
            if server.process is not None:
                server.stop()


if __name__ == "__main__":
    run_contest(measure, __doc__, widgets=10_000)
