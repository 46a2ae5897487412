"""Checks a caller's names against fields that may have changed on the portal since they were read."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from gateway.bitrix.lists.field_check import UNKNOWN_FIELD
from gateway.clock import Clock
from gateway.errors import GatewayError, InvalidInput
from gateway.fields.service import KnownFields

T = TypeVar("T")


@dataclass(frozen=True)
class FieldAccess:
    """The fields of a list: what is *known*, and how to *fetch* them again from the portal."""

    known: KnownFields
    fetch: Callable[[], Awaitable[KnownFields]]


LoadFields = Callable[[], Awaitable[FieldAccess]]


async def with_known_fields(access: FieldAccess, clock: Clock, check: Callable[[KnownFields], Awaitable[T]]) -> T:
    """What *check* returns for the fields. They are fetched again if it finds an unknown name.

    Raises:
        InvalidInput: *check* finds mistakes.
        PortalError: the fields could not be fetched.
    """
    known = access.known
    try:
        return await check(known)
    except InvalidInput as error:
        is_unknown = any(each.code == UNKNOWN_FIELD for each in error.errors)
        if not is_unknown or not known.may_be_refreshed(clock.now()):
            raise
    return await check(await access.fetch())


async def with_mirrored_fields(access: FieldAccess, clock: Clock, check: Callable[[KnownFields], Awaitable[T]]) -> T:
    """As `with_known_fields`, for an answer from the mirror: if the portal cannot be asked, the known fields count.

    Raises:
        InvalidInput: *check* finds mistakes.
    """

    async def fetch() -> KnownFields:
        try:
            return await access.fetch()
        except GatewayError:
            return access.known

    return await with_known_fields(FieldAccess(access.known, fetch), clock, check)
