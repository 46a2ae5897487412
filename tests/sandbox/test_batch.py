"""Commands in a batch: shapes, errors, limits and references."""

from typing import Any
from urllib.parse import quote

import pytest

from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.rest2.references import resolve
from tests.sandbox.client import RestClient


async def test_maps_are_lists_or_objects_depending_on_their_labels(webhook: RestClient) -> None:
    listed = (await webhook.call("batch", cmd=["server.time", "scope"])).result
    assert isinstance(listed["result"], list)
    gap = (await webhook.call("batch", cmd=["nope", "scope"])).result
    assert list(gap["result"]) == ["1"]
    assert gap["result_error"][0]["error"] == "ERROR_METHOD_NOT_FOUND"
    named = (await webhook.call("batch", cmd={"a": "scope"})).result
    assert list(named["result"]) == ["a"]
    assert named["result_error"] == named["result_total"] == named["result_next"] == []


@pytest.mark.parametrize("params", [{}, {"cmd": "scope"}, {"cmd": []}])
async def test_an_empty_batch_returns_five_empty_maps(webhook: RestClient, params: dict[str, Any]) -> None:
    names = ("result", "result_error", "result_total", "result_next", "result_time")
    assert (await webhook.call("batch", **params)).result == {name: [] for name in names}


async def test_totals_and_next_offsets_are_returned_per_command(webhook: RestClient) -> None:
    result = await webhook.batch(first="user.get", last="user.get?start=100", none="user.get?ID=0")
    assert result["result_total"] == {"first": 130, "last": 130}
    assert result["result_next"] == {"first": 50}
    assert result["result"]["none"] == []
    assert set(result["result_time"]) == {"first", "last", "none"}


@pytest.mark.parametrize(
    ("halt", "ran"), [(0, ["a", "c"]), ("0", ["a", "c"]), ("", ["a", "c"]), (1, ["a"]), ("false", ["a"]), ("N", ["a"])]
)
async def test_halt_is_cast_to_bool_as_in_php(webhook: RestClient, halt: Any, ran: list[str]) -> None:
    result = (await webhook.call("batch", cmd={"a": "scope", "b": "nope", "c": "scope"}, halt=halt)).result
    assert list(result["result"]) == ran
    assert list(result["result_error"]) == ["b"]


async def test_only_fifty_commands_run(webhook: RestClient, portal: SandboxPortal) -> None:
    result = (await webhook.call("batch", cmd=["server.time"] * 52)).result
    assert len(result["result"]) == portal.calls["server.time"] == 50
    assert {label: entry["error"] for label, entry in result["result_error"].items()} == {
        "50": "ERROR_BATCH_LENGTH_EXCEEDED",
        "51": "ERROR_BATCH_LENGTH_EXCEEDED",
    }


async def test_a_batch_inside_a_batch_is_refused(webhook: RestClient) -> None:
    result = await webhook.batch(a="batch?cmd[0]=scope", b="upload", c="Download?x=1")
    assert {entry["error"] for entry in result["result_error"].values()} == {"ERROR_BATCH_METHOD_NOT_ALLOWED"}
    assert result["result"] == []


@pytest.mark.parametrize("command", [["scope"], {"method": "scope"}, 5, None, ""])
async def test_a_command_must_be_a_string(webhook: RestClient, command: Any) -> None:
    result = (await webhook.call("batch", cmd={"a": command})).result
    assert result["result_error"]["a"]["error"] == "ERROR_METHOD_NOT_FOUND"


async def test_commands_in_a_form_are_decoded_twice(webhook: RestClient, portal: SandboxPortal) -> None:
    command = f"user.get?FILTER[{quote('>=ID')}]={quote('5')}&start=-1"
    answer = await webhook.form("batch", f"cmd[a]={quote(command)}")
    assert portal.seen[-1].params == {"FILTER": {">=ID": "5"}, "start": "-1"}
    assert answer.result["result"]["a"]


async def test_a_fragment_of_a_command_is_dropped(webhook: RestClient, portal: SandboxPortal) -> None:
    await webhook.batch(a="method.get?name=user.get#&name=x")
    assert portal.seen[-1].params == {"name": "user.get"}
    assert [call.in_batch for call in portal.seen] == [False, True]


async def test_the_bucket_counts_only_the_batch_request(webhook: RestClient, portal: SandboxPortal) -> None:
    await webhook.batch(**{f"c{number}": "server.time" for number in range(50)})
    assert (portal.http_requests, portal.calls) == (1, {"batch": 1, "server.time": 50})


async def test_failed_commands_are_counted_as_refusals(webhook: RestClient, portal: SandboxPortal) -> None:
    await webhook.batch(a="nope", b="crm.category.list?entityTypeId=1")
    assert portal.refusals == {"ERROR_METHOD_NOT_FOUND": 1, "ENTITY_TYPE_NOT_SUPPORTED": 1}


ANSWERS: dict[str, dict[str, Any]] = {
    "result": {
        "list": [{"ID": "7", "N": None}],
        "id": 15,
        "name": "John",
        "half": 0.5,
        "yes": True,
        "map": {"Key": "v"},
    },
    "next": {"list": 50},
    "total": {"list": 130},
    "time": {},
    "error": {},
}


@pytest.mark.parametrize(
    ("value", "resolved"),
    [
        ("$result[list][0][ID]", "7"),
        ("$next[list]", 50),
        ("$total[list]", 130),
        ("$result[id][ID]", 15),
        ("$result[list]", ANSWERS["result"]["list"]),
        ("$result[nope][ID]", ANSWERS["result"]),
        ("$result[list][0][N]", {"ID": "7", "N": None}),
        ("$result[list][1][ID]", ANSWERS["result"]["list"]),
        ("$result[map][key]", {"Key": "v"}),
        ("$error[list]", {}),
        ("$RESULT[id]", None),
        ("$result[name][0]", "J"),
        ("$result[name][9]", "John"),
        ("$result[id],$result[name]", 15),
        ("Deal $result[id] ready", "Deal 15 ready"),
        ("Deal-$result[id].", "Deal-15"),
        ("Hi $result[name] and $result[name]", "Hi John and John"),
        ("a $result[half] b", "a 0.5 b"),
        ("a $result[yes] b", "a $result[yes] b"),
        ("a $result[list] b", "a $result[list] b"),
        ("a $RESULT[id] b", "a $RESULT[id] b"),
        ("$result", "$result"),
        ("costs $5", "costs $5"),
        ({"x": ["$result[id]"]}, {"x": [15]}),
        ({"$result[id]": "1"}, {"$result[id]": "1"}),
        (7, 7),
    ],
)
def test_a_reference_becomes_the_last_value_that_exists(value: Any, resolved: Any) -> None:
    assert resolve(value, ANSWERS) == resolved


async def test_a_chain_of_references_reads_consecutive_pages(webhook: RestClient, portal: SandboxPortal) -> None:
    read = "user.get?sort=ID&order=ASC&start=-1&FILTER[%3EID]="
    result = await webhook.batch(p0=f"{read}0", p1=f"{read}$result[p0][49][ID]", p2=f"{read}$result[p1][49][ID]")
    pages = [result["result"][label] for label in ("p0", "p1", "p2")]
    assert [int(row["ID"]) for page in pages for row in page] == sorted(portal.data.users)


async def test_a_chain_past_the_end_restarts_at_the_first_page(webhook: RestClient, portal: SandboxPortal) -> None:
    read = "user.get?sort=ID&order=ASC&start=-1&FILTER[%3EID]="
    result = await webhook.batch(last=f"{read}{max(portal.data.users) - 1}", past=f"{read}$result[last][49][ID]")
    # The reference resolves to the page, which is cast to 1.
    assert int(result["result"]["past"][0]["ID"]) == min(user for user in portal.data.users if user > 1)


async def test_a_reference_can_select_an_item_of_a_list(webhook: RestClient, portal: SandboxPortal) -> None:
    result = await webhook.batch(
        deals="crm.item.list?entityTypeId=2&order[id]=ASC&select[0]=id",
        item=f"crm.item.get?entityTypeId=2&id={quote('$result[deals][items][3][id]')}",
        tasks="tasks.task.list?order[ID]=asc&select[0]=ID",
        task=f"tasks.task.get?taskId={quote('$result[tasks][tasks][0][id]')}",
    )
    found = result["result"]
    assert found["item"]["item"]["id"] == found["deals"]["items"][3]["id"]
    assert found["task"]["task"]["id"] == str(next(iter(portal.data.tasks)))
