"""What one writes in an hour: one page after another by id, and a second's rest whenever the portal refuses."""

import time
from collections.abc import Iterator
from http.client import HTTPSConnection

import orjson

from gateway.bitrix.errors import QueryLimitExceeded
from gateway.bitrix.lists.list_specs import LIST_SPECS
from gateway.bitrix.lists.page import PAGE_ROWS
from gateway.bitrix.protocol.v2 import decode_answer
from tests.load.readers.asked import Asked, Reading

REFUSED_S = 1.0


def read(asked: Asked) -> Iterator[int]:
    """The ids of all rows, as they come."""
    spec = LIST_SPECS[asked.method]
    connection = HTTPSConnection(asked.host)
    path = f"{asked.webhook.partition(asked.host)[2]}{asked.method}"
    after = 0
    while True:
        params = {**spec.filtered(asked.params, {">": after}), **spec.ordered("ASC"), "start": -1}
        connection.request("POST", path, orjson.dumps(params), {"Content-Type": "application/json"})
        response = connection.getresponse()
        try:
            ids = [row_id for row_id, _ in spec.rows(decode_answer(response.status, response.read(), ()))]
        except QueryLimitExceeded:
            time.sleep(REFUSED_S)
            continue
        yield from ids
        if len(ids) < PAGE_ROWS:
            return
        after = ids[-1]


def main() -> None:
    reading = Reading()
    ids = list(read(reading.asked))
    reading.tell(ids, reading.seconds())


if __name__ == "__main__":
    main()
