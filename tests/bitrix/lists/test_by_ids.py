"""Rows read by their ids: only an empty page proves that a row does not exist."""

from typing import Any

import pytest

from gateway.bitrix.client import PortalClient
from gateway.bitrix.errors import WalkFailed
from gateway.bitrix.lists.by_ids import read_by_ids
from gateway.bitrix.lists.page import ListCall
from gateway.bitrix.transport.session import PortalSession
from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.settings import SandboxSettings
from tests.bitrix.conftest import client_of
from tests.clock import ManualClock
from tests.support.rogue import answering

USERS = ListCall("user.get")


def rows(*ids: int) -> list[dict[str, object]]:
    return [{"ID": str(row_id)} for row_id in ids]


async def read(client: PortalClient, ids: list[int]) -> list[int]:
    return [int(str(row["ID"])) for row in (await read_by_ids(client, USERS, ids)).values()]


async def test_ids_that_no_longer_exist_cost_one_request(client: PortalClient, portal: SandboxPortal) -> None:
    beyond = max(portal.data.users) + 1
    assert await read(client, list(range(beyond, beyond + 250))) == []
    assert portal.http_requests == 1


async def test_ids_missing_from_a_page_are_requested_again(client: PortalClient, portal: SandboxPortal) -> None:
    existing = sorted(portal.data.users)[:40]
    deleted = [10**9, 10**9 + 1]
    assert await read(client, [*existing, *deleted]) == existing
    requested = [call.params["FILTER"]["@ID"] for call in portal.seen if call.method == "user.get"]
    assert requested == [list(map(str, [*existing, *deleted])), list(map(str, deleted))]


class TestSmallerPages:
    @pytest.fixture
    def settings(self) -> SandboxSettings:
        return SandboxSettings(users=300, tariff="off", page_rows=20)

    @pytest.mark.parametrize("fault", [None, "user.get:total=20*", "user.get:total=0*", "user.get:total=10000*"])
    async def test_no_row_is_missed(self, client: PortalClient, portal: SandboxPortal, fault: str | None) -> None:
        if fault is not None:
            portal.fault(fault)
        existing = sorted(portal.data.users)
        assert await read(client, [*existing, 10**9]) == existing
        assert portal.http_requests <= 4


async def test_a_count_without_rows_fails(session: PortalSession, clock: ManualClock) -> None:
    async with answering(lambda _method, _params: {"result": [], "total": 2}) as endpoint:
        with pytest.raises(WalkFailed, match="the portal counts 2 rows and gives none"):
            await clock.until(read(client_of(session, clock, endpoint), [1, 2]))


async def test_pages_of_one_row_are_read_to_the_end(session: PortalSession, clock: ManualClock) -> None:
    def answer(_method: str, params: dict[str, Any]) -> dict[str, object]:
        ids = sorted(map(int, params["FILTER"]["@ID"].values()))
        return {"result": [{"ID": str(row_id)} for row_id in ids if row_id % 2][:1]}

    async with answering(answer) as endpoint:
        found = await clock.until(read(client_of(session, clock, endpoint), list(range(1, 101))))
    assert found == list(range(1, 101, 2))


async def test_no_ids_send_no_request(client: PortalClient, portal: SandboxPortal) -> None:
    assert await read(client, []) == []
    assert portal.http_requests == 0


async def test_the_existing_rows_among_the_ids_are_read(client: PortalClient, portal: SandboxPortal) -> None:
    existing = sorted(portal.data.users)[::3]
    found = await read_by_ids(client, USERS, [*existing, 10**9, *existing[:5]])
    assert [int(str(row["ID"])) for row in found.values()] == list(found) == existing
    assert portal.http_requests == 2


@pytest.mark.parametrize("answer", [{"result": rows(1, 2, 3), "total": 3}, {"result": rows(1), "total": 2}])
async def test_unrequested_or_missing_rows_fail(
    session: PortalSession, clock: ManualClock, answer: dict[str, object]
) -> None:
    async with answering(lambda _method, _params: answer) as endpoint:
        client = client_of(session, clock, endpoint)
        with pytest.raises(WalkFailed):
            await clock.until(read_by_ids(client, USERS, [1, 2]))


@pytest.mark.parametrize("fault", ["user.get:error=ACCESS_DENIED", "batch:error=INVALID_CREDENTIALS"])
async def test_a_refusal_fails(client: PortalClient, portal: SandboxPortal, fault: str) -> None:
    portal.fault(fault)
    with pytest.raises(WalkFailed):
        await read_by_ids(client, USERS, [1])
