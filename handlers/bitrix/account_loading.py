"""The account of a request, loaded once and passed on to the services."""

from aiohttp import web

from handlers.app_keys import ACCOUNTS, CONNECTIONS
from handlers.http.keys import ACCOUNT_KEY
from storage.records import Account


async def find_account(request: web.Request) -> Account | None:
    """The account that the request's token names; None if it is not connected."""
    return await request.app[CONNECTIONS].find(request[ACCOUNT_KEY])


async def load_account(request: web.Request) -> Account:
    """The account that the request's token names.

    Raises:
        NotFound: the account is not connected.
    """
    return await request.app[CONNECTIONS].require(request[ACCOUNT_KEY])


async def load_authorized_account(request: web.Request) -> Account:
    """The account that the request's token names, with a credential that works as far as we know.

    Raises:
        NotFound: the account is not connected.
        AuthorizationRequired: a person must authorize the portal, or connect its webhook, again.
    """
    account = await load_account(request)
    await request.app[ACCOUNTS].ensure_authorized(account)
    return account
