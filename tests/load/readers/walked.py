"""The gateway's walk, as a library; *more* names its ``pace`` and the bucket's ``capacity`` and ``leak_per_s``."""

from array import array
from contextlib import aclosing

from gateway.bitrix.client import PortalClient, PortalGate, WebhookCredential, open_session
from gateway.bitrix.egress import EgressPolicy
from gateway.bitrix.methods import row_id
from gateway.bitrix.walk import ListCall, Pace, walk
from gateway.clock import SystemClock
from gateway.process import run
from tests.load.readers.asked import Asked, Reading

CONCURRENCY = 32


async def read(asked: Asked) -> "array[int]":
    """The ids of all rows, as they come."""
    clock, ids = SystemClock(), array("q")
    gate = PortalGate(clock, int(asked.more["capacity"]), float(asked.more["leak_per_s"]), CONCURRENCY)
    async with open_session(EgressPolicy(insecure=True), clock) as session:
        client = PortalClient(session, gate, WebhookCredential(asked.webhook), clock)
        pages = walk(client, ListCall(asked.method, asked.params), pace=Pace[asked.more["pace"].upper()])
        async with aclosing(pages):
            async for page in pages:
                ids.extend(row_id(row, asked.id_key) for row in page.rows)
    return ids


def main() -> None:
    reading = Reading()
    ids = run(read(reading.asked))
    reading.tell(ids, reading.seconds())


if __name__ == "__main__":
    main()
