"""The select of REST 3.0 streams; a portal silently drops unknown names."""

from dataclasses import replace
from typing import Any

import pytest

from gateway.sandbox.settings import SandboxSettings
from tests.gateway import Gateway, Sandbox

NO_METHOD = "error=BITRIX_REST_V3_EXCEPTION_METHODNOTFOUNDEXCEPTION*"
NO_SCOPE = "error=BITRIX_REST_V3_EXCEPTION_INSUFFICIENTSCOPEEXCEPTION*"
TASKS = "tasks?version=3&select="
EVENTLOG = "eventlog?select="
LISTS = {TASKS: "tasks.task.list", EVENTLOG: "main.eventlog.tail"}
FIELDS = {TASKS: "tasks.task.field.list", EVENTLOG: "main.eventlog.field.list"}


@pytest.fixture
def sandbox_settings(sandbox_settings: SandboxSettings) -> SandboxSettings:
    return replace(sandbox_settings, tasks=60, eventlog=60)


async def refusals(gateway: Gateway, address: str) -> list[tuple[str, str, str]]:
    answer = await gateway.get(f"/bitrix/stream/{address}")
    assert answer.status == 400
    return [(error["parameter"], error["code"], error["detail"]) for error in answer.json["errors"]]


async def columns(gateway: Gateway, resource: str, **parameters: Any) -> set[str]:
    stream = await gateway.stream(resource, **parameters)
    assert stream.end["complete"] is True
    assert all(set(row) == set(stream.rows[0]) for row in stream.rows)
    return set(stream.rows[0])


@pytest.mark.parametrize(
    ("resource", "name", "suggestion"),
    [
        (EVENTLOG, "severty", "severity"),
        (EVENTLOG, "user_id", "userId"),
        (EVENTLOG, "nonsense", None),
        (TASKS, "TITLE", "title"),
        (TASKS, "responsble.name", "responsible.name"),
        (TASKS, "*", None),
    ],
)
async def test_a_name_that_the_portal_would_drop_is_refused_with_a_suggestion(
    connected: Gateway, sandbox: Sandbox, resource: str, name: str, suggestion: str | None
) -> None:
    hint = "" if suggestion is None else f"; did you mean '{suggestion}'?"
    rule = f"unknown field '{name}', which the list would ignore{hint}"
    assert await refusals(connected, f"{resource}id,{name}") == [("select", "unknown_field", rule)]
    assert sandbox.portal.calls[LISTS[resource]] == 0


async def test_all_unknown_names_are_in_one_response(connected: Gateway) -> None:
    errors = await refusals(connected, f"{TASKS}nope,title,Status,UF_CRM_TASK")
    assert [detail.split(",")[0] for _, _, detail in errors] == ["unknown field 'nope'", "unknown field 'Status'"]


async def test_known_names_are_selected(connected: Gateway, sandbox: Sandbox) -> None:
    for select, expected in (
        ("title", {"id", "title"}),
        ("responsibleId,responsible.name,responsible.email", {"id", "responsibleId", "responsible"}),
        ("creator,group", {"id", "creator", "group"}),
    ):
        assert await columns(connected, "tasks", version="3", select=select) == expected
    assert await columns(connected, "eventlog", select="timestampX,description") == {"id", "timestampX", "description"}
    assert sandbox.portal.calls[FIELDS[TASKS]] == sandbox.portal.calls[FIELDS[EVENTLOG]] == 1


async def test_without_a_select_the_fields_are_not_fetched(connected: Gateway, sandbox: Sandbox) -> None:
    await connected.stream("eventlog", filter=[["severity", "=", "INFO"]])
    assert sandbox.portal.calls[FIELDS[EVENTLOG]] == 0


async def test_an_unknown_field_of_a_related_object_is_refused_by_the_portal(connected: Gateway) -> None:
    answer = await connected.get(f"/bitrix/stream/{TASKS}responsible.stageId")
    assert answer.status == 400
    assert answer.json["portalError"]["description"] == "Unknown field `stageId` for entity `UserDto`"


NOT_SENT = "unknown field '{}': none of the first rows has it"


async def test_custom_fields_that_the_portal_does_not_describe_are_verified_in_the_rows(
    connected: Gateway, sandbox: Sandbox
) -> None:
    assert await columns(connected, "tasks", version="3", select="UF_CRM_TASK") == {"id", "UF_CRM_TASK"}
    calls = sandbox.portal.calls[LISTS[TASKS]]
    errors = await refusals(connected, f"{TASKS}title,UF_NOPE,UF_CRM_TASK,UF_NONE")
    assert errors == [("select", "unknown_field", NOT_SENT.format(name)) for name in ("UF_NOPE", "UF_NONE")]
    assert sandbox.portal.calls[LISTS[TASKS]] == calls + 1


@pytest.mark.parametrize("resource", [TASKS, EVENTLOG])
@pytest.mark.parametrize(("fault", "calls"), [(NO_METHOD, 1), (NO_SCOPE, 3)])
async def test_names_are_verified_in_the_rows_if_the_portal_does_not_describe_its_fields(
    connected: Gateway, sandbox: Sandbox, resource: str, fault: str, calls: int
) -> None:
    sandbox.portal.fault(f"{FIELDS[resource]}:{fault}")
    own = "title" if resource == TASKS else "severity"
    assert (await connected.get(f"/bitrix/stream/{resource}{own}")).status == 200
    assert await refusals(connected, f"{resource}{own},nope") == [("select", "unknown_field", NOT_SENT.format("nope"))]
    empty = await connected.stream(f"{resource}nope&cursor=999999")
    assert (empty.rows, empty.end["complete"]) == ([], True)
    assert sandbox.portal.calls[FIELDS[resource]] == calls


async def test_related_objects_can_be_selected_if_the_portal_does_not_describe_its_fields(
    connected: Gateway, sandbox: Sandbox
) -> None:
    sandbox.portal.fault(f"{FIELDS[TASKS]}:{NO_METHOD}")
    assert await columns(connected, "tasks", version="3", select="responsible.name") == {"id", "responsible"}
    answer = await connected.get(f"/bitrix/stream/{TASKS}nope.name")
    assert (answer.status, answer.json["portalError"]["description"]) == (
        400,
        "Unknown field `nope` for entity `TaskDto`",
    )


async def test_a_stream_fails_if_the_fields_cannot_be_fetched(connected: Gateway, sandbox: Sandbox) -> None:
    sandbox.portal.fault(f"{FIELDS[EVENTLOG]}:error=BITRIX_REST_V3_EXCEPTION_ACCESSDENIEDEXCEPTION")
    assert (await connected.get(f"/bitrix/stream/{EVENTLOG}severity")).status == 403
    assert (await connected.get(f"/bitrix/stream/{EVENTLOG}severity")).status == 200
