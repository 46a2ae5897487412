"""fast_bitrix24, as its manual has it: pages by offset, many batches side by side.

It orders every list by ``ID``; where the list knows ``id`` alone it is put right, for the sake of the comparison.
"""

from fast_bitrix24 import Bitrix
from fast_bitrix24.user_request import GetAllUserRequest

from tests.load.readers.asked import Reading


def main() -> None:
    reading = Reading()
    asked = reading.asked

    def order(request: GetAllUserRequest) -> None:
        request.params["order"] = {asked.id_key: "ASC"}

    GetAllUserRequest.add_order_parameter = order
    rows = Bitrix(asked.webhook, verbose=False).get_all(asked.method, asked.params)
    seconds = reading.seconds()
    reading.tell((asked.id_of(row) for row in rows), seconds)


if __name__ == "__main__":
    main()
