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


async def send_once(send: Send[T], look_up: LookUp[T] | None, clock: Clock) -> T:
    """Carry out a write exactly once, and return what *send* or *look_up* returns.

    *look_up* returns None if the portal shows no effect of the write. After a lost answer it is called at once, and
    again SETTLED_S seconds later, when the portal has certainly ended; only then the write is sent again.

    Raises:
        PortalError: the portal refused the write; OutcomeUnknown if its effect cannot be found out.
    """
    try:
        return await send()
    except OutcomeUnknown as error:
        return await _settle(send, look_up, clock, error, SETTLED_S)


async def resume(send: Send[T], look_up: LookUp[T] | None, clock: Clock, unsettled_s: float) -> T:
    """As `send_once`, for a write that was perhaps sent before: the gateway stopped while it waited for the answer.

    In *unsettled_s* seconds the portal has certainly ended.
    """
    return await _settle(send, look_up, clock, unanswered(), unsettled_s)


def unanswered() -> OutcomeUnknown:
    """The outcome of a write that was perhaps sent before, as long as nothing else is known."""
    return OutcomeUnknown(PortalError("", message="the gateway stopped before the portal answered"))


async def _settle(
    send: Send[T], look_up: LookUp[T] | None, clock: Clock, unknown: OutcomeUnknown, unsettled_s: float
) -> T:
    if look_up is None:
        raise unknown
    try:
        found = await look_up()
    except GatewayError:
        found = None  # the next look may succeed
    if found is None:
        await clock.sleep(unsettled_s)
        found = await _last_look(look_up, unknown)
    if found is not None:
        return found
    try:
        return await send()
    except OutcomeUnknown as error:
        found = await _last_look(look_up, error)
        if found is None:
            raise
        return found


async def _last_look(look_up: LookUp[T], unknown: OutcomeUnknown) -> T | None:
    """What *look_up* returns.

    Raises:
        OutcomeUnknown: it failed, so that the outcome stays *unknown*.
    """
    try:
        return await look_up()
    except GatewayError as error:
        raise unknown from error
