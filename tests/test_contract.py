"""openapi.yaml agrees with the promised contract and the routes, and the contract check of all other tests can fail."""

import json
import re
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openapi_spec_validator import validate

from handlers.routes import ROUTES
from tests.contract import METHODS, Contract, inline
from tests.support.documents import OPENAPI_YAML, PROMISED_YAML, load_yaml
from tests.support.records import resource_of

DOCUMENT = load_yaml(OPENAPI_YAML)
PROMISED = load_yaml(PROMISED_YAML)
WORDS = {"summary", "description", "example"}

EVERY_ANSWER = {"X-Request-ID": "7f3a", "X-Content-Type-Options": "nosniff"}
JSON_ANSWER = EVERY_ANSWER | {"Content-Type": "application/json; charset=utf-8"}
PROBLEM_ANSWER = EVERY_ANSWER | {"Content-Type": "application/problem+json"}
DOCUMENT_ANSWER = EVERY_ANSWER | {"ETag": '"5d41"', "Cache-Control": "no-cache"}
YAML_ANSWER = DOCUMENT_ANSWER | {"Content-Type": "application/yaml"}
PAGE_ANSWER = JSON_ANSWER | {"ETag": '"e1-7-3"', "Cache-Control": "private, no-cache", "Vary": "Authorization"}
REFUSED_TOKEN = {"WWW-Authenticate": 'Bearer error="invalid_token", error_description="the token has expired"'}

USER = {
    "id": 1,
    "accountID": "da45a03b265edd8787f8a258d793cc5d",
    "bitrixUserID": "17",
    "name": "Анна",
    "lastName": "",
    "secondName": "",
    "title": "",
    "email": "anna@example.com",
    "uf_department": [1, 5],
    "workPosition": "",
    "deleted": False,
    "createdAt": "2026-11-21T10:00:00Z",
}
SYNC_RUN = {
    "resource": "pipelines",
    "state": "done",
    "mode": "full",
    "rows": 3,
    "total": None,
    "cursor": None,
    "startedAt": "2026-11-21T10:00:00Z",
    "finishedAt": "2026-11-21T10:00:00.125Z",
    "error": None,
    "leftOut": 0,
    "skipped": [{"list": "crm.category.list entityTypeId=1", "reason": "ENTITY_TYPE_NOT_SUPPORTED"}],
    "enabled": True,
    "intervalSeconds": 900,
    "indexed": [],
    "ratePerSecond": None,
    "secondsLeft": None,
    "watermark": None,
}
PROBLEM = {
    "type": "about:blank",
    "title": "Bad Request",
    "status": 400,
    "detail": "page: must be an integer of at least 1",
    "code": "invalid_input",
    "requestId": "7f3a",
    "errors": [{"parameter": "page", "code": "too_small", "detail": "must be an integer of at least 1"}],
}


@pytest.fixture(scope="module")
def contract() -> Contract:
    return Contract(OPENAPI_YAML)


def as_json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def page_of(*users: object, **more: object) -> bytes:
    return as_json({"count": len(users), "items": users} | more)


def differences(promised: Any, ours: Any, where: str = "") -> Iterator[str]:
    """Yield where *ours* omits or changes a part of *promised*. Descriptions and additions are ignored."""
    if isinstance(promised, dict) and isinstance(ours, dict):
        for key, value in promised.items():
            if key in ours:
                if key not in WORDS or isinstance(value, dict):
                    yield from differences(value, ours[key], f"{where}/{key}")
            elif key not in WORDS:
                yield f"{where}/{key} is missing"
    elif isinstance(promised, list) and isinstance(ours, list):
        for item in promised:
            counterpart = next((theirs for theirs in ours if name_of(theirs) == name_of(item)), None)
            if counterpart is None:
                yield f"{where} lacks {name_of(item)}"
            else:
                yield from differences(item, counterpart, f"{where}/{name_of(item)}")
    elif type(promised) is not type(ours) or promised != ours:
        yield f"{where}: {promised!r} became {ours!r}"


def name_of(item: Any) -> Any:
    """Return the key of an item in a list: its name if it has one, else the item itself."""
    return item.get("name", item) if isinstance(item, dict) else item


def operations(document: Any) -> dict[str, Any]:
    """Return every operation of a document by method and path, with references resolved."""
    return {
        f"{method.upper()} {path}": inline(document, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in METHODS
    }


def requirements(operation: Any) -> dict[str, Any]:
    """Return what an operation requires of its caller."""
    body = operation.get("requestBody", {})
    return {
        "token": operation.get("security") or None,  # an empty list means none
        "parameters": {parameter["name"] for parameter in operation.get("parameters", []) if parameter["required"]},
        "body": body.get("required", False),
        "properties": {media: set(content["schema"]["required"]) for media, content in body.get("content", {}).items()},
    }


def test_the_document_is_openapi() -> None:
    validate(DOCUMENT)


def test_the_document_has_the_name_and_version_of_the_package() -> None:
    with (OPENAPI_YAML.parent / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    assert (DOCUMENT["info"]["title"], DOCUMENT["info"]["version"]) == (project["name"], project["version"])


def test_the_document_contains_the_promised_contract() -> None:
    promised = {key: value for key, value in PROMISED.items() if key != "info"}  # the title differs
    assert not list(differences(inline(PROMISED, promised), inline(DOCUMENT, DOCUMENT)))


@pytest.mark.parametrize("name", operations(PROMISED))
def test_an_operation_requires_no_more_than_the_promised_contract(name: str) -> None:
    assert requirements(operations(DOCUMENT)[name]) == requirements(operations(PROMISED)[name])


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"type": "string"}, "/type: 'integer' became 'string'"),
        ({"minimum": True}, "/minimum: 1 became True"),
        ({"enum": [1]}, "/enum lacks 2"),
        ({"items": {}}, "/items/format is missing"),
        ({"tags": [{"name": "Users", "in": "path"}]}, "/tags/Users/in: 'query' became 'path'"),
    ],
)
def test_a_difference_from_the_promised_contract_is_reported(change: dict[str, Any], difference: str) -> None:
    promised = {
        "type": "integer",
        "minimum": 1,
        "enum": [1, 2],
        "items": {"format": "int32"},
        "tags": [{"name": "Users", "in": "query", "description": "free"}],
    }
    assert list(differences(promised, promised | {"description": "more"})) == []
    assert list(differences(promised, promised | change)) == [difference]


@pytest.mark.parametrize("name", operations(DOCUMENT))
def test_every_operation_is_described_in_english(name: str) -> None:
    operation = operations(DOCUMENT)[name]
    assert all(operation[key].isascii() and operation[key].strip() for key in ("operationId", "summary", "description"))
    assert set(operation["tags"]) <= {tag["name"] for tag in DOCUMENT["tags"]}


@pytest.mark.parametrize("name", operations(DOCUMENT))
def test_an_operation_has_a_401_exactly_if_it_requires_a_token(name: str) -> None:
    operation = operations(DOCUMENT)[name]
    assert ("401" in operation["responses"]) == bool(operation["security"])


@pytest.mark.parametrize("name", operations(DOCUMENT))
def test_every_response_has_the_common_headers_and_every_error_its_media_types(name: str) -> None:
    for status, answer in operations(DOCUMENT)[name]["responses"].items():
        assert {"X-Request-ID", "X-Content-Type-Options"} <= answer["headers"].keys(), status
        if status == "503":  # the refusal of a connection, whose address is unknown, is a string everywhere
            assert "application/json" in answer["content"]
            assert answer["content"].keys() <= {"application/json", "application/problem+json"}
        elif status >= "400" and name.split()[1] in PROMISED["paths"]:
            assert answer["content"].keys() == {"application/json", "application/problem+json"}, status
        elif status >= "400":
            assert answer["content"].keys() == {"application/problem+json"}, status


def test_the_routes_are_the_operations(contract: Contract) -> None:
    assert {(method, path) for method, path, _ in ROUTES} == contract.operations


@pytest.mark.parametrize(
    ("request_line", "status", "headers", "body"),
    [
        ("GET /bitrix", 200, JSON_ANSWER, b'"OK"'),
        ("GET /bitrix/users?page=2&size=1", 200, PAGE_ANSWER, page_of(USER)),
        ("GET /bitrix/users", 200, {name.lower(): value for name, value in PAGE_ANSWER.items()}, page_of()),
        ("GET /bitrix/users", 200, PAGE_ANSWER, page_of({k: v for k, v in USER.items() if k != "email"})),
        ("GET /bitrix/users", 304, {k: v for k, v in PAGE_ANSWER.items() if k != "Content-Type"}, b""),
        ("GET /bitrix/users", 400, JSON_ANSWER, as_json("page: must be an integer of at least 1")),
        ("GET /bitrix/users", 400, PROBLEM_ANSWER, as_json(PROBLEM)),
        ("GET /bitrix/users", 401, JSON_ANSWER | REFUSED_TOKEN, b'"account id is required"'),
        ("PATCH /bitrix/users?mode=full", 200, EVERY_ANSWER | {"Location": "/bitrix/sync/users"}, b""),
        ("DELETE /bitrix/account", 200, EVERY_ANSWER, b""),
        ("GET /bitrix/sync", 200, JSON_ANSWER, as_json({"items": [SYNC_RUN]})),
        ("GET /bitrix/sync/pipelines", 200, JSON_ANSWER, as_json(SYNC_RUN)),
        ("GET /bitrix/sync/pipelines", 200, JSON_ANSWER, as_json(SYNC_RUN | {"mode": None, "startedAt": None})),
        ("GET /bitrix/sync/nothing", 404, PROBLEM_ANSWER, as_json(PROBLEM | {"status": 404})),
        ("POST /bitrix/rules/7", 500, JSON_ANSWER, as_json("rules already exist")),
        ("GET /webhook/create?code=1", 302, EVERY_ANSWER | {"Location": "/connected"}, b""),
        ("GET /connected", 200, EVERY_ANSWER | {"Content-Type": "text/html; charset=utf-8"}, b"<!doctype html>"),
        ("GET /readyz", 503, JSON_ANSWER, as_json({"status": "unavailable", "reason": "shutting down"})),
        ("PUT /bitrix/account", 405, JSON_ANSWER | {"Allow": "DELETE, GET, POST"}, as_json("PUT is not served here")),
        ("GET /elsewhere", 404, PROBLEM_ANSWER, as_json(PROBLEM | {"status": 404})),
        ("GET /openapi.yaml", 200, YAML_ANSWER, OPENAPI_YAML.read_bytes()),
        ("GET /openapi.json", 304, DOCUMENT_ANSWER, b""),
        ("GET /bitrix/call", 404, PROBLEM_ANSWER, as_json(PROBLEM | {"status": 404})),
        ("GET /bitrix/", 404, PROBLEM_ANSWER, as_json(PROBLEM | {"status": 404})),
        ("GET /bitrix/batch", 405, PROBLEM_ANSWER | {"Allow": "POST"}, as_json(PROBLEM | {"status": 405})),
    ],
)
def test_a_documented_response_is_accepted(
    contract: Contract, request_line: str, status: int, headers: dict[str, str], body: bytes
) -> None:
    method, path = request_line.split()
    contract.check(method, path, status, headers, body)


@pytest.mark.parametrize(
    ("request_line", "status", "headers", "body", "complaint"),
    [
        ("GET /bitrix/users", 418, PAGE_ANSWER, b'""', "unexpected status"),
        ("GET /elsewhere", 200, JSON_ANSWER, b'""', "the address is not documented"),
        ("GET /bitrix/users/", 200, PAGE_ANSWER, page_of(USER), "the address is not documented"),
        ("GET /elsewhere", 404, EVERY_ANSWER | {"Content-Type": "text/plain"}, b"404: Not Found", "content type"),
        ("GET /elsewhere", 404, JSON_ANSWER, as_json("no such endpoint"), "content type"),
        ("GET /bitrix/call/a/b", 404, JSON_ANSWER, as_json("no such endpoint"), "content type"),
        ("GET /bitrix/sync", 404, JSON_ANSWER, as_json("no such account"), "content type"),
        (
            "GET /openapi.yaml",
            200,
            DOCUMENT_ANSWER | {"Content-Type": "application/yaml"},
            b"{",
            "the body is not YAML",
        ),
        ("GET /openapi.json", 200, JSON_ANSWER, as_json(DOCUMENT), "header etag is missing"),
        ("GET /bitrix/batch", 405, JSON_ANSWER | {"Allow": "POST"}, as_json("no"), "content type"),
        ("PUT /bitrix/account", 200, JSON_ANSWER, b'""', "has no PUT"),
        ("PUT /bitrix/account", 405, JSON_ANSWER | {"Allow": "GET"}, as_json("no"), "Allow names"),
        ("PUT /bitrix/account", 405, JSON_ANSWER, as_json("no"), "Allow names"),
        ("GET /bitrix", 200, {"Content-Type": "application/json"}, b'"OK"', "header x-request-id is missing"),
        ("GET /bitrix", 200, JSON_ANSWER | {"X-Content-Type-Options": "no"}, b'"OK"', "x-content-type-options"),
        ("GET /bitrix", 200, JSON_ANSWER, b"OK", "the body is not JSON"),
        ("GET /bitrix", 200, JSON_ANSWER, b"", "the body is not JSON"),
        ("GET /bitrix", 200, EVERY_ANSWER | {"Content-Type": "text/plain"}, b'"OK"', "content type 'text/plain'"),
        ("GET /bitrix/users", 200, PAGE_ANSWER, b'{"count": NaN, "items": []}', "NaN is not JSON"),
        ("GET /bitrix/users", 200, PAGE_ANSWER, b'{"count": 1, "count": 0, "items": []}', "duplicate names"),
        ("GET /bitrix/users", 200, JSON_ANSWER, page_of(USER), "header etag is missing"),
        ("GET /bitrix/users", 200, PAGE_ANSWER | {"Vary": "Accept"}, page_of(USER), "header vary"),
        ("GET /bitrix/users", 200, PAGE_ANSWER, page_of(next="more"), "'next' was unexpected"),
        ("GET /bitrix/users", 200, PAGE_ANSWER, as_json({"count": 0, "items": None}), "$.items"),
        ("GET /bitrix/users", 304, PAGE_ANSWER, page_of(USER), "unexpected body"),
        ("GET /bitrix/users", 401, JSON_ANSWER, b'"account id is required"', "header www-authenticate is missing"),
        ("GET /bitrix/users", 401, JSON_ANSWER | REFUSED_TOKEN, b'""', "should be non-empty"),
        ("GET /bitrix/users", 500, JSON_ANSWER, b'"KeyError: NAME"', "is not one of"),
        ("PATCH /bitrix/users", 200, EVERY_ANSWER, b"", "header location is missing"),
        ("DELETE /bitrix/account", 200, EVERY_ANSWER, b"{}", "unexpected body"),
        (
            "GET /webhook/create?code=1",
            302,
            EVERY_ANSWER | {"Location": "/connected"},
            b"302: Found",
            "unexpected body",
        ),
        ("GET /bitrix/users", 400, JSON_ANSWER, as_json(PROBLEM), "is not of type 'string'"),
        ("GET /bitrix/users", 400, PROBLEM_ANSWER, as_json("page"), "is not of type 'object'"),
        ("GET /bitrix/users", 400, PROBLEM_ANSWER, as_json(PROBLEM | {"code": "Too Small"}), "$.code"),
        ("GET /bitrix/users", 400, PROBLEM_ANSWER, as_json(PROBLEM | {"status": 404}), "says status 404"),
        ("GET /bitrix/users", 400, PROBLEM_ANSWER, as_json(PROBLEM | {"requestId": "1"}), "names another request"),
        ("GET /bitrix/users", 400, PROBLEM_ANSWER, as_json(PROBLEM | {"instance": "/"}), "'instance' was unexpected"),
        (
            "GET /bitrix/users",
            400,
            PROBLEM_ANSWER,
            as_json(PROBLEM | {"errors": [{"code": "too_small", "detail": "must be more"}]}),
            "$.errors[0]",
        ),
    ],
)
def test_an_undocumented_response_is_rejected(
    contract: Contract, request_line: str, status: int, headers: dict[str, str], body: bytes, complaint: str
) -> None:
    method, path = request_line.split()
    with pytest.raises(AssertionError) as rejection:
        contract.check(method, path, status, headers, body)
    assert complaint in str(rejection.value)
    assert str(rejection.value).startswith(f"{method} {path} -> {status}")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("id", 2**63),
        ("id", 1.0),
        ("id", "1"),
        ("id", True),
        ("id", None),
        ("uf_department", [2**31]),
        ("uf_department", None),
        ("deleted", 0),
        ("email", ""),
        ("email", "nobody"),
        ("createdAt", "yesterday"),
        ("createdAt", "2026-13-21T10:00:00Z"),
        ("createdAt", "2026-11-21T13:00:00+03:00"),
        ("createdAt", 1795255200),
        ("isOnline", "Y"),
    ],
)
def test_a_row_with_a_value_of_another_type_is_rejected(contract: Contract, name: str, value: object) -> None:
    with pytest.raises(AssertionError, match=name):
        contract.check("GET", "/bitrix/users", 200, PAGE_ANSWER, page_of(USER | {name: value}))


@pytest.mark.parametrize("name", sorted(USER.keys() - {"email"}))
def test_a_row_without_a_required_property_is_rejected(contract: Contract, name: str) -> None:
    with pytest.raises(AssertionError, match=r"\$\.items\[0\]: "):
        contract.check("GET", "/bitrix/users", 200, PAGE_ANSWER, page_of({k: v for k, v in USER.items() if k != name}))


@given(number=st.integers() | st.integers(2**63 - 2, 2**63 + 2))
def test_an_id_is_accepted_exactly_if_it_is_a_positive_int64(contract: Contract, number: int) -> None:
    expected = 1 <= number < 2**63
    try:
        contract.check("GET", "/bitrix/users", 200, PAGE_ANSWER, page_of(USER | {"id": number}))
    except AssertionError:
        assert not expected
    else:
        assert expected


def test_no_address_matches_two_templates_unless_one_is_more_exact(contract: Contract) -> None:
    """As routers match: fixed segments before parameters. Where a path parameter has fixed values, only they match."""
    templates = [template for _, template in contract._paths]
    for pattern, template in contract._paths:
        for other in templates:
            if other == template or "{" not in template:
                continue
            address = re.sub(
                r"\{[^}]*\}", "7", other.replace("{resource}", resource_of(other) if "sync" not in other else "users")
            )
            if pattern.fullmatch(address):
                first = next(found for matched, found in contract._paths if matched.fullmatch(address))
                assert first == other, f"{address} is {first} and {other}"
