"""What we accept in bodies: strict JSON types, further properties ignored, every broken rule named with its place."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

import orjson
from aiohttp import web
from marshmallow import EXCLUDE, RAISE, Schema, ValidationError, fields

from gateway.bitrix.rows.dictionaries import INT32
from gateway.errors import FieldError, InvalidInput
from handlers.http.body_reader import read_body


class Strict(fields.Field[Any]):
    """A value of exactly one JSON type; *rule* says which."""

    rule = ""

    def __init__(self, *, required: bool = True, name: str | None = None) -> None:
        super().__init__(
            required=required,
            data_key=name,
            error_messages={"required": "is required", "null": f"{self.rule}, and not null"},
        )

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        if not self.fits(value):
            raise ValidationError(self.rule)
        return value

    def fits(self, value: Any) -> bool:
        """Whether *value* is of the type."""
        raise NotImplementedError


class Text(Strict):
    rule = "must be a string"

    def fits(self, value: Any) -> bool:
        return isinstance(value, str)


class Flag(Strict):
    rule = "must be true or false"

    def fits(self, value: Any) -> bool:
        return isinstance(value, bool)


class Int32(Strict):
    rule = "must be a 32-bit integer"

    def fits(self, value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and value in INT32


class ObjectOrList(Strict):
    rule = "must be an object or, for a method that takes arguments by position, a list"

    def fits(self, value: Any) -> bool:
        return isinstance(value, dict | list)


class TextMap(Strict):
    rule = "must be an object of strings"

    def fits(self, value: Any) -> bool:
        return isinstance(value, dict) and all(isinstance(member, str) for member in value.values())


class TextListMap(Strict):
    rule = "must be an object of lists of strings"

    def fits(self, value: Any) -> bool:
        return isinstance(value, dict) and all(
            isinstance(member, list) and all(isinstance(text, str) for text in member) for member in value.values()
        )


OBJECT_RULE = "must be an object"
NO_OBJECT = {"type": OBJECT_RULE}
UNKNOWN_RULE = "is not known here"
CODES = {"is required": "required", UNKNOWN_RULE: "unknown_property"}


class Object(fields.Nested):
    """A nested object of *schema*."""

    def __init__(self, schema: type[Schema], *, required: bool = False) -> None:
        super().__init__(
            schema,
            required=required,
            error_messages={"required": "is required", "null": f"{OBJECT_RULE}, and not null"},
        )


class Body(Schema):
    """An object of a body. Properties that are not named are ignored, as the contract allows them."""

    error_messages = NO_OBJECT

    class Meta:
        unknown = EXCLUDE


class ClosedBody(Body):
    """An object of a body at an address of our own. A property that is not named may be misspelt, and is refused."""

    error_messages = NO_OBJECT | {"unknown": UNKNOWN_RULE}

    class Meta:
        unknown = RAISE


class FieldRule(Body):
    QuestionID = TextMap(required=False)


class ContactRules(Body):
    ContactRuleMap = TextMap(required=False)
    QuestionID = TextMap(required=False)


class FieldRules(Body):
    lead = Object(FieldRule)
    deal = Object(FieldRule)
    company = Object(FieldRule)
    contact = Object(ContactRules)


class RulesBody(Body):
    PerformerID = Text()
    PipelineID = Int32()
    TypeID = Text()
    StageID = Text()
    SourceID = Text()
    FieldsRule = Object(FieldRules, required=True)
    TagsToAdd = TextListMap()
    LeadFlag = Flag()
    StatusID = Text()


class AccountBody(Body):
    client_bitrix_url = Text()
    redirect_url = Text(required=False, name="redirectURL")


class BatchCommand(ClosedBody):
    method = Text()
    params = ObjectOrList(required=False)


class Commands(Strict):
    """Commands in a list or by name, each after BatchCommand."""

    rule = "must be a list or an object of commands, and not empty"

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        if not isinstance(value, list | dict) or not value:
            raise ValidationError(self.rule)
        named = value if isinstance(value, dict) else dict(enumerate(value))
        loaded, broken = {}, {}
        for name, command in named.items():
            try:
                loaded[name] = BATCH_COMMAND.load(command)
            except ValidationError as error:
                broken[str(name)] = error.messages
        if broken:
            raise ValidationError(cast("Any", broken))
        return loaded if isinstance(value, dict) else list(loaded.values())


class BatchBody(ClosedBody):
    halt = Flag(required=False)
    commands = Commands()


RULES_BODY = RulesBody()
BATCH_COMMAND = BatchCommand()
BATCH_BODY = BatchBody()
ACCOUNT_BODY = AccountBody()


async def load_json(request: web.Request) -> Any:
    """The request's JSON body.

    Raises:
        InvalidInput: when it is none.
        HttpError, CallerLeft: as by `read_body`.
    """
    try:
        body = await read_body(request)
    except web.RequestPayloadError as error:
        raise InvalidInput.of_field("", "unreadable", "cannot be read in its Content-Encoding") from error
    if request.content_type != "application/json":
        raise InvalidInput.of_field("", "content_type", "must be sent as application/json")
    try:
        return orjson.loads(body)
    except ValueError as error:
        raise InvalidInput.of_field("", "not_json", "must be JSON") from error


async def load_body(request: web.Request, schema: Schema) -> dict[str, Any]:
    """The request's JSON body after *schema*.

    Raises:
        InvalidInput: naming each field that breaks a rule.
        HttpError, CallerLeft: as by `read_body`.
    """
    document = await load_json(request)
    if not isinstance(document, dict):
        raise InvalidInput.of_field("", "not_an_object", "must be a JSON object")
    try:
        loaded: dict[str, Any] = schema.load(document)
    except ValidationError as error:
        broken = [
            FieldError(CODES.get(rule, "invalid_value"), rule, pointer=pointer)
            for pointer, rule in broken_rules(cast("dict[str, Any]", error.messages))
        ]
        sentence = "; ".join(f"{one.pointer[1:].replace('/', '.')}: {one.detail}" for one in broken if one.pointer)
        raise InvalidInput(sentence, broken) from error
    return loaded


def broken_rules(messages: Mapping[str, Any], at: str = "") -> Iterator[tuple[str, str]]:
    """A JSON pointer and the rule for each of marshmallow's nested *messages*."""
    for name, below in messages.items():
        place = at if name == "_schema" else f"{at}/{name}"
        if isinstance(below, dict):
            yield from broken_rules(below, place)
        else:
            for rule in below:
                yield place, rule
