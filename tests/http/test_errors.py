"""Error responses: JSON strings at the addresses of the promised contract, problems at all others."""

import re
from contextlib import closing
from typing import Any
from urllib.parse import quote

import pysqlite3
import pytest

from tests.gateway import CONTRACT, NO_TOKEN, Gateway, Sandbox
from tests.support.problems import PROBLEM
from tests.support.raw import send_raw

RULES = {
    "PerformerID": "1", "PipelineID": 0, "TypeID": "SALE", "StageID": "NEW", "SourceID": "WEB", "FieldsRule": {},
    "TagsToAdd": {}, "LeadFlag": False, "StatusID": "NEW",
}  # fmt: skip


def name_of(value: object) -> str:
    """Return a short part of a test id for a parameter."""
    return str(value)[:40]


WAYS_TO_FAIL: list[tuple[str, str, dict[str, Any], int, str]] = [
    ("GET", "/bitrix/users", {"token": NO_TOKEN}, 401, "unauthenticated"),
    ("GET", "/bitrix/users", {"token": "a.b.c"}, 401, "unauthenticated"),
    ("GET", "/bitrix/users?page=0", {}, 400, "invalid_input"),
    ("GET", "/bitrix/users?page=1&page=1", {}, 400, "invalid_input"),
    ("GET", f"/bitrix/users?x={'x' * 40_000}", {}, 400, "bad_request"),
    ("GET", "/bitrix/rules/abc", {}, 400, "invalid_input"),
    ("PATCH", "/bitrix/users?mode=incremental", {}, 400, "invalid_input"),
    ("POST", "/bitrix/account", {"json": {}}, 400, "invalid_input"),
    ("POST", "/bitrix/account", {"json": {"client_bitrix_url": "ftp://x"}}, 400, "invalid_input"),
    ("POST", "/bitrix/rules/5", {"json": {"PipelineID": "5"}}, 400, "invalid_input"),
    ("GET", "/webhook/create", {"token": NO_TOKEN}, 400, "invalid_input"),
    ("GET", "/bitrix/steps", {}, 404, "steps_not_found"),
    ("GET", "/bitrix/pipelines", {}, 404, "pipelines_not_found"),
    ("GET", "/bitrix/fields", {}, 404, "fields_not_found"),
    ("GET", "/bitrix/account", {}, 404, "account_not_found"),
    ("PATCH", "/bitrix/fields", {}, 404, "account_not_found"),
    ("PUT", "/bitrix/users", {}, 405, "method_not_allowed"),
    ("POST", "/bitrix/account", {"data": "x" * 2000}, 413, "body_too_large"),
]

ALWAYS_PROBLEMS: list[tuple[str, str, dict[str, Any], int, str]] = [
    ("GET", "/bitrix/sync", {"token": NO_TOKEN}, 401, "unauthenticated"),
    ("GET", "/bitrix/sync", {}, 404, "account_not_found"),
    ("GET", "/bitrix/sync?x=1", {}, 400, "invalid_input"),
    ("GET", "/bitrix/sync/tasks", {}, 404, "resource_not_found"),
    ("POST", "/bitrix/sync/users", {}, 405, "method_not_allowed"),
    ("GET", "/bitrix/stream/deals?limit=0", {}, 400, "invalid_input"),
    ("GET", "/bitrix/stream/nothing", {}, 404, "stream_not_found"),
    ("POST", "/bitrix/call/user.get", {"token": "a.b.c"}, 401, "unauthenticated"),
    ("POST", "/bitrix/batch", {"data": "x" * 2000}, 413, "body_too_large"),
    ("GET", "/healthz?x=1", {"token": NO_TOKEN}, 400, "invalid_input"),
    ("PUT", "/readyz", {"token": NO_TOKEN}, 405, "method_not_allowed"),
    ("GET", "/connected?x=1", {"token": NO_TOKEN}, 400, "invalid_input"),
    ("GET", "/openapi.yaml?x=1", {"token": NO_TOKEN}, 400, "invalid_input"),
    ("GET", f"/healthz?{'x' * 40_000}", {}, 400, "bad_request"),
    ("GET", "/nowhere", {}, 404, "not_found"),
    ("GET", "/bitrix/users/", {}, 404, "not_found"),
]


@pytest.mark.parametrize("accept", ["application/json", "*/*", "application/problem+json"])
@pytest.mark.parametrize(("method", "path", "options", "status", "code"), ALWAYS_PROBLEMS, ids=name_of)
async def test_addresses_outside_the_contract_always_answer_with_problems(
    gateway: Gateway, method: str, path: str, options: dict[str, Any], status: int, code: str, accept: str
) -> None:
    await gateway.restart(GATEWAY_MAX_BODY_BYTES="1500")
    answer = await gateway.request(method, path, headers={"Accept": accept}, **options)
    assert (answer.status, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert (answer.json["status"], answer.json["code"]) == (status, code)


@pytest.mark.parametrize(("method", "path", "options", "status", "code"), WAYS_TO_FAIL, ids=name_of)
async def test_a_string_and_a_problem_carry_the_same_error(
    gateway: Gateway, method: str, path: str, options: dict[str, Any], status: int, code: str
) -> None:
    await gateway.restart(GATEWAY_MAX_BODY_BYTES="1500")
    plain = await gateway.request(method, path, **options)
    problem = await gateway.request(method, path, headers=PROBLEM, **options)
    error = problem.json
    assert plain.headers["Content-Type"] == "application/json"
    assert problem.headers["Content-Type"] == "application/problem+json"
    assert plain.status == problem.status == error["status"] == status
    assert (plain.json, error["code"]) == (error["detail"], code)
    assert error["title"]
    assert plain.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "accept",
    [
        "application/json",
        "*/*",
        "text/html",
        "application/xml",
        "",
        "application/problem+json;q=0",
        "application/json, application/problem+json; q=0.00",
        "application/problem+jsonx",
        'text/html; title="application/problem+json"',
    ],
)
async def test_addresses_of_the_contract_send_a_problem_only_on_request(gateway: Gateway, accept: str) -> None:
    answer = await gateway.get("/bitrix/users?page=0", headers={"Accept": accept})
    assert answer.headers["Content-Type"] == "application/json"
    assert isinstance(answer.json, str)


@pytest.mark.parametrize(
    "accept",
    [
        "application/problem+json",
        "Application/Problem+JSON",
        "application/json, application/problem+json;q=0.1",
        "text/html;q=0, application/problem+json ; charset=utf-8",
    ],
)
async def test_addresses_of_the_contract_send_a_problem_if_accept_names_it(gateway: Gateway, accept: str) -> None:
    answer = await gateway.get("/bitrix/users?page=0", headers={"Accept": accept})
    assert (answer.headers["Content-Type"], answer.json["code"]) == ("application/problem+json", "invalid_input")


async def test_a_problem_names_each_invalid_parameter_and_field(gateway: Gateway) -> None:
    error = (await gateway.get("/bitrix/users?size=x", headers=PROBLEM)).json
    assert [(field["parameter"], field["code"]) for field in error["errors"]] == [("size", "invalid_value")]
    body = RULES | {"PipelineID": "5", "TagsToAdd": {"a": "b"}, "FieldsRule": {"lead": {"QuestionID": []}}}
    del body["StatusID"]
    error = (await gateway.post("/bitrix/rules/5", json=body, headers=PROBLEM)).json
    assert {(field["pointer"], field["code"]) for field in error["errors"]} == {
        ("/PipelineID", "invalid_value"),
        ("/TagsToAdd", "invalid_value"),
        ("/FieldsRule/lead/QuestionID", "invalid_value"),
        ("/StatusID", "required"),
    }


async def test_a_request_id_of_the_caller_is_kept_if_its_format_is_valid(gateway: Gateway) -> None:
    for request_id in ("abc-1.2:3_4", "x" * 128):
        assert (await gateway.get("/bitrix", headers={"X-Request-ID": request_id})).headers[
            "X-Request-ID"
        ] == request_id
    for request_id in ("x" * 129, "a b", "", "{}", "é"):
        generated = (await gateway.get("/bitrix", headers={"X-Request-ID": request_id})).headers["X-Request-ID"]
        assert generated != request_id
        assert re.fullmatch(r"[\w.:-]{8,40}", generated, re.ASCII)


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "TRACE", "PROPFIND"])
@pytest.mark.parametrize(
    "path", ["/bitrix", "/bitrix/users", "/bitrix/account", "/bitrix/rules/5", "/webhook/create", "/openapi.yaml"]
)
async def test_an_unknown_method_is_405_with_the_allowed_methods(gateway: Gateway, method: str, path: str) -> None:
    answer = await send_raw(gateway, method, path)
    assert answer.status == 405
    template = path.replace("5", "{quizID}")
    assert set(answer.headers["Allow"].split(", ")) == {
        name for name, address in CONTRACT.operations if address == template
    }


@pytest.mark.parametrize(
    "path", ["/", "/nowhere", "/bitrix/", "/bitrix/tasks", "/bitrix/rules", "/bitrix/rules/5/x", "/webhook", "/%00"]
)
@pytest.mark.parametrize("token", [NO_TOKEN, None])
async def test_an_unknown_address_is_404_with_or_without_a_token(
    gateway: Gateway, path: str, token: str | None
) -> None:
    answer = await gateway.get(path, token=token)
    assert (answer.status, answer.json["detail"], answer.json["code"]) == (404, "no such endpoint", "not_found")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/bitrix/sync", 405),
        ("PUT", "/healthz", 405),
        ("DELETE", "/openapi.yaml", 405),
        ("GET", "/bitrix/callers", 404),
        ("GET", "/bitrix/batches", 404),
        ("GET", "/bitrix/v30/x", 404),
        ("GET", "/bitrix/streams/deals", 404),
        ("GET", "/bitrix/call/user.get", 405),
        ("GET", "/bitrix/batch", 405),
        ("GET", "/bitrix/v3/batch", 405),
        ("POST", "/bitrix/stream/deals", 405),
        ("PUT", "/bitrix/stream/items/2", 405),
        ("GET", "/bitrix/call", 404),
        ("POST", "/bitrix/call/", 404),
        ("POST", "/bitrix/call/user/get", 404),
        ("POST", "/bitrix/batch/x", 404),
        ("POST", "/bitrix/v3/tasks/task", 404),
        ("GET", "/bitrix/stream", 404),
    ],
)
async def test_unknown_methods_and_addresses_outside_the_contract_are_problems(
    gateway: Gateway, method: str, path: str, status: int
) -> None:
    answer = await gateway.request(method, path)
    assert (answer.status, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert answer.json["code"] == {404: "not_found", 405: "method_not_allowed"}[status]


@pytest.mark.parametrize("length", [33_000, 1_000_000, 3_000_000])
async def test_a_long_address_is_refused_and_not_echoed(
    gateway: Gateway, length: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG"):
        for path, token in (("/bitrix/users?page=", None), ("/webhook/create?state=", NO_TOKEN)):
            answer = await gateway.get(path + "canary" * (length // 6), token=token)
            assert answer.status == 400
            assert "longer than" in answer.json
            assert len(answer.body) < 200
    assert "canary" not in caplog.text


async def test_an_address_of_the_maximum_length_is_accepted(gateway: Gateway) -> None:
    path = "/bitrix/users?x="
    assert (await gateway.get(path + "x" * (32 * 1024 - len(path)))).status == 200
    assert (await gateway.get(path + "x" * (32 * 1024 - len(path) + 1))).status == 400


async def test_an_error_echoes_at_most_a_short_part_of_the_request(gateway: Gateway) -> None:
    answer = await gateway.get("/bitrix/sync/" + quote("<script>" * 1000))
    assert answer.status == 404
    assert len(answer.body) < 400


OPERATIONS: list[tuple[str, str, dict[str, Any]]] = [
    *(("GET", f"/bitrix/{name}", {}) for name in ("users", "steps", "pipelines", "fields")),
    *(("PATCH", f"/bitrix/{name}", {}) for name in ("users", "steps", "pipelines", "fields")),
    ("GET", "/bitrix/account", {}),
    ("POST", "/bitrix/account", {"json": {"client_bitrix_url": "{portal}"}}),
    ("DELETE", "/bitrix/account", {}),
    ("GET", "/bitrix/rules/5", {}),
    ("POST", "/bitrix/rules/5", {"json": RULES}),
    ("PATCH", "/bitrix/rules/5", {"json": RULES}),
    ("GET", "/bitrix/sync", {}),
    ("GET", "/bitrix/sync/users", {}),
]

SYNC_ADDRESSES = ("/bitrix/sync", "/bitrix/sync/users")  # their errors are problems


def rename_tables(gateway: Gateway, old: str, new: str) -> None:
    """Rename tables under the running gateway."""
    with closing(pysqlite3.connect(gateway.environ["GATEWAY_DATABASE"], isolation_level=None)) as connection:
        for table in ("accounts", "mirror_lists", "mirror_rows", "rules", "sync_runs"):
            connection.execute(f"ALTER TABLE {table}{old} RENAME TO {table}{new}")


@pytest.mark.parametrize(("method", "path", "options"), OPERATIONS, ids=name_of)
async def test_a_database_failure_is_500_without_details(
    connected: Gateway, sandbox: Sandbox, method: str, path: str, options: dict[str, Any]
) -> None:
    if "client_bitrix_url" in (body := options.get("json", {})):
        options = {"json": body | {"client_bitrix_url": sandbox.webhook}}
    await connected.restart()  # caches cold
    rename_tables(connected, "", "_gone")
    plain = await connected.request(method, path, **options)
    assert (plain.status, plain.json["detail"] if path in SYNC_ADDRESSES else plain.json) == (
        500,
        "Internal Server Error",
    )
    error = (await connected.request(method, path, headers=PROBLEM, **options)).json
    assert (error["detail"], error["code"], error["title"]) == (
        "Internal Server Error",
        "internal_error",
        "Internal Server Error",
    )
    assert set(error) == {"type", "title", "status", "detail", "code", "requestId"}
    rename_tables(connected, "_gone", "")
    assert (await connected.get("/bitrix/account")).status == 200
    assert (await connected.get("/bitrix/steps")).status == 200


async def test_a_portal_failure_is_one_line_in_the_log(gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    body = {"client_bitrix_url": "http://127.0.0.1:1/rest/1/code/"}
    answer = await gateway.clock.until(gateway.post("/bitrix/account", json=body))
    assert answer.status == 502
    (record,) = [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]
    assert (getattr(record, "reason", None), record.exc_info) == (answer.json, None)
    assert getattr(record, "request_id", None) == answer.headers["X-Request-ID"]


async def test_the_log_has_the_details_that_the_response_omits(
    connected: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    await connected.restart()
    rename_tables(connected, "", "_gone")
    answer = await connected.get("/bitrix/users")
    (record,) = [record for record in caplog.records if record.levelname == "ERROR" and hasattr(record, "request_id")]
    assert record.request_id == answer.headers["X-Request-ID"]
    assert "no such table" in caplog.text
    rename_tables(connected, "_gone", "")
