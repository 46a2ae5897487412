"""/bitrix/v3: calls of REST 3.0, checks of their filters, and errors in the common shape."""

import asyncio

import pytest
from multidict import CIMultiDict

from tests.gateway import NO_TOKEN, Gateway, Sandbox, callback_path
from tests.support.calling import call3, place, refusal
from tests.support.recording_proxy import RecordingProxy, respond_json

PREFIX = "BITRIX_REST_V3_EXCEPTION_"
ADD = "tasks.task.add"
FIELDS = {"title": "Write", "creatorId": 1, "responsibleId": 1}
ADDED = {"fields": FIELDS}
LIST = "tasks.task.list"
GET = "tasks.task.get"


def key(value: str) -> dict[str, str]:
    return {"Idempotency-Key": value}


@pytest.fixture
async def by_oauth(gateway: Gateway, proxy: RecordingProxy) -> Gateway:
    """The gateway with its account connected by OAuth through the proxy, idle."""
    host = proxy.origin.removeprefix("http://")
    await gateway.restart(GATEWAY_OAUTH_SERVERS=host)
    answer = await gateway.post("/bitrix/account", json={"client_bitrix_url": proxy.origin})
    callback = await callback_path(gateway, answer.json["authorizeURL"])
    assert (await gateway.get(callback, token=NO_TOKEN)).status == 302
    await gateway.synced()
    await gateway.clock.advance(60)
    proxy.sent.clear()
    return gateway


# Requests and responses.


async def test_a_webhook_call_is_sent_to_rest_api_as_json(
    proxied: Gateway, proxy: RecordingProxy, sandbox: Sandbox
) -> None:
    body = {"select": ["id", "responsible.name", "title"], "pagination": {"limit": 2}}
    answer = await call3(proxied, LIST, body)
    assert answer.status == 200
    (sent,) = proxy.sent
    code = sandbox.portal.settings.webhook_code
    assert (sent.verb, sent.address, sent.json) == ("POST", f"/rest/api/1/{code}/{LIST}", body)
    assert sent.headers["Content-Type"] == sent.headers["Accept"] == "application/json"
    assert "Authorization" not in sent.headers
    assert "Idempotency-Key" not in sent.headers
    items = answer.json["result"]["items"]
    assert len(items) == 2
    assert items[0]["responsible"].keys() == {"name"}
    assert "operating" in answer.json["time"]


async def test_an_application_sends_its_token_in_the_body_and_for_a_batch_in_a_header(
    by_oauth: Gateway, proxy: RecordingProxy
) -> None:
    assert (await call3(by_oauth, LIST, {"pagination": {"limit": 1}})).status == 200
    assert (await call3(by_oauth, "batch", [{"method": LIST}])).status == 200
    alone, batch = proxy.sent
    assert (alone.address, batch.address) == (f"/rest/api/{LIST}", "/rest/api/batch")
    assert alone.json.keys() == {"pagination", "auth"}
    assert "Authorization" not in alone.headers
    assert batch.json == [{"method": LIST}]
    assert batch.headers["Authorization"] == f"Bearer {alone.json['auth']}"


@pytest.mark.parametrize("inner", [True, False])
async def test_a_boolean_result_is_returned_unchanged(proxied: Gateway, proxy: RecordingProxy, inner: bool) -> None:
    proxy.answer("tasks.task.delete", respond_json({"result": {"result": inner}}))
    assert (await call3(proxied, "tasks.task.delete", {"id": 1})).json == {"result": {"result": inner}}


@pytest.mark.parametrize("method", ["rest.documentation.openapi", "documentation"])
async def test_the_portals_openapi_document_is_returned_unchanged(
    proxied: Gateway, proxy: RecordingProxy, method: str
) -> None:
    document = (await proxied.get("/bitrix/v3/openapi")).json
    assert document["openapi"].startswith("3.")
    assert (await call3(proxied, method)).json == document
    assert [sent.json for sent in proxy.sent] == [{}, {}]


async def test_a_missing_body_is_an_empty_object_and_invalid_ones_are_refused(
    connected: Gateway, sandbox: Sandbox
) -> None:
    requests = sandbox.portal.http_requests
    bodies: list[object] = [[], 5, "x", [[]]]
    for body in bodies:
        assert refusal(await call3(connected, LIST, body)) == (400, "invalid_input")
    bodies = [{}, [], [5], [[]], [{}], [{"method": 5}], [{"method": LIST}] * 51, [{"method": LIST, "query": []}]]
    for body in bodies:
        assert refusal(await call3(connected, "batch", body)) == (400, "invalid_input"), body
    assert sandbox.portal.http_requests == requests
    assert (await connected.post(f"/bitrix/v3/{LIST}")).status == 200


# Refusals before the portal is called.


async def test_invalid_names_and_reserved_parameters_are_refused(connected: Gateway, sandbox: Sandbox) -> None:
    requests = sandbox.portal.http_requests
    for name in ("tasks%2Ftask", "tasks.task.get%3Fid=1", "tasks%20task", "tasks.task.get.json", "Batch", "BATCH"):
        answer = await call3(connected, name)
        assert (refusal(answer), place(answer)) == ((400, "invalid_input"), "method"), name
    answer = await call3(connected, GET, {"auth": "x"})
    assert (refusal(answer), place(answer)) == ((400, "invalid_input"), "/auth")
    invalid = [
        ({"method": "tasks task"}, "/1/method"),
        ({"method": LIST, "as": 5}, "/1/as"),
        ({"method": "batch", "query": [{"method": GET}]}, "/1/method"),
        ({"method": "Batch"}, "/1/method"),
        ({"method": GET, "query": {"access_token": "x"}}, "/1/query/access_token"),
        ({"method": LIST, "query": {"filter": [["id", "like", 1]]}}, "/1/query/filter/0/1"),
    ]
    for call, pointer in invalid:
        answer = await call3(connected, "batch", [{"method": LIST}, call])
        assert (refusal(answer), place(answer)) == ((400, "invalid_input"), pointer), call
    assert sandbox.portal.http_requests == requests


@pytest.mark.parametrize(
    ("conditions", "pointer"),
    [
        ([["x", "like", "a"]], "/filter/0/1"),
        ({"status": "NEW"}, "/filter"),
        ([["x"]], "/filter/0"),
        ([{"logic": "xor", "conditions": []}], "/filter/0/logic"),
        ([["id", "between", [3]]], "/filter/0/2"),
        ([["id", "in", 3]], "/filter/0/2"),
    ],
)
async def test_a_filter_is_checked_before_anything_is_sent(
    connected: Gateway, sandbox: Sandbox, conditions: object, pointer: str
) -> None:
    requests = sandbox.portal.http_requests
    answer = await call3(connected, LIST, {"filter": conditions})
    assert (refusal(answer), place(answer)) == ((400, "invalid_input"), pointer)
    assert answer.json["errors"][0]["code"] == "invalid_filter"
    assert sandbox.portal.http_requests == requests


async def test_quotes_and_commas_in_a_filter_reach_the_portal_unchanged(
    proxied: Gateway, proxy: RecordingProxy
) -> None:
    conditions = [["ti'tle\";--", "=", "1' OR 1=1;--"], ["id", "in", ['"', ",", "\u0000"]]]
    answer = await call3(proxied, LIST, {"filter": conditions})
    assert refusal(answer) == (400, "argument_refused")
    assert proxy.sent[0].json == {"filter": conditions}


async def test_a_valid_filter_is_sent_to_the_portal_unchanged(proxied: Gateway, proxy: RecordingProxy) -> None:
    ids = [row["id"] for row in (await call3(proxied, LIST)).json["result"]["items"]]
    group = {"logic": "or", "conditions": [["id", ids[:2]], {"logic": "and", "conditions": [["id", "=", ids[3]]]}]}
    filters: list[tuple[object, list[int]]] = [
        ([], ids),
        ([["id", "=", ids[1]]], [ids[1]]),
        (["id", "=", ids[1]], [ids[1]]),
        ([["id", ids[1]]], [ids[1]]),
        ([["id", "in", ids[:3]]], ids[:3]),
        ([["id", "in", []]], []),
        ([["id", "between", [ids[1], ids[4]]]], ids[1:5]),
        ([["id", ">", ids[1]], ["id", "<=", ids[4]]], ids[2:5]),
        ([["id", "!=", ids[0]], ["id", "<", ids[3]]], ids[1:3]),
        ([group, ["id", ">=", ids[1]]], [ids[1], ids[3]]),
    ]
    for conditions, expected in filters:
        answer = await call3(proxied, LIST, {"filter": conditions})
        assert answer.status == 200, (conditions, answer.body)
        assert [row["id"] for row in answer.json["result"]["items"]] == expected, conditions
        assert proxy.sent[-1].json == {"filter": conditions}


# Batches.


async def test_a_batch_sends_values_unchanged(proxied: Gateway, proxy: RecordingProxy) -> None:
    calls = [
        {"method": LIST, "as": "few", "query": {"pagination": {"limit": 3}}},
        {"method": GET, "query": {"id": {"$ref": "few.2.id"}}},
        {"method": LIST, "query": {"filter": [["id", "in", {"$refArray": "few.id"}]]}},
        {"method": LIST, "query": {"filter": [["id", "=", {"$ref": "few.1.id"}]]}},
    ]
    answer = await call3(proxied, "batch", calls)
    assert proxy.sent[0].json == calls
    assert "Idempotency-Key" not in proxy.sent[0].headers
    few, third, same, second = answer.json["result"]
    assert few == same
    assert third["item"]["id"] == few["items"][2]["id"]
    assert second["items"] == few["items"][1:2]


async def test_an_array_of_an_earlier_result_can_be_the_value_of_a_filter(connected: Gateway) -> None:
    first = {"method": LIST, "query": {"pagination": {"limit": 3}}}
    second = {"method": LIST, "query": {"filter": [["id", "in", {"$refArray": "0.id"}]]}}
    answer = await call3(connected, "batch", [first, second])
    assert answer.status == 200
    first_list, second_list = answer.json["result"]
    assert first_list == second_list
    assert len(first_list["items"]) == 3


async def test_one_failed_call_fails_the_batch_with_the_portals_error(connected: Gateway) -> None:
    answer = await call3(connected, "batch", [{"method": LIST}, {"method": GET, "query": {"id": 999_999}}])
    assert refusal(answer) == (404, "portal_not_found")
    assert answer.json["portalError"]["code"] == f"{PREFIX}ENTITYNOTFOUNDEXCEPTION"


async def test_ten_calls_with_an_expired_token_spend_one_refresh_token(by_oauth: Gateway, sandbox: Sandbox) -> None:
    sandbox.portal.token_requests.clear()
    sandbox.portal.oauth.expire_access_tokens()
    calls = [by_oauth.post(f"/bitrix/v3/{ADD}", json=ADDED) for _ in range(5)]
    calls += [by_oauth.post("/bitrix/v3/batch", json=[{"method": LIST}]) for _ in range(5)]
    answers = await by_oauth.clock.until(asyncio.gather(*calls))
    assert [answer.status for answer in answers] == [200] * 10
    assert [request["grant_type"] for request in sandbox.portal.token_requests] == ["refresh_token"]
    created = [answer.json["result"]["item"]["id"] for answer in answers[:5]]
    assert len(set(created)) == 5


# Idempotency-Key.


async def test_a_key_is_sent_to_the_portal_and_a_replay_is_reported(proxied: Gateway, proxy: RecordingProxy) -> None:
    first = await call3(proxied, ADD, ADDED, headers=key("one-key"))
    again = await call3(proxied, ADD, ADDED, headers=key("one-key"))
    assert [sent.headers["Idempotency-Key"] for sent in proxy.sent] == ["one-key"] * 2
    assert first.body == again.body
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    other = await call3(proxied, ADD, {"fields": {**FIELDS, "title": "Other"}}, headers=key("one-key"))
    assert refusal(other) == (422, "idempotency_key_reused")


async def test_a_write_without_a_key_gets_a_random_one(proxied: Gateway, proxy: RecordingProxy) -> None:
    for _ in range(2):
        assert (await call3(proxied, ADD, ADDED)).status == 200
    assert (await call3(proxied, "batch", [{"method": ADD, "query": ADDED}])).status == 200
    keys = [sent.headers["Idempotency-Key"] for sent in proxy.sent]
    assert len(set(keys)) == 3
    assert min(map(len, keys)) >= 32


async def test_a_retried_write_keeps_its_key(proxied: Gateway, proxy: RecordingProxy) -> None:
    proxy.answer(ADD, respond_json({"error": "QUERY_LIMIT_EXCEEDED"}, 503))
    assert (await call3(proxied, ADD, ADDED)).status == 200
    first, again = proxy.sent
    assert first.headers["Idempotency-Key"] == again.headers["Idempotency-Key"]


async def test_an_invalid_key_is_refused(connected: Gateway, sandbox: Sandbox) -> None:
    requests = sandbox.portal.http_requests
    for value in ("a b", "x" * 256, "ключ"):
        answer = await call3(connected, ADD, ADDED, headers=key(value))
        assert (refusal(answer), place(answer)) == ((400, "invalid_input"), "Idempotency-Key")
    twice = CIMultiDict([("Idempotency-Key", "a"), ("Idempotency-Key", "b")])
    answer = await call3(connected, ADD, ADDED, headers=twice)
    assert answer.json["detail"] == "Idempotency-Key: is given more than once"
    assert sandbox.portal.http_requests == requests
