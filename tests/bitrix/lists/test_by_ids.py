"""Rows that are read by their ids: an id is gone only if the portal gives an empty page for it."""

from typing import Any

import pytest

from gateway.bitrix.client import PortalClient
from gateway.bitrix.errors import WalkFailed
from gateway.bitrix.lists.by_ids import read_by_ids
from gateway.bitrix.lists.page import ListCall
from gateway.bitrix.transport.session import PortalSession
from gateway.sandbox.portal import SandboxPortal, SandboxSettings
from tests.bitrix.conftest import client_of
from tests.clock import ManualClock
from tests.support.rogue import answering

USERS = ListCall("user.get")


async def read(client: PortalClient, ids: list[int]) -> list[int]:
    return [int(str(row["ID"])) for row in await read_by_ids(client, USERS, ids)]


async def test_ids_of_which_none_is_left_cost_one_request(client: PortalClient, portal: SandboxPortal) -> None:
    beyond = max(portal.data.users) + 1
    assert await read(client, list(range(beyond, beyond + 250))) == []
    assert portal.http_requests == 1


async def test_ids_that_a_page_left_out_are_requested_again(client: PortalClient, portal: SandboxPortal) -> None:
    there = sorted(portal.data.users)[:40]
    gone = [10**9, 10**9 + 1]
    assert await read(client, [*there, *gone]) == there
    asked = [seen.params["FILTER"]["@ID"] for seen in portal.seen if seen.method == "user.get"]
    assert asked == [[str(one) for one in (*there, *gone)], [str(one) for one in gone]]


class TestSmallerPages:
    @pytest.fixture
    def settings(self) -> SandboxSettings:
        return SandboxSettings(users=300, tariff="off", page_rows=20)

    @pytest.mark.parametrize("fault", [None, "user.get:total=20*", "user.get:total=0*", "user.get:total=10000*"])
    async def test_no_row_is_missed(self, client: PortalClient, portal: SandboxPortal, fault: str | None) -> None:
        if fault is not None:
            portal.fault(fault)
        there = sorted(portal.data.users)
        assert await read(client, [*there, 10**9]) == there
        assert portal.http_requests <= 4


async def test_a_count_without_rows_is_a_failure(session: PortalSession, clock: ManualClock) -> None:
    async with answering(lambda _method, _params: {"result": [], "total": 2}) as endpoint:
        with pytest.raises(WalkFailed, match="the portal counts 2 rows and gives none"):
            await clock.until(read(client_of(session, clock, endpoint), [1, 2]))


async def test_a_portal_that_gives_one_row_at_a_time_comes_to_an_end(
    session: PortalSession, clock: ManualClock
) -> None:
    def answer(_method: str, params: dict[str, Any]) -> dict[str, object]:
        ids = sorted(map(int, params["FILTER"]["@ID"].values()))
        return {"result": [{"ID": str(row_id)} for row_id in ids if row_id % 2][:1]}

    async with answering(answer) as endpoint:
        found = await clock.until(read(client_of(session, clock, endpoint), list(range(1, 101))))
    assert found == list(range(1, 101, 2))
