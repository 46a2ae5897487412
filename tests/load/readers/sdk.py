"""b24pysdk, the vendor's own, by the faster of its two ways: chains of pages, one batch after another.

It asks for the first page in the order of ``ID``; where the list knows ``id`` alone it is put right, for the sake of
the comparison.
"""

from b24pysdk import BitrixWebhook
from b24pysdk.api.callers.call_list_fast import _ListFastCaller

from tests.load.readers.asked import Reading


def main() -> None:
    reading = Reading()
    asked = reading.asked
    _ListFastCaller._REQUEST_ID_FIELDS[asked.method] = asked.id_key
    webhook = BitrixWebhook(domain=asked.host, webhook_token=asked.webhook.partition("/rest/")[2])
    found = webhook.call_list_fast(asked.method, asked.params)
    rows = list(found["result"])
    seconds = reading.seconds()
    reading.tell((asked.id_of(row) for row in rows), seconds)


if __name__ == "__main__":
    main()
