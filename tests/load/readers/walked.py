"""The gateway's walk as a library; *more* has its ``pace`` and the bucket's ``capacity`` and ``leak_per_s``."""

from array import array
from contextlib import aclosing

import orjson

from gateway.bitrix.auth.credentials import WebhookCredential
from gateway.bitrix.client import PortalClient
from gateway.bitrix.limits.limiter import PortalLimiter
from gateway.bitrix.lists.page import ListCall
from gateway.bitrix.lists.page_reader import Pace
from gateway.bitrix.lists.walk import walk
from gateway.bitrix.transport.egress import EgressPolicy
from gateway.bitrix.transport.session import open_session
from gateway.cli.process import run
from gateway.clock import SystemClock
from tests.load.readers.task import Reading, ReadTask

CONCURRENCY = 32


async def read(task: ReadTask) -> "array[int]":
    """Return the ids of all rows."""
    clock, ids = SystemClock(), array("q")
    limiter = PortalLimiter(clock, int(task.more["capacity"]), float(task.more["leak_per_s"]), CONCURRENCY)
    async with open_session(EgressPolicy(insecure=True), clock) as session:
        client = PortalClient(session, limiter, WebhookCredential(task.webhook), clock)
        pace = Pace[task.more["pace"].upper()]
        pages = walk(client, ListCall(task.method, task.params), pace=pace, render=orjson.dumps)
        async with aclosing(pages):
            async for page in pages:
                ids.extend(page.ids)
    return ids


def main() -> None:
    reading = Reading()
    ids = run(read(reading.task))
    reading.report(ids, reading.seconds())


if __name__ == "__main__":
    main()
