"""Answers compared with the documentation: the same keys, the same types."""

import json
from typing import Any

import pytest

from gateway.sandbox import oauth
from gateway.sandbox.behaviour import limits
from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.query import listing
from gateway.sandbox.rest2.methods import batch
from tests.sandbox.client import RestClient
from tests.sandbox.examples import EXAMPLES, compare

LANGUAGE = {"filter": {"LANG": "ru"}}


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("user.get", {}),
        ("profile", {}),
        ("scope", {}),
        ("methods", {}),
        ("method.get", {"name": "user.get"}),
        ("server.time", {}),
        ("crm.status.list", {"filter": {"ENTITY_ID": "DEAL_STAGE"}}),
        ("crm.category.list", {"entityTypeId": 2}),
        ("crm.type.list", {}),
        ("crm.address.list", {}),
        ("crm.lead.userfield.list", LANGUAGE),
        ("crm.deal.userfield.list", LANGUAGE),
        ("crm.company.userfield.list", LANGUAGE),
        ("crm.quote.userfield.list", LANGUAGE),
        ("userfieldconfig.list", {"moduleId": "crm", "select": {"0": "*", "language": "ru"}}),
    ],
)
async def test_an_answer_has_the_documented_keys_and_types(
    webhook: RestClient, method: str, params: dict[str, Any]
) -> None:
    answer = await webhook.call(method, **params)
    assert answer.status == 200
    assert answer.content_type == "application/json; charset=utf-8"
    compare(answer.body, method)


async def test_the_current_user_has_the_documented_keys_and_types(webhook: RestClient, portal: SandboxPortal) -> None:
    seldom_filled = ("SECOND_NAME", "TIME_ZONE", "PERSONAL_WWW", "PERSONAL_MOBILE", "PERSONAL_CITY", "WORK_PHONE")
    for column in seldom_filled:
        del portal.data.users[1][column]
    compare((await webhook.call("user.current")).body, "user.current")


async def test_users_and_their_fields_include_the_external_code(webhook: RestClient) -> None:
    documented = json.loads((EXAMPLES / "user.fields.json").read_text())["result"]
    fields = (await webhook.call("user.fields")).result
    assert set(fields) <= set(documented)
    users = (await webhook.call("user.get")).result
    assert "XML_ID" in fields
    assert all(isinstance(user["XML_ID"], str) for user in [*users, (await webhook.call("user.current")).result])
    coded = next(user for user in users if user["XML_ID"])
    found = (await webhook.call("user.get", FILTER={"XML_ID": coded["XML_ID"]}, select=["ID", "XML_ID"])).result
    assert found == [{"ID": coded["ID"], "XML_ID": coded["XML_ID"]}]


async def test_app_info_has_the_documented_keys(anonymous: RestClient, access_token: str) -> None:
    compare((await anonymous.call("/rest/app.info", auth=access_token)).body, "app.info")


@pytest.mark.parametrize("method", ["get", "list", "clear", "error"])
async def test_offline_events_have_the_documented_keys_and_types(
    anonymous: RestClient, portal: SandboxPortal, access_token: str, method: str
) -> None:
    event = portal.data.offline_events.blank(1)
    portal.data.offline_events[1] = {**event, "EVENT_DATA": False, "EVENT_ADDITIONAL": False}
    params = {} if method == "get" else {"process_id": "x", "message_id": []}
    answer = await anonymous.call(f"/rest/event.offline.{method}", auth=access_token, **params)
    compare(answer.body, f"event.offline.{method}")


@pytest.mark.parametrize("method", ["crm.contact.userfield.list", "crm.requisite.userfield.list"])
async def test_fields_without_choices_have_the_documented_keys_and_types(webhook: RestClient, method: str) -> None:
    answer = await webhook.call(method, filter={"LANG": "ru", "!USER_TYPE_ID": "enumeration"})
    compare(answer.body, method)


async def test_a_batch_has_the_documented_five_maps(webhook: RestClient) -> None:
    answer = await webhook.call("batch", cmd={"get_user": "user.current", "get_department": "user.get?FILTER[ID]=1"})
    documented = json.loads((EXAMPLES / "batch.json").read_text())
    assert list(answer.body) == ["result", "time"]
    assert list(answer.result) == list(documented["result"])
    assert answer.result["result_error"] == answer.result["result_next"] == []
    assert answer.result["result_total"] == {"get_department": 1}
    assert set(documented["result"]["result_time"]["get_user"]) <= set(answer.result["result_time"]["get_user"])


@pytest.mark.parametrize(
    ("example", "method", "params"),
    [
        ("crm.status.list.error", "crm.status.list", {"filter": "x"}),
        ("crm.category.list.error", "crm.category.list", {"entityTypeId": 8}),
        ("crm.lead.userfield.list.error", "crm.lead.userfield.list", {"filter": "x"}),
    ],
)
async def test_an_error_matches_the_documentation(
    webhook: RestClient, example: str, method: str, params: dict[str, Any]
) -> None:
    answer = await webhook.call(method, **params)
    assert answer.status == 400
    assert answer.body == json.loads((EXAMPLES / f"{example}.json").read_text())


@pytest.mark.parametrize("grant", ["authorization_code", "refresh_token"])
async def test_a_token_answer_has_the_documented_keys_and_types(
    portal: SandboxPortal, anonymous: RestClient, grant: str
) -> None:
    client = "client_id=app.sandbox&client_secret=sandbox-secret"
    code = f"/oauth/token/?grant_type=authorization_code&{client}&code={portal.oauth.issue_code()}"
    answer = await anonymous.get(code)
    if grant == "refresh_token":
        token = answer.body["refresh_token"]
        answer = await anonymous.get(f"/oauth/token/?grant_type=refresh_token&{client}&refresh_token={token}")
    assert answer.status == 200
    compare(answer.body, f"oauth.token.{grant}")


def test_the_limits_match_the_documentation() -> None:
    facts = json.loads((EXAMPLES / "limits.json").read_text())
    rate, operating, times = facts["rate_limit"]["tariffs"], facts["operating_limit"], facts["oauth"]
    for ours, reference in (("standard", "other"), ("enterprise", "enterprise")):
        tariff = limits.TARIFFS[ours]
        assert tariff is not None
        assert (tariff.bucket_capacity, tariff.bucket_leak_per_s) == (
            rate[reference]["X"],
            rate[reference]["Y_per_second"],
        )
        assert tariff.operating_limit_s == operating["limit_seconds_cloud_example"]
    assert operating["basket_seconds"] == limits.BASKET_S
    assert operating["window_seconds"] == limits.WINDOW_S
    assert operating["min_accounted_call_seconds"]["value"] == limits.MIN_COUNTED_S
    assert facts["paging"]["v2_page_size"]["value"] == listing.PAGE_ROWS
    assert facts["batch"]["v2_max_commands"]["value"] == batch.MAX_COMMANDS
    assert times["authorization_code_ttl_seconds"]["value"] == oauth.CODE_LIFETIME_S
    assert times["access_token_ttl_seconds"]["value"] == oauth.ACCESS_LIFETIME_S
    assert times["refresh_token_ttl_days"]["value"] * 86400 == oauth.REFRESH_LIFETIME_S
