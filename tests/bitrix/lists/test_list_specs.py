"""Every `ListSpec`, against a sandbox that has the method."""

import pytest

from gateway.bitrix.client import PortalClient
from gateway.bitrix.lists.full import read_full
from gateway.bitrix.lists.list_specs import LIST_SPECS, Paging, Row
from gateway.bitrix.lists.page import ListCall
from gateway.bitrix.lists.walk import walk
from gateway.bitrix.protocol.v2 import Answer, Command
from gateway.sandbox.content.catalog import DEAL
from gateway.sandbox.content.product_rows import new_row
from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.rest2.methods import METHODS as OFFERED
from tests.clock import ManualClock

PARAMS: dict[str, dict[str, object]] = {
    "crm.category.list": {"entityTypeId": 2},
    "crm.item.list": {"entityTypeId": 2},
    "crm.item.productrow.list": {"filter": {"=ownerType": "D", "=ownerId": 1}},
    "crm.timeline.comment.list": {"filter": {"ENTITY_TYPE": "deal", "ENTITY_ID": 1}},
    "disk.folder.getchildren": {"id": 1},
    "userfieldconfig.list": {"moduleId": "crm"},
}
OFFERED_LISTS = sorted(LIST_SPECS.keys() & OFFERED.keys())


@pytest.fixture
def client(oauth_client: PortalClient, portal: SandboxPortal) -> PortalClient:
    """Calls by an application's token, which the list of events requires.

    The portal has some events and folders, and deal 1 has some comments and products.
    """
    drive = portal.data.disk.objects[1]
    for row_id in range(1, 71):
        portal.data.disk.add_folder(drive, f"{row_id}", 1, 0.0)
        portal.data.offline_events[row_id] = portal.data.offline_events.blank(row_id)
        portal.data.product_rows[row_id] = new_row(row_id, DEAL, 1, sort=-row_id)
        comment = {"ID": str(row_id), "COMMENT": "", "AUTHOR_ID": "1", "CREATED": "", "FILES": []}
        portal.data.comments[row_id] = comment | {"OWNERS": [(DEAL, 1)]}
    return oauth_client


@pytest.mark.parametrize("method", OFFERED_LISTS)
async def test_a_list_is_read_as_its_spec_says(client: PortalClient, clock: ManualClock, method: str) -> None:
    call = ListCall(method, PARAMS.get(method, {}))
    answer = await clock.until(client.call(Command(method, call.params)))

    async def read() -> list[Row]:
        if call.spec.paging is Paging.KEYSET:
            return [row for page in [page async for page in walk(client, call)] for row in page.rows]
        (rows,) = await read_full(client, [call])
        assert isinstance(rows, dict)
        return list(rows.values())

    rows = await clock.until(read())
    ids = [row_id for row_id, _ in call.spec.rows(Answer(rows if call.spec.wrapper is None else wrapped(method, rows)))]
    assert ids == sorted(set(ids))
    assert len(ids) == answer.total


def wrapped(method: str, rows: list[Row]) -> dict[str, object]:
    return {str(LIST_SPECS[method].wrapper): rows}


@pytest.mark.parametrize("method", [name for name in OFFERED_LISTS if LIST_SPECS[name].paging is not Paging.UNPAGED])
async def test_the_portal_orders_a_list_by_the_specs_parameters(
    client: PortalClient, clock: ManualClock, method: str
) -> None:
    spec = LIST_SPECS[method]
    command = Command(method, {**PARAMS.get(method, {}), **spec.ordered("DESC")})
    ids = [row_id for row_id, _ in spec.rows(await clock.until(client.call(command)))]
    assert ids == sorted(ids, reverse=True)
    assert len(ids) > 1


@pytest.mark.parametrize("method", [name for name in OFFERED_LISTS if LIST_SPECS[name].paging is Paging.KEYSET])
async def test_the_portal_applies_the_bounds_of_a_keyset(client: PortalClient, clock: ManualClock, method: str) -> None:
    spec, params = LIST_SPECS[method], PARAMS.get(method, {})
    first = [row_id for row_id, _ in spec.rows(await clock.until(client.call(Command(method, params))))]
    after, upto = sorted(first)[3], sorted(first)[9]
    bounded = Command(method, {**spec.filtered(params, {">": after, "<=": upto}), **spec.ordered("ASC"), "start": -1})
    answer = await clock.until(client.call(bounded))
    assert [row_id for row_id, _ in spec.rows(answer)] == sorted(first)[4:10]


def test_rows_without_an_id_are_identified_by_their_composite_key() -> None:
    rows = [{"TYPE_ID": str(kind), "ENTITY_TYPE_ID": "8", "ENTITY_ID": str(of)} for of in (1, 12) for kind in (1, 11)]
    ids = [row_id for row_id, _ in LIST_SPECS["crm.address.list"].rows(Answer(rows))]
    assert ids == sorted(set(ids))
    assert len(ids) == 4
