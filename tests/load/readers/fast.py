"""fast_bitrix24, as its manual has it: pages by offset, many batches side by side."""

from fast_bitrix24 import Bitrix

from tests.load.readers.asked import Reading


def main() -> None:
    reading = Reading()
    asked = reading.asked
    rows = Bitrix(asked.webhook, verbose=False).get_all(asked.method, asked.params)
    seconds = reading.seconds()
    reading.tell((asked.id_of(row) for row in rows), seconds)


if __name__ == "__main__":
    main()
