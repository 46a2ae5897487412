"""The links of a portal to files. A link dies with the token that it was made with; renewals do not revive it.

Source: methods.md 8.4, protocol.md 17 (b24restdocs api-reference/files/)
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TypeVar

from yarl import URL

from gateway.bitrix.auth.credentials import Access
from gateway.bitrix.errors import AccessDenied, PortalBroken, PortalError, TokenExpired
from gateway.bitrix.protocol.v2 import Answer
from gateway.bitrix.transport.download_session import resolve_at_portal

LINK_CHECK_FAILED = "Link check failed"

T = TypeVar("T")


class DeadLink(PortalError):
    """the link to a file is no longer valid

    Only a new link helps, so the request is not repeated. *cause* is the portal's error.
    """

    not_executed = True

    def __init__(self, cause: PortalError) -> None:
        super().__init__(cause.portal_code, cause.description, cause.status)
        self.cause = cause


async def with_new_link(transfer: Callable[[], Awaitable[T]], again: Callable[[], Awaitable[T]]) -> T:
    """Return what *transfer* returns. If its link is dead, *again* has to get a new one; it is called once.

    Raises:
        PortalError: the transfer failed; if the new link is dead too, the portal's error.
    """
    with suppress(DeadLink):
        return await transfer()
    try:
        return await again()
    except DeadLink as dead:
        raise dead.cause from None


@contextmanager
def detecting_dead_links(access: Access) -> Iterator[None]:
    """Raise the errors of a request to a link, which was sent with *access*.

    Raises:
        DeadLink: the token of the link has expired, or the link was made for another one.
    """
    try:
        yield
    except TokenExpired as error:
        if access.token is None:  # a webhook has no token that can expire
            raise
        raise DeadLink(error) from error
    except AccessDenied as error:
        if LINK_CHECK_FAILED not in error.description:
            raise
        raise DeadLink(error) from error


def check_origin(url: str, access: Access) -> str:
    """Return a portal's address of a file, which is at its own origin.

    Raises:
        ForeignAddress: it is not.
    """
    return str(resolve_at_portal(URL(access.endpoint), url))


def upload_address(answer: Answer, access: Access) -> tuple[str, str]:
    """Return the address of an upload and the field of its form, from the answer to a call without content.

    Raises:
        PortalBroken: the answer has none, or at another origin than the portal.
    """
    found = answer.result if isinstance(answer.result, Mapping) else {}
    url, field = found.get("uploadUrl"), found.get("field", found.get("fieldName"))
    if not isinstance(url, str) or not isinstance(field, str):
        raise PortalBroken("no address for an upload")
    return check_origin(url, access), field
