"""Listed names may resolve to private addresses; other names with the same address may not."""

import socket
from typing import Any

import pytest

from gateway.bitrix.errors import AddressRefused, PortalUnreachable
from gateway.bitrix.protocol.v2 import Command
from gateway.bitrix.transport.egress import EgressPolicy
from gateway.bitrix.transport.session import open_session
from tests.bitrix.conftest import client_of
from tests.clock import ManualClock

PRIVATE = "10.255.255.253"
TWO = [PRIVATE, "10.255.255.254"]


@pytest.fixture
def addresses(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses that every name resolves to, as if the name server were hostile."""
    resolved = [PRIVATE]

    def resolve(_host: str, port: int, *_: object, **__: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port)) for address in resolved]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return resolved


async def outcome(clock: ManualClock, policy: EgressPolicy, host: str) -> type[Exception]:
    """Return the error of a call to *host*: PortalUnreachable if a socket was created, which nobody answers."""
    async with open_session(policy, clock) as session:
        client = client_of(session, clock, f"https://{host}/rest/1/canary/")
        with pytest.raises((AddressRefused, PortalUnreachable)) as caught:
            await clock.until(client.call_once(Command("profile")), step_s=10)
    return caught.type


@pytest.mark.parametrize("resolved", [[PRIVATE], TWO])
async def test_a_listed_name_is_called_and_another_name_of_the_same_address_is_not(
    clock: ManualClock, addresses: list[str], resolved: list[str]
) -> None:
    addresses[:] = resolved
    policy = EgressPolicy(insecure=False, private=("crm.corp.example", "*.boxes.example"))
    for host in ("crm.corp.example", "CRM.corp.example", "a.boxes.example", "a.b.boxes.example"):
        assert await outcome(clock, policy, host) is PortalUnreachable, host
    for host in (
        "evil.example",
        "crm.corp.example.evil.example",
        "boxes.example",
        "xcrm.corp.example",
        "aboxes.example",
    ):
        assert await outcome(clock, policy, host) is AddressRefused, host


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "169.254.169.254", "0.0.0.0", "224.0.0.1", "240.0.0.1", "192.0.2.1", "100.100.100.200"]
)
async def test_a_listed_name_does_not_allow_loopback_or_the_metadata_of_clouds(
    clock: ManualClock, addresses: list[str], address: str
) -> None:
    addresses[:] = [address]
    assert await outcome(clock, EgressPolicy(insecure=False, private=("crm.corp.example",)), "crm.corp.example") is (
        AddressRefused
    )
