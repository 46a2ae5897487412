"""Parsing the address that a caller connects: a portal or an inbound webhook; everything else is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.accounts.addresses import PortalAddress, parse_address, subdomain_of
from gateway.bitrix.transport.egress import EgressPolicy
from gateway.errors import InvalidInput

STRICT, INSECURE = EgressPolicy(insecure=False), EgressPolicy(insecure=True)


@pytest.mark.parametrize(
    ("url", "origin", "host"),
    [
        ("https://acme.bitrix24.ru", "https://acme.bitrix24.ru", "acme.bitrix24.ru"),
        ("https://acme.bitrix24.ru/", "https://acme.bitrix24.ru", "acme.bitrix24.ru"),
        ("HTTPS://ACME.Bitrix24.RU/crm/deal/?a=b#c", "https://acme.bitrix24.ru", "acme.bitrix24.ru"),
        ("https://crm.example.com:443/", "https://crm.example.com", "crm.example.com"),
        ("https://crm.example.com:8443", "https://crm.example.com:8443", "crm.example.com:8443"),
        ("https://acme.bitrix24.ru/rest", "https://acme.bitrix24.ru", "acme.bitrix24.ru"),
        ("https://acme.bitrix24.ru/restaurant/1/abc/", "https://acme.bitrix24.ru", "acme.bitrix24.ru"),
        ("https://acme.bitrix24.ru/knowledge/rest/", "https://acme.bitrix24.ru", "acme.bitrix24.ru"),
        ("https://acme.bitrix24.ru/arrest/1/abc/", "https://acme.bitrix24.ru", "acme.bitrix24.ru"),
        ("https://my_crm.example.com", "https://my_crm.example.com", "my_crm.example.com"),
        ("https://8.8.8.8/", "https://8.8.8.8", "8.8.8.8"),
        ("https://[2a00:1450::1]:8443/", "https://[2a00:1450::1]:8443", "[2a00:1450::1]:8443"),
    ],
)
def test_the_origin_of_a_portal_is_normalized(url: str, origin: str, host: str) -> None:
    assert parse_address(url, STRICT) == PortalAddress(origin, host, None)


@pytest.mark.parametrize(
    "path",
    [
        "/rest/1/abc123XYZ",
        "/rest/1/abc123XYZ/",
        "//rest/1/abc123XYZ/",
        "/rest/1/abc123XYZ/profile.json",
        "/rest/1/abc123XYZ/crm.deal.list/",
        "/rest/1/abc123XYZ/?auth=1",
    ],
)
def test_a_webhook_is_normalized_to_its_user_and_code(path: str) -> None:
    address = parse_address("https://Acme.bitrix24.ru" + path, STRICT)
    assert address.webhook == "https://acme.bitrix24.ru/rest/1/abc123XYZ/"
    assert address.host == "acme.bitrix24.ru"
    assert "abc123XYZ" not in repr(address)


@pytest.mark.parametrize(
    "path",
    [
        "/rest/",
        "/rest/1",
        "/rest/1/",
        "/rest/x/abc/",
        "/rest/-1/abc/",
        "/rest/1/abc/../../2/other/",
        "/rest/1/a%2Fb/",
        "/rest/1/abc/crm.deal.list/extra/",
        "/rest/1//profile",
        "/rest/api/1/abc/",
        "/portal/rest/1/abc123/",
        "/portal/rest/1/abc123",
        "/portal/rest/1/abc123/profile.json",
        "/portal/rest/1/abc123/?auth=1",
        "/portal/rest/api/1/abc123/",
        "/portal//rest//1//abc123//",
        "/portal/rest/1",
        "/REST/1/abc123/",
        "/Rest/1/abc123/profile",
        "/portal/REST/API/1/abc123/",
        "/portal%2Frest%2F1%2Fabc123%2F",
        "/%72est/1/abc123/",
        "/?url=/rest/1/abc123/",
        "/?url=https%3A%2F%2Fbox.example.com%2Frest%2F1%2Fabc123%2F",
        "/#/rest/1/abc123/",
    ],
)
def test_a_malformed_webhook_is_refused(path: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_address("https://acme.bitrix24.ru" + path, STRICT)
    assert refused.value.errors[0].code == "invalid_webhook"
    assert "https://PORTAL/rest/USER/CODE/" in refused.value.detail


@pytest.mark.parametrize(
    "url",
    [
        "",
        " ",
        "acme.bitrix24.ru",
        "//acme.bitrix24.ru",
        "ftp://acme.bitrix24.ru",
        "javascript:alert(1)",
        "https://",
        "https:///rest/1/abc/",
        "https://user@acme.bitrix24.ru",
        "https://user:password@acme.bitrix24.ru/rest/1/abc/",
        "https://@acme.bitrix24.ru",
        "https://acme.bitrix24.ru\\@evil.example",
        "https://acme.bitrix24.ru:99999",
        "https://acme.bitrix24.ru:0x50",
        "https://acme.bitrix24.ru:-1",
        "https://[::1",
        "https://[nonsense]/",
        "https://[fe80::1%25eth0]/",
        "https://[v1.a]/",
        "https://acme*.bitrix24.ru",
        "https://acme'.bitrix24.ru",
        "https://acme%2ebitrix24.ru",
        "https://acme,bitrix24.ru",
        "https://-acme.bitrix24.ru",
        "https://.bitrix24.ru",
        "https://битрикс.рф",
        "https://acme.bitrix24.ru/\r\nHost: evil.example",
        "https://acme.bitrix24.ru/\x00",
        "https://acme bitrix24.ru",
    ],
)
@pytest.mark.parametrize("policy", [STRICT, INSECURE])
def test_an_invalid_address_is_refused(url: str, policy: EgressPolicy) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_address(url, policy)
    assert refused.value.errors[0].pointer == "/client_bitrix_url"
    assert "password" not in refused.value.detail


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost.",
        "portal",
        "127.0.0.1",
        "127.0.0.1.",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.0x1",
        "0177.0.0.1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "255.255.255.255",
        "224.0.0.1",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fe80::1]",
        "[fd00::1]",
        "acme..bitrix24.ru",
        ".acme.bitrix24.ru",
        "acme.bitrix24.ru.",
        ".",
    ],
)
def test_a_private_address_is_refused(host: str) -> None:
    for path in ("/", "/rest/1/abc/"):
        with pytest.raises(InvalidInput):
            parse_address(f"https://{host}{path}", STRICT)


def test_insecure_portals_allow_http_and_private_addresses() -> None:
    with pytest.raises(InvalidInput, match="not https"):
        parse_address("http://acme.bitrix24.ru", STRICT)
    sandbox = parse_address("http://127.0.0.1:8081/rest/1/sandbox/", INSECURE)
    assert (sandbox.host, sandbox.webhook) == ("127.0.0.1:8081", "http://127.0.0.1:8081/rest/1/sandbox/")


URL_PARTS = [
    "https://",
    "http://",
    "acme",
    ".",
    "bitrix24",
    ".ru",
    "/",
    "rest/",
    "1",
    "/abc/",
    ":",
    "@",
    "[",
    "]",
    "%",
    "?",
    "#",
    "\\",
    "..",
    "443",
    "::1",
    "127.0.0.1",
    "0x7f",
    "é",
    "\x7f",
    "%2e",
    ";",
    "&",
]


@given(st.one_of(st.text(max_size=40), st.lists(st.sampled_from(URL_PARTS), max_size=12).map("".join)), st.booleans())
def test_any_text_is_normalized_or_refused(url: str, insecure: bool) -> None:
    policy = EgressPolicy(insecure)
    try:
        address = parse_address(url, policy)
    except InvalidInput:
        return
    assert address.origin == f"{address.origin.partition('://')[0]}://{address.host}"
    assert parse_address(address.origin, policy) == PortalAddress(address.origin, address.host, None)
    if address.webhook is not None:
        assert parse_address(address.webhook, policy) == address
    if not insecure:
        assert address.origin.startswith("https://")


@pytest.mark.parametrize(
    ("host", "subdomain"),
    [
        ("acme.bitrix24.ru", "acme"),
        ("acme.bitrix24.com.br", "acme"),
        ("crm.example.com", "crm.example.com"),
        ("a.b.bitrix24.ru", "a.b.bitrix24.ru"),
        ("bitrix24.ru", "bitrix24.ru"),
        ("acme.bitrix24.ru:8443", "acme.bitrix24.ru:8443"),
        ("acme.bitrix24.evil1.com", "acme.bitrix24.evil1.com"),
    ],
)
def test_the_subdomain_of_a_cloud_portal_is_its_first_label(host: str, subdomain: str) -> None:
    assert subdomain_of(host) == subdomain


@given(st.text(max_size=30))
def test_any_text_has_a_subdomain(host: str) -> None:
    assert STRICT.may_call(host) in (True, False)


@given(
    st.sampled_from(["", "/portal", "/a/b", "/%70ortal"]),
    st.sampled_from(["/rest/", "/REST/", "//rest//", "/Rest/api/", "/%2Frest%2F"]),
    st.integers(1, 10**6),
    st.text("abcXYZ019", min_size=1, max_size=20),
    st.sampled_from(["", "/", "/profile", "/profile.json", "/?a=b", "//"]),
)
def test_an_address_with_a_webhooks_code_is_a_webhook_or_refused(
    below: str, rest: str, user: int, code: str, end: str
) -> None:
    url = f"https://box.example.com{below}{rest}{user}/{code}{end}"
    try:
        address = parse_address(url, STRICT)
    except InvalidInput as error:
        refusal = error
    else:
        assert address.webhook == f"https://box.example.com/rest/{user}/{code}/"
        return
    assert [error.code for error in refusal.errors] == ["invalid_webhook"]
    assert refusal.detail == "client_bitrix_url: an inbound webhook has the form https://PORTAL/rest/USER/CODE/"
