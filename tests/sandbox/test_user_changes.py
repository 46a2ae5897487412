"""user.add, user.update and user.search."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from gateway.sandbox.portal import SandboxPortal
from tests.sandbox.client import RestClient, row_ids
from tests.sandbox.examples import EXAMPLES, compare

PERSON = {"EMAIL": "new@example.com", "UF_DEPARTMENT": [2], "NAME": "Новая", "LAST_NAME": "Сотрудница"}


def documented(example: str) -> Any:
    return json.loads((EXAMPLES / f"{example}.json").read_text())


async def test_a_user_is_invited_changed_and_dismissed(webhook: RestClient, portal: SandboxPortal) -> None:
    expected = portal.data.users.next_id
    added = await webhook.call("user.add", **PERSON)
    compare(added.body, "user.add")
    assert added.result == expected
    (row,) = (await webhook.call("user.get", ID=expected)).result
    assert (row["ID"], row["ACTIVE"], row["USER_TYPE"], row["UF_DEPARTMENT"]) == (str(expected), True, "employee", [2])
    assert row["DATE_REGISTER"] == "2027-01-15T00:00:00+00:00"
    changes = {"personal_birthday": "1990-07-14", "WORK_POSITION": "CEO", "ID": str(expected), "ACTIVE": "N"}
    updated = await webhook.call("user.update", **changes, PERSONAL_PHOTO=["me.png", "aGk="], UF_DEPARTMENT=[1, "3"])
    compare(updated.body, "user.update")
    (row,) = (await webhook.call("user.get", ID=expected)).result
    assert (row["PERSONAL_BIRTHDAY"], row["WORK_POSITION"], row["ACTIVE"]) == (
        "1990-07-14T00:00:00+00:00",
        "CEO",
        False,
    )
    assert row["PERSONAL_PHOTO"].endswith("/me.png")
    assert row["UF_DEPARTMENT"] == [1, 3]
    await webhook.call("user.update", ID=expected, PERSONAL_PHOTO="", LAST_LOGIN="2020-01-01", NO_SUCH="x")
    (row,) = (await webhook.call("user.get", ID=expected)).result
    assert (row["PERSONAL_PHOTO"], row["LAST_LOGIN"], "NO_SUCH" in row) == ("", "", False)


async def test_an_extranet_user_has_groups_and_no_department(webhook: RestClient) -> None:
    number = (await webhook.call("user.add", EMAIL="x@example.com", EXTRANET="Y", SONET_GROUP_ID=[5])).result
    (row,) = (await webhook.call("user.get", FILTER={"USER_TYPE": "extranet", "ID": number})).result
    assert row["UF_DEPARTMENT"] == []


@pytest.mark.parametrize(
    ("params", "code", "text"),
    [
        ({"EMAIL": ""}, "ERROR_ARGUMENT", documented("user.add.error")["error_description"]),
        ({"EMAIL": "nobody"}, "ERROR_ARGUMENT", "wrong_email"),
        ({"EMAIL": "USER1@example.com"}, "ERROR_ARGUMENT", "A user with this email already exists"),
        ({"UF_DEPARTMENT": []}, "ERROR_ARGUMENT", "no_extranet_field"),
        ({"EXTRANET": "Y"}, "ERROR_GROUPID", "Group code not specified"),
        ({"EXTRANET": "Y", "SONET_GROUP_ID": ["x"]}, "ERROR_NO_GROUP", "Group specified incorrectly"),
    ],
)
async def test_a_wrong_invitation_is_refused(webhook: RestClient, params: dict[str, Any], code: str, text: str) -> None:
    answer = await webhook.call("user.add", **{**PERSON, **params})
    assert (answer.status, answer.error, answer.body["error_description"]) == (400, code, text)
    if code == "ERROR_ARGUMENT":
        assert answer.body["argument"] == ""


async def test_a_wrong_update_is_refused(webhook: RestClient, portal: SandboxPortal) -> None:
    for params in ({}, {"ID": 999_999}):
        answer = await webhook.call("user.update", NAME="X", **params)
        assert (answer.status, answer.body) == (400, documented("user.update.error"))
    other = list(portal.data.users)[1]
    answer = await webhook.call("user.update", ID=other, EMAIL="user1@example.com")
    assert (answer.status, answer.error) == (400, "ERROR_CORE")
    assert (await webhook.call("user.update", ID=1, EMAIL="user1@example.com")).result is True


@pytest.mark.parametrize("method", ["user.add", "user.update"])
async def test_only_an_administrator_changes_users(
    anonymous: RestClient, portal: SandboxPortal, tokens_of: Callable[[int], str], method: str
) -> None:
    other = list(portal.data.users)[1]
    answer = await anonymous.call(f"/rest/{method}", auth=tokens_of(other), ID=other, **PERSON)
    assert (answer.status, answer.body) == (400, documented("user.update.error"))


@pytest.mark.parametrize(
    ("conditions", "matches"),
    [
        ({"FIND": "ива"}, lambda user, _: "Иванова" in user["LAST_NAME"]),
        ({"FIND": "ива анн"}, lambda user, _: (user["NAME"], user["LAST_NAME"]) == ("Анна", "Иванова")),
        ({"FIND": "ванова"}, lambda _user, _: False),
        ({"FIND": "бухг", "NAME": "Zoë"}, lambda user, _: user["WORK_POSITION"] == "Бухгалтер"),
        ({"FIND": "accou"}, lambda _, departments: "3" in departments),
        ({"NAME": "Z"}, lambda user, _: user["NAME"] == "Zoë"),
        ({"LAST_NAME": "web", "USER_TYPE": "employee"}, lambda user, _: user["LAST_NAME"] == "Weber"),
        ({"UF_DEPARTMENT_NAME": "отдел ПРОД"}, lambda _, departments: "2" in departments),
        ({"FIND": ""}, lambda _user, _: True),
    ],
)
async def test_a_search_finds_the_beginnings_of_words(
    webhook: RestClient, portal: SandboxPortal, conditions: dict[str, Any], matches: Any
) -> None:
    answer = await webhook.call("user.search", FILTER=conditions)
    found = [
        user_id
        for user_id, user in portal.data.users.items()
        if matches(user, list(map(str, user["UF_DEPARTMENT"])))
        and user["USER_TYPE"] == conditions.get("USER_TYPE", user["USER_TYPE"])
    ]
    assert row_ids(answer.result) == found[:50]
    assert answer.body.get("total", 0) == len(found)


async def test_a_search_answers_as_documented(webhook: RestClient) -> None:
    compare((await webhook.call("user.search", FIND="")).body, "user.search")
    assert (await webhook.call("user.search", FILTER={"FIND": "nobody"})).body.keys() == {"result", "time"}
