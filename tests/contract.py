"""Contract: openapi.yaml as a check on what the gateway answers."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import yaml
from openapi_schema_validator import OAS30ReadValidator, oas30_format_checker

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
PROMISED_CONTRACT = Path(__file__).parent / "data/contract/bitrix-openapi.yaml"
YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # written in C where PyYAML was built so: 10 times faster
SHOWN_CHARACTERS = 300
SHOWN_ERRORS = 3


class SchemaError(Protocol):
    """What a validator found, and where."""

    json_path: str
    message: str


class Validator(Protocol):
    """A schema, compiled."""

    def iter_errors(self, instance: object) -> Iterable[SchemaError]: ...


@dataclass(frozen=True)
class Header:
    """One header of an answer: whether it must be there, and what it may say."""

    required: bool
    validator: Validator


@dataclass(frozen=True)
class Answer:
    """One documented answer: its headers by lower-case name, its bodies by media type (none: no body)."""

    headers: Mapping[str, Header]
    content: Mapping[str, Validator]


class Contract:
    """The operations of an OpenAPI 3.0 document and their answers, compiled once.

    The answers of the document may grow for its readers; a check takes them as closed: a property that is not
    documented is an error. Schemas may not refer to themselves.
    """

    def __init__(self, path: Path) -> None:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        answers = {
            (method.upper(), template): {
                int(status): _compile(answer)
                for status, answer in inline(document, operation["responses"]).items()
                if status != "default"  # an answer that a test sees has a status of its own in the document
            }
            for template, item in document["paths"].items()
            for method, operation in item.items()
            if method in METHODS
        }
        self._promised = yaml.safe_load(PROMISED_CONTRACT.read_text(encoding="utf-8"))["paths"].keys()
        self._answers: Mapping[tuple[str, str], Mapping[int, Answer]] = answers
        self.operations = frozenset(answers)
        self._accepted: set[tuple[int, str, bytes]] = set()  # answer, media type and digest of bodies already checked
        templates = sorted(document["paths"], key=lambda template: template.count("{"))
        self._paths = [(_pattern(template), template) for template in templates]
        self._refusal, self._problem = (
            _compile(inline(document, document["components"]["responses"][name]))
            for name in ("BadRequest", "InvalidRequest")
        )
        schemas = document["components"]["schemas"]
        self._stream_row, self._stream_end = (
            _validator(inline(document, schemas[name])) for name in ("StreamRow", "StreamEnd")
        )

    def check(self, method: str, path_with_query: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Accept an answer that the document describes.

        405 (with Allow) to a method that the address does not have and 404 to an unknown address need no
        description; they must have the form of every other error at such an address.

        Raises:
            AssertionError: saying what of the answer departs from the document.
        """
        told = f"{method} {path_with_query[:SHOWN_CHARACTERS]} -> {status}"
        given = {name.lower(): value for name, value in headers.items()}
        answer = self._documented(told, method.upper(), path_with_query.partition("?")[0], status, given)
        for name, header in answer.headers.items():
            if name in given:
                _accept(f"{told}: header {name}", header.validator, given[name])
            else:
                assert not header.required, f"{told}: header {name} is missing"
        if not answer.content:
            assert not body, f"{told}: no body is documented, but there is {_shown(body)}"
            return
        media = given.get("content-type", "").partition(";")[0].strip().lower()
        assert media in answer.content, f"{told}: content type {media!r} is none of {sorted(answer.content)}"
        if media == "application/x-ndjson":
            self._check_lines(told, body)
            return
        seen = (id(answer), media, hashlib.sha256(body).digest())
        if seen in self._accepted:
            return
        data = _load(told, media, body)
        _accept(f"{told} {media}", answer.content[media], data)
        if media == "application/problem+json":
            assert data["status"] == status, f"{told}: the problem says status {data['status']}"
            assert data["requestId"] == given["x-request-id"], f"{told}: the problem names another request"
        else:
            self._accepted.add(seen)

    def _check_lines(self, told: str, body: bytes) -> None:
        *rows, end, after = body.split(b"\n")
        assert after == b"", f"{told}: the last line has no end: {_shown(after)}"
        for row in rows:
            _accept(f"{told}: a row", self._stream_row, _load_json(told, row))
        _accept(f"{told}: the last line", self._stream_end, _load_json(told, end))

    def _documented(self, told: str, method: str, path: str, status: int, given: Mapping[str, str]) -> Answer:
        template = next((template for pattern, template in self._paths if pattern.fullmatch(path)), None)
        if template is None:
            assert status == 404, f"{told}: the address is not documented, so it must answer 404"
            return self._problem
        answers = self._answers.get((method, template))
        if answers is None:
            assert status == 405, f"{told}: {template} has no {method}, so it must answer 405"
            had = {name for name, where in self.operations if where == template}
            allow = {word.strip() for word in given.get("allow", "").split(",")}
            assert allow == had, f"{told}: Allow names {sorted(allow)}, not {sorted(had)}"
            return self._refusal if template in self._promised else self._problem
        assert status in answers, f"{told}: the status is none of {sorted(answers)}"
        return answers[status]


def inline(document: Mapping[str, Any], node: Any) -> Any:
    """Copy *node* of *document* with every ``$ref`` replaced by what it leads to; words beside one are dropped."""
    if isinstance(node, list):
        return [inline(document, item) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" not in node:
        return {key: inline(document, value) for key, value in node.items()}
    target: Any = document
    for part in node["$ref"].removeprefix("#/").split("/"):
        target = target[part]
    return inline(document, target)


def _compile(answer: Mapping[str, Any]) -> Answer:
    return Answer(
        headers={
            name.lower(): Header(header.get("required", False), _validator(header["schema"]))
            for name, header in answer.get("headers", {}).items()
        },
        content={media: _validator(body["schema"]) for media, body in answer.get("content", {}).items()},
    )


def _validator(schema: Mapping[str, Any]) -> Validator:
    validator: Validator = OAS30ReadValidator(_closed(schema), format_checker=oas30_format_checker)
    return validator


def _closed(node: Any) -> Any:
    if isinstance(node, list):
        return [_closed(item) for item in node]
    if not isinstance(node, dict):
        return node
    closed = {key: _closed(value) for key, value in node.items()}
    if closed.get("type") == "object" and "properties" in closed:
        closed.setdefault("additionalProperties", False)
    return closed


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile("[^/]+".join(re.escape(part) for part in re.split(r"\{[^}]*\}", template)))


def _accept(told: str, validator: Validator, value: object) -> None:
    errors = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]
    assert not errors, "\n  ".join([told, *(error[:SHOWN_CHARACTERS] for error in errors[:SHOWN_ERRORS])])


def _load(told: str, media: str, body: bytes) -> Any:
    if media.startswith("text/"):
        return body.decode("utf-8")
    if media != "application/yaml":
        return _load_json(told, body)
    try:
        return yaml.load(body, YAML_LOADER)
    except yaml.YAMLError as error:
        raise AssertionError(f"{told}: the body is not YAML ({error}): {_shown(body)}") from error


def _load_json(told: str, body: bytes) -> Any:
    try:
        return json.loads(body.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except ValueError as error:
        raise AssertionError(f"{told}: the body is not JSON ({error}): {_shown(body)}") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"a name comes twice among {[name for name, _ in pairs]}")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _shown(body: bytes) -> str:
    return repr(body[:SHOWN_CHARACTERS])
