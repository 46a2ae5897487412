"""The bearer tokens that commands issue to call the gateway."""

from gateway.auth.caller import Caller
from gateway.auth.tokens import issue_token
from gateway.clock import SystemClock
from gateway.settings.config import Config
from gateway.settings.secret_file import find_jwt_secret

CLIENT_TOKEN_TTL_S = 86_400


def issue_bearer(config: Config, caller: Caller, ttl_s: int = CLIENT_TOKEN_TTL_S) -> str:
    """A token that identifies *caller*, signed with the gateway's secret.

    Raises:
        SettingsError: when the secret is not available.
    """
    return issue_token(config, find_jwt_secret(config), SystemClock(), caller, ttl_s=ttl_s)
