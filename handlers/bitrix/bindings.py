"""The contacts and companies that records are bound to, and the deals of contacts and companies."""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.crm.bindings import BINDING_TYPES, BindingType, WantedBinding
from gateway.crm.related_deals import DEAL_OWNERS, DEALS
from gateway.errors import InvalidInput
from gateway.mirror.queries import DEFAULT_SIZE, MAX_SIZE
from gateway.schemas import INT32, Boolean, ClosedBody, Int32, PositiveInteger
from handlers.app_keys import BINDINGS, RELATED_DEALS
from handlers.bitrix.account_loading import load_authorized_account
from handlers.bitrix.fields import access_fields, requested_resource
from handlers.bitrix.record_writes import respond
from handlers.bitrix.records import record_id
from handlers.http.bodies import load_body
from handlers.http.idempotency import idempotency_key
from handlers.http.query import is_digits, one_value, positive
from handlers.http.responses import json_response

DEAL_PARAMETERS = ("cursor", "size", "select")


class Sort(Int32):
    """A place among the bindings of a record."""

    rule = f"must be an integer from 0 to {INT32[-1]}"

    def accepts(self, value: Any) -> bool:
        return super().accepts(value) and value >= 0


class BindingBody(ClosedBody):
    """The record to bind."""

    id = PositiveInteger()
    primary = Boolean(required=False)
    sort = Sort(required=False)


BINDING_BODY = BindingBody()


def binding(act: Callable[[web.Request, BindingType], Awaitable[web.Response]], bound: str) -> Handler:
    """Return the handler that does *act* with the bindings to the records of the resource *bound*."""

    async def handle(request: web.Request) -> web.Response:
        return await act(request, BINDING_TYPES[requested_resource(request).name, bound])

    return handle


async def list_bindings(request: web.Request, kind: BindingType) -> web.Response:
    """GET /bitrix/{resource}/{id}/contacts, /companies"""
    owner_id = record_id(request)
    account = await load_authorized_account(request)
    return json_response({"items": await request.app[BINDINGS].list(account, kind, owner_id)})


async def add_binding(request: web.Request, kind: BindingType) -> web.Response:
    """POST /bitrix/{resource}/{id}/contacts, /companies"""
    owner_id, key = record_id(request), idempotency_key(request)
    body = await load_body(request, BINDING_BODY)
    wanted = WantedBinding(body["id"], body.get("primary", False), body.get("sort"))
    account = await load_authorized_account(request)
    return respond(await request.app[BINDINGS].add(account, kind, owner_id, wanted, key))


async def remove_binding(request: web.Request, kind: BindingType) -> web.Response:
    """DELETE /bitrix/{resource}/{id}/contacts/{otherId}, /companies/{otherId}"""
    owner_id, bound_id, key = record_id(request), record_id(request, "otherId"), idempotency_key(request)
    account = await load_authorized_account(request)
    return respond(await request.app[BINDINGS].remove(account, kind, owner_id, bound_id, key))


async def list_related_deals(request: web.Request) -> web.Response:
    """GET /bitrix/{resource}/{id}/deals"""
    owner, owner_id = DEAL_OWNERS[requested_resource(request).name], record_id(request)
    cursor, size = one_value(request.query, "cursor"), positive(request.query, "size", DEFAULT_SIZE)
    if cursor is None and "size" in request.query:
        raise InvalidInput.of_parameter("size", "invalid_value", "is only valid with cursor")
    if size > MAX_SIZE:
        raise InvalidInput.of_parameter("size", "invalid_value", f"must be at most {MAX_SIZE}")
    if cursor and not is_digits(cursor):
        raise InvalidInput.of_parameter("cursor", "invalid_value", "must be empty, or `next` of the page before")
    select = one_value(request.query, "select")
    account = await load_authorized_account(request)
    service, selected = request.app[RELATED_DEALS], None
    if select is not None:
        selected = await service.check_select(select, await access_fields(request, account, DEALS))
    if cursor is None:
        body = await service.read_all(account, owner, owner_id, selected)
    else:
        body = await service.read_page(account, owner, owner_id, int(cursor or 0), size, selected)
    return web.Response(body=body, content_type="application/json")
