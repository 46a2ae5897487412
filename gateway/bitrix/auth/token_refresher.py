"""Refreshes the tokens of an account: one refresh at a time, and each new pair is saved before it is used.

Source: protocol.md 13 (b24restdocs settings/oauth/auto-renewal.md)
"""

import asyncio
from collections.abc import Awaitable, Callable

from gateway.bitrix.auth.oauth import AuthorizationServers, Tokens
from gateway.bitrix.errors import PortalError
from gateway.clock import Clock

REFRESH_BEFORE_EXPIRY_S = 60.0


class TokenRefresher:
    """Returns the tokens of one account and refreshes them.

    *load* reads the stored pair. *save* stores a new pair before it is used. *mark_stale* stores that a person must
    authorize again, and why.

    A refresh that has started finishes even if all its callers have been cancelled, because the server invalidates the
    old refresh token when it receives the request. For the same reason a pair that could not be saved stays in memory
    and is saved by the next call.
    """

    def __init__(
        self,
        load: Callable[[], Awaitable[Tokens]],
        save: Callable[[Tokens], Awaitable[None]],
        mark_stale: Callable[[PortalError], Awaitable[None]],
        servers: AuthorizationServers,
        clock: Clock,
    ) -> None:
        self._load = load
        self._save = save
        self._mark_stale = mark_stale
        self._servers = servers
        self._clock = clock
        self._lock = asyncio.Lock()
        self._pending: set[asyncio.Task[Tokens]] = set()
        self._unsaved: tuple[str, Tokens] | None = None  # a used refresh token, and the pair that replaces it

    async def tokens(self) -> Tokens:
        """Return a pair whose access token is valid for at least another minute."""
        tokens = await self._load()
        if tokens.expires_at - self._clock.now() > REFRESH_BEFORE_EXPIRY_S:
            return tokens
        return await self.refresh(tokens.access_token)

    async def refresh(self, failed_access_token: str) -> Tokens:
        """Return a pair newer than the one that failed. Concurrent calls share one refresh.

        Raises:
            PortalError: the server returned no new pair; with `credential_dead` the account has been marked stale.
        """
        task = asyncio.create_task(self._refresh(failed_access_token))
        self._pending.add(task)
        task.add_done_callback(self._finished)
        return await asyncio.shield(task)

    def _finished(self, task: asyncio.Task[Tokens]) -> None:
        self._pending.discard(task)
        if not task.cancelled():
            task.exception()  # mark it as retrieved: all callers may have been cancelled

    async def finish_pending(self) -> None:
        """Wait until no refresh is in progress. Call this before closing what the callbacks write to."""
        await asyncio.gather(*self._pending, return_exceptions=True)

    async def _refresh(self, failed_access_token: str) -> Tokens:
        async with self._lock:
            tokens = await self._load()
            if tokens.access_token != failed_access_token:
                return tokens
            if self._unsaved is None or self._unsaved[0] != tokens.refresh_token:
                try:
                    self._unsaved = tokens.refresh_token, await self._servers.refresh(tokens)
                except PortalError as error:
                    if not error.credential_dead:
                        raise
                    return await self._load_newer(tokens, error)
            _, refreshed = self._unsaved
            await self._save(refreshed)
            self._unsaved = None
            return refreshed

    async def _load_newer(self, refused: Tokens, error: PortalError) -> Tokens:
        """Return the pair that was stored since *refused* was loaded. Without one, mark the account stale and raise."""
        tokens = await self._load()
        if tokens.refresh_token != refused.refresh_token:
            return tokens
        await self._mark_stale(error)
        raise error
