"""A gateway that stores 2,500 changed rows a second, as a sync does.

python -m tests.load.busy      (settings from the environment, as for `serve`)
"""

import asyncio
import os

from aiohttp import web

from gateway.cli.process import run
from gateway.clock import SystemClock
from gateway.mirror.sync_pass import ROWS_A_TRANSACTION
from gateway.settings.config import load_config
from gateway.settings.secret_file import resolve_secrets
from handlers.app import make_app
from handlers.app_keys import DATABASE, PAGES
from handlers.http.server import Runner
from storage.records import RowPage
from storage.syncs import SyncStore
from tests.load.fill import NOW, USER_LIST, USERS, ranges, render_users, user

ROWS_A_SECOND = 2_500


async def serve() -> None:
    """Serve and store rows until killed."""
    config = load_config(os.environ)
    app = make_app(config, resolve_secrets(config), SystemClock())
    runner = Runner(app, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, config.host, config.port).start()
    await change_rows(app, int(os.environ["LOAD_ROWS"]))


async def change_rows(app: web.Application, rows: int) -> None:
    """Sync all *rows* repeatedly, each time with other values."""
    syncs, version = SyncStore(app[DATABASE]), 0
    pause_s = ROWS_A_TRANSACTION / ROWS_A_SECOND
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        version += 1
        sync_run = await syncs.begin(1, 1, USERS.name, [USER_LIST.sublist], now=NOW, resumable_since=NOW + 1)
        for first, last in ranges(rows, ROWS_A_TRANSACTION):
            changed = [{**user(number), "TITLE": f"version {version}"} for number in range(first, last + 1)]
            rendered = render_users(changed)
            generation = await syncs.save_page(
                sync_run.list_id,
                RowPage(
                    USER_LIST.sublist,
                    rendered,
                    first - 1,
                    None if last == rows else last,
                    USERS.prefix(NOW),
                ),
            )
            app[PAGES].changed(sync_run.list_id, generation)
            due += pause_s
            await asyncio.sleep(max(due - loop.time(), 0))


if __name__ == "__main__":
    run(serve())
