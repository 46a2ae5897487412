"""The mirrored records of the CRM: queried pages of them, and single ones."""

from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from urllib.parse import parse_qsl

from aiohttp import web
from aiohttp.typedefs import Handler
from multidict import MultiDict, MultiMapping

from gateway.bitrix.lists.list_fields import Field
from gateway.bitrix.protocol.v2 import Command
from gateway.errors import InvalidInput
from gateway.mirror.portal_records import record_json
from gateway.mirror.queries import DEFAULT_SIZE, MAX_SIZE, RecordQuery
from gateway.mirror.resources import Resource, not_mirrored
from handlers.app_keys import ACCOUNTS, PAGES, PORTAL_RECORDS, QUERIES, READER
from handlers.bitrix.account_loading import load_account
from handlers.bitrix.fields import access_fields, load_fields, requested_resource
from handlers.bitrix.lists import respond_page
from handlers.bitrix.streams import parse_filter
from handlers.http.query import NOT_POSITIVE, check_names, is_digits, one_value, positive
from storage.records import Account

PARAMETERS = ("page", "size", "cursor", "filter", "order", "select", "count")
QUERY_CACHE_SIZE = 256
MAX_CACHED_QUERY_CHARACTERS = 1024  # parsed, a filter may take 32 times its length


def list_of(find: Callable[[web.Request], Resource]) -> Handler:
    """Return the handler that GETs a page of the records of the resource that *find* returns."""

    async def list_records(request: web.Request) -> web.StreamResponse:
        resource = find(request)
        query = parse_query(request.rel_url.raw_query_string)
        account = await load_account(request)
        access = partial(access_fields, request, account, resource)
        served = await request.app[QUERIES].page(account, resource, query, access)
        return respond_page(request, served, request.app[PAGES].synced_at(served.list_id))

    return list_records


async def get_record(request: web.Request) -> web.Response:
    """GET /bitrix/{resource}/{id}"""
    resource = requested_resource(request)
    row_id = record_id(request)
    source, related = one_value(request.query, "source"), one_value(request.query, "related")
    if source not in (None, "mirror", "portal"):
        raise InvalidInput.of_parameter("source", "invalid_value", "must be mirror or portal")
    account = await load_account(request)
    reader = request.app[READER]
    mirrored = source != "portal" and await reader.is_mirrored(account, resource)
    if mirrored:
        body = await reader.read_mirrored(account, resource, row_id, related, partial(load_described, request, account))
    elif source == "mirror":
        raise not_mirrored(resource)
    elif related is not None:
        raise InvalidInput.of_parameter("related", "invalid_value", "is only valid for records from the mirror")
    else:
        await request.app[ACCOUNTS].ensure_authorized(account)
        body = record_json(await request.app[PORTAL_RECORDS].fetch(account, resource, row_id), row_id)
    return web.Response(body=body, content_type="application/json")


def record_id(request: web.Request) -> int:
    """Return the id that the path names.

    Raises:
        InvalidInput: It is not a positive integer.
    """
    value = request.match_info["id"]
    if not (is_digits(value) and int(value) > 0):
        raise InvalidInput.of_parameter("id", "invalid_value", NOT_POSITIVE)
    return int(value)


async def load_described(request: web.Request, account: Account, source: Command) -> Mapping[str, Field]:
    """Return the fields by name that *source* describes."""
    return (await load_fields(request, account, source)).fields


def parse_query(raw_query: str) -> RecordQuery:
    """Return what a raw query string asks of a list of records.

    Raises:
        InvalidInput: Names the invalid parameter.
    """
    return _cached(raw_query) if len(raw_query) <= MAX_CACHED_QUERY_CHARACTERS else _parse_query(raw_query)


def _parse_query(raw_query: str) -> RecordQuery:
    query = MultiDict(parse_qsl(raw_query, keep_blank_values=True))
    check_names(query, PARAMETERS)
    cursor = one_value(query, "cursor")
    if cursor is not None and "page" in query:
        raise InvalidInput.of_parameter("page", "invalid_value", "must not come with cursor")
    size = positive(query, "size", DEFAULT_SIZE)
    if size > MAX_SIZE:
        raise InvalidInput.of_parameter("size", "invalid_value", f"must be at most {MAX_SIZE}")
    return RecordQuery(
        page=None if cursor is not None else positive(query, "page", 1),
        cursor=cursor,
        size=size,
        filter=parse_filter(one_value(query, "filter")),
        order=one_value(query, "order"),
        select=one_value(query, "select"),
        exact=wants_exact_count(query),
        others=tuple((name, value) for name, value in query.items() if name not in ("page", "cursor")),
        text=raw_query if len(raw_query) <= MAX_CACHED_QUERY_CHARACTERS else None,
    )


def wants_exact_count(query: MultiMapping[str]) -> bool:
    """Return whether all matching rows are to be counted.

    Raises:
        InvalidInput: `count` is something else.
    """
    count = one_value(query, "count")
    if count not in (None, "exact"):
        raise InvalidInput.of_parameter("count", "invalid_value", "must be exact")
    return count is not None


_cached = lru_cache(maxsize=QUERY_CACHE_SIZE)(_parse_query)
