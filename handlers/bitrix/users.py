"""The mirrored users: as the contract shows them, or as the portal has them."""

from functools import partial

from aiohttp import web
from multidict import MultiMapping

from gateway.errors import InvalidInput
from gateway.mirror.field_access import FieldAccess
from gateway.mirror.queries import MAX_SIZE
from gateway.mirror.users import USER_FIELDS, USERS, UserQuery
from handlers.app_keys import PAGES, WHOLE_USERS
from handlers.bitrix.account_loading import find_account
from handlers.bitrix.fields import fetch_fields, load_fields
from handlers.http.pages import respond_page
from handlers.http.query import (
    DEFAULT_PAGE,
    DEFAULT_SIZE,
    cached_if_short,
    check_names,
    one_value,
    parse_raw_query,
    positive,
)
from storage.records import Account

QUERY_CACHE_SIZE = 1024
MAX_CACHED_QUERY_CHARACTERS = 512
PARAMETERS = ("page", "size", "active", "select")
FLAGS = {"true": True, "false": False}


async def list_users(request: web.Request) -> web.StreamResponse:
    """GET /bitrix/users"""
    query = parse_query(request.rel_url.raw_query_string)
    account = await find_account(request)
    pages = request.app[PAGES]
    if account is None or (query.active is None and query.select is None):
        return respond_page(request, await pages.page(account, USERS, page=query.page, size=query.size))
    served = await request.app[WHOLE_USERS].page(account, query, partial(access_user_fields, request, account))
    return respond_page(request, served, pages.synced_at(served.list_id))


async def access_user_fields(request: web.Request, account: Account) -> FieldAccess:
    """Return the fields of users, and how to fetch them again."""
    known = await load_fields(request, account, USER_FIELDS)
    return FieldAccess(known, partial(fetch_fields, request, account, USER_FIELDS))


@cached_if_short(entries=QUERY_CACHE_SIZE, characters=MAX_CACHED_QUERY_CHARACTERS)
def parse_query(raw_query: str) -> UserQuery:
    """Return what a raw query string asks of users.

    Without `active` and `select`, unknown parameters are ignored, as the contract has it.

    Raises:
        InvalidInput: Names the invalid parameter.
    """
    query = parse_raw_query(raw_query)
    page, size = positive(query, "page", DEFAULT_PAGE), positive(query, "size", DEFAULT_SIZE)
    active, select = _active(query), one_value(query, "select")
    if active is None and select is None:
        return UserQuery(page, size)
    check_names(query, PARAMETERS)
    if size > MAX_SIZE:
        raise InvalidInput.of_parameter("size", "invalid_value", f"must be at most {MAX_SIZE}")
    return UserQuery(
        page,
        size,
        active,
        select,
        others=tuple((name, value) for name, value in query.items() if name != "page"),
        text=raw_query if len(raw_query) <= MAX_CACHED_QUERY_CHARACTERS else None,
    )


def _active(query: MultiMapping[str]) -> bool | None:
    value = one_value(query, "active")
    if value is not None and value not in FLAGS:
        raise InvalidInput.of_parameter("active", "invalid_value", "must be true or false")
    return None if value is None else FLAGS[value]
