"""The accounts' records, cached in memory, and the changes that make a credential stale."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from gateway.accounts.account_state import STALE_AFTER_S, is_temporary, trouble_of
from gateway.bitrix.errors import PortalError
from gateway.clock import Clock
from gateway.errors import NotFound
from gateway.memory import LruCache, text_bytes
from storage.accounts import AccountStore
from storage.errors import StorageUnavailable
from storage.records import Account, Trouble

logger = logging.getLogger(__name__)

ACCOUNT_CACHE_BYTES = 16 * 1024 * 1024
ACCOUNT_BYTES = 2048  # memory of a cached account besides its texts and its credential
MAX_FAILING = 10_000


class AccountDirectory:
    """Finds accounts. Caches their records, because every request needs one.

    Code that changes an account in the store calls `forget` or `replaced` afterwards. *on_portal_changed* is called
    when an account's portal has another row, because two rows may have been merged.
    """

    def __init__(self, store: AccountStore, clock: Clock, *, on_portal_changed: Callable[[], None]) -> None:
        self._store = store
        self._clock = clock
        self._on_portal_changed = on_portal_changed
        self._accounts: LruCache[str, Account | None] = LruCache(ACCOUNT_CACHE_BYTES, _weigh)
        self._changes = 0
        self._failing_since: dict[int, float] = {}  # first temporary failure of a webhook since its last success

    async def find(self, account_key: str) -> Account | None:
        """Return the account with this key; None if it was never connected, or deleted."""
        try:
            account = self._accounts[account_key]
            self._accounts.move_to_end(account_key)
        except KeyError:
            changes = self._changes
            stored = await self._store.find(account_key)
            account = None if stored is None or stored.deleted else stored
            if changes == self._changes:
                self._accounts.remember(account_key, account)
        return account

    async def find_current(self, account: Account) -> Account | None:
        """Return *account* as it is now; None if its portal has changed, or it is stale or no longer connected."""
        current = await self.find(account.account_key)
        usable = current is not None and not current.stale and current.portal == account.portal
        return current if usable else None

    async def require(self, account_key: str) -> Account:
        """Return the account with this key.

        Raises:
            NotFound: it was never connected, or deleted.
        """
        account = await self.find(account_key)
        if account is None:
            raise NotFound("account not found", code="account_not_found")
        return account

    async def list_authorized(self) -> list[Account]:
        """Return the accounts whose credential is not known to be stale."""
        return [account for account in await self._store.list_connected() if not account.stale]

    async def list_stale_webhooks(self) -> list[Account]:
        """Return the accounts whose credential is a stale webhook."""
        connected = await self._store.list_connected()
        return [account for account in connected if account.stale and account.kind == "webhook"]

    def forget(self, account: Account) -> None:
        """Drop *account* from the cache. Call this after every change of its record."""
        self._changes += 1
        self._failing_since.pop(account.account_id, None)
        self._accounts.forget(account.account_key)

    def replaced(self, before: Account, after: Account) -> None:
        """Drop what the change from *before* to *after* makes invalid."""
        if after.portal != before.portal:  # two rows may have been merged: any cached account may be invalid
            self._accounts.clear()
            self._on_portal_changed()
        self.forget(after)

    async def mark_stale(self, account: Account, trouble: Trouble) -> None:
        """Store that the credential no longer works. Does nothing if the account has another credential meanwhile.

        A failure to store it is logged only: the next call to the portal repeats the finding.
        """
        try:
            worked = await self._store.mark_stale(
                account.account_id,
                trouble,
                kind=account.kind,
                sealed=account.sealed if account.kind == "webhook" else None,  # a refresh replaces the tokens
                now=int(self._clock.now()),
            )
        except StorageUnavailable as error:
            fields = {"account": account.account_key, "reason": str(error)}
            logger.warning("cannot mark an account as stale", extra=fields)
            return
        self.forget(account)
        if worked:
            logger.warning("an account is stale", extra={"account": account.account_key, "reason": trouble.message})

    @asynccontextmanager
    async def mark_stale_on_auth_failure(self, account: Account) -> AsyncIterator[None]:
        """Mark *account* as stale if the portal rejects its credential within the block.

        A temporary failure counts only if it repeats after STALE_AFTER_S without a success in between.
        """
        try:
            yield
        except PortalError as error:
            trouble = trouble_of(error)
            if trouble is not None and not (is_temporary(error) and self._began_lately(account)):
                await self.mark_stale(account, trouble)
            raise
        self._failing_since.pop(account.account_id, None)

    def _began_lately(self, account: Account) -> bool:
        """Record a temporary failure, and return whether the first one is more recent than STALE_AFTER_S."""
        now = self._clock.monotonic()
        if len(self._failing_since) >= MAX_FAILING and account.account_id not in self._failing_since:
            del self._failing_since[next(iter(self._failing_since))]
        return now - self._failing_since.setdefault(account.account_id, now) < STALE_AFTER_S


def _weigh(account_key: str, account: Account | None) -> int:
    texts = [account_key]
    if account is not None:
        texts += [account.origin, account.portal.host or "", account.portal.member_id or ""]
        texts += [account.move.host] if account.move is not None else []
        texts += [account.trouble.message, account.trouble.host or ""] if account.trouble is not None else []
    sealed = account.sealed if account is not None else None
    return sum(map(text_bytes, texts)) + len(sealed or b"") + ACCOUNT_BYTES
