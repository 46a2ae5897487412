"""Checks the responses of the gateway against openapi.yaml."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import yaml
from openapi_schema_validator import OAS30ReadValidator, oas30_format_checker

from tests.support.documents import PROMISED_YAML, load_yaml, parse_yaml

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
SHOWN_CHARACTERS = 300
SHOWN_ERRORS = 3


class SchemaError(Protocol):
    """An error that a validator found."""

    json_path: str
    message: str


class Validator(Protocol):
    """A compiled schema."""

    def iter_errors(self, instance: object) -> Iterable[SchemaError]: ...


class ListValidator:
    """A compiled schema of lists, ``{"items": […], …}``. It accepts a row that it has accepted before at once."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._validator = _validator(schema)
        self._accepted: set[bytes] = set()

    def iter_errors(self, instance: object) -> Iterable[SchemaError]:
        """The errors of *instance*. Places of rows do not count the accepted ones."""
        if not isinstance(instance, dict) or not isinstance(instance.get("items"), list):
            return self._validator.iter_errors(instance)
        digests = {hashlib.sha256(json.dumps(row).encode()).digest(): row for row in instance["items"]}
        new = {digest: row for digest, row in digests.items() if digest not in self._accepted}
        errors = list(self._validator.iter_errors({**instance, "items": [*new.values()]}))
        if not errors:
            self._accepted.update(new)
        return errors


@dataclass(frozen=True)
class Header:
    """A documented header."""

    required: bool
    validator: Validator


ANY_MEDIA = "*/*"


@dataclass(frozen=True)
class Answer:
    """A documented response: headers by lower-case name, bodies by media type; no media type means no body."""

    headers: Mapping[str, Header]
    content: Mapping[str, Validator]


class Contract:
    """The operations of an OpenAPI 3.0 document and their responses, compiled once.

    An undocumented property is an error, although readers of the document must expect new ones. Recursive schemas are
    not supported.
    """

    def __init__(self, path: Path) -> None:
        document = load_yaml(path)
        answers = {
            (method.upper(), template): {
                int(status): _compile(answer)
                for status, answer in inline(document, operation["responses"]).items()
                if status != "default"  # tests only see documented statuses
            }
            for template, item in document["paths"].items()
            for method, operation in item.items()
            if method in METHODS
        }
        self._promised = load_yaml(PROMISED_YAML)["paths"].keys()
        self._answers: Mapping[tuple[str, str], Mapping[int, Answer]] = answers
        self.operations = frozenset(answers)
        self._accepted: set[tuple[int, str, bytes]] = set()  # response, media type and digest of checked bodies
        self._accepted_rows: set[bytes] = set()  # digests of checked lines of streams
        templates = sorted(document["paths"], key=lambda template: template.count("{"))
        self._paths = [
            (_pattern(template, _names(document, document["paths"][template])), template) for template in templates
        ]
        self._refusal, self._problem = (
            _compile(inline(document, document["components"]["responses"][name]))
            for name in ("BadRequest", "InvalidRequest")
        )
        schemas = document["components"]["schemas"]
        self._stream_row, self._stream_end = (
            _validator(inline(document, schemas[name])) for name in ("StreamRow", "StreamEnd")
        )

    def check(self, method: str, path_with_query: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Check a response against the document.

        405 to an unknown method and 404 to an unknown address are not documented. They must have the form of all other
        errors at such an address, and 405 the header Allow.

        Raises:
            AssertionError: The response differs from the document.
        """
        label = f"{method} {path_with_query[:SHOWN_CHARACTERS]} -> {status}"
        received = {name.lower(): value for name, value in headers.items()}
        answer = self._documented(label, method.upper(), path_with_query.partition("?")[0], status, received)
        for name, header in answer.headers.items():
            if name in received:
                _accept(f"{label}: header {name}", header.validator, received[name])
            else:
                assert not header.required, f"{label}: header {name} is missing"
        if not answer.content:
            assert not body, f"{label}: unexpected body: {_shown(body)}"
            return
        if ANY_MEDIA in answer.content:  # a file
            return
        media = received.get("content-type", "").partition(";")[0].strip().lower()
        assert media in answer.content, f"{label}: content type {media!r}, expected one of {sorted(answer.content)}"
        if media == "application/x-ndjson":
            self._check_lines(label, body)
            return
        seen = (id(answer), media, hashlib.sha256(body).digest())
        if seen in self._accepted:
            return
        data = _load(label, media, body)
        _accept(f"{label} {media}", answer.content[media], data)
        if media == "application/problem+json":
            assert data["status"] == status, f"{label}: the problem says status {data['status']}"
            assert data["requestId"] == received["x-request-id"], f"{label}: the problem names another request"
        else:
            self._accepted.add(seen)

    def _check_lines(self, label: str, body: bytes) -> None:
        *rows, end, after = body.split(b"\n")
        assert after == b"", f"{label}: the last line is incomplete: {_shown(after)}"
        for row in rows:
            seen = hashlib.sha256(row).digest()
            if seen not in self._accepted_rows:
                _accept(f"{label}: a row", self._stream_row, _load_json(label, row))
                self._accepted_rows.add(seen)
        _accept(f"{label}: the last line", self._stream_end, _load_json(label, end))

    def _documented(self, label: str, method: str, path: str, status: int, received: Mapping[str, str]) -> Answer:
        template = next((template for pattern, template in self._paths if pattern.fullmatch(path)), None)
        if template is None:
            assert status == 404, f"{label}: the address is not documented, so its status must be 404"
            return self._problem
        answers = self._answers.get((method, template))
        if answers is None:
            assert status == 405, f"{label}: {template} has no {method}, so the status must be 405"
            documented = {name for name, where in self.operations if where == template}
            allow = {word.strip() for word in received.get("allow", "").split(",")}
            assert allow == documented, f"{label}: Allow names {sorted(allow)}, not {sorted(documented)}"
            return self._refusal if template in self._promised else self._problem
        assert status in answers, f"{label}: unexpected status, expected one of {sorted(answers)}"
        return answers[status]


def inline(document: Mapping[str, Any], node: Any) -> Any:
    """Return a copy of *node* with every ``$ref`` replaced by its target in *document*."""
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
        content={media: _body_validator(body["schema"]) for media, body in answer.get("content", {}).items()},
    )


def _body_validator(schema: Mapping[str, Any]) -> Validator:
    rows = schema.get("properties", {}).get("items", {})
    is_list = rows.keys() <= {"type", "items", "description"} and rows.get("type") == "array"
    return ListValidator(schema) if is_list else _validator(schema)


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


def _names(document: Mapping[str, Any], item: Mapping[str, Any]) -> Mapping[str, Sequence[str]]:
    """The values of the path parameters of an address that allow only some."""
    parameters = [
        parameter
        for method in METHODS
        for parameter in inline(document, item.get(method, {}).get("parameters", []))
        if parameter["in"] == "path"
    ]
    return {parameter["name"]: parameter["schema"]["enum"] for parameter in parameters if "enum" in parameter["schema"]}


def _pattern(template: str, names: Mapping[str, Sequence[str]]) -> re.Pattern[str]:
    """The addresses of *template*. A record's kind has one of its *names*: any other address is unknown."""
    parts = re.split(r"\{([^}]*)\}", template)
    for index in range(1, len(parts), 2):
        fixed = names.get(parts[index]) if template.startswith("/bitrix/{resource}") else None
        parts[index] = "[^/]+" if fixed is None else f"(?:{'|'.join(fixed)})"
    return re.compile("".join(part if index % 2 else re.escape(part) for index, part in enumerate(parts)))


def _accept(label: str, validator: Validator, value: object) -> None:
    errors = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]
    assert not errors, "\n  ".join([label, *(error[:SHOWN_CHARACTERS] for error in errors[:SHOWN_ERRORS])])


def _load(label: str, media: str, body: bytes) -> Any:
    if media.startswith("text/"):
        return body.decode("utf-8")
    if media != "application/yaml":
        return _load_json(label, body)
    try:
        return parse_yaml(body)
    except yaml.YAMLError as error:
        raise AssertionError(f"{label}: the body is not YAML ({error}): {_shown(body)}") from error


def _load_json(label: str, body: bytes) -> Any:
    try:
        return json.loads(body.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except ValueError as error:
        raise AssertionError(f"{label}: the body is not JSON ({error}): {_shown(body)}") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError(f"duplicate names: {[name for name, _ in pairs]}")
    return members


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _shown(body: bytes) -> str:
    return repr(body[:SHOWN_CHARACTERS])
