"""The mirrored records of the CRM: queried pages of them, and single ones."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler
from multidict import MultiMapping

from gateway.bitrix.lists.list_fields import Field
from gateway.bitrix.protocol.v2 import Command
from gateway.crm.missing_records import naming
from gateway.errors import InvalidInput
from gateway.mirror.column_conditions import COLUMN_PARAMETERS, ColumnValues, check_columns
from gateway.mirror.portal_records import record_json
from gateway.mirror.queries import DEFAULT_SIZE, MAX_SIZE, RecordQuery
from gateway.mirror.resources import Resource, not_mirrored, record_type
from gateway.mirror.translation import Translation, pick
from gateway.schemas import NOT_POSITIVE
from handlers.app_keys import ACCOUNTS, PAGES, PORTAL_LISTS, PORTAL_RECORDS, QUERIES, READER, TRANSLATIONS
from handlers.bitrix.account_loading import load_account
from handlers.bitrix.fields import access_fields, load_fields
from handlers.bitrix.streams import parse_filter
from handlers.http.pages import respond_page
from handlers.http.query import (
    cached_if_short,
    check_names,
    is_digits,
    one_value,
    parse_raw_query,
    positive,
    zero_or_one,
)
from handlers.http.responses import PrebuiltResponse
from storage.records import Account

PARAMETERS = ("page", "size", "cursor", "filter", "order", "select", "count", "translate", *COLUMN_PARAMETERS)
RECORD_PARAMETERS = ("source", "related", "translate")
QUERY_CACHE_SIZE = 256
MAX_CACHED_QUERY_CHARACTERS = 1024  # parsed, a filter may take 32 times its length


@dataclass(frozen=True)
class SingleQuery:
    """What a caller asks of a single record. *text* is the whole query; None if it is too long to be cached by."""

    source: str | None
    related: str | None
    translate: bool
    text: str | None


def list_of(find: Callable[[web.Request], Resource]) -> Handler:
    """Return the handler that GETs a page of the records of the resource that *find* returns."""

    async def list_records(request: web.Request) -> web.StreamResponse:
        resource = find(request)
        query = parse_query(request.rel_url.raw_query_string)
        check_columns(query.columns, resource)
        account = await load_account(request)
        access = partial(access_fields, request, account, resource)
        if query.columns and not await request.app[READER].is_mirrored(account, resource):
            await request.app[ACCOUNTS].ensure_authorized(account)
            return respond_page(request, await request.app[PORTAL_LISTS].page(account, resource, query, access))
        served = await request.app[QUERIES].page(account, resource, query, access)
        return respond_page(request, served, request.app[PAGES].synced_at(served.list_id))

    return list_records


def record_of(find: Callable[[web.Request], Resource]) -> Handler:
    """Return the handler that GETs one record of the resource that *find* returns."""

    async def get_record(request: web.Request) -> web.StreamResponse:
        resource, row_id = find(request), record_id(request)
        query = parse_record_query(request.rel_url.raw_query_string)
        account = await load_account(request)
        if query.text is not None:
            cached = request.app[READER].find_cached(account, resource, row_id, query.text)
            if cached is not None:
                return respond_record(cached)
        return respond_record(await read_record(request, account, resource, row_id, query))

    return get_record


async def read_record(
    request: web.Request, account: Account, resource: Resource, row_id: int, query: SingleQuery
) -> bytes:
    """Return the JSON of a record from the mirror or from the portal."""
    reader = request.app[READER]
    translation = partial(load_translation, request, account) if query.translate else None
    if query.source != "portal" and await reader.is_mirrored(account, resource):
        described = partial(load_described, request, account)
        return await reader.read_mirrored(account, resource, row_id, query.related, described, translation, query.text)
    if query.source == "mirror":
        raise not_mirrored(resource)
    if query.related is not None:
        raise InvalidInput.of_parameter("related", "invalid_value", "is only valid for records from the mirror")
    await request.app[ACCOUNTS].ensure_authorized(account)
    with naming(resource, row_id):
        page = await request.app[PORTAL_RECORDS].fetch(account, resource, row_id)
    (shown,) = pick([record_json(page, row_id)], None, None if translation is None else await translation(resource))
    return shown


async def load_translation(request: web.Request, account: Account, resource: Resource) -> Translation:
    """Return the names of the values of records."""
    known = await load_fields(request, account, record_type(resource).fields)
    return await request.app[TRANSLATIONS].load(account, resource, known)


def respond_record(body: bytes) -> PrebuiltResponse:
    """Return the response with a record."""
    return PrebuiltResponse(HTTPStatus.OK, f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n", body)


def record_id(request: web.Request, parameter: str = "id") -> int:
    """Return the id that the path names in *parameter*.

    Raises:
        InvalidInput: It is not a positive integer.
    """
    value = request.match_info[parameter]
    if not (is_digits(value) and int(value) > 0):
        raise InvalidInput.of_parameter(parameter, "invalid_value", NOT_POSITIVE)
    return int(value)


async def load_described(request: web.Request, account: Account, source: Command) -> Mapping[str, Field]:
    """Return the fields by name that *source* describes."""
    return (await load_fields(request, account, source)).fields


@cached_if_short(entries=QUERY_CACHE_SIZE, characters=MAX_CACHED_QUERY_CHARACTERS)
def parse_query(raw_query: str) -> RecordQuery:
    """Return what a raw query string asks of a list of records.

    Raises:
        InvalidInput: Names the invalid parameter.
    """
    query = parse_raw_query(raw_query)
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
        columns=parse_columns(query),
        order=one_value(query, "order"),
        select=one_value(query, "select"),
        exact=wants_exact_count(query),
        translate=wants_names(query),
        others=tuple((name, value) for name, value in query.items() if name not in ("page", "cursor")),
        text=raw_query if len(raw_query) <= MAX_CACHED_QUERY_CHARACTERS else None,
    )


def parse_columns(query: MultiMapping[str]) -> ColumnValues:
    """Return the conditions that are parameters of their own.

    Raises:
        InvalidInput: One is empty, or no id.
    """
    values: list[tuple[str, str | int]] = []
    for name, parameter in COLUMN_PARAMETERS.items():
        value = one_value(query, name)
        if value is None:
            continue
        if parameter.are_ids and not is_digits(value):
            raise InvalidInput.of_parameter(name, "invalid_value", "must be the id of a " + parameter.word)
        if not value:
            raise InvalidInput.of_parameter(name, "invalid_value", "must not be empty")
        values.append((name, int(value) if parameter.are_ids else value))
    return tuple(values)


def wants_exact_count(query: MultiMapping[str]) -> bool:
    """Return whether all matching rows are to be counted.

    Raises:
        InvalidInput: `count` is something else.
    """
    count = one_value(query, "count")
    if count not in (None, "exact"):
        raise InvalidInput.of_parameter("count", "invalid_value", "must be exact")
    return count is not None


@cached_if_short(entries=QUERY_CACHE_SIZE, characters=MAX_CACHED_QUERY_CHARACTERS)
def parse_record_query(raw_query: str) -> SingleQuery:
    """Return what a raw query string asks of a single record.

    Raises:
        InvalidInput: Names the invalid parameter.
    """
    query = parse_raw_query(raw_query)
    check_names(query, RECORD_PARAMETERS)
    source, related = one_value(query, "source"), one_value(query, "related")
    if source not in (None, "mirror", "portal"):
        raise InvalidInput.of_parameter("source", "invalid_value", "must be mirror or portal")
    # What is read from the portal, or with relations, is not cached.
    is_cached = source != "portal" and related is None and len(raw_query) <= MAX_CACHED_QUERY_CHARACTERS
    return SingleQuery(source, related, wants_names(query), raw_query if is_cached else None)


def wants_names(query: MultiMapping[str]) -> bool:
    """Return whether names are to be shown in the place of ids.

    Raises:
        InvalidInput: `translate` is something else.
    """
    return zero_or_one(query, "translate", default=False)
