"""Limits on open connections, in total and per address."""

import asyncio

import pytest

from handlers.http.admission import LOG_INTERVAL_S, MAX_REFUSALS, REFUSAL_TIMEOUT_S, address_of
from tests.gateway import CONTRACT, Answer, Gateway
from tests.support.raw import Dial, read_answer

REQUEST = b"GET /healthz HTTP/1.1\r\nHost: gateway\r\n\r\n"
FULL = "too many open connections: try again in 5 s"


async def send_request(dial: Dial, local_address: str = "127.0.0.1") -> Answer:
    """Return the response to a request on a new connection."""
    reader, writer = await dial(local_address)
    writer.write(REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    return read_answer(await reader.read())


@pytest.fixture
async def small(gateway: Gateway) -> Gateway:
    """A gateway with a limit of four connections, three per address."""
    await gateway.restart(GATEWAY_MAX_CONNECTIONS="4", GATEWAY_MAX_CONNECTIONS_PER_ADDRESS="3")
    return gateway


async def test_a_connection_above_the_limit_is_refused_before_its_request(small: Gateway, dial: Dial) -> None:
    for address in ("127.0.0.1", "127.0.0.1", "127.0.0.2", "127.0.0.2"):
        await dial(address)
    await small.clock.settle()
    reader, _ = await dial("127.0.0.3")
    answer = read_answer(await reader.read())
    assert (answer.status, answer.json, answer.headers["Connection"]) == (503, FULL, "close")
    assert answer.headers["Retry-After"] == "5"
    for method, path in (("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/bitrix/users"), ("POST", "/bitrix/batch"),
                         ("GET", "/bitrix/stream/deals"), ("GET", "/webhook/create")):  # fmt: skip
        CONTRACT.check(method, path, 503, answer.headers, answer.body)


async def test_one_address_cannot_use_all_connections(small: Gateway, dial: Dial) -> None:
    for _ in range(3):
        await dial("127.0.0.1")
    await small.clock.settle()
    assert (await send_request(dial, "127.0.0.1")).status == 503
    assert (await send_request(dial, "127.0.0.2")).status == 200


async def test_a_closed_connection_makes_room(small: Gateway, dial: Dial) -> None:
    connections = [await dial("127.0.0.1") for _ in range(3)]
    assert (await send_request(dial)).status == 503
    connections[0][1].close()
    await small.clock.settle()
    assert (await send_request(dial)).status == 200


async def test_a_refused_client_that_sends_before_it_reads_gets_the_response(small: Gateway, dial: Dial) -> None:
    for _ in range(3):
        await dial()
    await small.clock.settle()
    reader, writer = await dial()
    writer.write(REQUEST[:-2] + b"X-Long: " + b"x" * 60_000 + b"\r\n\r\n")
    await writer.drain()
    await small.clock.settle()
    assert read_answer(await reader.read()).status == 503


async def test_a_full_gateway_accepts_connections_again_when_silent_ones_time_out(small: Gateway, dial: Dial) -> None:
    for address in ("127.0.0.1", "127.0.0.1", "127.0.0.2", "127.0.0.2"):
        await dial(address)
    assert (await send_request(dial, "127.0.0.3")).status == 503
    await small.clock.advance(10)
    assert (await send_request(dial, "127.0.0.3")).status == 200


async def test_a_full_gateway_closes_idle_connections(small: Gateway, dial: Dial) -> None:
    idle, busy = await dial("127.0.0.1"), await dial("127.0.0.1")
    for reader, writer in (idle, busy, await dial("127.0.0.2"), await dial("127.0.0.2")):
        writer.write(REQUEST)
        await reader.readuntil(b"}")
    assert (await send_request(dial, "127.0.0.3")).status == 503
    await small.clock.advance(4)
    busy[1].write(REQUEST)
    await busy[0].readuntil(b"}")
    assert (await send_request(dial, "127.0.0.3")).status == 503
    await small.clock.advance(1)
    assert (await send_request(dial, "127.0.0.3")).status == 503
    assert await idle[0].read() == b""
    assert (await send_request(dial, "127.0.0.3")).status == 200
    busy[1].write(REQUEST)
    assert (await busy[0].readuntil(b"}")).startswith(b"HTTP/1.1 200")


async def test_refused_connections_are_logged_once_a_minute(
    small: Gateway, dial: Dial, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        await dial()
    for _ in range(20):
        assert (await send_request(dial)).status == 503
    await small.clock.advance(LOG_INTERVAL_S)
    for _ in range(3):
        await dial()
    assert (await send_request(dial)).status == 503
    lines = [record for record in caplog.records if record.levelname != "INFO"]
    assert [(record.levelname, getattr(record, "refused", None)) for record in lines] == [
        ("WARNING", 1),
        ("WARNING", 20),
    ]
    assert "GATEWAY_MAX_CONNECTIONS" in lines[0].getMessage()


async def test_refused_connections_above_a_limit_get_no_response(small: Gateway, dial: Dial) -> None:
    for _ in range(3):
        await dial()
    refused = [await dial() for _ in range(MAX_REFUSALS + 20)]
    await small.clock.settle()
    answers = await asyncio.gather(*(reader.read() for reader, _ in refused), return_exceptions=True)
    assert sum(isinstance(answer, bytes) and b" 503 " in answer for answer in answers) == MAX_REFUSALS
    await small.clock.advance(REFUSAL_TIMEOUT_S)
    assert (await send_request(dial)).status == 503


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        (("192.0.2.7", 5), "192.0.2.7"),
        (("::ffff:192.0.2.7", 5, 0, 0), "192.0.2.7"),
        (("2001:db8:1:2:3:4:5:6", 5, 0, 0), "2001:db8:1:2::"),
        (("2001:db8:1:2::9", 5, 0, 0), "2001:db8:1:2::"),
        (("fe80::1%eth0", 5, 0, 2), "fe80::"),
        ("", ""),
        (None, ""),
    ],
)
def test_the_limit_per_address_is_for_an_ipv4_address_or_an_ipv6_network(peer: object, address: str) -> None:
    assert address_of(peer) == address
