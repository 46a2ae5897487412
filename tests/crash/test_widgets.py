"""kill -9 at every commit while widgets are installed, upgraded and removed: the catalogue and the portal agree."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import Any

import pysqlite3
import pytest

from tests.crash.deaths import deaths
from tests.crash.house import House
from tests.gateway import Sandbox
from tests.support.widgets import WIDGETS, manifest

TAB, MENU, TOOLBAR = "CRM_DEAL_DETAIL_TAB", "CRM_DEAL_LIST_MENU", "CRM_LEAD_LIST_TOOLBAR"
ADDRESS = "https://widget.example.com/"
AGREE_S = 10


def with_places(version: str, *placements: str) -> dict[str, Any]:
    places = [{"placement": each, "title": {"en": version}} for each in placements]
    return manifest("tab", version=version, address=ADDRESS, placements=places)


def bound(sandbox: Sandbox) -> list[str]:
    """The placements that the portal has handlers for."""
    return sorted(row["PLACEMENT"] for row in sandbox.portal.data.placement_handlers.values())


def stored(house: House) -> list[tuple[str, str]]:
    """The placements and states in the database."""
    with closing(pysqlite3.connect(f"file:{house.database}?mode=ro", uri=True)) as connection:
        return sorted(connection.execute("SELECT placement, state FROM widget_placements").fetchall())


async def agree(house: House, sandbox: Sandbox) -> None:
    """Wait until the portal has what the catalogue says.

    Raises:
        Died: the gateway is gone.
    """
    async with asyncio.timeout(AGREE_S):
        while True:
            if await agrees(house, sandbox):
                return
            await asyncio.sleep(0.02)


async def agrees(house: House, sandbox: Sandbox) -> bool:
    """Whether the portal has what the catalogue says.

    Raises:
        Died: the gateway is gone.
    """
    shown = (await house.get(f"{WIDGETS}/tab")).json
    wanted = [] if not shown["is_active_in_account"] else PLACES[shown["version"]]
    return (bound(sandbox), stored(house)) == (wanted, [(each, "bound") for each in wanted])


PLACES = {"1": sorted([TAB, MENU]), "2": sorted([TAB, TOOLBAR])}


@pytest.fixture
async def catalogued(house: House, sandbox: Sandbox) -> House:
    """A stopped gateway with an account that is connected by OAuth, and a widget with two placements."""
    await house.start()
    await house.authorize(sandbox)
    answer = await house.post(WIDGETS, json=with_places("1", TAB, MENU))
    assert answer.status == 201, answer.body
    return house


async def install(house: House) -> None:
    answer = await house.post(f"{WIDGETS}/tab", json={})
    assert answer.status == 200, answer.body


async def remove(house: House) -> None:
    assert (await house.delete(f"{WIDGETS}/tab")).status == 204


async def die_in(
    house: House, sandbox: Sandbox, before: Callable[[House], Awaitable[None]], act: Callable[[House], Awaitable[None]]
) -> None:
    """Do *act* in gateways that die at each commit, each time after *before*; the portal and the catalogue agree."""
    await before(house)
    await agree(house, sandbox)
    await house.end(signal.SIGKILL)

    async def action(_: str) -> None:
        await act(house)
        await agree(house, sandbox)

    async for _ in deaths(house, action):
        await agree(house, sandbox)
        await before(house)
        await agree(house, sandbox)


async def test_kill_while_installing(catalogued: House, sandbox: Sandbox) -> None:
    await die_in(catalogued, sandbox, remove, install)


async def test_kill_while_removing(catalogued: House, sandbox: Sandbox) -> None:
    await die_in(catalogued, sandbox, install, remove)


async def test_kill_while_upgrading(catalogued: House, sandbox: Sandbox) -> None:
    async def downgrade(house: House) -> None:
        answer = await house.request("PUT", f"{WIDGETS}/tab/manifest", json=with_places("1", TAB, MENU))
        assert answer.status == 200, answer.body

    async def upgrade(house: House) -> None:
        answer = await house.request("PUT", f"{WIDGETS}/tab/manifest", json=with_places("2", TAB, TOOLBAR))
        assert answer.status == 200, answer.body

    await install(catalogued)
    await die_in(catalogued, sandbox, downgrade, upgrade)
