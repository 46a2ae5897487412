"""The kinds of values a setting can have: each turns text into a value, or raises a ValueError that says the rule."""

import re
import ssl
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import TypeVar

from gateway.bitrix.transport.egress import PrivatePortal
from gateway.crypto.jwk_set import read_jwk_set
from gateway.crypto.public_keys import read_public_key
from gateway.crypto.vault import decode_key
from gateway.origins import HOST_NAME, LABEL, MAX_HOST_CHARACTERS, exact_origin
from gateway.redaction import Secret

T = TypeVar("T")

MIN_SECRET_CHARACTERS = 8
ADDRESS_OF_A_SERVICE = re.compile("(tcp|udp|sctp)://", re.ASCII)  # as Kubernetes and Docker tell it to containers
REGISTERED_CLAIMS = ("exp", "iat", "nbf", "iss", "aud", "jti")  # RFC 7519, section 4.1: they speak of the token


def text(value: str) -> str:
    """Anything of one line."""
    if not value.isprintable():
        raise ValueError("must be one line of printable characters")
    return value


def matching(pattern: str, rule: str) -> Callable[[str], str]:
    """Text that *pattern* matches as a whole; *rule* says so in words."""

    def parse(value: str) -> str:
        if not re.fullmatch(pattern, value, re.ASCII):
            raise ValueError(rule)
        return value

    return parse


def whole(least: int, most: int = 2**31 - 1) -> Callable[[str], int]:
    """An integer in decimal digits, *least* and *most* included."""

    def parse(value: str) -> int:
        if not re.fullmatch("[0-9]{1,10}", value) or not least <= int(value) <= most:
            raise ValueError(f"must be an integer between {least} and {most}")
        return int(value)

    return parse


def positive(value: str) -> float:
    """A decimal number above zero."""
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value) or not float(value):
        raise ValueError("must be a number above 0, like 2 or 0.5")
    return float(value)


def switch(value: str) -> bool:
    """On or off."""
    states = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    if (state := states.get(value.lower())) is None:
        raise ValueError("must be 1 or 0")
    return state


def one_of(*choices: str) -> Callable[[str], str]:
    """One of *choices*, in any case."""

    def parse(value: str) -> str:
        if value.lower() not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return value.lower()

    return parse


def several(parse_one: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    """Values of one kind with commas between them, one at least, each once."""

    def parse(value: str) -> tuple[T, ...]:
        values = tuple(dict.fromkeys(parse_one(part.strip()) for part in value.split(",") if part.strip()))
        if not values:
            raise ValueError("must hold a value, not commas alone")
        return values

    return parse


def hidden(value: str) -> Secret:
    """A secret of one line."""
    if not value.isprintable() or len(value) < MIN_SECRET_CHARACTERS:
        raise ValueError(f"must be one line of at least {MIN_SECRET_CHARACTERS} printable characters")
    return Secret(value)


def signing_secret(value: str) -> Secret:
    """A secret shared with whoever makes the callers' tokens."""
    if "-----BEGIN" in value:
        raise ValueError("must be a shared secret; the file of a public key goes into GATEWAY_JWT_PUBLIC_KEY_FILE")
    return hidden(value)


def sealing_key(value: str) -> Secret:
    """The text of an encryption key."""
    decode_key(value)
    return Secret(value)


def own_host(value: str) -> str:
    """A name or an address of this machine."""
    try:
        exact_origin(f"http://[{value}]" if ":" in value else f"http://{value}")
    except ValueError:
        raise ValueError("must be the name of a host or an IP address") from None
    return value


def own_port(value: str) -> int:
    """A port to listen on."""
    try:
        return whole(0, 65_535)(value)
    except ValueError as error:
        if ADDRESS_OF_A_SERVICE.match(value):
            raise ValueError(
                f"{error}; Kubernetes sets it for a service named gateway: set it in the pod too, or switch "
                "enableServiceLinks off"
            ) from None
        raise


def server_name(value: str) -> str:
    """A host in lower case, with a port or without."""
    if not re.fullmatch(rf"(?=.{{1,253}}(:|$)){LABEL}(\.{LABEL})*(:[0-9]{{1,5}})?", value.lower(), re.ASCII):
        raise ValueError("must name hosts, like oauth.bitrix.info, without a scheme or a path")
    _, _, port = value.partition(":")
    if port and not 0 < int(port) < 65_536:
        raise ValueError("must name ports from 1 to 65535 where it names any")
    return value.lower()


def private_portal(value: str) -> PrivatePortal:
    """The name of a host, or of all below one, or a network, as an operator lists them."""
    try:
        return ip_network(value)
    except ValueError:
        name = value.lower()
    bare = name.removeprefix("*.")
    if len(bare) > MAX_HOST_CHARACTERS or not HOST_NAME.fullmatch(bare) or bare.rpartition(".")[2][0].isdigit():
        raise ValueError(
            "must name hosts, like crm.corp.example or *.corp.example, or networks, like 10.0.0.0/8, "
            "without schemes, ports and paths"
        )
    return name


def certificate_file(value: str) -> Path:
    """The file of certificates that are trusted."""
    path, context = Path(value), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(path)
    except ssl.SSLError:  # which is an OSError too
        pass
    except OSError as error:
        raise ValueError(f"must name a file that can be read ({error.strerror})") from error
    if not context.cert_store_stats()["x509"]:
        raise ValueError("must name a PEM file with certificates in it")
    return path


def account_claim(value: str) -> str:
    """The name of a claim that can name an account."""
    if value in REGISTERED_CLAIMS:
        raise ValueError(f"must name claims that name an account, and none of {', '.join(REGISTERED_CLAIMS)}")
    return text(value)


def database_file(value: str) -> Path:
    """The file of the database, which need not be there yet."""
    path = Path(value)
    if value.startswith(":") or path.is_dir():
        raise ValueError("must name a file: neither a directory nor a database in memory")
    return path


def public_key_file(value: str) -> Path:
    """The file of a public key that can verify tokens."""
    path = Path(value)
    read_public_key(path)
    return path


def jwk_set_file(value: str) -> Path:
    """The file of a set of public keys that can verify tokens."""
    path = Path(value)
    read_jwk_set(path)
    return path


def secret_in_file(path: Path) -> str:
    """All that the file at *path* holds, without the line break at its end where there is one."""
    try:
        value = path.read_text(encoding="utf-8").removesuffix("\n")
    except OSError as error:
        raise ValueError(f"must name a file that can be read ({error.strerror})") from error
    except UnicodeDecodeError:
        raise ValueError("must name a file of text") from None  # the cause holds the value
    if not value.strip():
        raise ValueError("must name a file that is not empty")
    return value
