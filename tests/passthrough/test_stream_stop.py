"""How a stream ends: by a word from outside, which counts from that moment on."""

from collections.abc import AsyncGenerator

import orjson
import pytest

from gateway.bitrix.lists.page import Page
from gateway.passthrough.streamed_lists import STREAMED_LISTS
from gateway.passthrough.streams import Stream, StreamRequest


def page(after: int, upto: int | None) -> Page[bytes]:
    ids = [after + 1, after + 2]
    return Page(b"".join(orjson.dumps({"ID": one}) + b"\n" for one in ids), ids, after, upto)


@pytest.mark.parametrize("upto", [4, None])
async def test_a_page_that_is_done_as_its_stream_ends_stays_in(upto: int | None) -> None:
    async def pages() -> AsyncGenerator[Page[bytes], None]:
        yield page(0, 2)
        stream.end("it is over")
        yield page(2, upto)

    stream = Stream(pages(), StreamRequest(STREAMED_LISTS["deals"]))
    told = b"".join([lines async for lines in stream.chunks()])
    assert [orjson.loads(line) for line in told.splitlines()] == [
        {"ID": 1},
        {"ID": 2},
        {"error": "it is over", "code": "ended", "cursor": 2},
    ]
