"""The types of records of the portal."""

from aiohttp import web

from gateway.crm.catalog import get_type, list_contact_types, list_types
from gateway.errors import InvalidInput
from gateway.schemas import INT32
from handlers.app_keys import CLIENTS, DIRECTORY
from handlers.bitrix.account_loading import load_authorized_account
from handlers.http.query import is_digits
from handlers.http.responses import json_response


async def list_portal_types(request: web.Request) -> web.Response:
    """GET /bitrix/types"""
    account = await load_authorized_account(request)
    async with request.app[DIRECTORY].mark_stale_on_auth_failure(account):
        return json_response({"items": await list_types(request.app[CLIENTS].client(account))})


async def get_portal_type(request: web.Request) -> web.Response:
    """GET /bitrix/types/{entityTypeId}"""
    value = request.match_info["entityTypeId"]
    if not (is_digits(value) and 0 < int(value) in INT32):
        raise InvalidInput.of_parameter("entityTypeId", "invalid_value", "must be an entity type id")
    account = await load_authorized_account(request)
    async with request.app[DIRECTORY].mark_stale_on_auth_failure(account):
        return json_response(await get_type(request.app[CLIENTS].client(account), int(value)))


async def list_types_of_contacts(request: web.Request) -> web.Response:
    """GET /bitrix/contact-types"""
    account = await load_authorized_account(request)
    async with request.app[DIRECTORY].mark_stale_on_auth_failure(account):
        return json_response({"items": await list_contact_types(request.app[CLIENTS].client(account))})
