"""Connects accounts to portals, finishes their authorization, and deletes them."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Protocol
from weakref import WeakValueDictionary

from gateway.accounts.account_state import webhook_advice
from gateway.accounts.addresses import FIELD, PortalAddress, parse_address
from gateway.accounts.authorization import Authorizations, response_deadline
from gateway.accounts.clients import PortalClients
from gateway.accounts.credentials import AccountCredentials
from gateway.accounts.directory import AccountDirectory
from gateway.accounts.recovery import WebhookRecovery
from gateway.bitrix.errors import PortalError
from gateway.bitrix.protocol.v2 import Command
from gateway.bitrix.transport.egress import EgressPolicy
from gateway.clock import Clock
from gateway.errors import AuthorizationRequired, InvalidInput, WebhookRequired
from gateway.settings.config import Config
from storage.accounts import AccountStore
from storage.records import Account

logger = logging.getLogger(__name__)

CONNECTED_PATH = "/connected"
SUSPENDED = "ended because the account was connected again, moved or deleted"
SCOPE = Command("scope")


@dataclass(frozen=True)
class Connected:
    """An account, and the address at which a person must authorize it; None if no authorization is needed."""

    account: Account
    authorize_url: str | None


class AccountFollower(Protocol):
    """Work that depends on an account's credential, such as syncs and streams."""

    def suspended(self, account: Account, reason: str) -> AbstractAsyncContextManager[None]:
        """End the work of *account*, giving *reason* as the cause, and start none until the block ends."""

    async def connected(self, account: Account) -> None:
        """Start the work of *account*, whose credential has just been stored."""


class AccountService:
    """Connects, authorizes and deletes accounts. Changes of one account run one after another."""

    def __init__(
        self,
        config: Config,
        store: AccountStore,
        directory: AccountDirectory,
        credentials: AccountCredentials,
        clients: PortalClients,
        authorizations: Authorizations,
        recovery: WebhookRecovery,
        policy: EgressPolicy,
        clock: Clock,
        followers: Sequence[AccountFollower],
    ) -> None:
        self._config = config
        self._store = store
        self._directory = directory
        self._credentials = credentials
        self._clients = clients
        self._authorizations = authorizations
        self._recovery = recovery
        self._followers = followers
        self._policy = policy
        self._clock = clock
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._exchanges: set[asyncio.Task[None]] = set()

    async def connect(self, account_key: str, url: str, redirect_url: str | None) -> Connected:
        """Connect the account to the portal at *url*, for the first time, again, or in place of another portal.

        An inbound webhook is checked by a call and connected at once. Any other address requires an authorization by a
        person, who returns to *redirect_url*; until then an account with a credential stays on its current portal.

        Raises:
            InvalidInput: an address is invalid or not allowed, the portal refuses the webhook, or the account has a
                portal and *url* is not that of a Bitrix24.
            PortalError: the portal does not answer.
        """
        address = parse_address(url, self._policy)
        if redirect_url is not None:
            self._authorizations.check_redirect(redirect_url)
        if address.webhook is None:
            self._authorizations.check_application()
        else:
            await self._check_webhook(address.host, address.webhook)
        async with self._lock(account_key):
            if address.webhook is not None:
                return Connected(await self._connect_webhook(account_key, address, address.webhook), None)
            return await self._connect_application(account_key, address, redirect_url)

    async def _check_webhook(self, host: str, webhook: str) -> None:
        client = await self._clients.webhook_client(host, webhook)
        try:
            async with response_deadline(self._clock, self._config.max_wait_s):
                await client.call(SCOPE)
        except PortalError as error:
            if error.retryable:
                raise
            raise InvalidInput.of_field(FIELD, error.code, f"the portal refused the webhook: {error.detail}") from error

    async def _connect_webhook(self, account_key: str, address: PortalAddress, webhook: str) -> Account:
        sealed = self._credentials.seal_webhook(account_key, webhook)
        account = await self._store_connection(account_key, address, sealed)
        await self._notify_connected(account)
        return account

    async def _connect_application(
        self, account_key: str, address: PortalAddress, redirect_url: str | None
    ) -> Connected:
        before = await self._directory.find(account_key)
        if before is not None and before.sealed is not None and before.portal.host != address.host:
            return await self._begin_move(before, address, redirect_url)
        account = await self._store_connection(account_key, address, None)
        if account.kind == "oauth" and not account.stale:
            return Connected(account, None)
        authorize_url, _ = await self._authorizations.begin(account, address.origin, redirect_url)
        return Connected(account, authorize_url)

    async def _begin_move(self, account: Account, address: PortalAddress, redirect_url: str | None) -> Connected:
        """Start the authorization of another portal. The account stays on its portal until that is finished."""
        await self._authorizations.check_portal(address)
        authorize_url, state = await self._authorizations.begin(account, address.origin, redirect_url)
        moving = await self._store.begin_move(
            account.account_id, address.host, expires_at=state.expires_at, now=int(self._clock.now())
        )
        self._directory.forget(account)
        return Connected(moving, authorize_url)

    async def _store_connection(self, account_key: str, address: PortalAddress, sealed: bytes | None) -> Account:
        before = await self._directory.find(account_key)
        changes = before is not None and (sealed is not None or before.portal.host != address.host)
        async with self._suspended(before) if before is not None and changes else nullcontext():
            account = await self._store.connect(
                account_key,
                host=address.host,
                origin=address.origin,
                sealed_webhook=sealed,
                now=int(self._clock.now()),
            )
            self._directory.forget(account)
        return account

    async def authorize(self, query: Mapping[str, str]) -> str:
        """Finish an authorization, and return the address to redirect the person to.

        *query* is the query of the portal's redirect. On return the tokens are stored and the first sync has started.

        Raises:
            InvalidInput: a parameter is missing or does not match the authorization.
            ExchangeFailed: the code cannot be exchanged.
        Nothing is stored in either case.
        """
        state = self._authorizations.read_callback(query)
        async with self._lock(state.account):
            account = await self._directory.find(state.account)
            if account is None or not self._expects(account, state.portal):
                raise InvalidInput.of_parameter(
                    "state", "account_changed", "belongs to an account that is no longer connected to this portal"
                )
            await self._authorizations.use_state(state, account)
            await self._finish_even_if_cancelled(self._exchange(account, state.portal, query))
        return state.redirect_url or (self._config.public_url or "") + CONNECTED_PATH

    def _expects(self, account: Account, host: str) -> bool:
        """Whether *account* is on the portal at *host*, or moving there."""
        move = account.move_at(self._clock.now())
        return host == account.host or (move is not None and host == move.host)

    async def _exchange(self, account: Account, authorized_host: str, query: Mapping[str, str]) -> None:
        """Exchange the code, store the tokens, and start the first sync."""
        tokens = await self._authorizations.exchange(account, query)
        async with self._suspended(account):
            account = await self._credentials.save_tokens(account, tokens, authorized_host)
        await self._notify_connected(account)

    async def _finish_even_if_cancelled(self, work: Coroutine[None, None, None]) -> None:
        """Run *work* to its end even if the request is cancelled: a code can be exchanged only once."""
        task = asyncio.create_task(work)
        self._exchanges.add(task)
        task.add_done_callback(self._exchange_finished)
        await asyncio.shield(task)

    def _exchange_finished(self, task: asyncio.Task[None]) -> None:
        self._exchanges.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.warning("an authorization was not finished", extra={"reason": str(error)})

    async def finish_pending(self) -> None:
        """Wait until no exchange is in progress. Call this before closing the database."""
        await asyncio.gather(*self._exchanges, return_exceptions=True)

    async def ensure_authorized(self, account: Account) -> None:
        """Check that the credential of *account* is not known to be stale. Retries a stale webhook if that is due.

        Raises:
            AuthorizationRequired: a person must authorize the portal; it has the address for that.
            WebhookRequired: the webhook must be connected again; it names the host.
        """
        if account.stale:
            account = await self._recovery.retry(account)
        if not account.stale:
            return
        if account.kind == "webhook":
            raise WebhookRequired(webhook_advice(account))
        if self._config.bitrix_client_id is None:
            raise AuthorizationRequired("authorize again: connect a working inbound webhook by POST /bitrix/account")
        authorize_url, _ = await self._authorizations.begin(account, account.origin)
        raise AuthorizationRequired(f"authorize again: {authorize_url}", authorize_url=authorize_url)

    async def delete(self, account_key: str) -> None:
        """Delete the account: end its syncs and streams and erase its credential. Its rows stay, but are not listed."""
        async with self._lock(account_key):
            account = await self._directory.find(account_key)
            if account is not None:
                async with self._suspended(account):
                    await self._store.delete(account.account_id, now=int(self._clock.now()))
                    self._directory.forget(account)

    @asynccontextmanager
    async def _suspended(self, account: Account) -> AsyncIterator[None]:
        """Suspend the followers' work for *account* until the block ends."""
        async with AsyncExitStack() as stack:
            for follower in self._followers:
                await stack.enter_async_context(follower.suspended(account, SUSPENDED))
            yield

    async def _notify_connected(self, account: Account) -> None:
        fields = {"account": account.account_key, "portal": account.portal.host, "kind": account.kind}
        logger.info("account connected", extra=fields)
        for follower in self._followers:
            await follower.connected(account)

    def _lock(self, account_key: str) -> asyncio.Lock:
        return self._locks.setdefault(account_key, asyncio.Lock())
