"""Portals with shorter pages than documented or requested: every row arrives, or the failure says why."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from gateway.sandbox.settings import SandboxSettings
from tests.gateway import Gateway, Sandbox


@pytest.fixture
def sizes() -> dict[str, Any]:
    """Settings of the sandbox portal that differ from those of other tests."""
    return {}


@pytest.fixture
def sandbox_settings(sandbox_settings: SandboxSettings, sizes: dict[str, Any]) -> SandboxSettings:
    return replace(sandbox_settings, **{"tariff": "off", **sizes})


def count_calls(sandbox: Sandbox, method: str) -> int:
    """The number of calls of *method* since the last time, which are then cleared."""
    calls = sandbox.portal.calls[method]
    sandbox.portal.calls.clear()
    return calls


class TestRest3:
    """Streams of REST 3.0."""

    @pytest.mark.parametrize(
        ("sizes", "requests"),
        [
            ({"tasks": 0}, 1),
            ({"tasks": 49}, 2),
            ({"tasks": 50}, 2),
            ({"tasks": 51}, 2),
            ({"tasks": 300}, 7),
            ({"tasks": 310}, 7),
            ({"tasks": 100, "rest3_page_rows": 7}, 15),
            ({"tasks": 300, "rest3_page_rows": 1000}, 2),
        ],
        ids=str,
    )
    async def test_tasks_are_read_completely_with_any_page_size(
        self, connected: Gateway, sandbox: Sandbox, requests: int
    ) -> None:
        streamed = await connected.stream("tasks", version="3")
        assert streamed.ids == list(sandbox.portal.data.tasks)
        assert (streamed.end["count"], streamed.end["complete"]) == (len(streamed.ids), True)
        assert count_calls(sandbox, "tasks.task.list") == requests

    @pytest.mark.parametrize(
        ("sizes", "requests"),
        [
            ({"eventlog": 120}, 2),
            ({"eventlog": 1000}, 2),
            ({"eventlog": 2500}, 3),
            ({"eventlog": 120, "rest3_page_rows": 50}, 3),
            ({"eventlog": 100, "rest3_page_rows": 50}, 3),
        ],
        ids=str,
    )
    async def test_the_event_log_is_read_completely_with_any_page_size(
        self, connected: Gateway, sandbox: Sandbox, requests: int
    ) -> None:
        streamed = await connected.stream("eventlog")
        assert streamed.ids == list(sandbox.portal.data.eventlog)
        assert streamed.end["complete"] is True
        assert count_calls(sandbox, "main.eventlog.tail") == requests

    @pytest.mark.parametrize("sizes", [{"tasks": 300}])
    async def test_reading_resumes_from_any_cursor(self, connected: Gateway, sandbox: Sandbox) -> None:
        every = list(sandbox.portal.data.tasks)
        first = await connected.stream("tasks", version="3", limit=130)
        rest = await connected.stream("tasks", version="3", cursor=first.end["cursor"])
        assert first.ids + rest.ids == every
        assert (first.end["complete"], rest.end["complete"]) == (False, True)


SMALLER = "the portal's answer cannot be read: the portal gives pages of 20 rows, not 50"


class TestSmallerPagesOfVersion2:
    """Pages of 20 rows instead of the documented 50: a longer list fails with the reason."""

    @pytest.fixture
    def sizes(self) -> dict[str, Any]:
        return {"users": 12, "deals": 90, "page_rows": 20, "holes": 0.0}

    @pytest.mark.parametrize("resource", ["deals", "items/2", "leads", "tasks"])
    @pytest.mark.parametrize("cursor", [0, 30])
    async def test_a_stream_fails(self, connected: Gateway, resource: str, cursor: int) -> None:
        answer = await connected.get(f"/bitrix/stream/{resource}?cursor={cursor}")
        assert (answer.status, answer.json["code"]) == (502, "portal_broken")
        assert answer.json["detail"] == SMALLER

    @pytest.mark.parametrize(
        "conditions",
        [{">ID": 10, "<=ID": 40}, {"<ID": 22}, {"@ID": list(range(1, 31))}, {">=ID": 69, "ASSIGNED_BY_ID": [1, 2, 3]}],
        ids=str,
    )
    async def test_a_range_with_fewer_than_50_ids_fails_too(
        self, connected: Gateway, conditions: dict[str, object], sandbox: Sandbox
    ) -> None:
        for row_id, deal in list(sandbox.portal.data.tables["deals"].items()):
            sandbox.portal.data.tables["deals"][row_id] = {**deal, "ASSIGNED_BY_ID": "1"}
        answer = await connected.get("/bitrix/stream/deals", params={"filter": orjson.dumps(conditions).decode()})
        assert (answer.status, answer.json["detail"]) == (502, SMALLER)

    async def test_a_list_that_fits_into_one_page_is_complete(self, connected: Gateway) -> None:
        streamed = await connected.stream("deals", filter={">ID": 70})
        assert (streamed.ids, streamed.end["complete"]) == (list(range(71, 91)), True)
        assert (await connected.stream("deals", filter={"ID": 5})).ids == [5]

    @pytest.mark.parametrize("fault", [None, "user.get:total=20*", "user.get:total=0*"])
    async def test_a_sync_of_users_fails_and_deletes_no_user(
        self, connected: Gateway, sandbox: Sandbox, fault: str | None
    ) -> None:
        before = await connected.rows("users")
        sandbox.portal.data.users.update({user_id: {"ID": str(user_id)} for user_id in range(100, 150)})
        if fault is not None:
            sandbox.portal.fault(fault)
        (run,) = await connected.sync("users")
        assert (run["state"], run["error"]) == ("failed", f"user.get could not be read beyond id 0: {SMALLER}")
        assert await connected.rows("users") == before

    @pytest.mark.parametrize("fault", [None, "crm.deal.userfield.list:total=20*", "crm.deal.userfield.list:total=0*"])
    async def test_a_sync_of_fields_fails_and_deletes_no_field(
        self, gateway: Gateway, sandbox: Sandbox, fault: str | None
    ) -> None:
        fields = sandbox.portal.data.userfields
        kept = {name: dict(list(table.items())[:10]) for name, table in fields.items()}
        added = dict(list(fields["CRM_DEAL"].items())[10:])
        for name, table in fields.items():
            table.clear()
            table.update(kept[name] if name == "CRM_DEAL" else {})
        await gateway.connect(sandbox.webhook)
        before = await gateway.rows("fields")
        fields["CRM_DEAL"].update(added)
        del fields["CRM_DEAL"][min(kept["CRM_DEAL"])]
        if fault is not None:
            sandbox.portal.fault(fault)
        (run,) = await gateway.sync("fields")
        assert run["error"] == f"crm.deal.userfield.list could not be read beyond id 0: {SMALLER}"
        assert await gateway.rows("fields") == before != []


class TestTotals:
    """Totals that differ from the number of rows."""

    @pytest.mark.parametrize("total", [50, 0, 1, 63])
    async def test_a_too_low_total_loses_no_row(self, connected: Gateway, sandbox: Sandbox, total: int) -> None:
        before = await connected.rows("fields")
        sandbox.portal.fault(f"crm.deal.userfield.list:total={total}*")
        (run,) = await connected.sync("fields")
        assert (run["state"], run["error"]) == ("done", None)
        assert await connected.rows("fields") == before

    async def test_a_too_high_total_fails_the_sync_with_the_reason(self, connected: Gateway, sandbox: Sandbox) -> None:
        before = await connected.rows("fields")
        count = len(sandbox.portal.data.userfields["CRM_DEAL"])
        del sandbox.portal.data.userfields["CRM_DEAL"][min(sandbox.portal.data.userfields["CRM_DEAL"])]
        sandbox.portal.fault(f"crm.deal.userfield.list:total={count}*")
        (run,) = await connected.sync("fields")
        assert run["error"].endswith(f"the portal counts {count} rows and gives {count - 1}")
        assert await connected.rows("fields") == before

    async def test_a_correct_total_needs_no_extra_requests(self, connected: Gateway, sandbox: Sandbox) -> None:
        requests = sandbox.portal.http_requests
        await connected.sync("fields")
        assert sandbox.portal.http_requests - requests == 2  # the first pages of all lists, and the second of deals
