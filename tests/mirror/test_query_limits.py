"""Queries of lists with many rows: counts stop at 10,000, and a query that takes too long says what to do."""

import asyncio
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest

from gateway.sandbox.settings import SandboxSettings
from tests.gateway import Answer, Gateway
from tests.support.records import enable

DEALS = 10_100


@pytest.fixture
def sandbox_settings(sandbox_settings: SandboxSettings) -> SandboxSettings:
    return replace(sandbox_settings, deals=DEALS, tariff="off")


async def ask(gateway: Gateway, **params: Any) -> Answer:
    sent = {name: value if isinstance(value, str) else orjson.dumps(value).decode() for name, value in params.items()}
    return await gateway.get(f"/bitrix/deals?{urlencode(sent)}")


async def test_many_rows_are_counted_on_demand_and_a_slow_query_is_refused(connected: Gateway) -> None:
    await enable(connected, "deals")
    await check_counts(connected)
    await check_time_limit(connected)


async def check_counts(gateway: Gateway) -> None:
    everything = [["ID", ">", 0]]
    assert (await ask(gateway, filter=everything, size="1")).json["count"] is None
    assert (await ask(gateway, filter=everything, size="1", count="exact")).json["count"] == DEALS
    assert (await ask(gateway, size="1")).json["count"] == DEALS
    last = await ask(gateway, filter=everything, size="100", page="100")
    assert (last.status, len(last.json["items"])) == (200, 100)
    refused = await ask(gateway, filter=everything, size="100", page="101")
    assert refused.status == 400
    assert "use cursor" in refused.json["detail"]


async def check_time_limit(gateway: Gateway) -> None:
    slow = [["COMMENTS", "!=", f"no comment {number}"] for number in range(300)]
    detail = await ask_too_much(gateway, filter=[*slow, ["TITLE", "no title"]], count="exact")
    assert 'PUT /bitrix/sync/deals with {"indexed": ["COMMENTS"]}' in detail
    slow = [["STAGE_ID", "!=", f"no stage {number}"] for number in range(300)]
    detail = await ask_too_much(gateway, filter=slow, order="-STAGE_ID")
    assert 'PUT /bitrix/sync/deals with {"indexed": ["STAGE_ID"]}' in detail
    detail = await ask_too_much(gateway, filter=slow, order="ID", page="400")
    assert detail.endswith("narrow the filter")
    assert "PUT" not in detail
    assert (await ask(gateway, filter=[["ID", 1]])).status == 200


async def ask_too_much(gateway: Gateway, **params: Any) -> str:
    """The sentence about a query that takes longer than the limit."""
    asked = asyncio.ensure_future(ask(gateway, **params))
    while not asked.done():
        await asyncio.sleep(0)  # the query computes on its thread: the clock advances beside it
        gateway.clock.elapse(0.01)
    answer = await asked
    assert (answer.status, answer.json["code"]) == (503, "query_time_limit")
    return str(answer.json["detail"])
