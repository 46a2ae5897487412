"""What a resumed sync keeps of the interrupted one: only rows that are still valid."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from sqlite3 import Connection
from typing import Any

import pysqlite3
import pytest

from gateway.sandbox.content.portal_data import PortalData
from tests.gateway import Gateway, Sandbox, authorize
from tests.support.portal_rows import USERS
from tests.support.runs import first_bound, run_of
from tests.support.stored import database

METHODS = {"pipelines": {"crm.category.list"}, "steps": {"crm.status.list"}}


@contextmanager
def at_file(gateway: Gateway) -> Iterator[Connection]:
    with closing(pysqlite3.connect(database(gateway), isolation_level=None)) as connection:
        yield connection


def methods_of(resource: str, sandbox: Sandbox) -> set[str]:
    """The methods that read its lists."""
    of_fields = {method for method in sandbox.portal.calls if "userfield" in method}
    return METHODS.get(resource, of_fields)


def change_every_row(resource: str, data: PortalData) -> int:
    """Change the label of every row of *resource*; return the number of rows."""
    tables = [data.statuses]
    if resource != "steps":
        tables = [*(data.categories if resource == "pipelines" else data.userfields).values()]
    count = 0
    for table in tables:
        for row_id, row in list(table.items()):
            label = {"EDIT_FORM_LABEL": {"ru": "new"}, "editFormLabel": {"ru": "new"}}
            table[row_id] = row | (label if resource == "fields" else {"name": "new", "NAME": "new"})
            count += 1
    return count


def labels_of(rows: list[dict[str, Any]]) -> set[str]:
    return {row["editFromLabel"] if "editFromLabel" in row else row["name"] for row in rows}


@pytest.mark.parametrize("resource", ["steps", "pipelines", "fields"])
async def test_lists_that_were_all_refused_are_all_requested_again(
    connected: Gateway, sandbox: Sandbox, resource: str
) -> None:
    before = await run_of(connected, resource)
    methods = methods_of(resource, sandbox)
    for method in methods:
        sandbox.portal.fault(f"{method}:error=ACCESS_DENIED*")
    (failed,) = await connected.sync(resource)
    assert (failed["state"], "ACCESS_DENIED" in failed["error"]) == ("failed", True)
    assert len(failed["skipped"]) >= len(methods)
    sandbox.portal.clear_faults()
    assert change_every_row(resource, sandbox.portal.data) > 0
    await connected.clock.advance(60)
    calls = {method: sandbox.portal.calls[method] for method in methods}
    (run,) = await connected.sync(resource)
    assert (run["state"], run["error"], run["skipped"]) == ("done", None, before["skipped"])
    assert run["rows"] == before["rows"] > 0
    assert all(sandbox.portal.calls[method] > calls[method] for method in methods)
    assert labels_of(await connected.rows(resource)) == {"new"}


async def test_a_list_read_before_the_interruption_is_read_again_with_the_others(
    connected: Gateway, sandbox: Sandbox
) -> None:
    data = sandbox.portal.data
    rows = await connected.rows("fields")
    away = {entity: dict(table) for entity, table in data.userfields.items()}
    data.userfields["CRM_LEAD"].clear()  # temporarily: all of them become missing rows
    sandbox.portal.hold("crm.lead.userfield.list")
    with at_file(connected) as connection:
        connection.execute(
            "CREATE TRIGGER broken BEFORE DELETE ON sync_missing BEGIN SELECT RAISE(FAIL, 'broken'); END"
        )
        await connected.patch("/bitrix/fields")
        sandbox.portal.release("crm.lead.userfield.list")
        (run,) = await connected.synced("fields")
        assert run["state"] == "failed"
        connection.execute("DROP TRIGGER broken")
    data.userfields["CRM_LEAD"].update(away["CRM_LEAD"])
    (run,) = await connected.sync("fields")
    assert (run["state"], run["rows"]) == ("done", run["total"])
    assert await connected.rows("fields") == rows


async def test_rows_read_with_another_credential_are_read_again(halfway: Gateway, sandbox: Sandbox) -> None:
    await halfway.connect(sandbox.webhook)
    assert first_bound(sandbox) == 0
    assert (await run_of(halfway, "users"))["rows"] == 599


async def test_rows_read_before_a_new_authorization_are_read_again(gateway: Gateway, sandbox: Sandbox) -> None:
    USERS.fill(sandbox.portal.data, 600)
    await authorize(gateway, sandbox)
    await gateway.synced()
    sandbox.portal.fault("user.get:invalid_token*@8")
    (run,) = await gateway.sync("users")
    assert (run["state"], run["cursor"] > 100) == ("failed", True)
    sandbox.portal.clear_faults()
    sandbox.portal.seen.clear()
    await authorize(gateway, sandbox)
    (run,) = await gateway.synced("users")
    assert first_bound(sandbox) == 0
    assert (run["state"], run["rows"]) == ("done", 600)


@pytest.mark.parametrize(("language", "resumes"), [("ru", True), ("en", False)])
async def test_rows_read_in_another_language_are_read_again(
    halfway: Gateway, sandbox: Sandbox, language: str, resumes: bool
) -> None:
    await halfway.restart(GATEWAY_FIELD_LANGUAGE=language)
    (run,) = await halfway.sync("users")
    assert (first_bound(sandbox) > 0) == resumes
    assert (run["state"], run["rows"]) == ("done", 599)


async def test_rows_read_by_another_version_are_read_again(halfway: Gateway, sandbox: Sandbox) -> None:
    await halfway.stop()
    with at_file(halfway) as connection:
        connection.execute("UPDATE facts SET value = CAST('0.0.1 ru' AS BLOB) WHERE name = 'sync_reader'")
    await halfway.start()
    await halfway.sync("users")
    assert first_bound(sandbox) == 0


async def test_a_run_that_began_in_the_future_starts_over(halfway: Gateway, sandbox: Sandbox) -> None:
    halfway.clock.wall_shift_s = -600
    (run,) = await halfway.sync("users")
    assert first_bound(sandbox) == 0
    assert (run["state"], run["rows"]) == ("done", 599)


async def test_an_unended_run_is_not_shown_as_running_after_its_account_is_connected_again(
    connected: Gateway, sandbox: Sandbox
) -> None:
    await connected.delete("/bitrix/account")
    await connected.stop()
    with at_file(connected) as connection:
        connection.execute("UPDATE sync_runs SET state = 'running', finished_at = NULL")
    await connected.start()
    assert (await connected.post("/bitrix/account", json={"client_bitrix_url": sandbox.origin})).status == 200
    for run in (await connected.get("/bitrix/sync")).json["items"]:
        assert (run["state"], run["error"] is not None) == ("failed", True)
