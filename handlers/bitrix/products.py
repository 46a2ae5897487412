"""The products of records."""

from functools import partial

from aiohttp import web

from gateway.crm.product_rows import AMOUNT, NO_PRODUCTS, PRODUCT_FIELDS
from gateway.errors import InvalidInput
from gateway.mirror.field_access import FieldAccess
from gateway.mirror.resources import Resource
from gateway.schemas import ClosedBody, List
from handlers.app_keys import PRODUCTS
from handlers.bitrix.account_loading import load_authorized_account
from handlers.bitrix.fields import access_fields, fetch_fields, load_fields, requested_resource
from handlers.bitrix.lists import respond_items
from handlers.bitrix.record_writes import respond
from handlers.bitrix.records import record_id
from handlers.http.bodies import load_body
from handlers.http.idempotency import idempotency_key
from handlers.http.keys import CLOCK
from storage.records import Account


class ProductsBody(ClosedBody):
    """The product rows that a record is to have."""

    items = List()


PRODUCTS_BODY = ProductsBody()


async def require_products(request: web.Request, account: Account, resource: Resource) -> None:
    """
    Raises:
        InvalidInput: The records are those of a smart process that has no products.
        PortalError: As `load_fields`.
    """
    if "entityTypeId" not in request.match_info:
        return
    access = await access_fields(request, account, resource)
    known = access.known
    if AMOUNT not in known.fields and known.may_be_refreshed(request.app[CLOCK].now()):
        known = await access.fetch()
    if AMOUNT not in known.fields:
        raise InvalidInput.of_parameter("entityTypeId", "invalid_value", NO_PRODUCTS)


async def list_products(request: web.Request) -> web.Response:
    """GET /bitrix/{resource}/{id}/products"""
    resource, row_id = requested_resource(request), record_id(request)
    account = await load_authorized_account(request)
    await require_products(request, account, resource)
    return respond_items(await request.app[PRODUCTS].list(account, resource, row_id))


async def replace_products(request: web.Request) -> web.Response:
    """PUT /bitrix/{resource}/{id}/products"""
    resource, row_id, key = requested_resource(request), record_id(request), idempotency_key(request)
    body = await load_body(request, PRODUCTS_BODY)
    account = await load_authorized_account(request)
    await require_products(request, account, resource)
    service = request.app[PRODUCTS]
    known = await load_fields(request, account, PRODUCT_FIELDS)
    access = FieldAccess(known, partial(fetch_fields, request, account, PRODUCT_FIELDS))
    rows = await service.check(body["items"], access, resource)
    return respond(await service.replace(account, resource, row_id, rows, key))
