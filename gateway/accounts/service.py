"""Connecting an account to a portal, authorizing it, and taking it off again."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Protocol
from weakref import WeakValueDictionary

from gateway.accounts.account_state import webhook_advice
from gateway.accounts.addresses import FIELD, PortalAddress, parse_address
from gateway.accounts.authorization import Authorizations
from gateway.accounts.connections import Connections
from gateway.accounts.recovery import WebhookRecovery
from gateway.accounts.states import State, StateSigner
from gateway.bitrix.auth.oauth import AuthorizationServers
from gateway.bitrix.errors import PortalError, PortalUnreachable
from gateway.bitrix.protocol.v2 import Command
from gateway.bitrix.transport.egress import EgressPolicy
from gateway.clock import Clock
from gateway.errors import AuthorizationRequired, GatewayError, InvalidInput, WebhookRequired
from gateway.settings.config import Config
from storage.accounts import AccountStore
from storage.records import Account

logger = logging.getLogger(__name__)

CONNECTED_PATH = "/connected"
SUSPENDED = "ended because the account was connected anew, moved or deleted"
CALLBACK_FIELDS = ("code", "domain", "state", "member_id", "server_domain")


class ExchangeFailed(GatewayError):
    """an authorization code could not be exchanged"""

    code = "exchange_failed"


@dataclass(frozen=True)
class Connected:
    """An account, and where a person must authorize it; None when nothing is to be done."""

    account: Account
    authorize_url: str | None


class AccountFollower(Protocol):
    """Work that depends on an account's credential, such as syncs and streams."""

    def suspended(self, account: Account, reason: str) -> AbstractAsyncContextManager[None]:
        """End the work of *account*, giving *reason* as the cause, and start none until the block ends."""

    async def connected(self, account: Account) -> None:
        """Start the work of *account*, whose credential has just been stored."""


class AccountService:
    """What callers do with their account. Changes of one account happen one after another."""

    def __init__(
        self,
        config: Config,
        store: AccountStore,
        connections: Connections,
        servers: AuthorizationServers,
        states: StateSigner,
        authorizations: Authorizations,
        recovery: WebhookRecovery,
        policy: EgressPolicy,
        clock: Clock,
        followers: Sequence[AccountFollower],
    ) -> None:
        self._config = config
        self._store = store
        self._connections = connections
        self._servers = servers
        self._states = states
        self._authorizations = authorizations
        self._recovery = recovery
        self._followers = followers
        self._policy = policy
        self._clock = clock
        self._changing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._unfinished: set[asyncio.Task[None]] = set()

    async def connect(self, account_key: str, url: str, redirect_url: str | None) -> Connected:
        """Connect the account to the portal at *url*, new, again, or in the place of another.

        An inbound webhook is tried first, and works from now on. Otherwise the account waits for a person, who is sent
        to *redirect_url* in the end; until then an account with a credential stays on the portal that it is on.

        Raises:
            InvalidInput: when an address is none that is allowed, the portal refuses the webhook, or the account would
                leave its portal for something that is not one.
            PortalError: when the portal cannot be asked.
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
        client = self._connections.webhook_client(webhook, await self._connections.gate_at(host))
        try:
            async with self._in_time():
                await client.call(Command("scope"))
        except PortalError as error:
            if error.retryable:
                raise
            raise InvalidInput.of_field(FIELD, error.code, f"the portal refused the webhook: {error.detail}") from error

    @asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        """As long as a caller waits for a portal.

        Raises:
            PortalUnreachable: when that is over.
        """
        try:
            async with self._clock.timeout(self._config.max_wait_s):
                yield
        except TimeoutError:
            raise PortalUnreachable(f"no response within {self._config.max_wait_s} s", sent=True) from None

    async def _connect_webhook(self, account_key: str, address: PortalAddress, webhook: str) -> Account:
        account = await self._store_connection(
            account_key, address, self._connections.seal_webhook(account_key, webhook)
        )
        await self._tell_connected(account)
        return account

    async def _connect_application(
        self, account_key: str, address: PortalAddress, redirect_url: str | None
    ) -> Connected:
        before = await self._connections.find(account_key)
        if before is not None and before.sealed is not None and before.portal.host != address.host:
            return await self._begin_move(before, address, redirect_url)
        account = await self._store_connection(account_key, address, None)
        if account.kind == "oauth" and not account.stale:
            return Connected(account, None)
        authorize_url, _ = await self._begin(account, address.origin, redirect_url)
        return Connected(account, authorize_url)

    async def _begin_move(self, account: Account, address: PortalAddress, redirect_url: str | None) -> Connected:
        """Send a person to another portal, and leave the account where it is until they have authorized that one."""
        await self._authorizations.check_portal(address)
        authorize_url, state = await self._begin(account, address.origin, redirect_url)
        moving = await self._store.begin_move(
            account.account_id, address.host, expires_at=state.expires_at, now=int(self._clock.now())
        )
        self._connections.forget(account)
        return Connected(moving, authorize_url)

    async def _begin(self, account: Account, origin: str, redirect_url: str | None = None) -> tuple[str, State]:
        return await self._authorizations.begin(account, origin, redirect_url, self._clock.now())

    async def _store_connection(self, account_key: str, address: PortalAddress, sealed: bytes | None) -> Account:
        before = await self._connections.find(account_key)
        changes = before is not None and (sealed is not None or before.portal.host != address.host)
        async with self._suspended(before) if before is not None and changes else nullcontext():
            account = await self._store.connect(
                account_key,
                host=address.host,
                origin=address.origin,
                sealed_webhook=sealed,
                now=int(self._clock.now()),
            )
            self._connections.forget(account)
        return account

    async def authorize(self, query: Mapping[str, str]) -> str:
        """Finish what a person allowed on the portal, and give the address to send them to.

        *query* is what the portal's redirect carries. The code is exchanged, the tokens are on disk, and the first
        sync has started when this returns.

        Raises:
            InvalidInput: when something is missing, or not what was sent out; nothing is stored or called then.
            ExchangeFailed: when the code cannot be exchanged; nothing is stored then.
        """
        for name in CALLBACK_FIELDS:
            if not query.get(name):
                raise InvalidInput.of_parameter(name, "required", "is required")
        state = self._states.read(query["state"])
        if query["server_domain"] not in self._config.oauth_servers:
            raise InvalidInput.of_parameter(
                "server_domain", "server_not_allowed", "must be an authorization server of GATEWAY_OAUTH_SERVERS"
            )
        if query["domain"].lower() != state.portal:
            raise InvalidInput.of_parameter("domain", "wrong_portal", "must be the portal that is being authorized")
        if state.redirect_url is not None:
            self._authorizations.check_redirect(state.redirect_url)
        async with self._lock(state.account):
            account = await self._connections.find(state.account)
            if account is None or not self._awaits(account, state.portal):
                raise InvalidInput.of_parameter(
                    "state", "account_changed", "belongs to an account that is no longer connected to this portal"
                )
            if not await self._store.use_state(state.nonce, account.account_id, now=int(self._clock.now())):
                raise InvalidInput.of_parameter("state", "state_used", "has been used already, or has expired")
            await self._to_the_end(self._exchange(account, state.portal, query))
        return state.redirect_url or (self._config.public_url or "") + CONNECTED_PATH

    def _awaits(self, account: Account, host: str) -> bool:
        """Whether *account* is on the portal at *host*, or about to move there."""
        move = account.move_at(self._clock.now())
        return host == account.host or (move is not None and host == move.host)

    async def _exchange(self, account: Account, authorized_host: str, query: Mapping[str, str]) -> None:
        """Exchange the code, store the tokens, start the first sync."""
        try:
            async with self._in_time():
                tokens = await self._servers.exchange(query["server_domain"], query["code"])
        except PortalError as error:
            raise ExchangeFailed(error.detail) from error
        if tokens.member_id != query["member_id"]:
            raise InvalidInput.of_parameter(
                "member_id", "wrong_member_id", "must be the portal that the authorization server names"
            )
        async with self._suspended(account):
            account = await self._connections.save_tokens(account, tokens, authorized_host)
        await self._tell_connected(account)

    async def _to_the_end(self, work: Coroutine[None, None, None]) -> None:
        """Do *work* even if the server is told to stop meanwhile: the code is worth one exchange."""
        task = asyncio.create_task(work)
        self._unfinished.add(task)
        task.add_done_callback(self._ended)
        await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._unfinished.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.warning("a portal was not connected", extra={"reason": str(error)})

    async def settle(self) -> None:
        """Return once no exchange is under way: before the database is closed."""
        await asyncio.gather(*self._unfinished, return_exceptions=True)

    async def ensure_authorized(self, account: Account) -> None:
        """Pass when the account's credential works as far as we know.

        A stale webhook is tried again first, where that is due.

        Raises:
            AuthorizationRequired: with the address at which a person can mend it.
            WebhookRequired: with the host at which the webhook must be connected again.
        """
        if account.stale:
            account = await self._recovery.try_again(account)
        if not account.stale:
            return
        if account.kind == "webhook":
            raise WebhookRequired(webhook_advice(account))
        if self._config.bitrix_client_id is None:
            raise AuthorizationRequired("authorize again: connect a working inbound webhook by POST /bitrix/account")
        authorize_url, _ = await self._begin(account, account.origin)
        raise AuthorizationRequired(f"authorize again: {authorize_url}", authorize_url=authorize_url)

    async def delete(self, account_key: str) -> None:
        """Take the account off its portal: its syncs and streams end, its tokens are wiped, its rows stay, unlisted."""
        async with self._lock(account_key):
            account = await self._connections.find(account_key)
            if account is not None:
                async with self._suspended(account):
                    await self._store.delete(account.account_id, now=int(self._clock.now()))
                    self._connections.forget(account)

    @asynccontextmanager
    async def _suspended(self, account: Account) -> AsyncIterator[None]:
        """Suspend every follower's work for *account* until the block ends."""
        async with AsyncExitStack() as stack:
            for follower in self._followers:
                await stack.enter_async_context(follower.suspended(account, SUSPENDED))
            yield

    async def _tell_connected(self, account: Account) -> None:
        log_connected(account)
        for follower in self._followers:
            await follower.connected(account)

    def _lock(self, account_key: str) -> asyncio.Lock:
        return self._changing.setdefault(account_key, asyncio.Lock())


def log_connected(account: Account) -> None:
    """Note that *account* has a credential that works."""
    told = {"account": account.account_key, "portal": account.portal.host, "kind": account.kind}
    logger.info("account connected", extra=told)
