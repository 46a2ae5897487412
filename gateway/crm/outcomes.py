"""Finds out what became of a write whose answer was lost, and repeats it once it certainly was not carried out."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from gateway.bitrix.errors import OutcomeUnknown, PortalError
from gateway.clock import Clock
from gateway.errors import GatewayError

SETTLED_S = 60  # a portal may work on a request for this long; Source: protocol.md 7 (settings/performance/limits.md)

T = TypeVar("T")
Send = Callable[[], Awaitable[T]]
LookUp = Callable[[], Awaitable[T | None]]


async def send_once(send: Send[T], look_up: LookUp[T] | None, clock: Clock, *, interrupted: bool) -> T:
    """Carry out a write exactly once, and return what *send* or *look_up* returns.

    *look_up* returns None if the portal shows no effect of the write. After a lost answer it is called at once, and
    again SETTLED_S seconds later, when the portal has certainly ended; only then the write is sent again.
    *interrupted*: the write was perhaps sent before, and the gateway stopped then.

    Raises:
        PortalError: the portal refused the write; OutcomeUnknown if its effect cannot be found out.
    """
    unknown: OutcomeUnknown | None = None
    if not interrupted:
        try:
            return await send()
        except OutcomeUnknown as error:
            unknown = error
    found = await _looked_up(look_up, unknown)
    if found is None:
        await clock.sleep(SETTLED_S)
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
    except GatewayError as error:
        if is_final:
            cause = error if isinstance(error, PortalError) else PortalError("", message=error.detail)
            raise unknown or OutcomeUnknown(cause) from error
        return None
