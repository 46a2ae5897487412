"""Upserts through a gateway that is killed again and again, at a portal that loses answers.

    python -m tests.load.upserts [--upserts N] [--phones N] [--callers N] [--kills N] [--lost PERCENT] [--seed N]

Sandbox portal and gateway are processes of their own. Callers find or create contacts by phone, and repeat what is not
answered with its Idempotency-Key. The gateway is killed every 1 to 3 seconds and started again at once. The portal
takes its time for a request, so that it carries out some after the gateway has died. In the end each phone must have
one contact, each answer must have named it, and each key must still get its answer.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import orjson

from gateway.cli.process import free_port
from tests.load.contest import LOAD_CORE, Server
from tests.load.pages import bearer, settings, token
from tests.load.portal import WEBHOOK
from tests.load.read import show_goal

ANSWER_S = 0.2  # of the portal for a request
RETRY_S = 0.2
KILL_AFTER_S = (1.0, 3.0)
UNANSWERED = (429, 502, 503, 504)
PAGE_ROWS = 50


@dataclass
class Callers:
    """Callers who upsert contacts, one after the other each."""

    session: aiohttp.ClientSession
    url: str
    phones: int
    answers: dict[int, tuple[int, int]] = field(default_factory=dict)  # status and id of the record, by number
    repeated: Counter[int] = field(default_factory=Counter)  # requests without an answer, by number

    def phone(self, number: int) -> str:
        return f"+7 900 {number % self.phones:07}"

    async def upsert(self, number: int) -> tuple[int, int]:
        """Send a request until it is answered; return its status and the id of its record."""
        body = {"PHONE": self.phone(number), "NAME": f"request {number}"}
        headers = {**bearer(token()), "Idempotency-Key": f"upsert-{number}"}
        while True:
            with suppress(aiohttp.ClientError, ConnectionError):
                async with self.session.put(self.url, json=body, headers=headers) as answer:
                    found = await answer.json()
                    if answer.status in (200, 201):
                        return answer.status, int(found["id"])
                    if answer.status not in UNANSWERED:
                        sys.exit(f"{number}: {answer.status} {found}")
            self.repeated[number] += 1
            await asyncio.sleep(RETRY_S)

    async def upsert_all(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self.answers[number] = await self.upsert(number)


async def kill_now_and_then(gateway: Server, kills: int, chance: random.Random) -> None:
    """Kill the gateway so many times, and start it again each time."""
    for _ in range(kills):
        await asyncio.sleep(chance.uniform(*KILL_AFTER_S))
        assert gateway.process is not None
        gateway.process.kill()
        gateway.process.wait()
        await asyncio.to_thread(gateway.start, "/healthz", {})


def contacts_of(portal: Server) -> dict[int, list[str]]:
    """The phones of all contacts of the portal, by id."""
    found: dict[int, list[str]] = {}
    while True:
        listed = {"filter": {">ID": max(found, default=0)}, "select": ["ID", "PHONE"], "order": {"ID": "ASC"}}
        body = portal.fetch(f"{WEBHOOK}crm.contact.list", {}, method="POST", json={**listed, "start": -1})
        rows = orjson.loads(body)["result"]
        found |= {int(row["ID"]): [entry["VALUE"] for entry in row.get("PHONE", [])] for row in rows}
        if len(rows) < PAGE_ROWS:
            return found


def counters(portal: Server) -> dict[str, int]:
    """The number of calls of the portal, by method."""
    calls: dict[str, int] = orjson.loads(portal.fetch("/_sandbox/", {}))["calls"]
    return calls


async def measure(gateway: Server, portal: Server, options: argparse.Namespace) -> None:
    chance = random.Random(options.seed)
    numbers = chance.sample(range(options.upserts), options.upserts)
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None)) as session:
        callers = Callers(session, f"{gateway.origin}/bitrix/contacts?match=PHONE", options.phones)
        for spec in (f"request:cut*{options.lost}%", f"request:delay={ANSWER_S}*"):
            portal.fetch("/_sandbox/faults", {}, method="POST", json={"fault": spec})
        started = time.perf_counter()
        killing = asyncio.create_task(kill_now_and_then(gateway, options.kills, chance))
        upserting = [callers.upsert_all(numbers[caller :: options.callers]) for caller in range(options.callers)]
        await asyncio.gather(killing, *upserting)
        seconds = time.perf_counter() - started
        portal.fetch("/_sandbox/faults", {}, method="DELETE")
        added = counters(portal)["crm.contact.add"]
        print(
            f"{options.upserts} upserts of {options.phones} phones, {options.callers} callers, {options.kills} kills: "
            f"{seconds:.0f} s; {len(callers.repeated)} requests were repeated, {callers.repeated.total()} times; "
            f"{added} calls of crm.contact.add"
        )
        again = {number: await callers.upsert(number) for number in callers.repeated}
    show_results(callers, again, contacts_of(portal), counters(portal)["crm.contact.add"] - added)


def show_results(
    callers: Callers, again: dict[int, tuple[int, int]], contacts: dict[int, list[str]], added: int
) -> None:
    """Print each goal next to the measured value, and exit if one is missed."""
    having = Counter(phone for phones in contacts.values() for phone in phones)
    wanted = {callers.phone(number) for number in callers.answers}
    goals = {
        "phones without a contact": len(wanted - set(having)),
        "phones written twice": sum(having.values()) - len(having),
        "contacts beyond one a phone": len(contacts) - len(wanted),
        "answers with the contact of another phone": sum(
            callers.phone(number) not in contacts.get(row_id, []) for number, (_, row_id) in callers.answers.items()
        ),
        "repeated keys with another answer": sum(callers.answers[number] != answer for number, answer in again.items()),
        "contacts added for repeated keys": added,
    }
    for name, measured in goals.items():
        show_goal(f"{name}, at most", 0, measured)
    if any(goals.values()):
        sys.exit(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--upserts", type=int, default=500)
    parser.add_argument("--phones", type=int, default=100)
    parser.add_argument("--callers", type=int, default=50)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--lost", type=int, default=10, help="percentage of the portal's answers")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    ports = [free_port("127.0.0.1") for _ in range(2)]
    with tempfile.TemporaryDirectory(prefix="load-") as directory:
        scratch = Path(directory)
        sandbox = ["-m", "gateway", "sandbox", "--port", str(ports[0]), "--contacts", "0", "--tariff", "off"]
        portal = Server([*sandbox, "--seed", str(options.seed)], ports[0], log=scratch / "sandbox.log", core=LOAD_CORE)
        environ = settings(
            scratch / "gateway.db",
            ports[1],
            GATEWAY_INSECURE_PORTALS="1",
            GATEWAY_BUCKET_CAPACITY="100000",
            GATEWAY_BUCKET_LEAK_PER_S="1000",
        )
        gateway = Server(["-m", "gateway", "serve"], ports[1], environ, scratch / "gateway.log")
        try:
            portal.start("/_sandbox/", {})
            gateway.start("/healthz", {})
            account = {"client_bitrix_url": portal.origin + WEBHOOK}
            gateway.fetch("/bitrix/account", bearer(token()), method="POST", json=account)
            asyncio.run(measure(gateway, portal, options))
        finally:
            for server in (gateway, portal):
                if server.process is not None:
                    server.stop()


if __name__ == "__main__":
    main()
