"""Which addresses the egress policy allows."""

import ipaddress
import socket

import pytest
from yarl import URL

from gateway.bitrix.errors import AddressRefused
from gateway.bitrix.transport.egress import EgressPolicy, NotPublic, is_public

NETWORKS = tuple(ipaddress.ip_network(network) for network in ("10.0.0.0/8", "fd00::/8", "169.254.169.254/32"))
INNER = EgressPolicy(insecure=False, private=(*NETWORKS, "crm.corp.example"))
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
def test_an_invalid_url_is_refused(url: str) -> None:
    with pytest.raises(AddressRefused):
        STRICT.check_url(url)


def test_https_is_allowed_and_http_only_if_insecure() -> None:
    assert STRICT.check_url("https://portal.example/rest/").host == "portal.example"
    assert LAX.check_url("http://127.0.0.1:8081/rest/").port == 8081
    with pytest.raises(AddressRefused):
        LAX.check_url("ftp://127.0.0.1/")


PRIVATE = [
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


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_or_special_address_is_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "2a00:1450:4001::1", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_an_internet_address_is_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


def info(address: str) -> tuple[int, int, int, str, tuple[str, int]]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, 443)


@pytest.mark.parametrize("address", PRIVATE)
def test_no_socket_is_created_for_a_private_address(address: str) -> None:
    with pytest.raises(NotPublic):
        STRICT.socket_factory(info(address))


def test_sockets_are_created_for_public_addresses_and_if_insecure_for_all() -> None:
    STRICT.socket_factory(info("8.8.8.8")).close()
    LAX.socket_factory(info("127.0.0.1")).close()


@pytest.mark.parametrize("address", ["10.1.2.3", "fd12::1", "::ffff:10.0.0.1", "169.254.169.254", "8.8.8.8"])
def test_a_socket_is_created_for_a_listed_network(address: str) -> None:
    INNER.socket_factory(info(address)).close()


@pytest.mark.parametrize("address", ["127.0.0.1", "192.168.1.1", "169.254.1.1", "fe80::1", "::1", "2002:a00:1::"])
def test_no_socket_is_created_for_a_network_that_is_not_listed(address: str) -> None:
    with pytest.raises(NotPublic):
        INNER.socket_factory(info(address))


def test_a_listed_name_allows_sockets_only_for_itself() -> None:
    for address in ("192.168.1.1", "172.16.0.1", "100.64.0.1", "fc00::1", "::ffff:192.168.1.1"):
        with INNER.calling(URL("https://CRM.corp.example:8443/rest/")):
            INNER.socket_factory(info(address)).close()
        with INNER.calling(URL("https://other.corp.example/")), pytest.raises(NotPublic):
            INNER.socket_factory(info(address))
        with pytest.raises(NotPublic):
            INNER.socket_factory(info(address))


@pytest.mark.parametrize("address", [address for address in PRIVATE if address != "fc00::1"] + ["fd00:ec2::254"])
def test_a_listed_name_does_not_allow_special_addresses(address: str) -> None:
    ordinary = ("10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "::ffff:10.0.0.1")
    named = EgressPolicy(insecure=False, private=("crm.corp.example",))
    with named.calling(URL("https://crm.corp.example/")):
        if address in ordinary:
            named.socket_factory(info(address)).close()
        else:
            with pytest.raises(NotPublic):
                named.socket_factory(info(address))


def test_a_listed_portal_is_called_only_over_https() -> None:
    assert INNER.check_url("https://crm.corp.example:8443/rest/").port == 8443
    for url in ("http://crm.corp.example/", "http://10.0.0.1/"):
        with pytest.raises(AddressRefused):
            INNER.check_url(url)


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("crm.corp.example", True),
        ("10.0.0.1", True),
        ("fd00::1", True),
        ("intranet", True),  # it may resolve into a listed network; the socket factory checks that
        ("192.168.1.1", False),
        ("127.0.0.1", False),
        ("2130706433", False),
        ("0x7f.1", False),
        ("crm.corp.example.", False),
        ("", False),
    ],
)
def test_a_host_that_may_be_a_listed_portal_passes_the_first_check(host: str, allowed: bool) -> None:
    assert INNER.may_call(host) is allowed
    named = EgressPolicy(insecure=False, private=("intranet",))
    assert (named.may_call("intranet"), named.may_call("extranet")) == (True, False)
