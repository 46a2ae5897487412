"""Makes text safe to show: masks secrets and escapes control characters."""

import re
import unicodedata
from collections.abc import Iterable

MASK = "***"
SECRETS_IN_TEXT = (
    # The code of an inbound webhook is the third segment of its path; JSON may contain each slash as "\/".
    # Source: protocol.md, "Addressing"
    re.compile(r"(/rest(?:\\*/)+(?:api(?:\\*/)+)?\d+(?:\\*/)+)[^/\\\s?#'\"]+"),
    re.compile(r"(\bbearer\s+)[\w.~+/=-]+", re.IGNORECASE),
    re.compile(
        r"((?:access_token|refresh_token|application_token|client_secret|jwt_secret|encryption_key|password|\bauth)"
        r"(?:\\*['\"])?\s*[=:]\s*(?:\\*['\"])?)[^\s&'\"\\,;)}\]]+",
        re.IGNORECASE,
    ),
    # OAuth codes and states: "code" and "state" are common words, so only query parameters are masked.
    re.compile(r"((?:\bcode|[?&]state)=)[^\s&#'\"]+", re.IGNORECASE),
)


class Secret(str):
    """A string whose repr shows its length instead of its characters."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<secret of {len(self)} characters>"


def redact(text: str) -> str:
    """*text* with tokens, webhook codes and client secrets masked, as recognized by their context."""
    for pattern in SECRETS_IN_TEXT:
        text = pattern.sub(rf"\1{MASK}", text)
    return text


def mask_known(text: str, secrets: Iterable[str]) -> str:
    """*text* with *secrets* masked wherever they occur, also in lower case, as in host names."""
    for secret in filter(None, secrets):
        text = text.replace(secret, MASK).replace(secret.lower(), MASK)
    return text


def printable(text: str) -> str:
    """*text* on one line, with characters that a terminal interprets escaped like ``\\x1b``.

    These are control characters (including line breaks), invisible and bidirectional format characters, lone surrogates
    and unassigned code points. Letters of all scripts, symbols and spaces stay.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or unicodedata.category(c) == "Zs" else _escape(c) for c in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
