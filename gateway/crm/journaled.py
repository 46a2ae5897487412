"""Performs each write of a caller once: journaled before it is sent, and answered again for its Idempotency-Key."""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import inf

import orjson

from gateway.accounts.directory import AccountDirectory
from gateway.bitrix.errors import OutcomeUnknown
from gateway.bitrix.outcomes import SETTLED_S, LookUp, Send, T, resume, send_once
from gateway.clock import Clock
from gateway.errors import GatewayError, IdempotencyKeyReused
from storage.errors import StorageError
from storage.records import Account
from storage.write_journal import StoredAnswer, Write, WriteJournal

logger = logging.getLogger(__name__)

KEEP_S = 24 * 3600  # answers are kept for their Idempotency-Key this long
Work = Callable[[Write], Awaitable[StoredAnswer]]


@dataclass(frozen=True)
class Served:
    """The answer to a write; *replayed* if an earlier request with the same Idempotency-Key got it first."""

    answer: StoredAnswer
    replayed: bool = False


class JournaledWrites:
    """Performs writes. They go on when their callers leave."""

    def __init__(self, journal: WriteJournal, directory: AccountDirectory, clock: Clock) -> None:
        self._journal = journal
        self._directory = directory
        self._clock = clock
        self._unsettled_until: dict[int, float] = {}  # monotonic, by portal
        self._settled_at = -inf
        self._running: dict[tuple[int, str], tuple[bytes, asyncio.Task[Served]]] = {}
        self._tasks: set[asyncio.Task[Served]] = set()

    async def open(self) -> None:
        """Find out whether writes were under way when the gateway ended."""
        if await self._journal.has_unfinished(int(self._clock.now()) - KEEP_S):
            self._settled_at = self._clock.monotonic() + SETTLED_S

    def unsettled_s(self, account: Account) -> float:
        """The seconds until no write to the portal of *account* is under way without our knowledge."""
        until = self._unsettled_until.get(account.portal.portal_id, self._settled_at)
        return max(until - self._clock.monotonic(), 0.0)

    async def perform(
        self, account: Account, key: str | None, method: str, target: str, body: object, origin: str, work: Work
    ) -> Served:
        """Do *work* and return its answer; that of an earlier request with the same *key* if there was one.

        Of requests that come with the same key at once, the first is performed, and the others wait for its answer.
        *origin* is the key by which a created record is found; *work* gets that of the earlier request, if its outcome
        is not known.

        Raises:
            IdempotencyKeyReused: the *key* has been used for another request.
            GatewayError: whatever *work* raises. The key can be used again, unless the outcome is unknown.
        """
        sent = orjson.dumps([account.portal.portal_id, method, target, body], option=orjson.OPT_SORT_KEYS)
        digest = hashlib.sha256(sent).digest()
        running = None if key is None else self._running.get((account.account_id, key))
        if running is not None:
            earlier_digest, task = running
            if earlier_digest != digest:
                raise IdempotencyKeyReused
            return Served((await asyncio.shield(task)).answer, replayed=True)
        task = asyncio.create_task(self._journaled(account, key, sent, digest, origin, work))
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        if key is not None:
            place = (account.account_id, key)
            self._running[place] = (digest, task)
            task.add_done_callback(lambda _: self._running.pop(place))
        return await asyncio.shield(task)

    async def keep_origin(self, write: Write, origin: str) -> None:
        """Keep *origin*, which a later request with the same key gets as the origin of *write*.

        Raises:
            StorageError: it is not kept.
        """
        await self._journal.keep_origin(write.write_id, origin)

    async def carry_out(self, account: Account, write: Write, send: Send[T], look_up: LookUp[T] | None) -> T:
        """Carry out what *write* stands for exactly once, see `send_once`. An account whose credential fails is stale.

        Raises:
            PortalError: the portal refused the write; OutcomeUnknown if its effect cannot be found out.
        """
        async with self._directory.mark_stale_on_auth_failure(account):
            if write.is_new:
                return await send_once(send, look_up, self._clock)
            return await resume(send, look_up, self._clock, self.unsettled_s(account))

    async def close(self) -> None:
        """Cancel the writes that still run. Their outcome is looked up when they are repeated with the same key."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[Served]) -> None:
        """Its error is raised for the callers that wait; there may be none left."""
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()

    async def _journaled(
        self, account: Account, key: str | None, sent: bytes, digest: bytes, origin: str, work: Work
    ) -> Served:
        now = int(self._clock.now())
        write = await self._journal.begin(
            account.account_id, key, digest=digest, sent=sent, origin=origin, now=now, keep_s=KEEP_S
        )
        if write.digest != digest:
            raise IdempotencyKeyReused
        if write.answer is not None:
            return Served(write.answer, replayed=True)
        try:
            answer = await work(write)
        except OutcomeUnknown:
            self._leave_unsettled(account)
            raise
        except GatewayError:
            await self._store_outcome(self._journal.forget(write.write_id))
            raise
        except Exception:  # unforeseen, so it says nothing about what the portal has done
            self._leave_unsettled(account)
            raise
        await self._store_outcome(self._journal.end(write.write_id, answer))
        return Served(answer)

    def _leave_unsettled(self, account: Account) -> None:
        """Count a write to the portal of *account* as perhaps under way, until the portal has certainly ended."""
        self._unsettled_until[account.portal.portal_id] = self._clock.monotonic() + SETTLED_S

    async def _store_outcome(self, storing: Awaitable[None]) -> None:
        """Store the end of a write. If that fails, its outcome is not known, and is looked up when it is repeated."""
        try:
            await storing
        except StorageError as error:
            logger.error("the end of a write was not stored", extra={"reason": str(error)})
