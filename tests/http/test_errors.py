"""Every way to fail, as a caller meets it: a sentence in JSON, or a problem document where `Accept` asks for one."""

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
    """A parameter as a short part of a test's name."""
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
    ("GET", "/bitrix/sync/deals", {}, 404, "resource_not_found"),
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
async def test_every_failure_tells_the_same_in_both_forms(
    gateway: Gateway, method: str, path: str, options: dict[str, Any], status: int, code: str
) -> None:
    await gateway.restart(GATEWAY_MAX_BODY_BYTES="1500")
    plain = await gateway.request(method, path, **options)
    problem = await gateway.request(method, path, headers=PROBLEM, **options)
    told = problem.json
    assert plain.headers["Content-Type"] == "application/json"
    assert problem.headers["Content-Type"] == "application/problem+json"
    assert plain.status == problem.status == told["status"] == status
    assert (plain.json, told["code"]) == (told["detail"], code)
    assert told["title"]
    assert plain.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("accept", ["application/json", "*/*", "text/html", "application/xml", ""])
async def test_only_who_asks_for_a_problem_gets_one(gateway: Gateway, accept: str) -> None:
    answer = await gateway.get("/bitrix/users?page=0", headers={"Accept": accept})
    assert answer.headers["Content-Type"] == "application/json"
    assert isinstance(answer.json, str)


async def test_a_problem_names_the_parameter_and_each_field_that_is_to_blame(gateway: Gateway) -> None:
    told = (await gateway.get("/bitrix/users?size=x", headers=PROBLEM)).json
    assert [(one["parameter"], one["code"]) for one in told["errors"]] == [("size", "invalid_value")]
    body = RULES | {"PipelineID": "5", "TagsToAdd": {"a": "b"}, "FieldsRule": {"lead": {"QuestionID": []}}}
    del body["StatusID"]
    told = (await gateway.post("/bitrix/rules/5", json=body, headers=PROBLEM)).json
    assert {(one["pointer"], one["code"]) for one in told["errors"]} == {
        ("/PipelineID", "invalid_value"),
        ("/TagsToAdd", "invalid_value"),
        ("/FieldsRule/lead/QuestionID", "invalid_value"),
        ("/StatusID", "required"),
    }


async def test_a_request_keeps_the_id_it_came_with_if_that_is_a_modest_one(gateway: Gateway) -> None:
    for given in ("abc-1.2:3_4", "x" * 128):
        assert (await gateway.get("/bitrix", headers={"X-Request-ID": given})).headers["X-Request-ID"] == given
    for given in ("x" * 129, "a b", "", "{}", "é"):
        made = (await gateway.get("/bitrix", headers={"X-Request-ID": given})).headers["X-Request-ID"]
        assert made != given
        assert re.fullmatch(r"[\w.:-]{8,40}", made, re.ASCII)


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "TRACE", "PROPFIND"])
@pytest.mark.parametrize(
    "path", ["/bitrix", "/bitrix/users", "/bitrix/account", "/bitrix/rules/5", "/webhook/create", "/openapi.yaml"]
)
async def test_a_method_that_an_address_has_not_is_405_with_those_it_has(
    gateway: Gateway, method: str, path: str
) -> None:
    answer = await send_raw(gateway, method, path)
    assert answer.status == 405
    template = path.replace("5", "{quizID}")
    assert set(answer.headers["Allow"].split(", ")) == {one for one, at in CONTRACT.operations if at == template}


@pytest.mark.parametrize(
    "path", ["/", "/nowhere", "/bitrix/", "/bitrix/deals", "/bitrix/rules", "/bitrix/rules/5/x", "/webhook", "/%00"]
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
async def test_where_errors_are_always_problems_those_of_unknown_methods_and_addresses_are(
    gateway: Gateway, method: str, path: str, status: int
) -> None:
    answer = await gateway.request(method, path)
    assert (answer.status, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert answer.json["code"] == {404: "not_found", 405: "method_not_allowed"}[status]


@pytest.mark.parametrize("length", [33_000, 1_000_000, 3_000_000])
async def test_a_megabyte_in_the_address_is_refused_without_repeating_it(
    gateway: Gateway, length: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG"):
        for path, token in (("/bitrix/users?page=", None), ("/webhook/create?state=", NO_TOKEN)):
            answer = await gateway.get(path + "canary" * (length // 6), token=token)
            assert answer.status == 400
            assert "longer than" in answer.json
            assert len(answer.body) < 200
    assert "canary" not in caplog.text


async def test_an_address_just_within_the_limit_is_read(gateway: Gateway) -> None:
    path = "/bitrix/users?x="
    assert (await gateway.get(path + "x" * (32 * 1024 - len(path)))).status == 200
    assert (await gateway.get(path + "x" * (32 * 1024 - len(path) + 1))).status == 400


async def test_what_a_caller_sent_is_not_echoed_beyond_measure(gateway: Gateway) -> None:
    answer = await gateway.get("/bitrix/sync/" + quote("<script>" * 1000))
    assert answer.status == 404
    assert len(answer.body) < 300


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

OUTSIDE = ("/bitrix/sync", "/bitrix/sync/users")  # the contract: their errors are problems


def rename_tables(gateway: Gateway, old: str, new: str) -> None:
    """Take tables away from the running gateway, or give them back."""
    with closing(pysqlite3.connect(gateway.environ["GATEWAY_DATABASE"], isolation_level=None)) as connection:
        for table in ("accounts", "mirror_lists", "mirror_rows", "rules", "sync_runs"):
            connection.execute(f"ALTER TABLE {table}{old} RENAME TO {table}{new}")


@pytest.mark.parametrize(("method", "path", "options"), OPERATIONS, ids=name_of)
async def test_a_store_that_fails_is_an_internal_server_error_and_no_more_than_that(
    connected: Gateway, sandbox: Sandbox, method: str, path: str, options: dict[str, Any]
) -> None:
    if "client_bitrix_url" in (sent := options.get("json", {})):
        options = {"json": sent | {"client_bitrix_url": sandbox.webhook}}
    await connected.restart()  # caches cold
    rename_tables(connected, "", "_gone")
    plain = await connected.request(method, path, **options)
    assert (plain.status, plain.json["detail"] if path in OUTSIDE else plain.json) == (500, "Internal Server Error")
    told = (await connected.request(method, path, headers=PROBLEM, **options)).json
    assert (told["detail"], told["code"], told["title"]) == (
        "Internal Server Error",
        "internal_error",
        "Internal Server Error",
    )
    assert set(told) == {"type", "title", "status", "detail", "code", "requestId"}
    rename_tables(connected, "_gone", "")
    assert (await connected.get("/bitrix/account")).status == 200
    assert (await connected.get("/bitrix/steps")).status == 200


async def test_a_portal_that_fails_is_one_line_in_the_log(gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    body = {"client_bitrix_url": "http://127.0.0.1:1/rest/1/code/"}
    answer = await gateway.clock.until(gateway.post("/bitrix/account", json=body))
    assert answer.status == 502
    (logged,) = [one for one in caplog.records if one.levelname in ("WARNING", "ERROR")]
    assert (getattr(logged, "reason", None), logged.exc_info) == (answer.json, None)
    assert getattr(logged, "request_id", None) == answer.headers["X-Request-ID"]


async def test_the_log_tells_what_the_answer_does_not(connected: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    await connected.restart()
    rename_tables(connected, "", "_gone")
    answer = await connected.get("/bitrix/users")
    (logged,) = [one for one in caplog.records if one.levelname == "ERROR"]
    assert getattr(logged, "request_id", None) == answer.headers["X-Request-ID"]
    assert "no such table" in caplog.text
    rename_tables(connected, "_gone", "")
