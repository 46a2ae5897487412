"""Fields that hold a user take the id or the e-mail of one."""

from collections.abc import Mapping
from typing import Any

import pytest

from tests.gateway import Answer, Gateway, Sandbox
from tests.support.records import portal_ids

RESPONSIBLE = {"deals": "ASSIGNED_BY_ID", "items/128": "assignedById"}
each_kind = pytest.mark.parametrize("resource", RESPONSIBLE)


async def create(gateway: Gateway, resource: str, user: object, **more: Any) -> Answer:
    return await gateway.post(f"/bitrix/{resource}", json={RESPONSIBLE[resource]: user, **more})


def set_emails(sandbox: Sandbox, emails: Mapping[int, str]) -> None:
    """Give users of the portal other e-mails."""
    for user_id, email in emails.items():
        sandbox.portal.data.users[user_id] = sandbox.portal.data.users[user_id] | {"EMAIL": email}


def refusal(answer: Answer) -> list[tuple[str, str]]:
    assert answer.status == 400, answer.body
    return [(error["code"], error["pointer"]) for error in answer.json["errors"]]


@each_kind
async def test_a_mirrored_user_is_named_by_e_mail_in_any_case(
    connected: Gateway, sandbox: Sandbox, resource: str
) -> None:
    set_emails(sandbox, {3: "Anna.I@Example.com"})
    await connected.sync("users")
    calls = sandbox.portal.calls["user.get"]
    for email in ("Anna.I@Example.com", "anna.i@example.COM"):
        answer = await create(connected, resource, email)
        assert answer.status == 201, answer.body
        assert str(answer.json[RESPONSIBLE[resource]]) == "3"
    changed = await connected.patch(
        f"/bitrix/{resource}/{answer.json['id']}", json={RESPONSIBLE[resource]: "user5@example.com"}
    )
    assert str(changed.json[RESPONSIBLE[resource]]) == "5"
    assert sandbox.portal.calls["user.get"] == calls


@each_kind
async def test_an_unknown_e_mail_is_refused_beside_all_other_mistakes(
    connected: Gateway, sandbox: Sandbox, resource: str
) -> None:
    before = portal_ids(sandbox, resource)
    answer = await create(connected, resource, "nobody@example.com", opened="perhaps", nonsense=1)
    assert ("invalid_value", f"/{RESPONSIBLE[resource]}") in refusal(answer)
    assert ("unknown_field", "/nonsense") in refusal(answer)
    assert "no user has this e-mail" in answer.json["detail"]
    assert portal_ids(sandbox, resource) == before


@pytest.mark.parametrize("mirrored", [True, False])
async def test_an_e_mail_of_two_users_is_refused_with_their_ids(
    connected: Gateway, sandbox: Sandbox, mirrored: bool
) -> None:
    set_emails(sandbox, {3: "office@example.com", 5: "Office@example.com"})
    if mirrored:
        await connected.sync("users")
    answer = await create(connected, "deals", "OFFICE@example.com")
    assert refusal(answer) == [("ambiguous_value", "/ASSIGNED_BY_ID")]
    assert "use one of the ids 3, 5" in answer.json["detail"]


async def test_a_user_that_the_mirror_does_not_know_is_found_on_the_portal(
    connected: Gateway, sandbox: Sandbox
) -> None:
    set_emails(sandbox, {3: "New@Example.com"})
    answer = await create(connected, "deals", "new@example.com")
    assert (answer.status, answer.json["ASSIGNED_BY_ID"]) == (201, "3")


async def test_many_unknown_e_mails_are_looked_up_in_few_calls(connected: Gateway, sandbox: Sandbox) -> None:
    fields = sandbox.portal.data.userfields["CRM_DEAL"].values()
    name = next(row["FIELD_NAME"] for row in fields if row["USER_TYPE_ID"] == "employee" and row["MULTIPLE"] == "Y")
    emails = {user_id: f"New{user_id}@example.com" for user_id in list(sandbox.portal.data.users)[:45]}
    set_emails(sandbox, emails)
    before = sandbox.portal.calls["user.get"]
    answer = await connected.post("/bitrix/deals", json={name: [email.upper() for email in emails.values()]})
    assert answer.status == 201, answer.body
    assert [int(user_id) for user_id in answer.json[name]] == list(emails)
    assert sandbox.portal.calls["user.get"] == before + 3


async def test_a_portal_that_does_not_answer_is_no_unknown_user(connected: Gateway, sandbox: Sandbox) -> None:
    before = portal_ids(sandbox, "deals")
    sandbox.portal.fault("user.get:error=ACCESS_DENIED*")
    answer = await create(connected, "deals", "nobody@example.com")
    assert (answer.status, answer.json["portalError"]["code"]) == (403, "ACCESS_DENIED")
    assert (await create(connected, "deals", 3)).status == 201
    assert len(portal_ids(sandbox, "deals")) == len(before) + 1
