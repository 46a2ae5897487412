"""Checks a caller's names against fields that may have changed on the portal since they were read."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from gateway.bitrix.lists.field_check import UNKNOWN_FIELD
from gateway.clock import Clock
from gateway.errors import InvalidInput
from gateway.fields.service import KnownFields
from gateway.mirror.queries import FieldAccess

T = TypeVar("T")


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
