"""What an address asks for, read strictly: known names, one value each, plain digits, no silent default."""

from collections.abc import Collection
from functools import lru_cache
from urllib.parse import parse_qsl

from aiohttp import web
from aiohttp.typedefs import Handler
from multidict import MultiDict, MultiMapping

from gateway.bitrix.rows.dictionaries import INT32
from gateway.errors import InvalidInput

DEFAULT_SIZE = 25
QUERY_CACHE_SIZE = 4096  # reading one costs as much as all the rest of a page that is served from memory
MAX_CACHED_QUERY_CHARACTERS = 128  # characters; page and size alone take some 30
MAX_DIGITS = 18  # digits, so that it fits 64 bits
NO_QUERY = "is not accepted: this address takes no query parameters"
BODY_HINT = ", send them in the body"
NO_COUNT = f"must be a positive integer of at most {MAX_DIGITS} digits"


def accepting(known: Collection[str], handler: Handler) -> Handler:
    """*handler*, behind a check that the query has no other parameters than the *known*."""
    rule = f"is none of {', '.join(known)}" if known else NO_QUERY

    async def handle(request: web.Request) -> web.StreamResponse:
        for name in request.query:
            if name not in known:  # an ignored filter or limit would answer another question than the one asked
                hint = BODY_HINT if request.method == "POST" else ""
                raise InvalidInput.of_parameter(name or "a parameter without a name", "unknown_parameter", rule + hint)
        return await handler(request)

    return handle


def one_value(query: MultiMapping[str], name: str) -> str | None:
    """The value of *name*, None when it is not given.

    Raises:
        InvalidInput: when it is given more than once.
    """
    found = query.getall(name, [])
    if len(found) > 1:
        raise InvalidInput.of_parameter(name, "repeated", "is given more than once")
    return found[0] if found else None


def positive(query: MultiMapping[str], name: str, default: int) -> int:
    """The positive integer that *name* gives.

    Raises:
        InvalidInput: when it gives anything else.
    """
    value = one_value(query, name)
    if value is None:
        return default
    if not (value.isascii() and value.isdigit() and len(value) <= MAX_DIGITS and int(value) > 0):
        raise InvalidInput.of_parameter(name, "invalid_value", NO_COUNT)
    return int(value)


def page_and_size(raw_query: str) -> tuple[int, int]:
    """The page and the size that an address asks for by its query string; 1 and 25 where it does not say.

    Raises:
        InvalidInput: when either is not a positive integer.
    """
    return _remembered(raw_query) if len(raw_query) <= MAX_CACHED_QUERY_CHARACTERS else _page_and_size(raw_query)


def _page_and_size(raw_query: str) -> tuple[int, int]:
    query = MultiDict(parse_qsl(raw_query, keep_blank_values=True))
    return positive(query, "page", 1), positive(query, "size", DEFAULT_SIZE)


_remembered = lru_cache(maxsize=QUERY_CACHE_SIZE)(_page_and_size)


def quiz_id(request: web.Request) -> int:
    """The quiz that the path names.

    Raises:
        InvalidInput: when it is no 32-bit integer.
    """
    value = request.match_info["quizID"]
    digits = value.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= MAX_DIGITS and int(value) in INT32):
        raise InvalidInput.of_parameter("quizID", "invalid_value", "must be a 32-bit integer")
    return int(value)


def entity_type_id(request: web.Request) -> int:
    """The type of the items that the path names.

    Raises:
        InvalidInput: when it is no 32-bit integer above zero.
    """
    value = request.match_info["entityTypeId"]
    if value.isascii() and value.isdigit() and len(value) <= MAX_DIGITS and 0 < int(value) <= INT32[-1]:
        return int(value)
    raise InvalidInput.of_parameter("entityTypeId", "invalid_value", "must be a positive integer")
