"""department.*: the tree of departments and its life cycle."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from gateway.sandbox.content.departments import new_department
from gateway.sandbox.portal import SandboxPortal
from tests.sandbox.client import RestClient, row_ids
from tests.sandbox.examples import EXAMPLES, compare


def documented(example: str) -> Any:
    return json.loads((EXAMPLES / f"{example}.json").read_text())


async def test_departments_are_a_tree_that_contains_those_of_all_users(
    webhook: RestClient, portal: SandboxPortal
) -> None:
    answer = await webhook.call("department.get")
    compare(answer.body, "department.get")
    assert answer.body["total"] == len(answer.result)
    ids = {row["ID"] for row in answer.result}
    assert [row["ID"] for row in answer.result if "PARENT" not in row] == ["1"]
    assert {row["PARENT"] for row in answer.result if "PARENT" in row} <= ids
    assert {str(number) for user in portal.data.users.values() for number in user["UF_DEPARTMENT"]} <= ids


async def test_the_fields_have_the_documented_titles(webhook: RestClient) -> None:
    assert (await webhook.call("department.fields")).result == documented("department.fields")["result"]


@pytest.mark.parametrize(
    ("params", "ids"),
    [
        ({"ID": 3}, [3]),
        ({"id": ["3", 2]}, [2, 3]),
        ({"PARENT": 1}, [2, 3, 7]),
        ({"parent": "2"}, [4]),
        ({"NAME": "accounting"}, [3]),
        ({"NAME": "account"}, []),
        ({"SORT": 500, "UF_HEAD": 1}, [1]),
        ({"NO_SUCH": 1}, [1, 2, 3, 4, 7]),
        ({"sort": "NAME", "order": "DESC"}, [4, 2, 1, 7, 3]),
        ({"sort": "ID", "order": "DESC", "PARENT": 1}, [7, 3, 2]),
        ({"sort": "id"}, [1, 2, 3, 4, 7]),
    ],
)
async def test_columns_are_conditions_of_equality(webhook: RestClient, params: dict[str, Any], ids: list[int]) -> None:
    assert row_ids((await webhook.call("department.get", **params)).result) == ids


async def test_pages_hold_fifty_departments(webhook: RestClient, portal: SandboxPortal) -> None:
    for number in range(10, 70):
        portal.data.departments[number] = new_department(number, f"Team {number}", parent=1)
    first = (await webhook.call("department.get", sort="ID", order="ASC")).body
    second = (await webhook.call("department.get", sort="ID", order="ASC", START=50)).body
    assert (first["total"], first["next"], len(first["result"]), len(second["result"])) == (65, 50, 50, 15)
    assert "next" not in second


async def test_a_department_lives_until_it_is_deleted(webhook: RestClient) -> None:
    added = await webhook.call("department.add", NAME="Legal", PARENT=2, SORT="100", UF_HEAD=1)
    compare(added.body, "department.add")
    number = added.result
    (row,) = (await webhook.call("department.get", ID=number)).result
    assert row == {"ID": str(number), "NAME": "Legal", "SORT": 100, "PARENT": "2", "UF_HEAD": "1"}
    updated = await webhook.call("department.update", ID=number, name="Law", PARENT=3, UF_HEAD=0)
    compare(updated.body, "department.update")
    (row,) = (await webhook.call("department.get", ID=number)).result
    assert row == {"ID": str(number), "NAME": "Law", "SORT": 100, "PARENT": "3"}
    deleted = await webhook.call("department.delete", ID=number)
    compare(deleted.body, "department.delete")
    assert (await webhook.call("department.get", ID=number)).result == []
    assert (await webhook.call("department.add", NAME="Next", PARENT=1)).result == number + 1


async def test_a_deleted_department_leaves_its_children_and_people_to_its_parent(
    webhook: RestClient, portal: SandboxPortal
) -> None:
    people = [user_id for user_id, user in portal.data.users.items() if user["UF_DEPARTMENT"] == [2]]
    assert people
    assert (await webhook.call("department.delete", ID=2)).result is True
    assert portal.data.departments[4]["PARENT"] == "1"
    assert {tuple(portal.data.users[user_id]["UF_DEPARTMENT"]) for user_id in people} == {(1,)}


@pytest.mark.parametrize(
    ("method", "params", "text"),
    [
        ("add", {"PARENT": 1}, documented("department.add.error")["error_description"]),
        ("add", {"NAME": "X"}, "There can only be one top-level department in the company structure"),
        ("add", {"NAME": "X", "PARENT": 99}, "There can only be one top-level department in the company structure"),
        ("update", {"ID": 99, "NAME": "X"}, documented("department.update.error")["error_description"]),
        ("update", {"ID": 3, "NAME": ""}, "Department name not provided.<br>"),
        ("update", {"ID": 2, "PARENT": 4}, "Department not found"),
        ("delete", {"ID": "x"}, documented("department.delete.error")["error_description"]),
        ("delete", {"ID": 1}, "There can only be one top-level department in the company structure"),
    ],
)
async def test_a_refused_change_has_the_documented_error(
    webhook: RestClient, method: str, params: dict[str, Any], text: str
) -> None:
    answer = await webhook.call(f"department.{method}", **params)
    assert (answer.status, answer.body) == (400, {"error": "ERROR_CORE", "error_description": text})


@pytest.mark.parametrize("method", ["add", "update", "delete"])
async def test_only_an_administrator_changes_departments(
    anonymous: RestClient, portal: SandboxPortal, tokens_of: Callable[[int], str], method: str
) -> None:
    token = tokens_of(list(portal.data.users)[1])
    answer = await anonymous.call(f"/rest/department.{method}", auth=token, ID=2, NAME="X", PARENT=1)
    assert (answer.status, answer.body["error_description"]) == (400, "Access denied")
    assert (await anonymous.call("/rest/department.get", auth=token)).status == 200
