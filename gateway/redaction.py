"""Text from strangers made safe to show: secrets masked by value or by shape, control characters escaped."""

import re
import unicodedata
from collections.abc import Iterable

MASK = "***"
SECRETS_IN_TEXT = (
    # An inbound webhook's code is the third part of its path; a JSON text may write each slash as "\/".
    # Source: protocol.md, "Addressing"
    re.compile(r"(/rest(?:\\*/)+(?:api(?:\\*/)+)?\d+(?:\\*/)+)[^/\\\s?#'\"]+"),
    re.compile(r"(\bbearer\s+)[\w.~+/=-]+", re.IGNORECASE),
    re.compile(
        r"((?:access_token|refresh_token|application_token|client_secret|jwt_secret|encryption_key|password|\bauth)"
        r"(?:\\*['\"])?\s*[=:]\s*(?:\\*['\"])?)[^\s&'\"\\,;)}\]]+",
        re.IGNORECASE,
    ),
    # The codes and states of an authorization are words that are common elsewhere: as parameters alone are they secret.
    re.compile(r"((?:\bcode|[?&]state)=)[^\s&#'\"]+", re.IGNORECASE),
)


class Secret(str):
    """A string whose repr shows its length instead of its characters."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<secret of {len(self)} characters>"


def redact(text: str) -> str:
    """*text* with the tokens, webhook codes and client secrets masked that their surroundings give away."""
    for pattern in SECRETS_IN_TEXT:
        text = pattern.sub(rf"\1{MASK}", text)
    return text


def mask_known(text: str, secrets: Iterable[str]) -> str:
    """*text* with these *secrets* masked wherever they occur; also in small letters, as the name of a host has them."""
    for secret in filter(None, secrets):
        text = text.replace(secret, MASK).replace(secret.lower(), MASK)
    return text


def printable(text: str) -> str:
    """*text* on one line, with everything that a terminal would obey written as an escape like ``\\x1b``.

    That is control characters (line breaks among them), invisible and direction-changing format characters, lone
    surrogates and unassigned code points. Letters of all scripts, symbols and every kind of space stay.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or unicodedata.category(one) == "Zs" else _escaped(one) for one in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
