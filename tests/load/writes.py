"""Creates of deals through the gateway, compared with calls of the portal itself.

    python -m tests.load.writes [--creates N] [--callers N] [--rounds N]

A sandbox portal without response times has the deals, and a gateway mirrors them. One caller creates deals in turn:
at the portal (`crm.deal.add`, then the list that reads it back), and through the gateway. Then many callers create at
once, and the portal counts the requests.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import aiohttp

from tests.load.mirrored import DEALS, SYNC, Mirror, open_mirror
from tests.load.pages import bearer, token
from tests.load.portal import WEBHOOK
from tests.load.read import show_goal

MAX_ADDED_MS, MAX_REQUESTS_EACH = 2.0, 0.3


async def timed(step: Callable[[int], Awaitable[None]], durations: list[float], number: int) -> None:
    """Time one *step*, and add its milliseconds to *durations*."""
    started = time.perf_counter()
    await step(number)
    durations.append((time.perf_counter() - started) * 1e3)


async def measure_one_caller(session: aiohttp.ClientSession, mirror: Mirror, creates: int) -> None:
    """Create deals in turn: at the portal and through the gateway."""
    created: list[int] = []

    async def post(url: str, body: object, headers: Mapping[str, str] = {}) -> dict[str, object]:
        async with session.post(url, json=body, headers=headers) as answer:
            found: dict[str, object] = await answer.json()
            if answer.status not in (200, 201):
                sys.exit(f"{url}: {answer.status} {found}")
            return found

    caller = bearer(token())
    rest = f"{mirror.portal.origin}{WEBHOOK}"

    async def add(number: int) -> None:
        answer = await post(f"{rest}crm.deal.add", {"fields": {"TITLE": f"direct {number}"}})
        created.append(int(str(answer["result"])))

    async def read_back(_number: int) -> None:
        listed = {"filter": {"@ID": created[-1:]}, "select": ["*", "UF_*"], "order": {"ID": "ASC"}, "start": -1}
        await post(f"{rest}crm.deal.list", listed)

    async def through_gateway(number: int) -> None:
        await post(f"{mirror.gateway.origin}{DEALS}", {"TITLE": f"gateway {number}"}, caller)

    steps = {add: list[float](), read_back: list[float](), through_gateway: list[float]()}
    for number in range(creates):
        for step, durations in steps.items():
            await timed(step, durations, number)
    adding, reading, whole = (statistics.median(durations) for durations in steps.values())
    print(f"p50: crm.deal.add {adding:.2f} ms, crm.deal.list {reading:.2f} ms, through the gateway {whole:.2f} ms")
    show_goal("added to a create, ms at p50, at most", MAX_ADDED_MS, whole - adding - reading)


async def measure_many_callers(session: aiohttp.ClientSession, mirror: Mirror, callers: int, rounds: int) -> None:
    """Let *callers* create deals at once, and count the portal's requests."""

    url, headers = f"{mirror.gateway.origin}{DEALS}", bearer(token())

    async def create(number: int) -> int:
        async with session.post(url, json={"TITLE": f"deal {number}"}, headers=headers) as answer:
            await answer.read()
            return answer.status

    requests, started, statuses = mirror.requests, time.perf_counter(), []
    for _ in range(rounds):
        statuses += await asyncio.gather(*(create(number) for number in range(callers)))
    seconds = time.perf_counter() - started
    print(f"{callers} callers at once, {rounds} times: {callers * rounds / seconds:,.0f} creates a second")
    each = (mirror.requests - requests - 1) / (callers * rounds)  # one request has read the counter
    show_goal("portal requests for a create, at most", MAX_REQUESTS_EACH, each)
    show_goal("refused creates, at most", 0, len(statuses) - statuses.count(201))


async def measure(mirror: Mirror, options: argparse.Namespace) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await measure_one_caller(session, mirror, options.creates)
        await measure_many_callers(session, mirror, options.callers, options.rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--creates", type=int, default=500)
    parser.add_argument("--callers", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="load-") as directory, open_mirror(1000, Path(directory)) as mirror:
        mirror.watch("PUT", SYNC, {"enabled": True})
        asyncio.run(measure(mirror, options))


if __name__ == "__main__":
    main()
