"""Finds out what became of a write whose answer was lost, and repeats it once it certainly was not carried out."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from gateway.bitrix.errors import OutcomeUnknown, PortalError
from gateway.clock import Clock

SETTLED_S = 60  # a portal may work on a request for this long; Source: protocol.md 7 (settings/performance/limits.md)

T = TypeVar("T")
Send = Callable[[], Awaitable[T]]
LookUp = Callable[[], Awaitable[T | None]]


async def send_once(send: Send[T], look_up: LookUp[T] | None, clock: Clock, *, sent_at: float | None) -> T:
    """Carry out a write exactly once, and return what *send* or *look_up* returns.

    *look_up* returns None if the portal shows no effect of the write. After a lost answer it is called at once, and
    again SETTLED_S seconds after the write was sent; only then the write is sent again. *sent_at* is the Unix time of
    an earlier attempt that was interrupted, None for a new write.

    Raises:
        PortalError: the portal refused the write; OutcomeUnknown if its effect cannot be found out.
    """
    unknown: OutcomeUnknown | None = None
    if sent_at is None:
        sent_at = clock.now()
        try:
            return await send()
        except OutcomeUnknown as error:
            unknown = error
    found = await _looked_up(look_up, unknown)
    if found is None:
        await clock.sleep(max(sent_at + SETTLED_S - clock.now(), 0))
        found = await _looked_up(look_up, unknown, is_final=True)
    if found is not None:
        return found
    try:
        return await send()
    except OutcomeUnknown as error:
        found = await _looked_up(look_up, error, is_final=True)
        if found is None:
            raise
        return found


async def _looked_up(look_up: LookUp[T] | None, unknown: OutcomeUnknown | None, *, is_final: bool = False) -> T | None:
    """What *look_up* returns. If it fails, the outcome stays *unknown* for now, or for good if the look is the last.

    Raises:
        OutcomeUnknown: there is no way to look, or the last look failed.
    """
    if look_up is None:
        raise unknown or OutcomeUnknown(PortalError("", message="the gateway stopped before the portal answered"))
    try:
        return await look_up()
    except PortalError as error:
        if is_final:
            raise unknown or OutcomeUnknown(error) from error
        return None
