"""Under load, the writes of many callers and their read-backs share requests, and each caller gets his own answer."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.crm.gathering import REQUESTS, Gatherer
from gateway.errors import GatewayError
from tests.gateway import Answer, Gateway, Sandbox
from tests.support.records import change, enable, page, portal_ids
from tests.support.stored import select

CALLERS = 50


async def at_once(gateway: Gateway, method: str, requests: Sequence[tuple[str, Any]]) -> list[Answer]:
    """The answers to requests with these paths and bodies, all sent at the same time."""
    sent = [gateway.request(method, f"/bitrix/{path}", json=body) for path, body in requests]
    return list(await gateway.clock.until(asyncio.gather(*sent)))


@pytest.fixture
async def warm(connected: Gateway) -> Gateway:
    """A gateway that mirrors deals and knows their fields."""
    await enable(connected, "deals")
    await connected.get("/bitrix/deals/fields")
    return connected


async def all_have_come(gateway: Gateway) -> None:
    while select(gateway, "SELECT count(*) FROM writes") != [(CALLERS,)]:
        await gateway.clock.sleep(0.1)


async def test_fifty_creates_take_few_requests(warm: Gateway, sandbox: Sandbox) -> None:
    before, requests = portal_ids(sandbox, "deals"), sandbox.portal.http_requests
    bodies = [("deals", {"TITLE": f"deal {number}"}) for number in range(CALLERS)]
    sandbox.portal.hold("crm.deal.add")
    callers = asyncio.ensure_future(at_once(warm, "POST", bodies))
    await warm.clock.until(all_have_come(warm))
    sandbox.portal.release("crm.deal.add")
    answers = await callers
    assert {answer.status for answer in answers} == {201}
    assert sandbox.portal.http_requests - requests <= 0.3 * CALLERS
    assert [answer.json["TITLE"] for answer in answers] == [f"deal {number}" for number in range(CALLERS)]
    created = {answer.json["id"] for answer in answers}
    assert set(portal_ids(sandbox, "deals")) == {*before, *created}
    assert len(created) == CALLERS
    shown = (await page(warm, f"/bitrix/deals?order=-id&size={CALLERS}")).json["items"]
    assert shown == sorted((answer.json for answer in answers), key=lambda deal: -deal["id"])


async def test_records_are_the_same_whether_created_alone_or_with_others(warm: Gateway) -> None:
    body = {
        "TITLE": "12",
        "OPPORTUNITY": 10.5,
        "CURRENCY_ID": "EUR",
        "OPENED": True,
        "CLOSED": False,
        "BEGINDATE": "2025-02-03",
        "COMMENTS": "a[b]=c&d=e 🧩 שלום %41 +",
        "ADDITIONAL_INFO": None,
        "PROBABILITY": 0,
        "ASSIGNED_BY_ID": 1,
    }
    (alone,) = await at_once(warm, "POST", [("deals", body)])
    together = await at_once(warm, "POST", [("deals", body)] * 20)
    distinct = {"id", "ID", "ORIGIN_ID", "DATE_CREATE", "DATE_MODIFY", "MOVED_TIME", "LAST_ACTIVITY_TIME", "syncedAt"}

    def compared(answer: Answer) -> dict[str, Any]:
        assert answer.status == 201, answer.body
        return {name: value for name, value in answer.json.items() if name not in distinct}

    assert [compared(answer) for answer in together] == [compared(alone)] * 20
    assert alone.json["COMMENTS"] == body["COMMENTS"]


async def test_each_caller_hears_what_became_of_his_own_write(warm: Gateway, sandbox: Sandbox) -> None:
    first, *others = portal_ids(sandbox, "deals")[:30]
    change(sandbox, "deals", removed=[others[-1]])
    bodies = [(f"deals/{row_id}", {"TITLE": f"now {row_id}"}) for row_id in (first, *others)]
    answers = await at_once(warm, "PATCH", bodies)
    assert [answer.status for answer in answers] == [200] * 29 + [404]
    assert [answer.json["TITLE"] for answer in answers[:-1]] == [f"now {row_id}" for row_id in (first, *others[:-1])]
    deleted = await at_once(warm, "DELETE", [(f"deals/{row_id}", None) for row_id in (first, *others)])
    assert [answer.status for answer in deleted] == [204] * 29 + [404]


@pytest.mark.parametrize("fault", ["cut", "drop"])
async def test_a_lost_batch_creates_everything_once(warm: Gateway, sandbox: Sandbox, fault: str) -> None:
    before = portal_ids(sandbox, "deals")
    sandbox.portal.fault(f"batch:{fault}")
    answers = await at_once(warm, "POST", [("deals", {"TITLE": f"deal {number}"}) for number in range(30)])
    assert {answer.status for answer in answers} == {201}
    assert [answer.json["TITLE"] for answer in answers] == [f"deal {number}" for number in range(30)]
    assert len(portal_ids(sandbox, "deals")) == len(before) + 30


async def test_long_values_do_not_make_one_huge_request(warm: Gateway, sandbox: Sandbox) -> None:
    text = "long " * 40_000
    answers = await at_once(warm, "POST", [("deals", {"TITLE": "x", "COMMENTS": text})] * 4)
    assert [answer.json["COMMENTS"] == text for answer in answers] == [True] * 4
    assert sandbox.portal.calls["crm.deal.add"] == 4


class Recorder:
    """Sends items by giving them back; 13 fails alone, and 99 makes its whole request fail."""

    def __init__(self) -> None:
        self.sent: list[list[int]] = []
        self.running = 0
        self.most_running = 0

    async def send(self, _key: str, items: Sequence[int]) -> list[int | GatewayError]:
        self.sent.append(list(items))
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        await asyncio.sleep(0)
        self.running -= 1
        if 99 in items:
            raise GatewayError("all")
        return [GatewayError("one") if item == 13 else item for item in items]


@given(st.lists(st.tuples(st.integers(1, 20) | st.just(99), st.integers(0, 3)), max_size=60))
def test_every_item_is_sent_once_and_gets_its_own_result(items: list[tuple[int, int]]) -> None:
    async def run() -> None:
        recorder = Recorder()
        gatherer: Gatherer[str, int, int] = Gatherer(recorder.send, weigh=lambda item: item, most=25)

        async def submit(item: int, turns: int) -> int:
            for _ in range(turns):
                await asyncio.sleep(0)
            return await gatherer.submit("key", item)

        outcomes = await asyncio.gather(*(submit(*each) for each in items), return_exceptions=True)
        lost = {item for sent in recorder.sent if 99 in sent for item in sent}
        for (item, _), outcome in zip(items, outcomes, strict=True):
            failed = isinstance(outcome, GatewayError)
            assert failed or outcome == item
            assert failed or item not in (13, 99)
            assert not failed or item == 13 or item in lost
        assert sorted(item for sent in recorder.sent for item in sent) == sorted(item for item, _ in items)
        assert recorder.most_running <= REQUESTS
        assert all(len(sent) == 1 or sum(sent) <= 25 for sent in recorder.sent)

    asyncio.run(run())


async def test_a_caller_that_leaves_while_he_waits_is_not_sent() -> None:
    recorder = Recorder()
    gatherer: Gatherer[str, int, int] = Gatherer(recorder.send, weigh=lambda _: 1, most=50)
    waiting = [asyncio.ensure_future(gatherer.submit("key", item)) for item in (1, 2)]
    waiting[1].cancel()
    assert await waiting[0] == 1
    assert recorder.sent == [[1]]


async def test_closing_ends_those_that_wait() -> None:
    never = asyncio.Event()

    async def send(_key: str, _items: Sequence[int]) -> list[int | GatewayError]:
        await never.wait()
        return []

    gatherer: Gatherer[str, int, int] = Gatherer(send, weigh=lambda _: 1, most=1)
    waiting = [asyncio.ensure_future(gatherer.submit("key", item)) for item in range(5)]
    await asyncio.sleep(0)
    await gatherer.close()
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError] * 5
