"""Who sent a request."""

import re
from dataclasses import dataclass

MAX_IDENTIFIER_CHARACTERS = 255
UUID_FORM = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)  # RFC 9562, section 4


@dataclass(frozen=True, slots=True)
class Caller:
    """The account that a token names, with the user and the integration that act for it, if the token names them."""

    account_key: str
    user_id: str | None = None
    is_admin: bool = False
    client_uuid: str | None = None  # in lower case


def is_identifier(text: str) -> bool:
    """Whether *text* is a valid id of an account or a user."""
    return 0 < len(text) <= MAX_IDENTIFIER_CHARACTERS and text.isprintable()


def is_uuid(text: str) -> bool:
    """Whether *text* is a UUID in its usual form, in any case."""
    return UUID_FORM.fullmatch(text) is not None
