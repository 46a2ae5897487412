"""Syncs whose end could not be stored are not shown as running."""

from contextlib import closing

import pysqlite3

from tests.gateway import Gateway, Sandbox
from tests.support.stored import database

NO_RUN_ENDS = """
CREATE TRIGGER full BEFORE UPDATE OF finished_at ON sync_runs WHEN NEW.finished_at IS NOT NULL
BEGIN SELECT RAISE(FAIL, 'disk full'); END
"""


def change(gateway: Gateway, statement: str) -> None:
    with closing(pysqlite3.connect(database(gateway), isolation_level=None)) as connection:
        connection.execute(statement)


async def test_a_sync_whose_end_cannot_be_stored_is_shown_as_failed_and_the_next_one_resumes(
    connected: Gateway,
) -> None:
    change(connected, NO_RUN_ENDS)
    (run,) = await connected.sync("users")
    assert (run["state"], "could not be written" in run["error"]) == ("failed", True)
    assert run["finishedAt"] is not None
    change(connected, "DROP TRIGGER full")
    (run,) = await connected.sync("users")
    assert (run["state"], run["error"]) == ("done", None)


async def test_an_account_is_deleted_even_if_the_end_of_its_sync_cannot_be_stored(
    connected: Gateway, sandbox: Sandbox
) -> None:
    sandbox.portal.hold("user.get")
    await connected.patch("/bitrix/users")
    change(connected, NO_RUN_ENDS)
    assert (await connected.delete("/bitrix/account")).status == 200
    assert (await connected.get("/bitrix/account")).status == 404


async def test_an_interrupted_sync_of_an_unauthorized_account_is_marked_failed(
    connected: Gateway,
) -> None:
    await connected.stop()
    change(connected, "UPDATE sync_runs SET state = 'running', finished_at = NULL")
    change(connected, "UPDATE accounts SET stale = 1")
    await connected.start()
    for run in (await connected.get("/bitrix/sync")).json["items"]:
        assert (run["state"], "authorized again" in run["error"]) == ("failed", True)
