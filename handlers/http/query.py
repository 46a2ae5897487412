"""Query parameters, read strictly: known names, one value each, plain digits, no silent default."""

from collections.abc import Callable, Collection
from functools import lru_cache, wraps
from typing import TypeVar
from urllib.parse import parse_qsl

from aiohttp import web
from aiohttp.typedefs import Handler
from multidict import MultiDict, MultiMapping

from gateway.errors import InvalidInput
from gateway.schemas import MAX_DIGITS, NOT_POSITIVE

DEFAULT_PAGE, DEFAULT_SIZE = 1, 25
QUERY_CACHE_SIZE = 4096  # parsing a query takes as long as all the rest of serving a page from memory
MAX_CACHED_QUERY_CHARACTERS = 128  # page and size alone take some 30
NO_PARAMETERS = "unknown parameter: this address has no query parameters"
BODY_HINT = "; values belong in the body"

T = TypeVar("T")


def with_known_parameters(handler: Handler, known: Collection[str], *, hint: str = "") -> Handler:
    """Wrap *handler*: refuse query parameters that are not *known*. *hint* is added to the error.

    A filter or limit that is ignored would give the answer to a different question.
    """

    async def handle(request: web.Request) -> web.StreamResponse:
        check_names(request.query, known, hint=hint)
        return await handler(request)

    return handle


def check_names(query: MultiMapping[str], known: Collection[str], *, hint: str = "") -> None:
    """Check that every parameter of *query* is *known*. *hint* is added to the error.

    Raises:
        InvalidInput: One is not.
    """
    for name in query:
        if name not in known:
            expected = f"one of {', '.join(known)}" if len(known) > 1 else "".join(known)
            rule = f"unknown parameter, expected {expected}" if known else NO_PARAMETERS
            raise InvalidInput.of_parameter(name or "a parameter without a name", "unknown_parameter", rule + hint)


def one_value(query: MultiMapping[str], name: str) -> str | None:
    """Return the value of *name*, or None if it is absent.

    Raises:
        InvalidInput: There is more than one.
    """
    values = query.getall(name, [])
    if len(values) > 1:
        raise InvalidInput.of_parameter(name, "repeated", "is given more than once")
    return values[0] if values else None


def positive(query: MultiMapping[str], name: str, default: int) -> int:
    """Return the value of *name* as an integer, or *default* if it is absent.

    Raises:
        InvalidInput: The value is not a positive integer.
    """
    value = positive_or_none(query, name)
    return default if value is None else value


def positive_or_none(query: MultiMapping[str], name: str) -> int | None:
    """As `positive`; None if it is absent."""
    value = one_value(query, name)
    if value is None:
        return None
    if not (is_digits(value) and int(value) > 0):
        raise InvalidInput.of_parameter(name, "invalid_value", NOT_POSITIVE)
    return int(value)


def zero_or_one(query: MultiMapping[str], name: str, *, default: bool) -> bool:
    """Return whether the value of *name* is 1, or *default* if it is absent.

    Raises:
        InvalidInput: The value is neither 0 nor 1.
    """
    value = one_value(query, name)
    if value not in (None, "0", "1"):
        raise InvalidInput.of_parameter(name, "invalid_value", "must be 0 or 1")
    return default if value is None else value == "1"


def is_digits(value: str) -> bool:
    """Return whether *value* is a non-negative integer of at most MAX_DIGITS ASCII digits."""
    return value.isascii() and value.isdigit() and len(value) <= MAX_DIGITS


def cached_if_short(*, entries: int, characters: int) -> Callable[[Callable[[str], T]], Callable[[str], T]]:
    """Return the decorator of a function that parses raw query strings: it keeps the last results, up to *entries*.

    Queries of more than *characters* are parsed each time.
    """

    def decorate(parse: Callable[[str], T]) -> Callable[[str], T]:
        cached = lru_cache(maxsize=entries)(parse)

        @wraps(parse)
        def parse_cached(raw_query: str) -> T:
            return cached(raw_query) if len(raw_query) <= characters else parse(raw_query)

        return parse_cached

    return decorate


def parse_raw_query(raw_query: str) -> MultiDict[str]:
    """Return the parameters of a raw query string."""
    return MultiDict(parse_qsl(raw_query, keep_blank_values=True))


@cached_if_short(entries=QUERY_CACHE_SIZE, characters=MAX_CACHED_QUERY_CHARACTERS)
def page_and_size(raw_query: str) -> tuple[int, int]:
    """Return `page` and `size` of a raw query string, by default 1 and 25.

    Raises:
        InvalidInput: One of them is not a positive integer.
    """
    query = parse_raw_query(raw_query)
    return positive(query, "page", DEFAULT_PAGE), positive(query, "size", DEFAULT_SIZE)
