"""A simple client: page after page by id, and a pause of a second whenever the portal refuses."""

import time
from collections.abc import Iterator
from http.client import HTTPSConnection

import orjson

from gateway.bitrix.errors import QueryLimitExceeded
from gateway.bitrix.lists.list_specs import LIST_SPECS
from gateway.bitrix.lists.page import PAGE_ROWS
from gateway.bitrix.protocol.v2 import decode_answer
from tests.load.readers.task import Reading, ReadTask

REFUSAL_PAUSE_S = 1.0


def read(task: ReadTask) -> Iterator[int]:
    """Yield the ids of all rows."""
    spec = LIST_SPECS[task.method]
    connection = HTTPSConnection(task.host)
    path = f"{task.webhook.partition(task.host)[2]}{task.method}"
    after = 0
    while True:
        params = {**spec.filtered(task.params, {">": after}), **spec.ordered("ASC"), "start": -1}
        connection.request("POST", path, orjson.dumps(params), {"Content-Type": "application/json"})
        response = connection.getresponse()
        try:
            ids = [row_id for row_id, _ in spec.rows(decode_answer(response.status, response.read(), ()))]
        except QueryLimitExceeded:
            time.sleep(REFUSAL_PAUSE_S)
            continue
        yield from ids
        if len(ids) < PAGE_ROWS:
            return
        after = ids[-1]


def main() -> None:
    reading = Reading()
    ids = list(read(reading.task))
    reading.report(ids, reading.seconds())


if __name__ == "__main__":
    main()
