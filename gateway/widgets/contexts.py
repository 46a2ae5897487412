"""What a widget is told about the person who opens it, and how: signed, in its address."""

from dataclasses import asdict, dataclass
from urllib.parse import unquote_plus, urlsplit, urlunsplit
from uuid import uuid4

from gateway.origins import origin_of
from gateway.widgets.context_keys import ContextKey

LIFETIME_S = 60
PARAMETER = "context"


@dataclass(frozen=True)
class Context:
    """The person *user_id* of the portal *member_id* has opened a *placement* of a *widget*, given by its code.

    *is_admin*: an administrator of the portal. *entity_id* is the record whose page shows the placement, as the browser
    has sent it; None if it is not of one record.
    """

    member_id: str
    user_id: str
    is_admin: bool
    widget: str
    placement: str
    entity_id: str | None


def address_with_context(address: str, context: Context, key: ContextKey, *, issuer: str, now: int) -> str:
    """Return a widget's *address* with the *context* in its query, in place of one that it has there.

    The context is valid for LIFETIME_S seconds from *now*, and for the origin of the address.
    """
    claims = {
        "iss": issuer,
        "aud": origin_of(address),
        "iat": now,
        "exp": now + LIFETIME_S,
        "jti": uuid4().hex,
        **asdict(context),
    }
    parts = urlsplit(address)
    pairs = [pair for pair in parts.query.split("&") if pair and unquote_plus(pair.partition("=")[0]) != PARAMETER]
    return urlunsplit(parts._replace(query="&".join([*pairs, f"{PARAMETER}={key.sign(claims)}"])))
