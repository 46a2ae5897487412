"""b24pysdk, the vendor's client, with the faster of its two methods: chains of pages, one batch after another.

It orders the first page by ``ID``. For lists that only know ``id``, the test corrects this, to make it comparable.
"""

from b24pysdk import BitrixWebhook
from b24pysdk.api.callers.call_list_fast import _ListFastCaller

from tests.load.readers.task import Reading


def main() -> None:
    reading = Reading()
    task = reading.task
    _ListFastCaller._REQUEST_ID_FIELDS[task.method] = task.id_key
    webhook = BitrixWebhook(domain=task.host, webhook_token=task.webhook.partition("/rest/")[2])
    found = webhook.call_list_fast(task.method, task.params)
    rows = list(found["result"])
    seconds = reading.seconds()
    reading.report((task.id_of(row) for row in rows), seconds)


if __name__ == "__main__":
    main()
