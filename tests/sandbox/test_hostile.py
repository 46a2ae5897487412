"""Hostile answers of the sandbox, read by a client without protection."""

import asyncio
import gzip
from typing import Any

import orjson
import pytest
from aiohttp import ClientError, ClientSession

from gateway.sandbox.behaviour.row_faults import ESCAPES, IDS
from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.web.server import SandboxServer
from tests.clock import ManualClock
from tests.sandbox.client import RestClient

MEGABYTE = 2**20


@pytest.fixture
def url(server: SandboxServer, portal: SandboxPortal) -> str:
    return f"{server.origin}{portal.webhook_path}scope"


async def test_a_huge_answer_is_json_of_the_requested_size(webhook: RestClient, portal: SandboxPortal) -> None:
    portal.fault("scope:huge=2")
    assert len((await webhook.call("scope")).result) == 2 * MEGABYTE
    assert portal.calls["scope"] == 1


async def test_a_bomb_is_compressed_to_a_thousandth(session: ClientSession, portal: SandboxPortal, url: str) -> None:
    portal.fault("scope:bomb=8")
    async with session.get(url, auto_decompress=False) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        packed = await answer.read()
    assert len(packed) < 8 * MEGABYTE / 900
    assert len(orjson.loads(gzip.decompress(packed))["result"]) == 8 * MEGABYTE


async def test_a_dense_answer_is_made_of_empty_lists(webhook: RestClient, portal: SandboxPortal) -> None:
    portal.fault("scope:dense=1")
    lists = (await webhook.call("scope")).result
    assert len(lists) > 300_000
    assert all(item == [] for item in lists)


async def test_a_deep_answer_has_the_requested_levels(webhook: RestClient, portal: SandboxPortal) -> None:
    portal.fault("scope:deep=300")
    found, depth = (await webhook.call("scope")).result, 0
    while found:
        (found,), depth = found, depth + 1
    assert depth == 299


async def test_a_header_has_the_requested_size(session: ClientSession, portal: SandboxPortal, url: str) -> None:
    portal.fault("scope:headers=64")
    with pytest.raises(ClientError, match="bytes"):
        await session.get(url)
    portal.fault("scope:headers=4")
    async with session.get(url) as answer:
        assert len(answer.headers["X-Filler"]) == 4096


async def test_endless_json_continues_while_it_is_read(session: ClientSession, portal: SandboxPortal, url: str) -> None:
    portal.fault("scope:endless")
    async with session.get(url) as answer:
        read = b""
        while len(read) < 3 * MEGABYTE:
            read += await answer.content.readany()
    assert read.startswith(b'{"result": ["xxx')


async def test_a_trickle_sends_one_byte_per_second(
    session: ClientSession, portal: SandboxPortal, clock: ManualClock, url: str
) -> None:
    portal.fault("scope:trickle")
    async with session.get(url) as answer:
        await clock.settle()
        read = await answer.content.readany()
        await clock.advance(5)
        assert read + await answer.content.readany() == b'{"result": [' + b" " * 6
    await clock.advance(5)


async def test_interim_answers_are_sent_every_second(
    server: SandboxServer, portal: SandboxPortal, clock: ManualClock
) -> None:
    portal.fault("scope:interim")
    reader, writer = await asyncio.open_connection("127.0.0.1", int(server.origin.rpartition(":")[2]))
    writer.write(f"GET {portal.webhook_path}scope HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    for _ in range(4):
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 103 Early Hints\r\n\r\n"
        await clock.advance(1)
    writer.close()
    await writer.wait_closed()
    await clock.advance(5)


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
async def test_redirects_to_the_same_address_or_without_a_location(
    session: ClientSession, portal: SandboxPortal, url: str, status: int
) -> None:
    portal.fault(f"scope:loop={status}")
    portal.fault(f"scope:nowhere={status}")
    async with session.get(url, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (status, url)
    async with session.get(url, allow_redirects=False) as answer:
        assert (answer.status, answer.headers.get("Location")) == (status, None)


@pytest.mark.parametrize("how", IDS)
@pytest.mark.parametrize("method", ["user.get", "crm.category.list", "crm.item.list"])
async def test_only_ids_are_changed(webhook: RestClient, portal: SandboxPortal, method: str, how: str) -> None:
    command = f"{method}?entityTypeId=2"
    sound = await webhook.batch(a=command)
    portal.fault(f"{method}:ids={how}")
    odd = await webhook.batch(a=command)
    for before, after in zip(rows(sound["result"]["a"]), rows(odd["result"]["a"]), strict=True):
        key = "ID" if "ID" in before else "id"
        assert after == {**before, key: IDS[how](int(before[key]))}
        assert after[key] != before[key] or type(after[key]) is not type(before[key])


async def test_the_last_row_is_repeated(webhook: RestClient, portal: SandboxPortal) -> None:
    sound = (await webhook.call("user.get")).result
    portal.fault("user.get:ids=doubled")
    assert (await webhook.call("user.get")).result == [*sound, sound[-1]]


async def test_names_end_in_terminal_escapes(webhook: RestClient, portal: SandboxPortal) -> None:
    sound = (await webhook.call("user.get")).result
    portal.fault("user.get:escapes")
    odd = (await webhook.call("user.get")).result
    assert [row["NAME"] for row in odd] == [row["NAME"] + ESCAPES for row in sound]
    assert [row["ID"] for row in odd] == [row["ID"] for row in sound]


@pytest.mark.parametrize("address", ["/rest/1/sandbox/scope", "/rest/api/1/sandbox/tasks.task.list"])
async def test_an_error_can_consist_of_terminal_escapes(
    anonymous: RestClient, portal: SandboxPortal, address: str
) -> None:
    portal.fault("*:escapes400")
    answer = await anonymous.call(address)
    assert answer.status == 400
    assert ESCAPES in flat(answer.body)


async def test_the_token_address_can_be_hostile(anonymous: RestClient, portal: SandboxPortal) -> None:
    portal.fault("oauth.token:huge=1")
    assert len((await anonymous.get("/oauth/token/")).result) == MEGABYTE


def rows(result: Any) -> list[dict[str, Any]]:
    """The rows of a list's result, wrapped or not."""
    found: list[dict[str, Any]] = next(iter(result.values())) if isinstance(result, dict) else result
    assert found
    return found


def flat(value: object) -> str:
    """All strings in *value*."""
    if isinstance(value, dict):
        return "".join(map(flat, value.values()))
    return value if isinstance(value, str) else ""
