"""The caller's account."""

from aiohttp import web

from gateway.accounts.account_state import state_of
from gateway.accounts.addresses import subdomain_of
from gateway.clock import format_time
from gateway.schemas import Body, String
from handlers.app_keys import ACCOUNTS
from handlers.bitrix.account_loading import load_account
from handlers.http.bodies import load_body
from handlers.http.keys import CALLER, CLOCK
from handlers.http.responses import json_response
from storage.records import Account


class AccountBody(Body):
    client_bitrix_url = String()
    redirect_url = String(required=False, name="redirectURL")


ACCOUNT_BODY = AccountBody()


async def get_account(request: web.Request) -> web.Response:
    """GET /bitrix/account"""
    account = await load_account(request)
    return json_response(render_account(account, request.app[CLOCK].now()))


async def connect_account(request: web.Request) -> web.Response:
    """POST /bitrix/account"""
    body = await load_body(request, ACCOUNT_BODY)
    connected = await request.app[ACCOUNTS].connect(
        request[CALLER].account_key, body["client_bitrix_url"], body.get("redirect_url")
    )
    rendered = render_account(connected.account, request.app[CLOCK].now())
    if connected.authorize_url is not None:
        rendered["authorizeURL"] = connected.authorize_url
    return json_response(rendered)


async def delete_account(request: web.Request) -> web.Response:
    """DELETE /bitrix/account"""
    await request.app[ACCOUNTS].delete(request[CALLER].account_key)
    return web.Response()


def render_account(account: Account, now: float) -> dict[str, object]:
    """Return the contract's BitrixAccount with the account's state.

    `bitrixID` is empty until a person has authorized the portal.
    """
    state = state_of(account, now)
    return {
        "id": account.account_id,
        "accountID": account.account_key,
        "bitrixID": "" if account.kind == "pending" else account.portal.bitrix_id,
        "deleted": account.deleted,
        "createdAt": format_time(account.created_at),
        "subdomain": subdomain_of(account.portal.host or account.host),
        "stale": account.stale,
        "state": state.name,
        "since": format_time(state.since),
        "reason": state.reason,
        "reasonCode": state.code,
    }
