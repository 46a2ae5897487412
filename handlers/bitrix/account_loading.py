"""Loads the account of a request; the services take it as an argument."""

from aiohttp import web

from handlers.app_keys import ACCOUNTS, DIRECTORY
from handlers.http.keys import CALLER
from storage.records import Account


async def find_account(request: web.Request) -> Account | None:
    """Return the account that the request's token names; None if it is not connected."""
    return await request.app[DIRECTORY].find(request[CALLER].account_key)


async def load_account(request: web.Request) -> Account:
    """Return the account that the request's token names.

    Raises:
        NotFound: the account is not connected.
    """
    return await request.app[DIRECTORY].require(request[CALLER].account_key)


async def load_authorized_account(request: web.Request) -> Account:
    """Return the account that the request's token names, if its credential is not known to be stale.

    Raises:
        NotFound: the account is not connected.
        AuthorizationRequired: a person must authorize the portal, or connect its webhook, again.
    """
    account = await load_account(request)
    await request.app[ACCOUNTS].ensure_authorized(account)
    return account
