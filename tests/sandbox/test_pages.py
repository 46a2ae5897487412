"""Pages of the REST 2 lists: start, total, next and their sizes."""

from typing import Any

import pytest

from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.settings import SandboxSettings
from tests.sandbox.client import RestClient, row_ids


async def test_users_are_returned_in_pages_of_fifty(webhook: RestClient, portal: SandboxPortal) -> None:
    pages = [(await webhook.call("user.get", start=start)).body for start in (0, 50, 100)]
    assert [len(page["result"]) for page in pages] == [50, 50, 30]
    assert [page["total"] for page in pages] == [130, 130, 130]
    assert [page.get("next") for page in pages] == [50, 100, None]
    assert [user for page in pages for user in row_ids(page["result"])] == sorted(portal.data.users)


class TestPagesOfAnotherSize:
    @pytest.fixture
    def settings(self) -> SandboxSettings:
        return SandboxSettings(users=130, deals=60, page_rows=20)

    async def test_pages_follow_each_other_to_the_end(self, webhook: RestClient, portal: SandboxPortal) -> None:
        found: list[int] = []
        start: int | None = 0
        while start is not None:
            body = (await webhook.call("user.get", start=start)).body
            assert (len(body["result"]), body["total"]) == (20 if start < 120 else 10, 130)
            found += row_ids(body["result"])
            start = body.get("next")
        assert found == sorted(portal.data.users)

    async def test_a_classic_method_rounds_start_down_to_its_page_size(
        self, webhook: RestClient, portal: SandboxPortal
    ) -> None:
        assert row_ids((await webhook.call("user.get", start=59)).result) == sorted(portal.data.users)[40:60]

    @pytest.mark.parametrize(
        ("method", "params", "wrapper"),
        [
            ("crm.deal.list", {}, None),
            ("crm.deal.list", {"start": -1, "order": {"ID": "ASC"}}, None),
            ("crm.item.list", {"entityTypeId": 2}, "items"),
            ("tasks.task.list", {}, "tasks"),
            ("crm.deal.userfield.list", {}, None),
            ("userfieldconfig.list", {"moduleId": "crm"}, "fields"),
            ("crm.address.list", {}, None),
        ],
    )
    async def test_every_list_uses_the_page_size(
        self, webhook: RestClient, method: str, params: dict[str, Any], wrapper: str | None
    ) -> None:
        result = (await webhook.call(method, **params)).result
        assert len(result if wrapper is None else result[wrapper]) == 20

    async def test_an_unpaged_list_returns_all_rows(self, webhook: RestClient, portal: SandboxPortal) -> None:
        assert len((await webhook.call("crm.status.list")).result) == len(portal.data.statuses)


async def test_a_page_has_its_keys_in_the_order_of_the_envelope(webhook: RestClient) -> None:
    assert list((await webhook.call("user.get")).body) == ["result", "next", "total", "time"]


async def test_a_start_between_pages_is_rounded_down(webhook: RestClient) -> None:
    answer = await webhook.call("user.get", start="75")
    assert answer.body["next"] == 100
    assert row_ids(answer.result) == row_ids((await webhook.call("user.get", start=50)).result)


async def test_start_minus_one_skips_the_count(webhook: RestClient) -> None:
    body = (await webhook.call("user.get", start=-1)).body
    assert (len(body["result"]), body["total"], "next" in body) == (50, 0, False)


@pytest.mark.parametrize("start", [0, -1, 500, "9" * 400])
async def test_an_empty_page_of_users_has_no_total(webhook: RestClient, start: int | str) -> None:
    conditions = {"ID": 0} if start in (0, -1) else {}
    body = (await webhook.call("user.get", FILTER=conditions, start=start)).body
    assert (body["result"], "total" in body, "next" in body) == ([], False, False)


async def test_keyset_paging_reads_every_user_once(webhook: RestClient, portal: SandboxPortal) -> None:
    found: list[int] = []
    while True:
        after = found[-1] if found else 0
        page = (await webhook.call("user.get", FILTER={">ID": after}, sort="ID", order="ASC", start=-1)).result
        found += row_ids(page)
        if len(page) < 50:
            break
    assert found == sorted(portal.data.users)


async def test_a_controller_does_not_round_start(webhook: RestClient) -> None:
    first = (await webhook.call("userfieldconfig.list", moduleId="crm", start=7)).body
    assert first["next"] == 57
    everything = (await webhook.call("userfieldconfig.list", moduleId="crm")).result["fields"]
    assert first["result"]["fields"][:43] == everything[7:]
