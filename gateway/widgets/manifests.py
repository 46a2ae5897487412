"""Manifests: what a widget is, as developers write it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import orjson
from marshmallow import ValidationError, fields

from gateway.errors import FieldError, InvalidInput
from gateway.origins import origin_of
from gateway.schemas import (
    MAX_DEPTH,
    TOO_DEEP,
    Boolean,
    ClosedBody,
    Object,
    PositiveInteger,
    StrictField,
    exceeds_depth,
    load_document,
    require_object,
)
from gateway.widgets.templates import TYPES, TemplateField
from storage.widgets import Visibility

MAX_FIELDS = 100  # of a template
MAX_PLACEMENTS = 50
MAX_TEXT = 255
MAX_VERSION = 64
MAX_ADDRESS = 2048
MAX_ID = 2**31 - 1
NO_RATING = "0"  # the contract has a text or a number for every widget
CODE = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
PLACEMENT = re.compile(r"[A-Z0-9_]{1,64}", re.ASCII)
PUBLIC = re.compile("public")
LANGUAGE = re.compile(r"[a-z]{2}", re.ASCII)
VISIBILITIES: tuple[Visibility, ...] = ("public", "account", "own")


@dataclass(frozen=True)
class Placement:
    """A place in the interface of a portal. *title* has a text by language; empty: the name of the widget.

    *options* are those of `placement.bind`.
    """

    placement: str
    title: Mapping[str, str]
    options: Mapping[str, object]


@dataclass(frozen=True)
class Manifest:
    """A widget. *visibility* is None if the manifest leaves it to its default; *id* is only of an operator's file.

    *address* is where a person is sent who opens a placement.
    """

    code: str
    version: str
    name: str
    rating: str | float
    settings_template: tuple[TemplateField, ...]
    is_lead_source: bool
    is_work_with_dp: bool
    is_crm_template: bool
    client_uuid: str | None
    visibility: Visibility | None
    address: str | None
    placements: tuple[Placement, ...]
    id: int | None = None

    def encode(self) -> bytes:
        """Return the manifest as JSON with every property, from which `decode_manifest` makes it again."""
        return orjson.dumps(asdict(self))

    def head(self) -> bytes:
        """Return what all accounts see of the widget: the members of a JSON object between its id and its state."""
        members = {
            "code": self.code,
            "version": self.version,
            "rating": self.rating,
            "settings_template": [asdict(each) for each in self.settings_template],
            "is_lead_source": self.is_lead_source,
            "is_work_with_dp": self.is_work_with_dp,
            "is_crm_template": self.is_crm_template,
            "client_uuid": self.client_uuid,
        }
        return orjson.dumps(members)[1:-1]


class Text(StrictField):
    """A text of at most *limit* characters that is not empty."""

    def __init__(self, limit: int = MAX_TEXT, *, required: bool = True) -> None:
        self.rule = f"must be a text of 1 to {limit} characters"
        super().__init__(required=required)
        self._limit = limit

    def accepts(self, value: Any) -> bool:
        return isinstance(value, str) and 0 < len(value) <= self._limit


class Matching(StrictField):
    """A text of one form."""

    def __init__(self, form: re.Pattern[str], rule: str, *, required: bool = True) -> None:
        self.rule = rule
        super().__init__(required=required)
        self._form = form

    def accepts(self, value: Any) -> bool:
        return isinstance(value, str) and self._form.fullmatch(value) is not None


class OneOf(StrictField):
    """One of several texts."""

    def __init__(self, names: Sequence[str], *, required: bool = True) -> None:
        self.rule = f"must be one of {', '.join(names)}"
        super().__init__(required=required)
        self._names = names

    def accepts(self, value: Any) -> bool:
        return isinstance(value, str) and value in self._names


class Rating(StrictField):
    """A text or a number, in whatever form."""

    rule = f"must be a number or a text of at most {MAX_VERSION} characters"

    def accepts(self, value: Any) -> bool:
        if isinstance(value, str):
            return len(value) <= MAX_VERSION
        return isinstance(value, int | float) and not isinstance(value, bool)


class Uuid(StrictField):
    """A UUID in its usual form, in any case; lower case when loaded."""

    rule = "must be a UUID, like 0dcd0cd0-28c9-4f8b-9a1b-1c0a5b2d3e4f"

    def accepts(self, value: Any) -> bool:
        try:
            return isinstance(value, str) and str(UUID(value)) == value.lower()
        except ValueError:
            return False

    def _deserialize(self, value: Any, *others: Any, **more: Any) -> Any:
        return super()._deserialize(value, *others, **more).lower()


class HttpsAddress(StrictField):
    """An absolute https address."""

    rule = f"must be an https address of at most {MAX_ADDRESS} characters, without a user name and a fragment"

    def accepts(self, value: Any) -> bool:
        if not isinstance(value, str) or len(value) > MAX_ADDRESS:
            return False
        try:
            return origin_of(value).startswith("https://") and not urlsplit(value).fragment
        except ValueError:
            return False


class Titles(StrictField):
    """Texts by language."""

    rule = f"must be an object of texts of 1 to {MAX_TEXT} characters by language, like en"

    def accepts(self, value: Any) -> bool:
        return isinstance(value, dict) and all(
            LANGUAGE.fullmatch(language) and isinstance(text, str) and 0 < len(text) <= MAX_TEXT
            for language, text in value.items()
        )


class Options(StrictField):
    """An object that is not nested too deeply."""

    rule = f"must be an object, and {TOO_DEEP}"

    def accepts(self, value: Any) -> bool:
        return isinstance(value, dict) and not exceeds_depth(value, MAX_DEPTH)


class ListOf(fields.List[Any]):
    """A list of at most *limit* objects of one schema."""

    def __init__(self, schema: type[ClosedBody], limit: int) -> None:
        super().__init__(Object(schema, required=True), required=False, error_messages={"invalid": "must be a list"})
        self._limit = limit

    def _deserialize(self, value: Any, *others: Any, **more: Any) -> list[Any]:
        if isinstance(value, list) and len(value) > self._limit:
            raise ValidationError(f"must have at most {self._limit} items")
        return super()._deserialize(value, *others, **more)


class TemplateBody(ClosedBody):
    """A field of a template."""

    key = Text()
    name = Text()
    type = OneOf(tuple(TYPES))
    is_required = Boolean()


class PlacementBody(ClosedBody):
    """A placement of a manifest."""

    placement = Matching(PLACEMENT, "must be the code of a placement, like CRM_DEAL_DETAIL_TAB")
    title = Titles(required=False)
    options = Options(required=False)


class WidgetId(PositiveInteger):
    """An id that leaves room for those that follow it."""

    rule = f"must be an integer from 1 to {MAX_ID}"

    def accepts(self, value: Any) -> bool:
        return super().accepts(value) and value <= MAX_ID


class ManifestBody(ClosedBody):
    """A manifest."""

    code = Matching(CODE, "must be 1 to 64 Latin letters, digits, hyphens or underscores")
    version = Text(MAX_VERSION)
    name = Text()
    rating = Rating(required=False)
    settings_template = ListOf(TemplateBody, MAX_FIELDS)
    is_lead_source = Boolean(required=False)
    is_work_with_dp = Boolean(required=False)
    is_crm_template = Boolean(required=False)
    client_uuid = Uuid(required=False)
    visibility: StrictField = OneOf(VISIBILITIES, required=False)
    address = HttpsAddress(required=False)
    placements = ListOf(PlacementBody, MAX_PLACEMENTS)


class OperatorManifestBody(ManifestBody):
    """A manifest in a file of an operator, who belongs to no account."""

    visibility = Matching(PUBLIC, "must be public: a widget of an operator belongs to no account", required=False)
    id = WidgetId(required=False)


MANIFEST, OPERATOR_MANIFEST = ManifestBody(), OperatorManifestBody()


def read_manifest(document: object, schema: ManifestBody = MANIFEST) -> Manifest:
    """Return the manifest in the JSON *document*. Null for an optional property is as its absence.

    Raises:
        InvalidInput: names every broken rule.
    """
    given = _without_nulls(require_object(document), schema)
    errors: list[FieldError] = []
    left_out = 0
    try:
        loaded = load_document(given, schema)
    except InvalidInput as error:
        errors, left_out, loaded = list(error.errors), error.left_out, given
    errors += _broken_relations(loaded)
    if errors:
        raise InvalidInput.of_errors(errors, left_out=left_out)
    return _manifest(loaded)


def decode_manifest(encoded: bytes) -> Manifest:
    """Return the manifest that `Manifest.encode` has encoded."""
    return _manifest(orjson.loads(encoded))


def _manifest(loaded: Mapping[str, Any]) -> Manifest:
    return Manifest(
        code=loaded["code"],
        version=loaded["version"],
        name=loaded["name"],
        rating=loaded.get("rating", NO_RATING),
        settings_template=tuple(TemplateField(**each) for each in loaded.get("settings_template", ())),
        is_lead_source=loaded.get("is_lead_source", False),
        is_work_with_dp=loaded.get("is_work_with_dp", False),
        is_crm_template=loaded.get("is_crm_template", False),
        client_uuid=loaded.get("client_uuid"),
        visibility=loaded.get("visibility"),
        address=loaded.get("address"),
        placements=tuple(
            Placement(each["placement"], each.get("title", {}), each.get("options", {}))
            for each in loaded.get("placements", ())
        ),
        id=loaded.get("id"),
    )


def _without_nulls(document: Mapping[str, Any], schema: ClosedBody) -> dict[str, Any]:
    """Return *document* without optional properties that are null, those of its placements included."""
    kept: dict[str, Any] = {
        name: value
        for name, value in document.items()
        if value is not None or name not in schema.fields or schema.fields[name].required
    }
    placements = kept.get("placements")
    if isinstance(placements, list):
        body = PlacementBody()
        kept["placements"] = [_without_nulls(each, body) if isinstance(each, dict) else each for each in placements]
    return kept


def _broken_relations(loaded: Mapping[str, Any]) -> list[FieldError]:
    """The rules that concern several properties."""
    errors = [*_repeated(loaded, "settings_template", "key"), *_repeated(loaded, "placements", "placement")]
    if loaded.get("placements") and "address" not in loaded:
        errors.append(FieldError("required", "is required with placements", pointer="/address"))
    return errors


def _repeated(loaded: Mapping[str, Any], name: str, key: str) -> list[FieldError]:
    """The items of the list *name* with a *key* that an earlier one has."""
    items = loaded.get(name)
    seen: set[str] = set()
    errors: list[FieldError] = []
    for number, each in enumerate(items if isinstance(items, list) else ()):
        value = each.get(key) if isinstance(each, dict) else None
        if isinstance(value, str):
            if value in seen:
                errors.append(FieldError("repeated", "is given more than once", pointer=f"/{name}/{number}/{key}"))
            seen.add(value)
    return errors
