"""The descriptions of the fields of tasks and the event log in REST 3.0."""

from typing import Any

import pytest

from gateway.sandbox.portal import SandboxPortal
from tests.sandbox.client import RestClient
from tests.sandbox.rest3.answers import refused

ALL = [
    "name", "type", "title", "description", "validationRules", "requiredGroups",
    "filterable", "sortable", "editable", "multiple", "elementType",
]  # fmt: skip


async def test_a_field_is_described_completely_or_by_select(rest3: RestClient) -> None:
    field = (await rest3.call("tasks.task.field.get", name="responsible")).result["item"]
    assert list(field) == ALL
    assert (field["name"], field["type"], field["filterable"]) == ("responsible", "object", False)
    part = (await rest3.call("tasks.task.field.get", name="id", select=["type", "filterable"])).result["item"]
    assert part == {"type": "int", "filterable": True}
    names = (await rest3.call("main.eventlog.field.list", select=["name"])).result["items"]
    assert {"name": "timestampX"} in names


@pytest.mark.parametrize(
    ("method", "params", "name"),
    [
        ("tasks.task.field.get", {"name": 5}, "VALIDATION_REQUESTVALIDATIONEXCEPTION"),
        ("tasks.task.field.get", {"name": "id", "select": ["nope"]}, "UNKNOWNDTOPROPERTYEXCEPTION"),
        ("tasks.task.field.list", {"select": "name"}, "INVALIDSELECTEXCEPTION"),
        ("tasks.task.field.list", {"select": [1]}, "INVALIDSELECTEXCEPTION"),
    ],
)
async def test_an_invalid_request_is_refused(rest3: RestClient, method: str, params: dict[str, Any], name: str) -> None:
    assert refused(await rest3.call(method, **params), 400, name)


async def test_an_unknown_field_is_refused_as_documented(rest3: RestClient) -> None:
    answer = await rest3.call("main.eventlog.field.get", name="nope")
    code = "BITRIX_REST_V3_REALISATION_EXCEPTION_FIELDNOTFOUNDEXCEPTION"
    assert (answer.status, answer.error) == (400, {"code": code, "message": "Field `nope` not found"})


async def test_custom_fields_of_a_task_must_be_named(rest3: RestClient, portal: SandboxPortal) -> None:
    portal.data.tasks[1] |= {"crmItemIds": ["D_1"]}
    item = (await rest3.call("tasks.task.get", id=1, select=["UF_CRM_TASK", "UF_NOPE"])).result["item"]
    assert item == {"id": 1, "UF_CRM_TASK": ["D_1"]}
    assert not any(name.startswith("UF_") for name in (await rest3.call("tasks.task.get", id=1)).result["item"])
