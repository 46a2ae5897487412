"""The authorization server of the sandbox: codes, access tokens and refresh tokens of one application."""

import hashlib
import itertools
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.clock import Clock
from gateway.sandbox.errors import CallError, expired_token, invalid_token

# Source: [docs] settings/oauth/index.md
CODE_LIFETIME_S = 30
ACCESS_LIFETIME_S = 3600
REFRESH_LIFETIME_S = 180 * 86400
CACHE_SIZE = 10_000
_SHARED_KEY = "sandbox"  # what the portal and its authorization server both know


@dataclass
class Application:
    """The application registered on the portal. Its redirect URI may be changed later, as on a portal."""

    client_id: str = "app.sandbox"
    client_secret: str = field(default="sandbox-secret", repr=False)
    redirect_uri: str = ""
    scope: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Grant:
    user_id: int
    expires_at: float


class SandboxOAuth:
    """Issues and revokes authorization codes and tokens. `issued` holds the latest of them."""

    def __init__(self, application: Application, member_id: str, clock: Clock) -> None:
        self.application = application
        self.member_id = member_id
        self._clock = clock
        self._codes: dict[str, _Grant] = {}
        self._access: dict[str, _Grant] = {}
        self._refresh: dict[str, _Grant] = {}
        self._numbers = itertools.count(1)
        self.issued: deque[str] = deque(maxlen=CACHE_SIZE)

    def issue_code(self, user_id: int = 1) -> str:
        """Issue a one-time authorization code, valid for 30 s."""
        return self._issue(self._codes, "code", user_id, CODE_LIFETIME_S)

    def user_of(self, access_token: str) -> int:
        """Return the id of the token's user.

        Raises:
            CallError: expired_token or invalid_token.
        """
        grant = self._access.get(access_token)
        if grant is None:
            raise invalid_token()
        if self._clock.now() >= grant.expires_at:
            raise expired_token()
        return grant.user_id

    def expire_access_tokens(self) -> None:
        """Expire every access token issued until now."""
        now = self._clock.now()
        self._access = {
            token: _Grant(grant.user_id, min(grant.expires_at, now)) for token, grant in self._access.items()
        }

    def revoke_refresh_tokens(self) -> None:
        """Revoke every refresh token: they fail with invalid_grant, as after an uninstallation."""
        self._refresh.clear()

    def revoke_tokens(self) -> None:
        """Revoke every access token, refresh token and code, as an uninstallation does."""
        for grants in (self._codes, self._access, self._refresh):
            grants.clear()

    def token(self, query: Mapping[str, Any], origin: str) -> dict[str, Any]:
        """Return the answer of ``/oauth/token/`` at *origin* for both grant types. A refresh token works once.

        Raises:
            CallError: the request is refused. An unknown client gets status 200.
        Source: [docs] settings/oauth/index.md, settings/oauth/auto-renewal.md, settings/oauth/error-codes.md
        """
        if query.get("client_id") != self.application.client_id:
            raise CallError("wrong_client", "Wrong client", 200)
        if query.get("client_secret") != self.application.client_secret:
            raise CallError("invalid_client", "Invalid client")
        grant_type = query.get("grant_type")
        if grant_type == "authorization_code":
            return self.issue_tokens(self._redeem(self._codes, query.get("code")), origin)
        if grant_type != "refresh_token" or not query.get("refresh_token"):
            raise CallError("invalid_request", "Invalid request")
        user_id = self._redeem(self._refresh, query["refresh_token"])
        expires = int(self._clock.now()) + ACCESS_LIFETIME_S
        return {**self.issue_tokens(user_id, origin), "expires": expires, "user_id": user_id}

    @property
    def application_token(self) -> str:
        """The secret of the installation, the same in every request of the portal to the application.

        Source: [srv] rest/classes/general/rest_util.php; protocol notes 13.5
        """
        parts = (self.member_id, self.application.client_id, self.application.client_secret, _SHARED_KEY)
        return hashlib.md5("|".join(parts).encode(), usedforsecurity=False).hexdigest()

    def issue_tokens(self, user_id: int, origin: str) -> dict[str, Any]:
        """Issue an access and a refresh token to a user of the portal at *origin*, in the form of the token answer."""
        return {
            "access_token": self._issue(self._access, "access", user_id, ACCESS_LIFETIME_S),
            "client_endpoint": f"{origin}/rest/",
            "domain": origin.partition("://")[2],
            "expires_in": ACCESS_LIFETIME_S,
            "member_id": self.member_id,
            "refresh_token": self._issue(self._refresh, "refresh", user_id, REFRESH_LIFETIME_S),
            "scope": ",".join(self.application.scope),
            "server_endpoint": f"{origin}/rest/",
            "status": "L",
        }

    def _issue(self, grants: dict[str, _Grant], purpose: str, user_id: int, lifetime_s: float) -> str:
        secret = (
            f"{self.application.client_secret}/{self.member_id}/{purpose}/{next(self._numbers)}/{self._clock.now()}"
        )
        token = hashlib.sha256(secret.encode()).hexdigest()[:32]
        self.issued.append(token)
        grants[token] = _Grant(user_id, self._clock.now() + lifetime_s)
        return token

    def _redeem(self, grants: dict[str, _Grant], token: Any) -> int:
        grant = grants.pop(token, None) if isinstance(token, str) else None
        if grant is None or self._clock.now() >= grant.expires_at:
            raise CallError("invalid_grant", "Invalid grant")
        return grant.user_id
