"""The claims of a verified token."""

from collections.abc import Mapping

from gateway.auth.caller import Caller, is_identifier, is_uuid
from gateway.errors import Unauthenticated
from gateway.settings.config import Config

INVALID_TOKEN = "invalid_token"  # RFC 6750, section 3.1


def rejected(reason: str) -> Unauthenticated:
    """The error for a JSON Web Token that is not accepted."""
    return Unauthenticated(reason, error=INVALID_TOKEN)


def caller_of(claims: Mapping[str, object], config: Config) -> Caller:
    """The caller that *claims* describe, under the names that *config* gives them; null is the same as absent.

    Raises:
        Unauthenticated: when there is no account, or a claim has the wrong form; the reason names the claim.
    """
    account_key = identifier_claim(claims, config.account_claim, "an account id")
    if account_key is None:
        raise rejected("the token has no account id")
    _, admin = first_present(claims, config.admin_claim)
    return Caller(
        account_key,
        user_id=identifier_claim(claims, config.user_claim, "a user id"),
        is_admin=admin is True,
        client_uuid=uuid_claim(claims, config.client_uuid_claim),
    )


def first_present(claims: Mapping[str, object], names: tuple[str, ...]) -> tuple[str, object]:
    """The first of the claims *names* that is present, with its value; None is the value if none is."""
    return next(((name, claims[name]) for name in names if claims.get(name) is not None), ("", None))


def identifier_claim(claims: Mapping[str, object], names: tuple[str, ...], kind: str) -> str | None:
    """The id in the first of the claims *names* that is present, as text; None if none is.

    Raises:
        Unauthenticated: when it is neither an integer nor a valid id; *kind* says what it should be.
    """
    name, value = first_present(claims, names)
    if value is None:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str) and is_identifier(value):
        return value
    raise rejected(f"the claim {name} of the token is not {kind}")


def uuid_claim(claims: Mapping[str, object], names: tuple[str, ...]) -> str | None:
    """The UUID in the first of the claims *names* that is present, in lower case; None if none is.

    Raises:
        Unauthenticated: when it is not a UUID.
    """
    name, value = first_present(claims, names)
    if value is None:
        return None
    if isinstance(value, str) and is_uuid(value):
        return value.lower()
    raise rejected(f"the claim {name} of the token is not a UUID")


def time_claim(claims: Mapping[str, object], name: str, *, absent: float) -> float:
    """The claim *name* in seconds since the Unix epoch; *absent* if there is no such claim.

    Raises:
        Unauthenticated: when the claim is not a number; null is not a number.
    """
    if name not in claims:
        return absent
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise rejected(f"the claim {name} of the token is not a number")
    return value
