"""fast_bitrix24 as in its manual: pages by offset, many concurrent batches."""

from fast_bitrix24 import Bitrix

from tests.load.readers.task import Reading


def main() -> None:
    reading = Reading()
    task = reading.task
    rows = Bitrix(task.webhook, verbose=False).get_all(task.method, task.params)
    seconds = reading.seconds()
    reading.report((task.id_of(row) for row in rows), seconds)


if __name__ == "__main__":
    main()
