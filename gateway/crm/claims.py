"""Lets callers that look for the same record search for it, or create it, one after the other."""

import asyncio
from collections.abc import AsyncIterator, Collection, Hashable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from gateway.clock import Clock

KNOWN_S = 10  # what a caller has found is taken as true by those that wait behind him


@dataclass
class _Claim:
    """What one caller at a time may search for. *found* is what the last one found, and when."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0
    found: tuple[int, float] | None = None


class Claims:
    """Claims of keys. A key is known while somebody holds or awaits it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._claims: dict[Hashable, _Claim] = {}

    @asynccontextmanager
    async def hold(self, keys: Collection[str]) -> AsyncIterator[None]:
        """Hold all *keys* until the block ends. Whoever wants one of them waits."""
        ordered = sorted(set(keys))  # all take them in this order, so nobody waits for somebody who waits for him
        claims = [self._claims.setdefault(key, _Claim()) for key in ordered]
        for claim in claims:
            claim.users += 1
        try:
            async with AsyncExitStack() as stack:
                for claim in claims:
                    await stack.enter_async_context(claim.lock)
                yield
        finally:
            for key, claim in zip(ordered, claims, strict=True):
                claim.users -= 1
                if claim.users == 0:
                    del self._claims[key]

    def found(self, keys: Collection[str]) -> int | None:
        """The record that was found for all of *keys* a moment ago; None if that is not known."""
        now = self._clock.monotonic()
        known = {self._known(key, now) for key in keys}
        return known.pop() if len(known) == 1 else None

    def remember(self, keys: Collection[str], row_id: int | None) -> None:
        """Remember what was found for *keys*; None: nothing is known."""
        for key in keys:
            if (claim := self._claims.get(key)) is not None:
                claim.found = None if row_id is None else (row_id, self._clock.monotonic())

    def _known(self, key: str, now: float) -> int | None:
        claim = self._claims.get(key)
        if claim is None or claim.found is None or now - claim.found[1] > KNOWN_S:
            return None
        return claim.found[0]
