"""Rules that involve several settings.

A rule receives the given settings as raw text, and the values of all settings, and returns the name of an invalid
setting with a sentence, or None. Settings whose own parser failed have no value.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.crypto.public_keys import PUBLIC_KEY_ALGORITHMS, SECRET_ALGORITHMS, read_public_key
from gateway.settings.setting import RawSetting, environment_name

Raw = Mapping[str, RawSetting]
Values = Mapping[str, Any]
Violation = tuple[str, str]

PUBLIC_KEY_SETTINGS = ("jwt_public_key_file", "jwks_file")
KEY_SETTINGS = ("jwt_secret", *PUBLIC_KEY_SETTINGS)
CLAIM_SETTINGS = ("account_claim", "user_claim", "admin_claim", "client_uuid_claim")


def one_kind_of_key(raw: Raw, _values: Values) -> Violation | None:
    given = [name for name in KEY_SETTINGS if name in raw]
    if len(given) < 2:
        return None
    return given[1], f"cannot be combined with {raw[given[0]].source}: choose one way to verify tokens"


def previous_secrets_need_a_secret(raw: Raw, _values: Values) -> Violation | None:
    for name in PUBLIC_KEY_SETTINGS:
        if name in raw and "jwt_previous_secrets" in raw:
            return "jwt_previous_secrets", f"cannot be combined with {raw[name].source}"
    return None


def client_id_and_secret_together(raw: Raw, _values: Values) -> Violation | None:
    missing = {"bitrix_client_id", "bitrix_client_secret"} - raw.keys()
    return (missing.pop(), "is required: an application has an id and a secret") if len(missing) == 1 else None


def algorithms_fit_the_key(raw: Raw, values: Values) -> Violation | None:
    if any(name in raw and name not in values for name in PUBLIC_KEY_SETTINGS):  # the key itself is invalid
        return None
    fitting = fitting_algorithms(values.get("jwt_public_key_file"), values.get("jwks_file"))
    if set(values.get("jwt_algorithms", fitting)) <= set(fitting):
        return None
    return "jwt_algorithms", f"must be algorithms that fit the key: {', '.join(fitting)}"


def authorization_servers_at_the_default_port(_raw: Raw, values: Values) -> Violation | None:
    if values.get("insecure_portals") or not any(":" in server for server in values.get("oauth_servers", ())):
        return None
    return "oauth_servers", "may contain ports only if GATEWAY_INSECURE_PORTALS is 1"


def claims_have_one_meaning(raw: Raw, values: Values) -> Violation | None:
    settings: dict[str, str] = {}
    for name in CLAIM_SETTINGS:
        for claim in values.get(name, ()):
            other = settings.setdefault(claim, name)
            if other != name:
                invalid, kept = (name, other) if name in raw else (other, name)
                return invalid, f"cannot contain {claim}, which {environment_name(kept)} contains"
    return None


RULES = (
    one_kind_of_key,
    previous_secrets_need_a_secret,
    client_id_and_secret_together,
    algorithms_fit_the_key,
    authorization_servers_at_the_default_port,
    claims_have_one_meaning,
)


def fitting_algorithms(public_key_file: Path | None, jwks_file: Path | None) -> tuple[str, ...]:
    """The token algorithms that the key can verify; without a file, the key is a secret.

    Raises:
        ValueError: when the public key is unusable.
    """
    if jwks_file is not None:
        return PUBLIC_KEY_ALGORITHMS
    return SECRET_ALGORITHMS if public_key_file is None else read_public_key(public_key_file).algorithms


def default_algorithms(public_key_file: Path | None, jwks_file: Path | None) -> tuple[str, ...]:
    """The token algorithms if none are configured: for a JWK set all, since each key is bound to its own."""
    fitting = fitting_algorithms(public_key_file, jwks_file)
    return fitting if jwks_file else fitting[:1]
