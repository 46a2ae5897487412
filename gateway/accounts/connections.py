"""Accounts as the rest of the gateway meets them: their record, and a client that speaks to their portal."""

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

import orjson

from gateway.accounts.account_state import DOUBT_S, is_doubt, trouble_of
from gateway.accounts.limiters import PortalLimiters
from gateway.bitrix.auth.credentials import OAuthCredential, WebhookCredential
from gateway.bitrix.auth.oauth import AuthorizationServers, Tokens
from gateway.bitrix.auth.token_refresher import TokenRefresher
from gateway.bitrix.client import PortalClient
from gateway.bitrix.errors import PortalError
from gateway.bitrix.limits.limiter import PortalLimiter
from gateway.bitrix.transport.session import PortalSession
from gateway.clock import Clock
from gateway.crypto.vault import Vault
from gateway.errors import AuthorizationRequired, NotFound
from gateway.memory import LruCache, text_bytes
from gateway.settings.config import Config
from storage.accounts import AccountStore
from storage.buckets import BucketStore
from storage.errors import StorageUnavailable
from storage.records import Account, Trouble

logger = logging.getLogger(__name__)

ACCOUNT_CACHE_BYTES = 16 * 1024 * 1024
MAX_DOUBTED = 10_000
ACCOUNT_BYTES = 2048  # what a remembered account takes beside its texts and its credential

CHANGED_MEANWHILE = "the account has been connected anew or deleted meanwhile"


class Connections:
    """One limiter per portal, one refresher of tokens per account, and the accounts' records in memory.

    Records are read from memory because every request needs one; whatever changes an account goes through here or calls
    `forget`.
    """

    def __init__(
        self,
        config: Config,
        store: AccountStore,
        vault: Vault,
        session: PortalSession,
        servers: AuthorizationServers,
        buckets: BucketStore,
        clock: Clock,
        *,
        on_portal_changed: Callable[[], None],
    ) -> None:
        self._config = config
        self._store = store
        self._vault = vault
        self._session = session
        self._servers = servers
        self._on_portal_changed = on_portal_changed
        self._clock = clock
        self._limiters = PortalLimiters(config, store, buckets, clock)
        self._accounts: LruCache[str, Account | None] = LruCache(ACCOUNT_CACHE_BYTES, _weigh)
        # For as long as somebody calls with one, or a pair that it has got could not be saved.
        self._refreshers: WeakValueDictionary[int, TokenRefresher] = WeakValueDictionary()
        self._unsaved: dict[int, TokenRefresher] = {}
        self._changes = 0
        self._doubted: dict[int, float] = {}  # accounts whose webhook was not accepted lately, and since when

    async def open(self) -> None:
        """Learn what the gateway left behind at the portals when it last ended."""
        await self._limiters.open()

    async def close(self) -> None:
        """Note what it leaves behind; nothing is to be sent after that."""
        await self._limiters.close()

    async def find(self, account_key: str) -> Account | None:
        """The account of that name, None when it never connected or was deleted."""
        try:
            account = self._accounts[account_key]
            self._accounts.move_to_end(account_key)
        except KeyError:
            changes = self._changes
            found = await self._store.find(account_key)
            account = None if found is None or found.deleted else found
            if changes == self._changes:
                self._accounts.remember(account_key, account)
        return account

    async def require(self, account_key: str) -> Account:
        """As `find`.

        Raises:
            NotFound: when there is no such account.
        """
        account = await self.find(account_key)
        if account is None:
            raise NotFound("account not found", code="account_not_found")
        return account

    async def list_authorized(self) -> list[Account]:
        """Every account whose credential works as far as we know."""
        return [account for account in await self._store.list_connected() if not account.stale]

    async def list_stale_webhooks(self) -> list[Account]:
        """Every account whose webhook works no longer as far as we know."""
        return [one for one in await self._store.list_connected() if one.stale and one.kind == "webhook"]

    def forget(self, account: Account) -> None:
        """Read the account anew before it is used again."""
        self._changes += 1
        self._doubted.pop(account.account_id, None)
        self._accounts.forget(account.account_key)

    async def settle(self) -> None:
        """Return once no renewal of tokens is under way: before the database is closed."""
        for refresher in self._refreshers.values():
            await refresher.finish_pending()

    def client(self, account: Account) -> PortalClient:
        """A client that calls *account*'s portal with its credential, through the portal's one limiter."""
        kept = self._open(account)
        limiter = self._limiters.of(account.portal)
        if account.kind == "webhook":
            return self.webhook_client(kept["endpoint"], limiter)
        refresher = self._refreshers.setdefault(
            account.account_id,
            TokenRefresher(
                partial(self._load_tokens, account.account_id),
                partial(self._save_renewed, account.account_id),
                partial(self._mark_refused, account.account_id),
                self._servers,
                self._clock,
            ),
        )
        credential = OAuthCredential(Tokens(**kept).client_endpoint, refresher)
        return PortalClient(self._session, limiter, credential, self._clock, max_wait_s=self._config.max_wait_s)

    def webhook_client(self, endpoint: str, limiter: PortalLimiter) -> PortalClient:
        """A client of an inbound webhook, stored or not."""
        credential = WebhookCredential(endpoint)
        return PortalClient(self._session, limiter, credential, self._clock, max_wait_s=self._config.max_wait_s)

    async def gate_at(self, host: str) -> PortalLimiter:
        """The limiter of the portal at *host*, also while we have no row for it."""
        return await self._limiters.at(host)

    def seal_webhook(self, account_key: str, endpoint: str) -> bytes:
        """The webhook's address as it is stored."""
        return self._seal(account_key, {"endpoint": endpoint})

    async def save_tokens(self, account: Account, tokens: Tokens, authorized_host: str) -> Account:
        """The account with its first tokens on disk and in force, on the portal that they are for.

        *authorized_host* is the one that a person was sent to.
        """
        holder = await self._store.find_portal(tokens.portal_origin.partition("://")[2])
        saved = await self._store.save_tokens(
            account.account_id,
            self._seal(account.account_key, asdict(tokens)),
            member_id=tokens.member_id,
            origin=tokens.portal_origin,
            authorized_host=authorized_host,
            now=int(self._clock.now()),
        )
        self._limiters.join(holder, saved.portal)
        self._note_change(account, saved)
        return saved

    def _note_change(self, before: Account, after: Account) -> None:
        if after.portal != before.portal:  # two rows may have become one: nothing remembered is sure
            self._accounts.clear()
            self._on_portal_changed()
        self.forget(after)

    async def mark_stale(self, account: Account, trouble: Trouble) -> None:
        """The credential works no longer; nothing changes where the account has another one by now.

        Where that cannot be stored, the next call finds it out again.
        """
        try:
            worked = await self._store.mark_stale(
                account.account_id,
                trouble,
                kind=account.kind,
                sealed=account.sealed if account.kind == "webhook" else None,  # tokens are replaced all the time
                now=int(self._clock.now()),
            )
        except StorageUnavailable as error:
            told = {"account": account.account_key, "reason": str(error)}
            logger.warning("an account could not be marked stale", extra=told)
            return
        self.forget(account)
        if worked:
            logger.warning("an account is stale", extra={"account": account.account_key, "reason": trouble.words})

    async def _mark_refused(self, account_id: int, error: PortalError) -> None:
        if (trouble := trouble_of(error)) is not None:
            await self.mark_stale(await self._store.load(account_id), trouble)

    @asynccontextmanager
    async def mark_stale_on_auth_failure(self, account: Account) -> AsyncIterator[None]:
        """Note that *account* is stale where its credential proves dead within the block.

        A failure that may pass counts only when it repeats after a minute, with no success in between.
        """
        try:
            yield
        except PortalError as error:
            if (trouble := trouble_of(error)) is not None and not (is_doubt(error) and self._may_pass(account)):
                await self.mark_stale(account, trouble)
            raise
        self._doubted.pop(account.account_id, None)

    def _may_pass(self, account: Account) -> bool:
        now = self._clock.monotonic()
        if len(self._doubted) >= MAX_DOUBTED and account.account_id not in self._doubted:
            del self._doubted[next(iter(self._doubted))]
        return now - self._doubted.setdefault(account.account_id, now) < DOUBT_S

    async def _load_tokens(self, account_id: int) -> Tokens:
        account = await self._store.load(account_id)
        if account.kind != "oauth":
            raise AuthorizationRequired(CHANGED_MEANWHILE)
        return Tokens(**self._open(account))

    async def _save_renewed(self, account_id: int, tokens: Tokens) -> None:
        self._unsaved[account_id] = self._refreshers[account_id]  # which keeps the pair until it is saved
        account = await self._store.load(account_id)
        holder = await self._store.find_portal(tokens.portal_origin.partition("://")[2])
        saved = await self._store.renew_tokens(
            account_id,
            self._seal(account.account_key, asdict(tokens)),
            member_id=tokens.member_id,
            origin=tokens.portal_origin,
            now=int(self._clock.now()),
        )
        del self._unsaved[account_id]
        if saved is None:
            raise AuthorizationRequired(CHANGED_MEANWHILE)
        self._limiters.join(holder, saved.portal)
        self._note_change(account, saved)

    def _seal(self, account_key: str, credential: Mapping[str, object]) -> bytes:
        return self._vault.seal(orjson.dumps(credential), f"account {account_key}")

    def _open(self, account: Account) -> dict[str, Any]:
        assert account.sealed is not None, "a pending account has no credential"
        kept: dict[str, Any] = orjson.loads(self._vault.open(account.sealed, f"account {account.account_key}"))
        return kept


def _weigh(account_key: str, account: Account | None) -> int:
    texts = [account_key]
    if account is not None:
        texts += [account.origin, account.portal.host or "", account.portal.member_id or ""]
        texts += [account.move.host] if account.move is not None else []
        texts += [account.trouble.words, account.trouble.host or ""] if account.trouble is not None else []
    sealed = account.sealed if account is not None else None
    return sum(map(text_bytes, texts)) + len(sealed or b"") + ACCOUNT_BYTES
