"""POST /bitrix/batch: any number of commands, their results, and writes that are never repeated."""

from typing import Any

import pytest

from tests.gateway import Gateway, Sandbox
from tests.support.calling import WRITE, batch, place, refusal
from tests.support.recording_proxy import RecordingProxy

PROFILE = {"method": "profile"}


def update(deal: object) -> dict[str, Any]:
    return {"method": WRITE, "params": {"ID": deal, "fields": {"TITLE": "x"}}}


# Requests and responses.


async def test_a_list_of_commands_returns_a_list_in_the_same_order(connected: Gateway) -> None:
    answer = await batch(connected, [PROFILE, {"method": "user.get", "params": {"FILTER": {"ID": 1}}}, {"method": "n"}])
    first, second, third = answer.json["results"]
    assert first["result"]["ID"] == "1"
    assert (second["total"], [row["ID"] for row in second["result"]]) == (1, ["1"])
    assert second["time"]["duration"] >= 0
    assert third["error"] == {"code": "ERROR_METHOD_NOT_FOUND", "description": "Method not found!", "status": None}


async def test_named_commands_return_results_by_name(connected: Gateway) -> None:
    names = ["me", "7", "0", "a/b", "x y", "~", "имя", "[", "007", "-1"]
    answer = await batch(connected, dict.fromkeys(names, PROFILE))
    assert list(answer.json["results"]) == names
    assert {outcome["result"]["ID"] for outcome in answer.json["results"].values()} == {"1"}


@pytest.mark.parametrize("count", [1, 50, 51, 170])
@pytest.mark.parametrize("halt", [False, True])
async def test_any_number_of_commands_is_sent_in_requests_of_fifty(
    proxied: Gateway, proxy: RecordingProxy, count: int, halt: bool
) -> None:
    commands = [{"method": "user.get", "params": {"FILTER": {"ID": number % 60}}} for number in range(count)]
    answer = await batch(proxied, commands, halt=halt)
    assert [len(outcome["result"]) <= 1 for outcome in answer.json["results"]] == [True] * count
    assert sorted((len(sent.json["cmd"]) for sent in proxy.sent), reverse=True)[0] == min(count, 50)
    assert len(proxy.sent) == -(-count // 50)
    assert {sent.json["halt"] for sent in proxy.sent} == {int(halt)}


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/commands"),
        ({"commands": []}, "/commands"),
        ({"commands": {}}, "/commands"),
        ({"commands": "profile"}, "/commands"),
        ({"commands": None}, "/commands"),
        ({"commands": [PROFILE], "halt": 1}, "/halt"),
        ({"commands": [PROFILE], "hlat": True}, "/hlat"),
        ({"commands": [PROFILE, {"method": "profile", "parms": {}}]}, "/commands/1/parms"),
        ({"commands": [PROFILE, {}]}, "/commands/1/method"),
        ({"commands": [PROFILE, 5]}, "/commands/1"),
        ({"commands": {"a": {"method": 5}}}, "/commands/a/method"),
        ({"commands": {"a": {"method": "profile", "params": []}}}, "/commands/a/params"),
        ({"commands": [PROFILE, {"method": "crm deal"}]}, "/commands/1/method"),
        ({"commands": {"a/b~": {"method": "profile?x"}}}, "/commands/a~1b~0/method"),
        ({"commands": [{"method": "batch", "params": {"cmd": ["crm.deal.delete?id=1"]}}]}, "/commands/0/method"),
        ({"commands": [{"method": "Batch.json"}]}, "/commands/0/method"),
        ({"commands": [PROFILE, {"method": "profile", "params": {"auth": "x"}}]}, "/commands/1/params/auth"),
        ({"commands": [{"method": "profile", "params": {"Access_Token": "x"}}]}, "/commands/0/params/Access_Token"),
        ({"commands": [PROFILE] * 60 + [{"method": "profile", "params": {"a]b": 1}}]}, "/commands/60/params"),
        ({"commands": [update("$result[1][ID]"), PROFILE]}, "/commands/0/params"),
        ({"commands": [PROFILE, update("$result[1][ID]")]}, "/commands/1/params"),
        ({"commands": [PROFILE, update("id $result[me][ID]")]}, "/commands/1/params"),
        ({"commands": {"me": PROFILE, "it": update({"deep": ["$RESULT[you]"]})}}, "/commands/it/params"),
        ({"commands": [PROFILE, update("$total[7]")]}, "/commands/1/params"),
        ({"commands": [PROFILE] * 50 + [update("$result[49][ID]")]}, "/commands/50/params"),
        ({"commands": [PROFILE] * 120 + [update("$result[99][ID]")]}, "/commands/120/params"),
    ],
)
async def test_an_invalid_batch_is_refused_with_a_pointer_before_anything_is_sent(
    connected: Gateway, sandbox: Sandbox, body: object, pointer: str
) -> None:
    requests = sandbox.portal.http_requests
    answer = await connected.post("/bitrix/batch", json=body)
    assert (refusal(answer), place(answer)) == ((400, "invalid_input"), pointer)
    names = [name.replace("~1", "/").replace("~0", "~") for name in pointer[1:].split("/")]
    assert answer.json["detail"].startswith(f"{'.'.join(names)}: ")
    assert sandbox.portal.http_requests == requests


async def test_one_denied_method_denies_the_whole_batch(connected: Gateway, sandbox: Sandbox) -> None:
    await connected.restart(GATEWAY_METHODS_DENY="crm.*.delete")
    requests = sandbox.portal.http_requests
    answer = await batch(connected, [PROFILE] * 60 + [{"method": "CRM.Deal.Delete", "params": {"ID": 1}}])
    assert refusal(answer) == (403, "method_denied")
    assert sandbox.portal.http_requests == requests


# References.


async def test_a_command_can_use_the_result_of_an_earlier_one(connected: Gateway, sandbox: Sandbox) -> None:
    ids = sorted(sandbox.portal.data.users)
    read = {"method": "user.get", "params": {"sort": "ID", "order": "ASC", "start": -1}}
    second = {"method": "user.get", "params": {"FILTER": {"ID": "$result[list][2][ID]"}}}
    answer = await batch(connected, {"list": read, "user": second})
    assert [row["ID"] for row in answer.json["results"]["user"]["result"]] == [str(ids[2])]
    by_position = {"method": "user.get", "params": {"FILTER": {"ID": "$result[0][3][ID]"}}}
    answer = await batch(connected, [read, by_position])
    assert [row["ID"] for row in answer.json["results"][1]["result"]] == [str(ids[3])]


async def test_references_work_in_every_request_of_a_long_batch(proxied: Gateway, proxy: RecordingProxy) -> None:
    commands: list[dict[str, Any]] = []
    for position in range(0, 120, 2):
        read = {"method": "user.get", "params": {"FILTER": {"ID": 1}}}
        commands += [read, {"method": "user.get", "params": {"FILTER": {"ID": f"$result[{position}][0][ID]"}}}]
    answer = await batch(proxied, commands)
    assert [row["ID"] for outcome in answer.json["results"] for row in outcome["result"]] == ["1"] * 120
    assert len(proxy.sent) == 3
