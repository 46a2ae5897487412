"""The layouts of the cards of records: personal ones, the common one, and those of pipelines."""

from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import ClientSession

from gateway.sandbox.web.server import SandboxServer
from tests.sandbox.client import RestClient
from tests.sandbox.examples import compare, documented

ENTITIES = ["lead", "deal", "contact", "company", "item"]
SECTION = {"name": "main", "title": "О сделке", "type": "section", "elements": [{"name": "TITLE"}]}


def prefix(entity: str) -> str:
    return f"crm.{entity}.details.configuration"


def kind(entity: str) -> dict[str, int]:
    return {"entityTypeId": 2} if entity == "item" else {}


@pytest.fixture
def employee(server: SandboxServer, session: ClientSession, tokens_of: Callable[[int], str]) -> Callable[..., Any]:
    """Return a function that makes a call as a user who is no administrator."""
    client, token = RestClient(session, server.origin + "/rest/"), tokens_of(2)

    async def call(method: str, **params: Any) -> Any:
        return await client.call(method, auth=token, **params)

    return call


@pytest.mark.parametrize("entity", ENTITIES)
async def test_a_layout_is_set_read_and_reset(webhook: RestClient, entity: str) -> None:
    name, data = prefix(entity), documented(f"{prefix(entity)}.get")["result"]
    assert (await webhook.call(f"{name}.get", **kind(entity))).result is None
    compare((await webhook.call(f"{name}.set", data=data, **kind(entity))).body, f"{name}.set")
    answer = await webhook.call(f"{name}.get", scope="P", userId=1, **kind(entity))
    compare(answer.body, f"{name}.get")
    assert [section["name"] for section in answer.result] == [section["name"] for section in data]
    assert (await webhook.call(f"{name}.get", scope="C", **kind(entity))).result is None
    compare((await webhook.call(f"{name}.reset", **kind(entity))).body, f"{name}.reset")
    assert (await webhook.call(f"{name}.get", **kind(entity))).result is None


async def test_flags_and_options_are_read_as_texts(webhook: RestClient) -> None:
    element = {"name": "CLIENT", "optionFlags": 1, "options": {"defaultCountry": "RU", "isPayButtonVisible": True}}
    await webhook.call(f"{prefix('deal')}.set", data=[{**SECTION, "elements": [element, {"name": "TITLE"}]}])
    (section,) = (await webhook.call(f"{prefix('item')}.get", entityTypeId=2)).result
    assert section["elements"] == [
        {"name": "CLIENT", "optionFlags": "1", "options": {"defaultCountry": "RU", "isPayButtonVisible": "true"}},
        {"name": "TITLE", "optionFlags": "0"},
    ]


@pytest.mark.parametrize(
    ("entity", "params", "same", "other"),
    [
        ("deal", {}, {"dealCategoryId": 0}, {"dealCategoryId": 7}),
        ("lead", {}, {"leadCustomerType": 1}, {"lead.customer.type": 2}),
        ("item", {"entityTypeId": 31}, {"categoryId": "5"}, {"categoryId": 9}),
    ],
)
async def test_each_pipeline_has_its_layout(
    webhook: RestClient, entity: str, params: dict[str, int], same: dict[str, Any], other: dict[str, Any]
) -> None:
    name = prefix(entity)
    await webhook.call(f"{name}.set", data=[SECTION], **params)
    assert (await webhook.call(f"{name}.get", extras=same, **params)).result is not None
    assert (await webhook.call(f"{name}.get", extras=other, **params)).result is None


@pytest.mark.parametrize("entity", ENTITIES)
async def test_the_common_layout_replaces_all_personal_ones(
    webhook: RestClient, employee: Callable[..., Any], entity: str
) -> None:
    name, params = prefix(entity), kind(entity)
    await webhook.call(f"{name}.set", scope="C", data=[SECTION], **params)
    await webhook.call(f"{name}.set", data=[SECTION], **params)
    assert (await employee(f"{name}.set", data=[SECTION], **params)).result is True
    answer = await webhook.call(f"{name}.forceCommonScopeForAll", **params)
    compare(answer.body, f"{name}.forceCommonScopeForAll")
    assert (await webhook.call(f"{name}.get", **params)).result is None
    assert (await employee(f"{name}.get", **params)).result is None
    assert (await webhook.call(f"{name}.get", scope="C", **params)).result is not None


@pytest.mark.parametrize("entity", ENTITIES)
@pytest.mark.parametrize(
    ("verb", "params"),
    [
        ("get", {"userId": 1}),
        ("get", {"scope": "C"}),
        ("set", {"scope": "C", "data": [SECTION]}),
        ("reset", {"userId": 1}),
        ("forceCommonScopeForAll", {}),
    ],
)
async def test_an_employee_has_only_personal_layouts(
    employee: Callable[..., Any], entity: str, verb: str, params: dict[str, Any]
) -> None:
    answer = await employee(f"{prefix(entity)}.{verb}", **params, **kind(entity))
    assert (answer.status, answer.body) == (400, {"error": "", "error_description": "Access denied."})


@pytest.mark.parametrize("entity", ["lead", "contact", "company", "item"])
async def test_an_element_needs_a_name(webhook: RestClient, entity: str) -> None:
    data = [SECTION, {**SECTION, "elements": [{"optionFlags": 1}]}]
    answer = await webhook.call(f"{prefix(entity)}.set", data=data, **kind(entity))
    assert (answer.status, answer.body) == (400, documented(f"{prefix(entity)}.set.error"))


@pytest.mark.parametrize("verb", ["get", "reset", "forceCommonScopeForAll"])
async def test_an_item_needs_a_type(webhook: RestClient, verb: str) -> None:
    answer = await webhook.call(f"{prefix('item')}.{verb}")
    assert (answer.status, answer.body) == (400, documented(f"{prefix('item')}.{verb}.error"))


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({}, "Parameter 'data' must be array."),
        ({"data": []}, "There are no data to write."),
        ({"data": {"main": SECTION}}, "The data must be indexed array."),
        ({"data": [{**SECTION, "type": "x"}]}, "Section at index 0 has type x. The expected type is 'section'."),
        ({"data": [{**SECTION, "name": ""}]}, "Section at index 0 does not have name."),
        ({"data": [SECTION, {**SECTION, "title": None}]}, "Section at index 1 does not have title."),
        ({"entityTypeId": 999}, "The entity type '999' is not supported in current context."),
    ],
)
async def test_wrong_data_is_refused(webhook: RestClient, params: dict[str, Any], text: str) -> None:
    answer = await webhook.call(f"{prefix('item')}.set", **{"entityTypeId": 2, **params})
    assert (answer.status, answer.body) == (400, {"error": "", "error_description": text})
