"""Lists of REST 3.0 that are read by their cursor: what is asked, and which pages count."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any, cast

import orjson
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from gateway.bitrix.auth.credentials import WebhookCredential
from gateway.bitrix.client import PortalClient
from gateway.bitrix.errors import WalkFailed
from gateway.bitrix.limits.limiter import PortalLimiter
from gateway.bitrix.lists.list_specs import Row
from gateway.bitrix.lists.page import MAX_PAGE_ATTEMPTS, Page, unrendered
from gateway.bitrix.lists.tail import TAIL_ROWS, read_tail
from gateway.bitrix.transport.session import HttpAnswer, PortalSession
from tests.clock import ManualClock
from tests.support.rogue import listening

METHOD = "main.eventlog.tail"
GROUP = {"logic": "or", "conditions": []}
Answer = Callable[[dict[str, Any]], object]


def page(*ids: object) -> object:
    return {"result": {"items": [{"id": row_id} for row_id in ids]}}


class Rogue:
    """A portal that answers each body with what *answer* makes of it, and remembers them."""

    def __init__(self, session: PortalSession, limiter: PortalLimiter, clock: ManualClock) -> None:
        self.bodies: list[dict[str, Any]] = []
        self._parts = session, limiter
        self._clock = clock

    @asynccontextmanager
    async def answering(self, answer: Answer) -> AsyncIterator[PortalClient]:
        async def handle(request: web.Request) -> web.Response:
            self.bodies.append(await request.json())
            return web.json_response(answer(self.bodies[-1]))

        session, limiter = self._parts
        async with listening(handle) as origin:
            yield PortalClient(session, limiter, WebhookCredential(f"{origin}/rest/1/rogue/"), self._clock)


@pytest.fixture
def rogue(session: PortalSession, limiter: PortalLimiter, clock: ManualClock) -> Rogue:
    return Rogue(session, limiter, clock)


async def pages_of(
    client: PortalClient, method: str = METHOD, given: object = (), **asked: Any
) -> list[Page[list[Row]]]:
    given = list(given) if given == () else given
    async with aclosing(read_tail(client, method, given, (), render=unrendered, **asked)) as pages:
        return [one async for one in pages]


async def test_a_tail_goes_on_from_the_last_row_until_a_page_is_short(rogue: Rogue) -> None:
    def answer(body: dict[str, Any]) -> object:
        after = body["cursor"]["value"]
        return page(*range(after + 1, min(after + TAIL_ROWS, 2500) + 1))

    async with rogue.answering(answer) as client:
        pages = await pages_of(client, cursor=10)
    assert [(one.after, one.upto, len(one.rows)) for one in pages] == [
        (10, 1010, 1000),
        (1010, 2010, 1000),
        (2010, None, 490),
    ]
    assert rogue.bodies[1]["cursor"] == {"field": "id", "order": "ASC", "value": 1010, "limit": TAIL_ROWS}


@pytest.mark.parametrize("rows", [1, 50, 300, TAIL_ROWS])
async def test_a_single_page_of_any_length_is_no_end(rogue: Rogue, rows: int) -> None:
    def answer(body: dict[str, Any]) -> object:
        return page() if body["cursor"]["value"] else page(*range(1, rows + 1))

    async with rogue.answering(answer) as client:
        pages = await pages_of(client)
    assert [(one.after, one.upto, len(one.rows)) for one in pages] == [(0, rows, rows), (rows, None, 0)]


async def test_an_empty_first_page_is_an_end(rogue: Rogue) -> None:
    async with rogue.answering(lambda _body: page()) as client:
        assert await pages_of(client, cursor=7) == [Page([], [], 7, None)]
    assert len(rogue.bodies) == 1


class GrowingPages:
    """A portal's client whose pages of the rows with these *ids* may grow, but never shrink before the end."""

    def __init__(self, ids: list[int], sizes: list[int]) -> None:
        self.requests = 0
        self._ids, self._sizes = ids, sizes

    def background(self) -> "GrowingPages":
        return self

    async def call3(self, _method: str, body: dict[str, Any], *, write: bool) -> HttpAnswer:
        assert not write
        size = self._sizes[min(self.requests, len(self._sizes) - 1)]
        self.requests += 1
        return HttpAnswer(200, orjson.dumps(page(*[one for one in self._ids if one > body["cursor"]["value"]][:size])))


@given(
    st.lists(st.integers(1, 10**6), unique=True, max_size=120).map(sorted),
    st.lists(st.integers(1, 60), min_size=1, max_size=6).map(sorted),
)
def test_the_page_size_is_learned_without_gaps_and_with_one_more_request_at_most(
    ids: list[int], sizes: list[int]
) -> None:
    portal = GrowingPages(ids, sizes)
    pages = asyncio.run(pages_of(cast("PortalClient", portal)))
    assert [row["id"] for one in pages for row in one.rows] == ids
    assert [one.upto is None for one in pages] == [*[False] * (len(pages) - 1), True]
    assert portal.requests == len(pages) <= len([one for one in pages if one.rows]) + 1


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ([], [["id", ">", 7]]),
        (["id", "<", 9], [["id", "<", 9], ["id", ">", 7]]),
        ([["id", "<", 9], GROUP], [["id", "<", 9], GROUP, ["id", ">", 7]]),
    ],
)
async def test_a_list_without_a_cursor_of_its_own_is_filtered_beyond_it(
    rogue: Rogue, given: list[object], sent: list[object]
) -> None:
    async with rogue.answering(lambda _body: page()) as client:
        await pages_of(client, "tasks.task.list", given, cursor=7)
    (body,) = rogue.bodies
    assert body == {"filter": sent, "order": {"id": "ASC"}, "pagination": {"limit": TAIL_ROWS}}


@pytest.mark.parametrize(
    "lie",
    [
        page(7, 8),
        page(9, 9),
        page(10, 9),
        page(8, None),
        page(8, "x"),
        page(*range(8, 8 + TAIL_ROWS + 1)),
        {"result": {"items": {"0": {"id": 8}}}},
        {"result": []},
    ],
    ids=["not beyond", "twice", "descending", "no id", "no number", "too many", "an object", "no rows"],
)
async def test_a_page_that_cannot_be_right_is_asked_for_again_and_never_given_out(rogue: Rogue, lie: object) -> None:
    sound = [page(8), page()]
    async with rogue.answering(lambda _body: lie if len(rogue.bodies) == 1 else sound.pop(0)) as client:
        assert [one.rows for one in await pages_of(client, cursor=7)] == [[{"id": 8}], []]
    rogue.bodies.clear()
    async with rogue.answering(lambda _body: lie) as client:
        with pytest.raises(WalkFailed) as failed:
            await pages_of(client, cursor=7)
    assert failed.value.cursor == 7
    assert len(rogue.bodies) == MAX_PAGE_ATTEMPTS
