"""A damaged database is reported with instructions, wherever it is noticed."""

import pytest

from tests.gateway import Gateway
from tests.support.runs import run_of
from tests.support.stored import damage, database

INSTRUCTIONS = (
    "the database is damaged",
    "Stop the gateway",
    "backup",
    ".recover",
    "Syncs rebuild the mirror",
    "tokens",
)


def is_instructive(text: str) -> bool:
    return all(part in text for part in INSTRUCTIONS)


def damage_messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the log messages about the damage, without those about requests."""
    return [record.getMessage() for record in caplog.records if record.name == "storage.database"]


async def test_a_sync_fails_on_a_damaged_database_and_says_what_to_do(
    connected: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    await connected.stop()
    damage(database(connected), "mirror_rows")
    await connected.start()
    assert (await connected.get("/readyz")).status == 200
    caplog.clear()
    (run,) = await connected.sync("users")
    assert (run["state"], is_instructive(run["error"])) == ("failed", True)
    unready = await connected.get("/readyz")
    assert (unready.status, is_instructive(unready.json["reason"])) == (503, True)
    (line,) = damage_messages(caplog)
    assert is_instructive(line)
    assert not any(record.exc_info for record in caplog.records)
    await connected.sync("steps")
    assert len(damage_messages(caplog)) == 1


async def test_a_page_of_a_damaged_database_is_500(connected: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    await connected.stop()
    damage(database(connected), "mirror_rows")
    await connected.start()
    caplog.clear()
    page = await connected.get("/bitrix/users")
    assert (page.status, page.json) == (500, "Internal Server Error")
    assert (await connected.get("/readyz")).status == 503
    assert len(damage_messages(caplog)) == 1
    assert not any(record.exc_info for record in caplog.records)


async def test_the_state_of_a_sync_in_a_damaged_database_says_what_to_do(connected: Gateway) -> None:
    await connected.stop()
    damage(database(connected), "sync_parts")
    await connected.start()
    run = await run_of(connected, "users")
    assert (run["state"], is_instructive(run["error"])) == ("failed", True)
    for run in (await connected.get("/bitrix/sync")).json["items"]:
        assert is_instructive(run["error"])
    assert (await connected.get("/readyz")).status == 503
