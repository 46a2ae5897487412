"""How many connections a gateway takes, in all and from one address."""

import asyncio

import pytest

from handlers.http.admission import LOG_INTERVAL_S, MAX_REFUSALS, REFUSAL_TIMEOUT_S, address_of
from tests.gateway import CONTRACT, Answer, Gateway
from tests.support.raw import Dial, read_answer

ASKING = b"GET /healthz HTTP/1.1\r\nHost: gateway\r\n\r\n"
FULL = "too many open connections: try again in 5 s"


async def asked(dial: Dial, local_address: str = "127.0.0.1") -> Answer:
    """The answer to a request on a connection of its own."""
    reader, writer = await dial(local_address)
    writer.write(ASKING.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    return read_answer(await reader.read())


@pytest.fixture
async def small(gateway: Gateway) -> Gateway:
    """A gateway that takes four connections, three of one address."""
    await gateway.restart(GATEWAY_MAX_CONNECTIONS="4", GATEWAY_MAX_CONNECTIONS_PER_ADDRESS="3")
    return gateway


async def test_a_connection_that_is_one_too_many_is_refused_before_it_asks(small: Gateway, dial: Dial) -> None:
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


async def test_one_address_cannot_take_the_place_of_all(small: Gateway, dial: Dial) -> None:
    for _ in range(3):
        await dial("127.0.0.1")
    await small.clock.settle()
    assert (await asked(dial, "127.0.0.1")).status == 503
    assert (await asked(dial, "127.0.0.2")).status == 200


async def test_whoever_leaves_makes_room(small: Gateway, dial: Dial) -> None:
    connections = [await dial("127.0.0.1") for _ in range(3)]
    assert (await asked(dial)).status == 503
    connections[0][1].close()
    await small.clock.settle()
    assert (await asked(dial)).status == 200


async def test_a_refused_client_that_sends_all_before_it_reads_gets_the_refusal(small: Gateway, dial: Dial) -> None:
    for _ in range(3):
        await dial()
    await small.clock.settle()
    reader, writer = await dial()
    writer.write(ASKING[:-2] + b"X-Long: " + b"x" * 60_000 + b"\r\n\r\n")
    await writer.drain()
    await small.clock.settle()
    assert read_answer(await reader.read()).status == 503


async def test_a_full_gateway_is_free_again_once_silent_connections_have_had_their_time(
    small: Gateway, dial: Dial
) -> None:
    for address in ("127.0.0.1", "127.0.0.1", "127.0.0.2", "127.0.0.2"):
        await dial(address)
    assert (await asked(dial, "127.0.0.3")).status == 503
    await small.clock.advance(10)
    assert (await asked(dial, "127.0.0.3")).status == 200


async def test_a_full_gateway_closes_connections_that_stay_idle(small: Gateway, dial: Dial) -> None:
    idle, busy = await dial("127.0.0.1"), await dial("127.0.0.1")
    for reader, writer in (idle, busy, await dial("127.0.0.2"), await dial("127.0.0.2")):
        writer.write(ASKING)
        await reader.readuntil(b"}")
    assert (await asked(dial, "127.0.0.3")).status == 503
    await small.clock.advance(4)
    busy[1].write(ASKING)
    await busy[0].readuntil(b"}")
    assert (await asked(dial, "127.0.0.3")).status == 503
    await small.clock.advance(1)
    assert (await asked(dial, "127.0.0.3")).status == 503
    assert await idle[0].read() == b""
    assert (await asked(dial, "127.0.0.3")).status == 200
    busy[1].write(ASKING)
    assert (await busy[0].readuntil(b"}")).startswith(b"HTTP/1.1 200")


async def test_refusals_are_one_line_a_minute(small: Gateway, dial: Dial, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        await dial()
    for _ in range(20):
        assert (await asked(dial)).status == 503
    await small.clock.advance(LOG_INTERVAL_S)
    for _ in range(3):
        await dial()
    assert (await asked(dial)).status == 503
    lines = [one for one in caplog.records if one.levelname != "INFO"]
    assert [(one.levelname, getattr(one, "refused", None)) for one in lines] == [("WARNING", 1), ("WARNING", 20)]
    assert "GATEWAY_MAX_CONNECTIONS" in lines[0].getMessage()


async def test_of_very_many_refused_ones_most_are_disconnected_without_a_word(small: Gateway, dial: Dial) -> None:
    for _ in range(3):
        await dial()
    refused = [await dial() for _ in range(MAX_REFUSALS + 20)]
    await small.clock.settle()
    answers = await asyncio.gather(*(reader.read() for reader, _ in refused), return_exceptions=True)
    assert sum(isinstance(one, bytes) and b" 503 " in one for one in answers) == MAX_REFUSALS
    await small.clock.advance(REFUSAL_TIMEOUT_S)
    assert (await asked(dial)).status == 503


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
def test_an_address_is_one_of_ipv4_or_a_network_of_ipv6(peer: object, address: str) -> None:
    assert address_of(peer) == address
