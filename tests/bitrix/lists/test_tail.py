"""Lists of REST 3.0, read by their cursor: what is requested, and which pages are accepted."""

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


def answer_of(*ids: object) -> object:
    return {"result": {"items": [{"id": row_id} for row_id in ids]}}


class Rogue:
    """A portal that passes each request body to *answer*, and records it."""

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
    client: PortalClient, method: str = METHOD, conditions: object = (), **options: Any
) -> list[Page[list[Row]]]:
    conditions = [] if conditions == () else conditions
    async with aclosing(read_tail(client, method, conditions, (), render=unrendered, **options)) as pages:
        return [page async for page in pages]


async def test_a_tail_continues_after_the_last_row_until_a_page_is_short(rogue: Rogue) -> None:
    def answer(body: dict[str, Any]) -> object:
        after = body["cursor"]["value"]
        return answer_of(*range(after + 1, min(after + TAIL_ROWS, 2500) + 1))

    async with rogue.answering(answer) as client:
        pages = await pages_of(client, cursor=10)
    assert [(page.after, page.upto, len(page.rows)) for page in pages] == [
        (10, 1010, 1000),
        (1010, 2010, 1000),
        (2010, None, 490),
    ]
    assert rogue.bodies[1]["cursor"] == {"field": "id", "order": "ASC", "value": 1010, "limit": TAIL_ROWS}


@pytest.mark.parametrize("rows", [1, 50, 300, TAIL_ROWS])
async def test_a_first_page_of_any_length_does_not_prove_the_end(rogue: Rogue, rows: int) -> None:
    def answer(body: dict[str, Any]) -> object:
        return answer_of() if body["cursor"]["value"] else answer_of(*range(1, rows + 1))

    async with rogue.answering(answer) as client:
        pages = await pages_of(client)
    assert [(page.after, page.upto, len(page.rows)) for page in pages] == [(0, rows, rows), (rows, None, 0)]


async def test_an_empty_first_page_is_the_end(rogue: Rogue) -> None:
    async with rogue.answering(lambda _body: answer_of()) as client:
        assert await pages_of(client, cursor=7) == [Page([], [], 7, None)]
    assert len(rogue.bodies) == 1


class GrowingPages:
    """The client of a portal with these *ids*, whose pages may grow but never shrink before the end."""

    def __init__(self, ids: list[int], sizes: list[int]) -> None:
        self.requests = 0
        self._ids, self._sizes = ids, sizes

    def background(self) -> "GrowingPages":
        return self

    async def call3(self, _method: str, body: dict[str, Any], *, write: bool) -> HttpAnswer:
        assert not write
        size = self._sizes[min(self.requests, len(self._sizes) - 1)]
        self.requests += 1
        following = [row_id for row_id in self._ids if row_id > body["cursor"]["value"]]
        return HttpAnswer(200, orjson.dumps(answer_of(*following[:size])))


@given(
    st.lists(st.integers(1, 10**6), unique=True, max_size=120).map(sorted),
    st.lists(st.integers(1, 60), min_size=1, max_size=6).map(sorted),
)
def test_an_unknown_page_size_costs_no_row_and_one_request_at_most(ids: list[int], sizes: list[int]) -> None:
    portal = GrowingPages(ids, sizes)
    pages = asyncio.run(pages_of(cast("PortalClient", portal)))
    assert [row["id"] for page in pages for row in page.rows] == ids
    assert [page.upto is None for page in pages] == [*[False] * (len(pages) - 1), True]
    assert portal.requests == len(pages) <= len([page for page in pages if page.rows]) + 1


@pytest.mark.parametrize(
    ("conditions", "sent"),
    [
        ([], [["id", ">", 7]]),
        (["id", "<", 9], [["id", "<", 9], ["id", ">", 7]]),
        ([["id", "<", 9], GROUP], [["id", "<", 9], GROUP, ["id", ">", 7]]),
    ],
)
async def test_a_list_without_a_cursor_parameter_is_filtered_by_id(
    rogue: Rogue, conditions: list[object], sent: list[object]
) -> None:
    async with rogue.answering(lambda _body: answer_of()) as client:
        await pages_of(client, "tasks.task.list", conditions, cursor=7)
    (body,) = rogue.bodies
    assert body == {"filter": sent, "order": {"id": "ASC"}, "pagination": {"limit": TAIL_ROWS}}


@pytest.mark.parametrize(
    "wrong_page",
    [
        answer_of(7, 8),
        answer_of(9, 9),
        answer_of(10, 9),
        answer_of(8, None),
        answer_of(8, "x"),
        answer_of(*range(8, 8 + TAIL_ROWS + 1)),
        {"result": {"items": {"0": {"id": 8}}}},
        {"result": []},
    ],
    ids=["not after the cursor", "twice", "descending", "no id", "not a number", "too many", "an object", "no rows"],
)
async def test_a_page_that_fails_a_check_is_requested_again_and_never_yielded(rogue: Rogue, wrong_page: object) -> None:
    right_answers = [answer_of(8), answer_of()]
    async with rogue.answering(lambda _body: wrong_page if len(rogue.bodies) == 1 else right_answers.pop(0)) as client:
        assert [page.rows for page in await pages_of(client, cursor=7)] == [[{"id": 8}], []]
    rogue.bodies.clear()
    async with rogue.answering(lambda _body: wrong_page) as client:
        with pytest.raises(WalkFailed) as failed:
            await pages_of(client, cursor=7)
    assert failed.value.cursor == 7
    assert len(rogue.bodies) == MAX_PAGE_ATTEMPTS
