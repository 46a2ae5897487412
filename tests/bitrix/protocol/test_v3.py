"""The endpoint and the errors of REST 3.0."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bitrix.errors import (
    AccessDenied,
    ArgumentRefused,
    CredentialRefused,
    KeyReused,
    LicenseMissing,
    MethodNotFound,
    OperatingLimitReached,
    PortalBroken,
    PortalError,
    PortalFailing,
    QueryLimitExceeded,
)
from gateway.bitrix.protocol.v2 import decode_answer3
from gateway.bitrix.protocol.v3 import CLASSES, NotAuthenticated, rest3_endpoint, rest3_error

PREFIX = "BITRIX_REST_V3_EXCEPTION_"
texts = st.text("aZж{ ", max_size=5)
json = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("https://acme.bitrix24.ru/rest/1/c0de/", "https://acme.bitrix24.ru/rest/api/1/c0de/"),
        ("https://acme.bitrix24.ru/rest/", "https://acme.bitrix24.ru/rest/api/"),
        ("http://127.0.0.1:8081/rest/7/rest/", "http://127.0.0.1:8081/rest/api/7/rest/"),
    ],
)
def test_calls_go_below_rest_api(endpoint: str, expected: str) -> None:
    assert rest3_endpoint(endpoint) == expected


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        ("VALIDATION_REQUESTVALIDATIONEXCEPTION", 400, ArgumentRefused),
        ("UNKNOWNDTOPROPERTYEXCEPTION", 400, ArgumentRefused),
        ("METHODNOTFOUNDEXCEPTION", 400, MethodNotFound),
        ("ACCESSDENIEDEXCEPTION", 403, AccessDenied),
        ("ACCESSDENIEDEXCEPTION", 401, NotAuthenticated),
        ("RATELIMITEXCEPTION", 429, OperatingLimitReached),
        ("IDEMPOTENCYKEYREUSEDEXCEPTION", 422, KeyReused),
        ("INTERNAL_INTERNALEXCEPTION", 500, PortalFailing),
        ("NEWEXCEPTION", 400, PortalError),
        ("NEWEXCEPTION", 401, CredentialRefused),
        ("NEWEXCEPTION", 402, LicenseMissing),
        ("NEWEXCEPTION", 503, PortalFailing),
        ("NEWEXCEPTION", 429, PortalFailing),
    ],
)
def test_the_code_decides_about_the_class_and_then_the_status(code: str, status: int, kind: type[PortalError]) -> None:
    for spelled in (PREFIX + code, PREFIX.replace("EXCEPTION_", "EXCEPTIONS_") + code, (PREFIX + code).lower()):
        error = rest3_error({"code": spelled, "message": "Слова"}, status)
        assert type(error) is kind
        assert (error.portal_code, error.description, error.status) == (spelled, "Слова", status)


@pytest.mark.parametrize("name", CLASSES)
def test_every_known_code_is_recognized_with_and_without_its_prefix(name: str) -> None:
    assert type(rest3_error({"code": name}, 400)) is type(rest3_error({"code": PREFIX + name}, 400)) is CLASSES[name]


@given(st.dictionaries(st.sampled_from(["code", "message", "validation", "x"]), json), st.integers(200, 599))
def test_any_error_object_becomes_a_portal_error(error: dict[str, object], status: int) -> None:
    decoded = rest3_error(error, status)
    assert isinstance(decoded, PortalError)
    assert isinstance(error.get("validation"), list) or decoded.validation == ()
    assert all(isinstance(value, str) for entry in decoded.validation for value in entry.values())


def test_validation_entries_are_kept_without_secrets() -> None:
    body = {"code": "x", "message": "of s3cret", "validation": [{"message": "s3cret!", "field": "id", "n": 1}, 5]}
    decoded = rest3_error(body, 400, ["s3cret"])
    assert decoded.description == "of ***"
    assert decoded.validation == ({"message": "***!", "field": "id"},)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, b'{"error":{"code":"METHODNOTFOUNDEXCEPTION","message":"x"}}', MethodNotFound),
        (503, b'{"error":"QUERY_LIMIT_EXCEEDED","error_description":"x"}', QueryLimitExceeded),
        (200, b"<html>", PortalBroken),
        (200, b"", PortalBroken),
        (200, b"[]", PortalBroken),
        (500, b"{}", PortalBroken),
    ],
)
def test_an_error_or_an_unknown_body_is_raised(status: int, body: bytes, kind: type[PortalError]) -> None:
    with pytest.raises(PortalError) as caught:
        decode_answer3(status, body)
    assert type(caught.value) is kind


def test_a_document_without_an_envelope_is_the_result() -> None:
    assert decode_answer3(200, b'{"openapi":"3.0.0"}').result == {"openapi": "3.0.0"}
    answer = decode_answer3(200, b'{"result":{"result":false},"time":{"operating":1.5}}')
    assert (answer.result, answer.operating_s) == ({"result": False}, 1.5)
