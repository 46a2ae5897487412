"""Unknown query parameters are refused, except at the addresses of the promised contract."""

from typing import Any

import pytest

from handlers.routes import AMOCRM_PREFIX, IGNORED, PROMISED, QUERY_PARAMETERS, ROUTES
from tests.gateway import NO_TOKEN, Gateway, Sandbox
from tests.support.documents import OPENAPI_YAML, PROMISED_YAML, load_yaml
from tests.support.records import resource_of

DOCUMENT = load_yaml(OPENAPI_YAML)
CONTRACT = load_yaml(PROMISED_YAML)
NAMES = {
    **{"resource": "users", "method": "profile", "entityTypeId": "128", "quizID": "7", "name": "TITLE"},
    **{"id": "1", "otherId": "2", "fileId": "3", "type": "home"},
}
OTHERS = [(method, path) for method, path, _ in ROUTES if path not in PROMISED]


def documented(path: str, method: str) -> set[str]:
    """Return the query parameters that openapi.yaml documents for an operation."""
    operation = DOCUMENT["paths"][path][method.lower()]
    parameters = [
        DOCUMENT["components"]["parameters"][parameter["$ref"].rpartition("/")[2]] if "$ref" in parameter else parameter
        for parameter in operation.get("parameters", [])
    ]
    return {parameter["name"] for parameter in parameters if parameter["in"] == "query"}


def refused(body: Any) -> tuple[str, str, str]:
    (error,) = body["errors"]
    return body["code"], error["code"], error["parameter"]


def test_only_addresses_of_the_contract_ignore_unknown_parameters() -> None:
    assert set(CONTRACT["paths"]) == PROMISED
    assert PROMISED | {path for _, path in OTHERS} == {path for _, path, _ in ROUTES}


def test_all_other_addresses_accept_the_documented_parameters() -> None:
    assert {(method, path): set(QUERY_PARAMETERS.get((method, path), ())) for method, path in OTHERS} == {
        (method, path): documented(path, method) for method, path in OTHERS
    }
    assert QUERY_PARAMETERS.keys() <= set(OTHERS)


@pytest.mark.parametrize(
    ("method", "path"), [each for each in OTHERS if each not in IGNORED and not each[1].startswith(AMOCRM_PREFIX)]
)
async def test_an_undocumented_parameter_is_refused(
    connected: Gateway, sandbox: Sandbox, method: str, path: str
) -> None:
    requests = sandbox.portal.http_requests
    names = NAMES | ({"resource": resource_of(path)} if path.startswith("/bitrix/{resource}") else {})
    for query, name in (
        ("filter[ID]=5", "filter[ID]"),
        ("filter%5BID%5D=5", "filter[ID]"),
        ("auth=secret", "auth"),
        ("=1", "a parameter without a name"),
        ("Limit=1", "Limit"),
        ("page=1", "page"),
    ):
        if name in QUERY_PARAMETERS.get((method, path), ()):
            continue
        answer = await connected.request(
            method, f"{path.format(**names)}?{query}", headers={"Accept": "application/problem+json"}, json={}
        )
        assert answer.status == 400
        assert refused(answer.json) == ("invalid_input", "unknown_parameter", name)
        assert b"secret" not in answer.body
    assert sandbox.portal.http_requests == requests


async def test_the_error_says_where_parameters_belong(connected: Gateway) -> None:
    answer = await connected.post("/bitrix/call/user.get?FILTER[ID]=5", json={})
    assert answer.json["detail"] == (
        "FILTER[ID]: unknown parameter: this address has no query parameters; values belong in the body"
    )
    for method, path in (("GET", "/healthz"), ("POST", "/bitrix/sync/deals/resume")):
        answer = await connected.request(method, f"{path}?verbose")
        assert answer.status == 400
        assert answer.json["detail"] == "verbose: unknown parameter: this address has no query parameters"


async def test_the_error_names_the_parameters_that_are_known(connected: Gateway) -> None:
    for method, path, expected in (
        ("GET", "contacts/1?x=1", "one of source, related, translate"),
        ("PUT", "contacts?match=PHONE&x=1", "match"),
    ):
        answer = await connected.request(method, f"/bitrix/{path}", json={})
        assert answer.json["detail"] == f"x: unknown parameter, expected {expected}"


async def test_version_is_only_valid_for_named_lists(connected: Gateway) -> None:
    answer = await connected.get("/bitrix/stream/items/2?version=3")
    assert refused(answer.json) == ("invalid_input", "unknown_parameter", "version")


@pytest.mark.parametrize("query", ["?", "?&", "?&&"])
async def test_an_empty_query_has_no_parameters(connected: Gateway, query: str) -> None:
    assert (await connected.get(f"/healthz{query}", token=NO_TOKEN)).status == 200
    assert (await connected.post(f"/bitrix/call/profile{query}", json={})).status == 200


async def test_the_token_is_checked_before_the_parameters(connected: Gateway) -> None:
    answer = await connected.post("/bitrix/call/profile?x=1", json={}, token=NO_TOKEN)
    assert answer.status == 401


@pytest.mark.parametrize(
    "path", ["/bitrix", "/bitrix/account", "/bitrix/users", "/bitrix/steps", "/bitrix/pipelines", "/bitrix/fields"]
)
async def test_addresses_of_the_contract_ignore_unknown_parameters(connected: Gateway, path: str) -> None:
    plain, with_query = await connected.get(path), await connected.get(f"{path}?filter[ID]=5&x=1")
    assert (with_query.status, with_query.body) == (plain.status, plain.body)
    assert with_query.status == 200
