"""The accounts' credentials: encrypted in the store, decrypted for calls, refreshed when they expire."""

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

import orjson

from gateway.accounts.account_state import trouble_of
from gateway.accounts.directory import AccountDirectory
from gateway.accounts.limiters import PortalLimiters
from gateway.bitrix.auth.credentials import Credential, OAuthCredential, PostedToken, WebhookCredential
from gateway.bitrix.auth.oauth import AuthorizationServers, Tokens
from gateway.bitrix.auth.token_refresher import TokenRefresher
from gateway.bitrix.errors import PortalError
from gateway.clock import Clock
from gateway.crypto.vault import Vault
from gateway.errors import AuthorizationRequired
from storage.accounts import AccountStore
from storage.records import Account

ACCOUNT_CHANGED = "the account has been connected again or deleted meanwhile"


class AccountCredentials:
    """Seals, opens and stores credentials, with one refresher of tokens per account."""

    def __init__(
        self,
        store: AccountStore,
        directory: AccountDirectory,
        limiters: PortalLimiters,
        vault: Vault,
        servers: AuthorizationServers,
        clock: Clock,
    ) -> None:
        self._store = store
        self._directory = directory
        self._limiters = limiters
        self._vault = vault
        self._servers = servers
        self._clock = clock
        # A refresher exists while a client uses it, or while it holds a pair that could not be saved.
        self._refreshers: WeakValueDictionary[int, TokenRefresher] = WeakValueDictionary()
        self._unsaved: dict[int, TokenRefresher] = {}

    def open(self, account: Account) -> Credential:
        """Return the credential of *account*, which must have one."""
        content = self._open(account)
        if account.kind == "webhook":
            return WebhookCredential(content["endpoint"])
        refresher = self._refreshers.setdefault(
            account.account_id,
            TokenRefresher(
                partial(self._load_tokens, account.account_id),
                partial(self._save_refreshed, account.account_id),
                partial(self._mark_stale, account.account_id),
                self._servers.of(account.account_key),
                self._clock,
            ),
        )
        return OAuthCredential(Tokens(**content), refresher)

    def posted_token(self, account: Account, access_token: str) -> PostedToken:
        """Return the credential of a person who has opened the application on the portal of *account*.

        *account* must be connected by OAuth. Its stored endpoint is called, never one that came with the token.
        """
        return PostedToken(Tokens(**self._open(account)).client_endpoint, access_token)

    def seal_webhook(self, account_key: str, endpoint: str) -> bytes:
        """Return a webhook's address as it is stored."""
        return self._seal(account_key, {"endpoint": endpoint})

    async def save_tokens(self, account: Account, tokens: Tokens, authorized_host: str) -> Account:
        """Store the first tokens of *account* and return it as it is on their portal.

        *authorized_host* is the host whose authorization page the person was sent to.
        """
        known = await self._store.find_portal(tokens.portal_host)
        saved = await self._store.save_tokens(
            account.account_id,
            self._seal(account.account_key, asdict(tokens)),
            member_id=tokens.member_id,
            origin=tokens.portal_origin,
            authorized_host=authorized_host,
            now=int(self._clock.now()),
        )
        self._limiters.merge(known, saved.portal)
        self._directory.replaced(account, saved)
        return saved

    async def finish_pending(self) -> None:
        """Wait until no refresh of tokens is in progress. Call this before closing the database."""
        for refresher in self._refreshers.values():
            await refresher.finish_pending()

    async def _load_tokens(self, account_id: int) -> Tokens:
        account = await self._store.load(account_id)
        if account.kind != "oauth":
            raise AuthorizationRequired(ACCOUNT_CHANGED)
        return Tokens(**self._open(account))

    async def _save_refreshed(self, account_id: int, tokens: Tokens) -> None:
        self._unsaved[account_id] = self._refreshers[account_id]  # it holds the pair until that is saved
        account = await self._store.load(account_id)
        known = await self._store.find_portal(tokens.portal_host)
        saved = await self._store.renew_tokens(
            account_id,
            self._seal(account.account_key, asdict(tokens)),
            member_id=tokens.member_id,
            origin=tokens.portal_origin,
            now=int(self._clock.now()),
        )
        del self._unsaved[account_id]
        if saved is None:
            raise AuthorizationRequired(ACCOUNT_CHANGED)
        self._limiters.merge(known, saved.portal)
        self._directory.replaced(account, saved)

    async def _mark_stale(self, account_id: int, error: PortalError) -> None:
        if (trouble := trouble_of(error)) is not None:
            await self._directory.mark_stale(await self._store.load(account_id), trouble)

    def _seal(self, account_key: str, content: Mapping[str, object]) -> bytes:
        return self._vault.seal(orjson.dumps(content), f"account {account_key}")

    def _open(self, account: Account) -> dict[str, Any]:
        assert account.sealed is not None, "a pending account has no credential"
        content: dict[str, Any] = orjson.loads(self._vault.open(account.sealed, f"account {account.account_key}"))
        return content
