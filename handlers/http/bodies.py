"""JSON bodies of requests: strict types for the schemas, and every broken rule named with its JSON pointer.

The schema of each body is defined beside its handler.
"""

from collections.abc import Iterator, Mapping
from typing import Any, cast

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler
from marshmallow import EXCLUDE, RAISE, Schema, ValidationError, fields

from gateway.errors import FieldError, InvalidInput
from handlers.http.body_reader import read_body
from handlers.http.query import MAX_DIGITS, NOT_POSITIVE

INT32 = range(-(2**31), 2**31)
OBJECT_RULE = "must be an object"
UNKNOWN_RULE = "unknown property"
ORJSON_TOO_DEEP, ORJSON_MAX_DEPTH = "depth limit exceeded", 1024
CODES = {"is required": "required", UNKNOWN_RULE: "unknown_property"}


class StrictField(fields.Field[Any]):
    """A value of exactly one JSON type. *rule* is the error for any other value."""

    rule = ""

    def __init__(self, *, required: bool = True, name: str | None = None) -> None:
        super().__init__(
            required=required,
            data_key=name,
            error_messages={"required": "is required", "null": f"{self.rule}, and not null"},
        )

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        if not self.accepts(value):
            raise ValidationError(self.rule)
        return value

    def accepts(self, value: Any) -> bool:
        """Return whether *value* is of the type."""
        raise NotImplementedError


class String(StrictField):
    rule = "must be a string"

    def accepts(self, value: Any) -> bool:
        return isinstance(value, str)


class Boolean(StrictField):
    rule = "must be true or false"

    def accepts(self, value: Any) -> bool:
        return isinstance(value, bool)


class Int32(StrictField):
    rule = "must be a 32-bit integer"

    def accepts(self, value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and value in INT32


class PositiveInteger(StrictField):
    rule = NOT_POSITIVE

    def accepts(self, value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 10**MAX_DIGITS


class List(StrictField):
    rule = "must be a list"

    def accepts(self, value: Any) -> bool:
        return isinstance(value, list)


class StringMap(StrictField):
    rule = "must be an object of strings"

    def accepts(self, value: Any) -> bool:
        return isinstance(value, dict) and all(isinstance(member, str) for member in value.values())


class StringListMap(StrictField):
    rule = "must be an object of lists of strings"

    def accepts(self, value: Any) -> bool:
        return isinstance(value, dict) and all(
            isinstance(member, list) and all(isinstance(item, str) for item in member) for member in value.values()
        )


class Object(fields.Nested):
    """A nested object of *schema*."""

    def __init__(self, schema: type[Schema], *, required: bool = False) -> None:
        super().__init__(
            schema,
            required=required,
            error_messages={"required": "is required", "null": f"{OBJECT_RULE}, and not null"},
        )


class Body(Schema):
    """An object in a body of the promised contract, which allows unknown properties: they are ignored."""

    error_messages = {"type": OBJECT_RULE}  # noqa: RUF012  # as marshmallow declares it

    class Meta:
        unknown = EXCLUDE


class ClosedBody(Body):
    """An object in a body at any other address. An unknown property may be a misspelling, and is an error."""

    error_messages = {"type": OBJECT_RULE, "unknown": UNKNOWN_RULE}  # noqa: RUF012

    class Meta:
        unknown = RAISE


async def load_json(request: web.Request) -> Any:
    """Return the decoded JSON body.

    Raises:
        InvalidInput: The body is not JSON, or not sent as `application/json`.
        HttpError: As in `read_body`.
        CallerLeft: As in `read_body`.
    """
    try:
        body = await read_body(request)
    except web.RequestPayloadError as error:
        raise InvalidInput.of_field("", "unreadable", "cannot be read in its Content-Encoding") from error
    if request.content_type != "application/json":
        raise InvalidInput.of_field("", "content_type", "must be sent as application/json")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidInput.of_field("", *broken_json(error)) from error


def broken_json(error: orjson.JSONDecodeError) -> tuple[str, str]:
    """Return the code of *error*, and the rule that a text breaks because of it, and where."""
    if error.msg == ORJSON_TOO_DEEP:
        return "too_deep", f"must be nested at most {ORJSON_MAX_DEPTH} levels deep"
    return "not_json", f"must be JSON: {error.msg} (line {error.lineno}, column {error.colno})"


def without_body(handler: Handler) -> Handler:
    """Wrap *handler* of an address that has no body: refuse one that is not empty.

    What a caller has put there would be ignored.
    """

    async def handle(request: web.Request) -> web.StreamResponse:
        if request.can_read_body:
            raise InvalidInput.of_field("", "unexpected_body", "must be empty: this address has no body")
        return await handler(request)

    return handle


def require_object(document: object) -> dict[str, Any]:
    """Return *document*.

    Raises:
        InvalidInput: It is not a JSON object.
    """
    if not isinstance(document, dict):
        raise InvalidInput.of_field("", "not_an_object", "must be a JSON object")
    return document


async def load_body(request: web.Request, schema: Schema) -> dict[str, Any]:
    """Return the JSON body, validated by *schema*.

    Raises:
        InvalidInput: Names every broken rule.
        HttpError: As in `read_body`.
        CallerLeft: As in `read_body`.
    """
    document = require_object(await load_json(request))
    try:
        loaded: dict[str, Any] = schema.load(document)
    except ValidationError as error:
        errors = [
            FieldError(CODES.get(rule, "invalid_value"), rule, pointer=pointer)
            for pointer, rule in broken_rules(cast("dict[str, Any]", error.messages))
        ]
        raise InvalidInput.of_errors(errors) from error
    return loaded


def broken_rules(messages: Mapping[str, Any], parent: str = "") -> Iterator[tuple[str, str]]:
    """Yield a JSON pointer and a rule for each of marshmallow's nested *messages*."""
    for name, nested in messages.items():
        pointer = parent if name == "_schema" else f"{parent}/{name}"
        if isinstance(nested, dict):
            yield from broken_rules(nested, pointer)
        else:
            for rule in nested:
                yield pointer, rule
