"""user.userfield.*: custom fields of users and their values."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from gateway.sandbox.portal import SandboxPortal
from tests.sandbox.client import RestClient
from tests.sandbox.examples import EXAMPLES, compare

COLOUR = {
    "FIELD_NAME": "colour",
    "USER_TYPE_ID": "enumeration",
    "MULTIPLE": "Y",
    "SHOW_FILTER": "Y",
    "SHOW_IN_LIST": "Y",
    "LABEL": "Colour",
    "LIST": [{"VALUE": "White", "SORT": 0}, {"VALUE": ""}, {"VALUE": "Black", "DEF": "Y", "XML_ID": "b"}],
}


def documented(example: str) -> Any:
    return json.loads((EXAMPLES / f"{example}.json").read_text())


async def test_a_custom_field_lives_until_it_is_deleted(webhook: RestClient, portal: SandboxPortal) -> None:
    used = max(max(table, default=0) for table in portal.data.userfields.values())
    added = await webhook.call("user.userfield.add", fields=COLOUR)
    compare(added.body, "user.userfield.add")
    assert added.result == used + 1
    money = (
        await webhook.call("user.userfield.add", fields={"FIELD_NAME": "UF_MONEY", "USER_TYPE_ID": "money"})
    ).result
    listed = await webhook.call("user.userfield.list")
    compare(listed.body, "user.userfield.list")
    colour, other = listed.result
    assert (colour["FIELD_NAME"], colour["SHOW_FILTER"], colour["ENTITY_ID"]) == ("UF_USR_COLOUR", "E", "USER")
    assert [(entry["VALUE"], entry["DEF"]) for entry in colour["LIST"]] == [("White", "N"), ("Black", "Y")]
    assert (other["FIELD_NAME"], other["SORT"], other["MULTIPLE"]) == ("UF_USR_MONEY", "100", "N")
    changes = {"SORT": "50", "MANDATORY": "Y", "EDIT_FORM_LABEL": {"en": "Salary"}, "USER_TYPE_ID": "string"}
    updated = await webhook.call("user.userfield.update", id=money, fields={**changes, "SETTINGS": {"X": 1}})
    compare(updated.body, "user.userfield.update")
    first = (await webhook.call("user.userfield.list", filter={"LANG": "en"}, order={"SORT": "ASC"})).result[0]
    assert (first["ID"], first["MANDATORY"], first["USER_TYPE_ID"]) == (str(money), "Y", "money")
    assert (first["EDIT_FORM_LABEL"], first["SETTINGS"]) == ("Salary", {"DEFAULT_VALUE": "", "X": 1})
    for number in (added.result, money):
        compare((await webhook.call("user.userfield.delete", id=number)).body, "user.userfield.delete")
    assert (await webhook.call("user.userfield.list")).body["total"] == 0
    assert (await webhook.call("user.userfield.add", fields=COLOUR)).result == money + 1


async def test_users_have_values_of_custom_fields(webhook: RestClient) -> None:
    for name, multiple in (("SIZE", "N"), ("PETS", "Y")):
        fields = {"FIELD_NAME": name, "USER_TYPE_ID": "string", "MULTIPLE": multiple, "EDIT_FORM_LABEL": name.title()}
        await webhook.call("user.userfield.add", fields=fields)
    assert (await webhook.call("user.fields")).result["UF_USR_SIZE"] == "Size"
    await webhook.call("user.update", ID=1, UF_USR_SIZE=42, UF_USR_PETS=["cat", "dog"])
    (row,) = (await webhook.call("user.get", FILTER={"UF_USR_PETS": "dog"}, select=["UF_*"])).result
    assert (row["UF_USR_SIZE"], row["UF_USR_PETS"]) == ("42", ["cat", "dog"])
    for field in (await webhook.call("user.userfield.list")).result:
        await webhook.call("user.userfield.delete", id=field["ID"])
    (row,) = (await webhook.call("user.get", ID=1)).result
    assert not any(name.startswith("UF_USR_") for name in row)


@pytest.mark.parametrize(
    ("fields", "code", "text"),
    [
        ({"FIELD_NAME": ""}, *documented("user.userfield.add.error").values()),
        ({"USER_TYPE_ID": ""}, "", "The 'USER_TYPE_ID' field is not found."),
        ({"USER_TYPE_ID": "colour"}, "ERROR_CORE", "Invalid custom type specified."),
        ({"FIELD_NAME": "UF_COLOUR"}, "ERROR_CORE", "Field UF_USR_COLOUR for USER object already exists"),
        ({"FIELD_NAME": "X" * 44}, "ERROR_CORE", "Field name is too long (more than 50 characters)."),
        (
            {"FIELD_NAME": "цвет"},
            "ERROR_CORE",
            "Field name contains invalid characters. Allowed characters are: A-Z, 0-9 and _.",
        ),
    ],
)
async def test_a_wrong_field_is_refused(webhook: RestClient, fields: dict[str, Any], code: str, text: str) -> None:
    await webhook.call("user.userfield.add", fields=COLOUR)
    answer = await webhook.call("user.userfield.add", fields={**COLOUR, **fields})
    assert (answer.status, answer.body) == (400, {"error": code, "error_description": text})


@pytest.mark.parametrize("method", ["update", "delete"])
async def test_an_unknown_field_is_refused_like_missing_rights(webhook: RestClient, method: str) -> None:
    answer = await webhook.call(f"user.userfield.{method}", id=999_999, fields={})
    assert (answer.status, answer.body) == (400, documented(f"user.userfield.{method}.error"))
    answer = await webhook.call(f"user.userfield.{method}", fields={})
    assert answer.body == {"error": "", "error_description": "ID is not defined or invalid"}


@pytest.mark.parametrize("method", ["add", "list", "update", "delete"])
async def test_only_an_administrator_has_access(
    anonymous: RestClient, portal: SandboxPortal, tokens_of: Callable[[int], str], method: str
) -> None:
    token = tokens_of(list(portal.data.users)[1])
    answer = await anonymous.call(f"/rest/user.userfield.{method}", auth=token, id=1, fields=COLOUR)
    assert (answer.status, answer.body) == (400, documented("user.userfield.list.error"))
