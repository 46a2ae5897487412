"""Concurrent callers, and callers during a sync."""

import asyncio
from itertools import cycle, islice

from tests.gateway import RESOURCES, Gateway, Sandbox
from tests.support.portal_rows import MIRRORED, USERS, fill_all

CALLERS = 200


async def test_200_concurrent_callers_all_get_their_page(gateway: Gateway, sandbox: Sandbox) -> None:
    fill_all(sandbox.portal.data, 60)
    await gateway.connect(sandbox.webhook)
    paths = [f"/bitrix/{name}?page={page}&size=20" for page in (1, 2, 3) for name in RESOURCES]
    alone = {path: (await gateway.get(path)).body for path in paths}
    await gateway.restart()  # with cold caches
    requested = list(islice(cycle(paths), CALLERS))
    answers = await asyncio.gather(*(gateway.get(path) for path in requested))
    assert [answer.status for answer in answers] == [200] * CALLERS
    assert [answer.body for answer in answers] == [alone[path] for path in requested]


async def test_lists_are_served_while_a_sync_waits_for_the_portal(gateway: Gateway, sandbox: Sandbox) -> None:
    fill_all(sandbox.portal.data, 60)
    await gateway.connect(sandbox.webhook)
    before = [await gateway.get(f"/bitrix/{resource.name}") for resource in MIRRORED]
    for resource in MIRRORED:
        sandbox.portal.hold(resource.method)
        await gateway.patch(f"/bitrix/{resource.name}")
    during = [await gateway.get(f"/bitrix/{resource.name}") for resource in MIRRORED]
    assert [answer.body for answer in during] == [answer.body for answer in before]
    for resource in MIRRORED:
        sandbox.portal.release(resource.method)
    assert {run["state"] for run in await gateway.synced()} == {"done"}


async def test_every_page_served_during_a_sync_is_consistent(gateway: Gateway, sandbox: Sandbox) -> None:
    USERS.fill(sandbox.portal.data, 100)
    await gateway.connect(sandbox.webhook)
    USERS.fill(sandbox.portal.data, 3000)
    syncing = asyncio.ensure_future(gateway.sync("users"))
    counts = []
    while not syncing.done():
        answers = await asyncio.gather(*(gateway.get("/bitrix/users?size=5000") for _ in range(5)))
        for answer in answers:
            assert USERS.ids(answer.json["items"]) == list(range(1, answer.json["count"] + 1))
            counts.append(answer.json["count"])
    assert counts == sorted(counts)
    assert (counts[0] >= 100, (await gateway.get("/bitrix/users?size=1")).json["count"]) == (True, 3000)


async def test_concurrent_requests_for_a_sync_start_only_one(gateway: Gateway, sandbox: Sandbox) -> None:
    fill_all(sandbox.portal.data, 3)
    await gateway.connect(sandbox.webhook)
    sandbox.portal.hold("crm.status.list")
    calls = sandbox.portal.calls["crm.status.list"]
    answers = await asyncio.gather(*(gateway.patch("/bitrix/steps") for _ in range(50)))
    assert {answer.status for answer in answers} == {200}
    sandbox.portal.release("crm.status.list")
    await gateway.synced("steps")
    assert sandbox.portal.calls["crm.status.list"] == calls + 1
