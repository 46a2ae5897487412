"""A damaged page of the database: it is told as such, with what to do, wherever it is met."""

import pytest

from tests.gateway import Gateway
from tests.support.runs import run_of
from tests.support.stored import damage

WHAT_TO_DO = ("the database is damaged", "Stop the gateway", "backup", ".recover", "Syncs rebuild the mirror", "tokens")


def says_what_to_do(text: str) -> bool:
    return all(part in text for part in WHAT_TO_DO)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the log says of the damage, beside the requests that met it."""
    return [record.getMessage() for record in caplog.records if record.name == "storage.database"]


async def test_a_sync_that_meets_damage_has_failed_and_says_what_to_do(
    connected: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    await connected.stop()
    damage(connected, "mirror_rows")
    await connected.start()
    assert (await connected.get("/readyz")).status == 200
    caplog.clear()
    (run,) = await connected.sync("users")
    assert (run["state"], says_what_to_do(run["error"])) == ("failed", True)
    unready = await connected.get("/readyz")
    assert (unready.status, says_what_to_do(unready.json["reason"])) == (503, True)
    (line,) = told(caplog)
    assert says_what_to_do(line)
    assert not any(record.exc_info for record in caplog.records)
    await connected.sync("steps")
    assert len(told(caplog)) == 1


async def test_a_page_that_cannot_be_read_is_500_as_the_contract_has_it(
    connected: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    await connected.stop()
    damage(connected, "mirror_rows")
    await connected.start()
    caplog.clear()
    page = await connected.get("/bitrix/users")
    assert (page.status, page.json) == (500, "Internal Server Error")
    assert (await connected.get("/readyz")).status == 503
    assert len(told(caplog)) == 1
    assert not any(record.exc_info for record in caplog.records)


async def test_the_state_of_syncs_that_cannot_be_read_says_what_to_do(connected: Gateway) -> None:
    await connected.stop()
    damage(connected, "sync_parts")
    await connected.start()
    run = await run_of(connected, "users")
    assert (run["state"], says_what_to_do(run["error"])) == ("failed", True)
    for run in (await connected.get("/bitrix/sync")).json["items"]:
        assert says_what_to_do(run["error"])
    assert (await connected.get("/readyz")).status == 503
