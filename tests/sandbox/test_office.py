"""im.chat.get, telephony.externalCall.register and feature.get."""

import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from gateway.sandbox.content.events import Handler
from gateway.sandbox.portal import SandboxPortal
from tests.clock import ManualClock
from tests.sandbox.client import Answer, RestClient
from tests.sandbox.examples import EXAMPLES, compare

Registering = Callable[..., Coroutine[Any, Any, Answer]]
CALL = {"USER_ID": 1, "PHONE_NUMBER": "79062195047", "TYPE": 2, "CRM_ENTITY_TYPE": "CONTACT", "CRM_ENTITY_ID": 797}


def documented(example: str) -> Any:
    return json.loads((EXAMPLES / f"{example}.json").read_text())


@pytest.fixture
def register(anonymous: RestClient, access_token: str) -> Registering:
    """Registrations by the application, of the documented call with other parameters."""

    async def register(**params: Any) -> Answer:
        body = {**CALL, **params, "auth": access_token}
        return await anonymous.call("/rest/telephony.externalCall.register", **body)

    return register


async def test_a_chat_is_found_by_its_object(webhook: RestClient, portal: SandboxPortal) -> None:
    chat_id, chat = next(iter(portal.data.chats.items()))
    answer = await webhook.call("im.chat.get", ENTITY_TYPE="CRM", ENTITY_ID=chat["ENTITY_ID"])
    compare(answer.body, "im.chat.get")
    assert answer.result == {"ID": chat_id}
    wrong: list[dict[str, Any]] = [{}, {"ENTITY_TYPE": "CRM"}, {"ENTITY_TYPE": "CRM", "ENTITY_ID": "DEAL|0"}]
    for params in wrong:
        assert (await webhook.call("im.chat.get", **params)).result is None


async def test_a_feature_is_there_or_not(webhook: RestClient) -> None:
    answer = await webhook.call("feature.get", CODE="rest_offline_extended")
    compare(answer.body, "feature.get")
    assert answer.result == {"value": "Y"}
    for code in ("rest_auth_connector", "nothing"):
        assert (await webhook.call("feature.get", CODE=code)).result == {"value": "N"}
    answer = await webhook.call("feature.get")
    assert (answer.status, answer.body) == (400, documented("feature.get.error"))


async def test_a_call_is_registered_once_in_half_an_hour(register: Registering, clock: ManualClock) -> None:
    first = await register()
    compare(first.body, "telephony.externalCall.register")
    assert first.result["CRM_ENTITY_ID"] == 797
    await clock.advance(1700)
    assert (await register(CRM_ENTITY_ID=5)).result == first.result
    assert (await register(EXTERNAL_CALL_ID="a")).result["CALL_ID"] != first.result["CALL_ID"]
    await clock.advance(100)
    assert (await register()).result["CALL_ID"] != first.result["CALL_ID"]


async def test_a_call_belongs_to_the_object_with_its_number(register: Registering, portal: SandboxPortal) -> None:
    contact_id, contact = next((number, row) for number, row in portal.data.records[3].items() if row["PHONE"])
    number = contact["PHONE"][0]["VALUE"]
    found = (await register(CRM_ENTITY_TYPE="", PHONE_NUMBER=number.replace("+", "+ "))).result
    assert (found["CRM_ENTITY_TYPE"], found["CRM_ENTITY_ID"]) == ("CONTACT", contact_id)
    unknown = (await register(CRM_ENTITY_TYPE="", PHONE_NUMBER="555")).result
    assert (unknown["CRM_ENTITY_TYPE"], unknown["CRM_ENTITY_ID"]) == (None, None)


async def test_an_unknown_number_becomes_a_lead_on_request(
    register: Registering, webhook: RestClient, portal: SandboxPortal
) -> None:
    portal.data.events.handlers.append(Handler("ONCRMLEADADD", offline=True))
    made = (await register(CRM_ENTITY_TYPE="", CRM_CREATE=1, CRM_SOURCE="WEB")).result
    lead_id = made["CRM_CREATED_LEAD"]
    assert made["CRM_CREATED_ENTITIES"] == [{"ENTITY_TYPE": "LEAD", "ENTITY_ID": lead_id}]
    assert (made["CRM_ENTITY_TYPE"], made["CRM_ENTITY_ID"]) == ("LEAD", lead_id)
    lead = (await webhook.call("crm.lead.get", id=lead_id)).result
    assert (lead["PHONE"][0]["VALUE"], lead["SOURCE_ID"]) == ("79062195047", "WEB")
    assert [row["EVENT_DATA"] for row in portal.data.offline_events.values()] == [{"FIELDS": {"ID": str(lead_id)}}]


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"TYPE": 6}, documented("telephony.externalCall.register.error")["error_description"]),
        ({"USER_ID": ""}, "USER_ID or USER_PHONE_INNER should be set."),
        ({"PHONE_NUMBER": "call me"}, "Unsupported phone number format."),
        ({"CALL_START_DATE": "soon"}, "CALL_START_DATE should be in the ISO-8601 format."),
        ({"USER_ID": 999_999}, "User is not found or is not active."),
        ({"USER_ID": "", "USER_PHONE_INNER": "1"}, "User is not found or is not active."),
    ],
)
async def test_a_wrong_call_is_refused(register: Registering, params: dict[str, Any], text: str) -> None:
    answer = await register(**params)
    assert (answer.status, answer.body) == (400, {"error": "ERROR_CORE", "error_description": text})


async def test_the_user_of_a_call_is_found_by_inner_number(register: Registering, portal: SandboxPortal) -> None:
    inner = next(row["UF_PHONE_INNER"] for row in portal.data.users.values() if row.get("UF_PHONE_INNER"))
    assert (await register(USER_ID="", USER_PHONE_INNER=inner)).status == 200


async def test_a_webhook_registers_no_calls(webhook: RestClient) -> None:
    answer = await webhook.call("telephony.externalCall.register", **CALL)
    assert (answer.status, answer.error) == (403, "WRONG_AUTH_TYPE")
