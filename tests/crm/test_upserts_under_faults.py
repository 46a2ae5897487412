"""Many callers upsert while the portal loses answers and the gateway stops: each phone gets exactly one contact."""

import asyncio
import random
from dataclasses import replace

import pytest

from gateway.sandbox.settings import SandboxSettings
from tests.gateway import Answer, Gateway, Sandbox

UPSERTS, PHONES, CALLERS = 500, 100, 50
HELD = ("crm.contact.add", "batch", "crm.duplicate.findbycomm", "crm.contact.list", "crm.contact.update")
RETRIED = {429, 502, 503}


@pytest.fixture
def sandbox_settings(sandbox_settings: SandboxSettings) -> SandboxSettings:
    return replace(sandbox_settings, tariff="off", contacts=10)


@pytest.fixture
def environ(environ: dict[str, str]) -> dict[str, str]:
    return environ | {"GATEWAY_BUCKET_CAPACITY": "100000", "GATEWAY_BUCKET_LEAK_PER_S": "1000"}


def phone(number: int) -> str:
    return f"+7 900 {number % PHONES:07}"


class Callers:
    """Callers who each upsert one contact after the other, and repeat what was not answered with its key."""

    def __init__(self, gateway: Gateway, numbers: list[int]) -> None:
        self.answers: dict[int, Answer] = {}
        self.lost: set[int] = set()  # those whose request ended because the gateway stopped
        self._gateway = gateway
        self._numbers = numbers
        self._awaited = 0
        self._answered = asyncio.Event()
        self._in_flight: set[asyncio.Task[Answer]] = set()
        self._may_call = asyncio.Event()
        self._may_call.set()

    async def upsert_all(self) -> None:
        await asyncio.gather(*(self._upsert_in_turn(self._numbers[caller::CALLERS]) for caller in range(CALLERS)))

    async def _upsert_in_turn(self, numbers: list[int]) -> None:
        for number in numbers:
            self.answers[number] = await self._upsert(number)
            if len(self.answers) >= self._awaited:
                self._answered.set()

    async def answered(self, more: int) -> None:
        """Wait until so many *more* upserts are answered."""
        self._awaited = len(self.answers) + more
        self._answered.clear()
        await self._answered.wait()

    async def _upsert(self, number: int) -> Answer:
        while True:
            await self._may_call.wait()
            task = asyncio.create_task(self.request(number))
            self._in_flight.add(task)
            await asyncio.wait([task])
            self._in_flight.discard(task)
            if task.cancelled():
                self.lost.add(number)
            elif task.result().status not in RETRIED:
                return task.result()
            else:
                await self._gateway.clock.sleep(5)

    async def request(self, number: int) -> Answer:
        body = {"PHONE": phone(number), "NAME": f"request {number}"}
        headers = {"Idempotency-Key": f"upsert-{number}"}
        return await self._gateway.request("PUT", "/bitrix/contacts?match=PHONE", json=body, headers=headers)

    async def leave(self) -> None:
        """Let the callers leave and wait. Their client would repeat these requests by itself: PUT is idempotent."""
        self._may_call.clear()
        for task in self._in_flight:
            task.cancel()
        await asyncio.gather(*self._in_flight, return_exceptions=True)

    def return_(self) -> None:
        self._may_call.set()


async def stop_now_and_then(callers: Callers, gateway: Gateway, sandbox: Sandbox, chance: random.Random) -> None:
    """Stop the gateway in the middle of its work, and start it again, once for each method that is HELD.

    The portal holds the calls of the method then. It carries them out after the gateway has stopped, or even after the
    gateway has started again.
    """
    for held in HELD:
        await callers.answered(chance.randrange(5, 40))
        sandbox.portal.hold(held)
        await gateway.clock.sleep(0.1)  # until nothing else is left to do
        await callers.leave()
        await gateway.stop()
        if chance.random() < 0.5:
            sandbox.portal.release(held)
        await gateway.start()
        callers.return_()
        waits = [asyncio.ensure_future(wait) for wait in (callers.answered(10), gateway.clock.sleep(30))]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        sandbox.portal.release(held)


async def test_each_phone_gets_one_contact_and_each_caller_an_answer(connected: Gateway, sandbox: Sandbox) -> None:
    chance = random.Random(1)
    contacts = sandbox.portal.data.tables["contacts"]
    before = set(contacts)
    callers = Callers(connected, chance.sample(range(UPSERTS), UPSERTS))
    sandbox.portal.fault("request:cut*10%")
    stopping = stop_now_and_then(callers, connected, sandbox, chance)
    await connected.clock.until(asyncio.gather(callers.upsert_all(), stopping))
    sandbox.portal.clear_faults()
    assert {answer.status for answer in callers.answers.values()} <= {200, 201}
    assert len(callers.lost) >= len(HELD)
    created = {row_id: contacts[row_id] for row_id in set(contacts) - before}
    phones = [entry["VALUE"] for row in created.values() for entry in row["PHONE"]]
    assert sorted(phones) == [phone(number) for number in range(PHONES)]
    assert len(created) == PHONES
    by_phone = {row["PHONE"][0]["VALUE"]: row_id for row_id, row in created.items()}
    assert {number: answer.json["id"] for number, answer in callers.answers.items()} == {
        number: by_phone[phone(number)] for number in range(UPSERTS)
    }
    calls = sandbox.portal.commands
    for number in callers.lost:
        again = await connected.clock.until(callers.request(number))
        assert (again.status, again.body) == (callers.answers[number].status, callers.answers[number].body)
    assert sandbox.portal.commands == calls
