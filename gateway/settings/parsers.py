"""Parsers of setting values.

Each turns text into a value, or raises a ValueError with the broken rule, to be read after the setting's name.
"""

import os
import re
import ssl
from collections.abc import Callable
from fnmatch import fnmatchcase
from ipaddress import ip_network
from pathlib import Path
from string import ascii_lowercase, digits
from typing import TypeVar

from gateway.bitrix.transport.egress import PrivatePortal
from gateway.crypto.jwk_set import read_jwk_set
from gateway.crypto.public_keys import read_public_key
from gateway.crypto.vault import decode_key
from gateway.origins import HOST_NAME, LABEL, MAX_HOST_CHARACTERS, exact_origin
from gateway.redaction import Secret

T = TypeVar("T")

MIN_SECRET_CHARACTERS = 8
SERVICE_ADDRESS = re.compile("(tcp|udp|sctp)://", re.ASCII)  # as Kubernetes and Docker set it in containers
REGISTERED_CLAIMS = ("exp", "iat", "nbf", "iss", "aud", "jti")  # RFC 7519, section 4.1: they describe the token
PATTERN_PART = re.compile(r"\[!?\]?[^\]]*\]|.")  # of a pattern of fnmatch: a set of characters, or one character
PATTERN_FORM = re.compile(r"[a*][a0*]*(\.[a0*]+)*")  # a letter first, no empty part between dots


def text(value: str) -> str:
    """One line of any text."""
    if not value.isprintable():
        raise ValueError("must be one line of printable characters")
    return value


def matching(pattern: str, rule: str) -> Callable[[str], str]:
    """Text that *pattern* matches as a whole; *rule* describes the pattern."""

    def parse(value: str) -> str:
        if not re.fullmatch(pattern, value, re.ASCII):
            raise ValueError(rule)
        return value

    return parse


def integer(minimum: int, maximum: int = 2**31 - 1) -> Callable[[str], int]:
    """An integer in decimal digits; both bounds are included."""

    def parse(value: str) -> int:
        if not re.fullmatch("[0-9]{1,10}", value) or not minimum <= int(value) <= maximum:
            raise ValueError(f"must be an integer between {minimum} and {maximum}")
        return int(value)

    return parse


def positive_number(value: str) -> float:
    """A decimal number above zero."""
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value) or not float(value):
        raise ValueError("must be a number above 0, like 2 or 0.5")
    return float(value)


def boolean(value: str) -> bool:
    """1 or 0, and their usual synonyms."""
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


def comma_list(parse_item: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    """A list separated by commas, with at least one item; duplicates are dropped."""

    def parse(value: str) -> tuple[T, ...]:
        values = tuple(dict.fromkeys(parse_item(item.strip()) for item in value.split(",") if item.strip()))
        if not values:
            raise ValueError("must contain a value, not only commas")
        return values

    return parse


def method_pattern(value: str) -> str:
    """A pattern of `fnmatch` that the name of some method matches; case is ignored."""
    form = "".join(map(pattern_form, PATTERN_PART.findall(text(value).lower())))
    if not PATTERN_FORM.fullmatch(form):
        raise ValueError(f"must be patterns of method names, like crm.*; no method can match {value!r}")
    return value


def pattern_form(part: str) -> str:
    """What *part* of a pattern can match: anything (*), a letter (a), a digit or _ (0), a dot, or no character (!)."""
    if part == "*":
        return part
    kinds = (("a", ascii_lowercase), ("0", f"{digits}_"), (".", "."))
    return next((form for form, characters in kinds if any(fnmatchcase(c, part) for c in characters)), "!")


def secret(value: str) -> Secret:
    """A secret in one line."""
    if not value.isprintable() or len(value) < MIN_SECRET_CHARACTERS:
        raise ValueError(f"must be one line of at least {MIN_SECRET_CHARACTERS} printable characters")
    return Secret(value)


def signing_secret(value: str) -> Secret:
    """A secret shared with the issuer of the callers' tokens."""
    if "-----BEGIN" in value:
        raise ValueError("must be a shared secret; set GATEWAY_JWT_PUBLIC_KEY_FILE to the file of a public key")
    return secret(value)


def sealing_key(value: str) -> Secret:
    """The text of an encryption key."""
    decode_key(value)
    return Secret(value)


def host_name(value: str) -> str:
    """A host name or an IP address."""
    try:
        exact_origin(f"http://[{value}]" if ":" in value else f"http://{value}")
    except ValueError:
        raise ValueError("must be a host name or an IP address") from None
    return value


def listen_port(value: str) -> int:
    """A port to listen on."""
    try:
        return integer(0, 65_535)(value)
    except ValueError as error:
        if SERVICE_ADDRESS.match(value):
            raise ValueError(
                f"{error}; Kubernetes sets it for a service named gateway: set it in the pod too, or set "
                "enableServiceLinks to false"
            ) from None
        raise


def host_port(value: str) -> str:
    """A host with an optional port; the result is in lower case."""
    if not re.fullmatch(rf"(?=.{{1,253}}(:|$)){LABEL}(\.{LABEL})*(:[0-9]{{1,5}})?", value.lower(), re.ASCII):
        raise ValueError("must be host names, like oauth.bitrix.info, without a scheme or a path")
    _, _, port = value.partition(":")
    if port and not 0 < int(port) < 65_536:
        raise ValueError("must have ports between 1 and 65535, if any")
    return value.lower()


def private_portal(value: str) -> PrivatePortal:
    """A network, a host name, or a domain whose hosts are meant (``*.example.com``)."""
    try:
        return ip_network(value)
    except ValueError:
        name = value.lower()
    host = name.removeprefix("*.")
    if len(host) > MAX_HOST_CHARACTERS or not HOST_NAME.fullmatch(host) or host.rpartition(".")[2][0].isdigit():
        raise ValueError(
            "must be host names, like crm.corp.example or *.corp.example, or networks, like 10.0.0.0/8, "
            "without schemes, ports and paths"
        )
    return name


def certificate_file(value: str) -> Path:
    """A file of trusted certificates."""
    path, context = Path(value), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(path)
    except ssl.SSLError:  # a subclass of OSError; the check below reports it
        pass
    except OSError as error:
        raise ValueError(f"must be a readable file ({error.strerror})") from error
    if not context.cert_store_stats()["x509"]:
        raise ValueError("must be a PEM file with certificates")
    return path


def directory(value: str) -> Path:
    """A directory that can be written."""
    path = Path(value)
    if not path.is_dir() or not os.access(path, os.W_OK | os.X_OK):
        raise ValueError("must be a directory that can be written")
    return path


def claim_name(value: str) -> str:
    """The name of a claim that can describe a caller."""
    if value in REGISTERED_CLAIMS:
        raise ValueError(f"must be claims that describe the caller, not {', '.join(REGISTERED_CLAIMS)}")
    return text(value)


def database_file(value: str) -> Path:
    """The path of the database, which need not exist yet."""
    path = Path(value)
    if value.startswith(":") or path.is_dir():
        raise ValueError("must be a file, not a directory or a database in memory")
    return path


def public_key_file(value: str) -> Path:
    """A file with a public key that can verify tokens."""
    path = Path(value)
    read_public_key(path)
    return path


def jwk_set_file(value: str) -> Path:
    """A file with a set of public keys that can verify tokens."""
    path = Path(value)
    read_jwk_set(path)
    return path


def read_secret(path: Path) -> str:
    """The content of the file at *path* without a trailing line break.

    Raises:
        ValueError: when the file cannot be read, is not text, or is empty.
    """
    try:
        value = path.read_text(encoding="utf-8").removesuffix("\n")
    except OSError as error:
        raise ValueError(f"must be a readable file ({error.strerror})") from error
    except UnicodeDecodeError:
        raise ValueError("must be a text file") from None  # the cause contains the secret
    if not value.strip():
        raise ValueError("must be a file that is not empty")
    return value
