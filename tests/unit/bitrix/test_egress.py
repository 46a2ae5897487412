"""Which addresses are called, and which are refused."""

import ipaddress
import socket

import pytest

from gateway.bitrix.egress import EgressPolicy, NotPublic, is_public
from gateway.bitrix.errors import AddressRefused

STRICT, LAX = EgressPolicy(insecure=False), EgressPolicy(insecure=True)


@pytest.mark.parametrize(
    "url",
    [
        "http://portal.example/rest/",
        "ftp://portal.example/",
        "file:///etc/passwd",
        "https://user:pw@portal.example/",
        "https://user@portal.example/",
        "https:///rest/",
        "//portal.example/rest/",
        "portal.example/rest/",
        "https://portal.example:99999/",
        "https://[::1/",
        "",
    ],
)
def test_an_address_of_the_wrong_shape_is_refused(url: str) -> None:
    with pytest.raises(AddressRefused):
        STRICT.check_url(url)


def test_https_passes_and_http_only_when_told_so() -> None:
    assert STRICT.check_url("https://portal.example/rest/").host == "portal.example"
    assert LAX.check_url("http://127.0.0.1:8081/rest/").port == 8081
    with pytest.raises(AddressRefused):
        LAX.check_url("ftp://127.0.0.1/")


INSIDE = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "fe80::1",
    "fe80::1%2",
    "fc00::1",
    "fec0::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "2001:0:1:1:1:1:80ff:fffe",
]


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_inside_somebodys_network_is_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "2a00:1450:4001::1", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_an_address_of_the_open_internet_is_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


def info(address: str) -> tuple[int, int, int, str, tuple[str, int]]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, 443)


@pytest.mark.parametrize("address", INSIDE)
def test_no_socket_is_made_towards_the_inside(address: str) -> None:
    with pytest.raises(NotPublic):
        STRICT.socket_factory(info(address))


def test_a_socket_is_made_towards_the_internet_and_when_told_so_to_the_inside() -> None:
    STRICT.socket_factory(info("8.8.8.8")).close()
    LAX.socket_factory(info("127.0.0.1")).close()
