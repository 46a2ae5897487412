"""The addresses of contacts and companies."""

from functools import partial

from aiohttp import web

from gateway.crm.address_calls import ADDRESS_FIELDS
from gateway.errors import InvalidInput
from gateway.mirror.field_access import FieldAccess
from handlers.app_keys import ADDRESSES
from handlers.bitrix.account_loading import load_authorized_account
from handlers.bitrix.fields import fetch_fields, load_fields, requested_resource
from handlers.bitrix.lists import respond_items
from handlers.bitrix.record_writes import load_values, respond
from handlers.bitrix.records import record_id
from handlers.http.idempotency import idempotency_key
from handlers.http.query import positive_or_none
from storage.records import Account

OWNERS = ("contacts", "companies")  # have requisites. Source: methods.md 7 (b24restdocs .../crm-requisite-add.md)


async def list_addresses(request: web.Request) -> web.Response:
    """GET /bitrix/{resource}/{id}/addresses"""
    resource, row_id = requested_resource(request), record_id(request)
    account = await load_authorized_account(request)
    return respond_items(await request.app[ADDRESSES].show(account, resource, row_id))


async def create_address(request: web.Request) -> web.Response:
    """POST /bitrix/{resource}/{id}/addresses"""
    resource, row_id, key = requested_resource(request), record_id(request), idempotency_key(request)
    requisite, body = positive_or_none(request.query, "requisite"), await load_values(request)
    account = await load_authorized_account(request)
    service, access = request.app[ADDRESSES], await access_address_fields(request, account)
    return respond(await service.create(account, resource, row_id, body, access, key, requisite=requisite))


async def change_address(request: web.Request) -> web.Response:
    """PATCH /bitrix/{resource}/{id}/addresses/{type}"""
    resource, row_id, key = requested_resource(request), record_id(request), idempotency_key(request)
    named, requisite = request.match_info["type"], positive_or_none(request.query, "requisite")
    body = await load_values(request)
    if not body:
        raise InvalidInput.of_field("", "empty", "must name a field to change")
    account = await load_authorized_account(request)
    service, access = request.app[ADDRESSES], await access_address_fields(request, account)
    return respond(await service.change(account, resource, row_id, named, body, access, key, requisite=requisite))


async def delete_address(request: web.Request) -> web.Response:
    """DELETE /bitrix/{resource}/{id}/addresses/{type}"""
    resource, row_id, key = requested_resource(request), record_id(request), idempotency_key(request)
    named, requisite = request.match_info["type"], positive_or_none(request.query, "requisite")
    account = await load_authorized_account(request)
    return respond(await request.app[ADDRESSES].delete(account, resource, row_id, named, key, requisite=requisite))


async def access_address_fields(request: web.Request, account: Account) -> FieldAccess:
    """Return the fields of addresses, and how to fetch them again."""
    known = await load_fields(request, account, ADDRESS_FIELDS)
    return FieldAccess(known, partial(fetch_fields, request, account, ADDRESS_FIELDS))
