"""What must not be read by anybody, taken out of a text: by its value where it is known, else by its shape."""

import re
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
