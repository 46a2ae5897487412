"""Lists of arguments: sent to methods that take arguments by position, refused for all others."""

from typing import Any

import pytest

from tests.bitrix.protocol import php
from tests.gateway import NO_TOKEN, Answer, Gateway, Sandbox, callback_path
from tests.support.calling import post
from tests.support.recording_proxy import RecordingProxy, drop_connection, respond_json

COMMENT = "task.commentitem.add"
ARGUMENTS = [13, {"POST_MESSAGE": "Called back ☎"}]


def broken_rule(answer: Answer) -> tuple[int, str, str]:
    """The status, pointer and code of a problem with a single error."""
    (error,) = answer.json["errors"]
    return answer.status, error["pointer"], error["code"]


@pytest.mark.parametrize("arguments", [ARGUMENTS, [], [[], 5], [None, {"a": {}}]])
@pytest.mark.parametrize("method", [COMMENT, "Task.Item.GetList"])
async def test_a_list_of_arguments_is_sent_unchanged(
    proxied: Gateway, proxy: RecordingProxy, sandbox: Sandbox, method: str, arguments: list[Any]
) -> None:
    proxy.answer(method, respond_json({"result": 3157}))
    assert (await post(proxied, f"call/{method}", arguments)).json == {"result": 3157}
    (sent,) = proxy.sent
    assert (sent.address, sent.json) == (f"{sandbox.portal.webhook_path}{method}", arguments)
    assert "Authorization" not in sent.headers


async def test_an_application_sends_its_token_in_a_header(gateway: Gateway, proxy: RecordingProxy) -> None:
    await gateway.restart(GATEWAY_OAUTH_SERVERS=proxy.origin.removeprefix("http://"))
    answer = await gateway.post("/bitrix/account", json={"client_bitrix_url": proxy.origin})
    callback = await callback_path(gateway, answer.json["authorizeURL"])
    assert (await gateway.get(callback, token=NO_TOKEN)).status == 302
    await gateway.synced()
    proxy.sent.clear()
    proxy.answer(COMMENT, respond_json({"result": 3157}))
    assert (await post(gateway, f"call/{COMMENT}", ARGUMENTS)).status == 200
    assert (await post(gateway, "call/profile", {})).status == 200
    by_position, by_name = proxy.sent
    assert by_position.json == ARGUMENTS
    assert by_position.headers["Authorization"] == f"Bearer {by_name.json['auth']}"
    assert "?" not in by_position.address


async def test_the_portal_receives_the_arguments_by_position(connected: Gateway, sandbox: Sandbox) -> None:
    assert (await post(connected, f"call/{COMMENT}", ARGUMENTS)).status == 404  # the sandbox has no such method
    seen = sandbox.portal.seen[-1]
    assert (seen.method, seen.params) == (COMMENT, {"0": 13, "1": ARGUMENTS[1]})


async def test_a_list_is_sent_in_a_batch_by_position(proxied: Gateway, proxy: RecordingProxy) -> None:
    commands = {
        "task": {"method": "profile"},
        "note": {"method": COMMENT, "params": ["$result[task][ID]", ARGUMENTS[1]]},
    }
    await post(proxied, "batch", {"commands": commands})
    (sent,) = proxy.sent
    method, _, query = sent.json["cmd"]["note"].partition("?")
    assert method == COMMENT
    assert php.parse(query) == {"0": "$result[task][ID]", "1": {"POST_MESSAGE": "Called back ☎"}}


@pytest.mark.parametrize(
    ("arguments", "query"),
    [([], ""), ([13, {}], "0=13"), ([[], {}], ""), ([13, None, "x"], "0=13&1=&2=x"), ([{"a": []}], "0[a]=")],
)
async def test_empty_arguments_at_the_end_are_omitted_in_a_batch(
    proxied: Gateway, proxy: RecordingProxy, arguments: list[Any], query: str
) -> None:
    await post(proxied, "batch", {"commands": [{"method": "task.items.getlist", "params": arguments}]})
    (command,) = proxy.sent[0].json["cmd"].values()
    assert command.partition("?")[2] == query


async def test_an_argument_that_would_shift_another_is_refused(connected: Gateway, sandbox: Sandbox) -> None:
    requests = sandbox.portal.http_requests
    command = {"method": "task.items.getlist", "params": [{"ID": "asc"}, {}, {"NAV_PARAMS": {"nPageSize": 2}}]}
    answer = await post(connected, "batch", {"commands": [command]})
    assert broken_rule(answer) == (400, "/commands/0/params", "params")
    assert "an empty list or object before other arguments" in answer.json["detail"]
    assert sandbox.portal.http_requests == requests


@pytest.mark.parametrize("method", ["profile", "crm.deal.list", "tasks.task.get", "tasks.task.list"])
async def test_a_list_for_a_method_with_named_parameters_is_refused(
    connected: Gateway, sandbox: Sandbox, method: str
) -> None:
    requests = sandbox.portal.http_requests
    answer = await post(connected, f"call/{method}", [1])
    assert broken_rule(answer) == (400, "", "not_an_object")
    assert answer.json["detail"] == (
        "body: must be an object: this method takes parameters by name, not a list of arguments"
    )
    answer = await post(connected, "batch", {"commands": {"a": {"method": method, "params": [1]}}})
    assert broken_rule(answer) == (400, "/commands/a/params", "not_an_object")
    assert broken_rule(await post(connected, f"v3/{method}", [1])) == (400, "", "not_an_object")
    assert sandbox.portal.http_requests == requests


async def test_a_list_nested_too_deeply_is_refused(connected: Gateway) -> None:
    deep: Any = 1
    for _ in range(70):
        deep = [deep]
    assert broken_rule(await post(connected, f"call/{COMMENT}", deep)) == (400, "", "too_deep")


async def test_a_write_by_position_is_not_retried_and_a_read_is(proxied: Gateway, proxy: RecordingProxy) -> None:
    proxy.answer(COMMENT, drop_connection)
    answer = await post(proxied, f"call/{COMMENT}", ARGUMENTS)
    assert (answer.status, answer.json["code"]) == (502, "outcome_unknown")
    assert len(proxy.sent) == 1
    proxy.answer("task.commentitem.getlist", drop_connection, respond_json({"result": []}))
    assert (await post(proxied, "call/task.commentitem.getlist", [13])).json == {"result": []}
    assert len(proxy.sent) == 3
