"""Schemas of JSON objects: strict types, and every broken rule named with its JSON pointer.

The schema of each body of a request is defined beside its handler.
"""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from marshmallow import EXCLUDE, RAISE, Schema, ValidationError, fields

from gateway.errors import FieldError, InvalidInput

MAX_DIGITS = 18  # fit a 64-bit integer
MAX_DEPTH = 64  # of nested objects and lists that callers send
TOO_DEEP = f"must not be nested more than {MAX_DEPTH} levels deep"
NOT_POSITIVE = f"must be a positive integer of at most {MAX_DIGITS} digits"
INT32 = range(-(2**31), 2**31)
OBJECT_RULE = "must be an object"
UNKNOWN_RULE = "unknown property"
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


def load_document(document: object, schema: Schema) -> dict[str, Any]:
    """Return the JSON object *document*, validated by *schema*.

    Raises:
        InvalidInput: Names every broken rule.
    """
    try:
        loaded: dict[str, Any] = schema.load(require_object(document))
    except ValidationError as error:
        errors = [
            FieldError(CODES.get(rule, "invalid_value"), rule, pointer=pointer)
            for pointer, rule in broken_rules(cast("dict[str, Any]", error.messages))
        ]
        raise InvalidInput.of_errors(errors) from error
    return loaded


def require_object(document: object) -> dict[str, Any]:
    """Return *document*.

    Raises:
        InvalidInput: It is not a JSON object.
    """
    if not isinstance(document, dict):
        raise InvalidInput.of_field("", "not_an_object", "must be a JSON object")
    return document


def broken_rules(messages: Mapping[str, Any], parent: str = "") -> Iterator[tuple[str, str]]:
    """Yield a JSON pointer and a rule for each of marshmallow's nested *messages*."""
    for name, nested in messages.items():
        pointer = parent if name == "_schema" else f"{parent}/{name}"
        if isinstance(nested, dict):
            yield from broken_rules(nested, pointer)
        else:
            for rule in nested:
                yield pointer, rule


def exceeds_depth(value: object, limit: int) -> bool:
    """Whether objects and lists are nested more than *limit* levels deep in *value*."""
    if not isinstance(value, Mapping | list):
        return False
    items = value.values() if isinstance(value, Mapping) else value
    return limit == 0 or any(exceeds_depth(item, limit - 1) for item in items)
