"""kill -9 at every commit and at random: no answered write is lost or partial, and the next start continues.

CRASH_KILLS sets how many random kills there are.
"""

import asyncio
import itertools
import os
import random
import signal
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.crash.deaths import deaths
from tests.crash.house import Died, House
from tests.crash.launcher import BEFORE
from tests.crash.soundness import OTHER_RULE, RULE, check_file, is_mirrored, is_stale
from tests.gateway import RESOURCES, Sandbox

RANDOM_KILLS = int(os.environ.get("CRASH_KILLS", "100"))
LATEST_KILL_S = 0.25  # after the gateway accepts requests


async def test_kill_during_the_first_start(house: House) -> None:
    async def start(_: str) -> None:
        assert (await house.get("/readyz")).status == 200

    died = 0
    async for _ in deaths(house, start):
        died += 1
        await house.end(signal.SIGKILL)
        for path in house.database.parent.glob("gateway.db*"):
            path.unlink()
    assert died >= 4


@pytest.mark.timeout(180)  # some eighty starts
async def test_kill_while_connecting_a_webhook(house: House, sandbox: Sandbox) -> None:
    answered = set()

    async def connect(account: str) -> None:
        await house.connect(sandbox.webhook, account=account)
        answered.add(account)
        assert await is_mirrored(house, sandbox, account)

    await house.start()
    await house.end(signal.SIGKILL)
    async for account, _, _ in deaths(house, connect):
        if (await house.get("/bitrix/account", account=account)).status == 404:
            assert account not in answered
            await house.connect(sandbox.webhook, account=account)
        assert await is_mirrored(house, sandbox, account)
        assert (await house.delete("/bitrix/account", account=account)).status == 200
    assert len(answered) > 10


async def test_kill_while_authorizing_a_portal(house: House, sandbox: Sandbox) -> None:
    pending, authorized = set(), set()

    async def authorize(account: str) -> None:
        await house.connect(sandbox.origin, account=account)
        pending.add(account)
        await house.authorize(sandbox, account=account)
        authorized.add(account)

    await house.start()
    await house.end(signal.SIGKILL)
    async for account, _, _ in deaths(house, authorize):
        found = await house.get("/bitrix/account", account=account)
        if found.status == 404:
            assert account not in pending
        elif not found.json["bitrixID"]:
            assert account not in authorized
        await house.authorize(sandbox, account=account)
        assert await is_mirrored(house, sandbox, account)
        assert (await house.delete("/bitrix/account", account=account)).status == 200
    assert authorized


async def test_kill_while_renewing_tokens(house: House, sandbox: Sandbox) -> None:
    stale = []

    async def renew(_: str) -> None:
        sandbox.portal.oauth.expire_access_tokens()
        assert (await house.patch("/bitrix/users")).status == 200
        assert await is_mirrored(house, sandbox)

    await house.start()
    await house.authorize(sandbox)
    assert await is_mirrored(house, sandbox)
    await house.end(signal.SIGKILL)
    async for _, moment, _ in deaths(house, renew):
        if not await is_mirrored(house, sandbox):
            assert await is_stale(house)
            stale.append(moment)
            await house.authorize(sandbox)
            assert await is_mirrored(house, sandbox)
    assert stale == [BEFORE]  # only if the new pair was received and not yet committed


async def test_kill_while_syncing_a_changed_portal(house: House, sandbox: Sandbox) -> None:
    users = sandbox.portal.data.users
    started = set()

    async def sync(name: str) -> None:
        last = max(users)
        users[last + 1] = users[last] | {"ID": str(last + 1)}
        users[last] = users[last] | {"NAME": f"{users[last]['NAME']}+"}
        del users[list(users)[len(users) // 2]]
        assert (await house.patch("/bitrix/users")).status == 200
        started.add(name)
        assert await is_mirrored(house, sandbox)

    await house.start()
    await house.connect(sandbox.webhook)
    assert await is_mirrored(house, sandbox)
    await house.end(signal.SIGKILL)
    async for name, _, _ in deaths(house, sync):
        if name not in started:
            await house.finished_runs()
            assert (await house.patch("/bitrix/users")).status == 200
        assert await is_mirrored(house, sandbox)
    assert started


async def test_kill_while_writing_rules(house: House, sandbox: Sandbox) -> None:
    created, replaced = set(), set()
    quizzes = itertools.count(1)
    quiz = 0

    async def write(_: str) -> None:
        nonlocal quiz
        quiz = next(quizzes)
        assert (await house.post(f"/bitrix/rules/{quiz}", json=RULE)).status == 200
        created.add(quiz)
        assert (await house.patch(f"/bitrix/rules/{quiz}", json=OTHER_RULE)).status == 200
        replaced.add(quiz)

    await house.start()
    await house.connect(sandbox.webhook)
    assert await is_mirrored(house, sandbox)
    await house.end(signal.SIGKILL)
    async for _ in deaths(house, write):
        found = await house.get(f"/bitrix/rules/{quiz}")
        assert found.status == 200 or (found.status == 404 and quiz not in created)
        if found.status == 200:
            stored = {name: found.json[name] for name in RULE}
            assert stored == OTHER_RULE or (stored == RULE and quiz not in replaced)
    assert next(quizzes) == 6


async def test_kill_while_deleting_an_account(house: House, sandbox: Sandbox) -> None:
    deleted = set()

    async def delete(name: str) -> None:
        assert (await house.delete("/bitrix/account")).status == 200
        deleted.add(name)
        await house.connect(sandbox.origin)

    await house.start()
    await house.connect(sandbox.webhook)
    assert await is_mirrored(house, sandbox)
    await house.end(signal.SIGKILL)
    async for name, _, _ in deaths(house, delete):
        found = await house.get("/bitrix/account")
        connected = found.status == 200 and found.json["bitrixID"] != ""
        assert not (connected and name in deleted)
        await house.connect(sandbox.webhook)
        assert await is_mirrored(house, sandbox)


@dataclass
class Ledger:
    """Successfully answered writes: rules of account "acme" by quiz, and the state of other accounts."""

    rules: dict[int, dict[str, Any]] = field(default_factory=dict)
    connected: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    quizzes: Any = field(default_factory=lambda: itertools.count(1))


async def write_rules(house: House, ledger: Ledger) -> None:
    for quiz in ledger.quizzes:
        assert (await house.post(f"/bitrix/rules/{quiz}", json=RULE)).status == 200
        ledger.rules[quiz] = RULE
        replaced = await house.patch(f"/bitrix/rules/{quiz}", json=OTHER_RULE)
        assert replaced.status == 200
        ledger.rules[quiz] = OTHER_RULE


async def change_accounts(house: House, sandbox: Sandbox, ledger: Ledger) -> None:
    for account in itertools.cycle(("one", "two", "three")):
        if account in ledger.connected:
            ledger.connected.discard(account)
            assert (await house.delete("/bitrix/account", account=account)).status == 200
            ledger.deleted.add(account)
        else:
            ledger.deleted.discard(account)
            await house.connect(sandbox.webhook, account=account)
            ledger.connected.add(account)


async def renew_and_sync(house: House, sandbox: Sandbox) -> None:
    for name in itertools.cycle(RESOURCES):
        sandbox.portal.oauth.expire_access_tokens()
        assert (await house.patch(f"/bitrix/{name}")).status == 200
        await house.finished_runs(name)


@pytest.mark.timeout(60 + RANDOM_KILLS)
async def test_kill_at_random_under_mixed_load(house: House, sandbox: Sandbox) -> None:
    chance, ledger, stale = random.Random(12), Ledger(), 0
    await house.start()
    await house.authorize(sandbox)
    assert await is_mirrored(house, sandbox)
    for _ in range(RANDOM_KILLS):
        deeds = [
            asyncio.create_task(action)
            for action in (
                write_rules(house, ledger),
                change_accounts(house, sandbox, ledger),
                renew_and_sync(house, sandbox),
            )
        ]
        await asyncio.sleep(chance.uniform(0, LATEST_KILL_S))
        assert await house.end(signal.SIGKILL) == -signal.SIGKILL
        for outcome in await asyncio.gather(*deeds, return_exceptions=True):
            assert isinstance(outcome, Died), repr(outcome)
        check_file(house.database)
        await house.start()
        for account in {"acme", *ledger.connected}:
            assert (await house.get("/bitrix/account", account=account)).status == 200
        for account in ledger.deleted:
            assert (await house.get("/bitrix/account", account=account)).status == 404
        await house.finished_runs()
        if await is_stale(house):
            stale += 1
            await house.authorize(sandbox)
            await house.finished_runs()
    assert stale < RANDOM_KILLS
    for quiz, rule in ledger.rules.items():
        found = (await house.get(f"/bitrix/rules/{quiz}")).json
        assert {name: found[name] for name in RULE} in ((rule,) if rule == OTHER_RULE else (RULE, OTHER_RULE))
    assert len(ledger.rules) > RANDOM_KILLS
    for account in {"acme", *ledger.connected}:
        assert (await house.patch("/bitrix/users", account=account)).status == 200
        assert await is_mirrored(house, sandbox, account)
