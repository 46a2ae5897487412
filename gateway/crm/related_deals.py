"""The deals of a company or contact, read from the portal: the list is right at that moment, and complete or an error.

Source: methods.md 4 and 15 (b24restdocs api-reference/crm/deals/crm-deal-list.md): a deal has one COMPANY_ID. Its
contacts can be listed and filtered by crm.item.list alone; crm.deal.list has the primary one.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass

import orjson

from gateway.accounts.clients import PortalClients
from gateway.accounts.directory import AccountDirectory
from gateway.bitrix.client import PortalClient
from gateway.bitrix.errors import PortalBroken, WalkFailed
from gateway.bitrix.lists.by_ids import read_by_ids
from gateway.bitrix.lists.list_specs import Row
from gateway.bitrix.lists.page import ListCall, Opening, Page, answer_of
from gateway.bitrix.lists.page_reader import Pace
from gateway.bitrix.lists.walk import walk
from gateway.bitrix.rows.records import decode_integer
from gateway.clock import Clock
from gateway.crm.missing_records import naming
from gateway.errors import InvalidInput
from gateway.fields.service import KnownFields
from gateway.mirror.field_access import FieldAccess, with_known_fields
from gateway.mirror.query_fields import QueryFields, parse_select
from gateway.mirror.resources import ITEMS, RECORDS, Resource, list_fields, record_type
from gateway.mirror.stage_directories import DEAL
from gateway.mirror.translation import pick
from storage.records import Account

MAX_DEALS = 10_000  # in one answer
DEALS = RECORDS["deals"]


Selected = tuple[str, ...] | None
"""The names of the fields that a caller wants; None for all."""


@dataclass(frozen=True)
class DealOwner:
    """What deals of one kind belong to: the records of *resource*, whose ids they hold in *column*.

    *in_items*: only the deals of crm.item.list have the column.
    """

    resource: Resource
    column: str
    in_items: bool = False

    def find(self, owner_id: int) -> ListCall:
        """The call that lists the deals of a record."""
        if self.in_items:
            params = {"entityTypeId": DEAL, "filter": {self.column: owner_id}, "select": ["id", self.column]}
            return ListCall(f"{ITEMS}.list", params)
        call = _deals_call()
        return ListCall(call.method, {**call.params, "filter": {self.column: owner_id}})

    def check(self, row: Mapping[str, object], owner_id: int) -> None:
        """
        Raises:
            PortalBroken: the deal is not one of the record, so that the portal has ignored the filter.
        """
        value = row.get(self.column)
        if owner_id not in map(decode_integer, value if isinstance(value, list) else [value]):
            raise PortalBroken(f"the list of deals ignores a filter by {self.column}")


def _deals_call() -> ListCall:
    (portal_list,) = DEALS.lists("")
    return portal_list.call


DEAL_OWNERS = {
    owner.resource.name: owner
    for owner in (
        DealOwner(RECORDS["companies"], "COMPANY_ID"),
        DealOwner(RECORDS["contacts"], "contactIds", in_items=True),
    )
}


def _parse_select(text: str, known: KnownFields) -> Selected:
    columns = QueryFields(list_fields(DEALS, known.fields), {}, {}, zone_s=0)  # selecting needs no more than the names
    return parse_select(text, columns)


class RelatedDeals:
    """Reads the deals of records. All methods raise:
    PortalError: the portal does not have the record, refused or failed.
    TooBusy: the portal's limits leave no room in time.
    """

    def __init__(self, directory: AccountDirectory, clients: PortalClients, clock: Clock) -> None:
        self._directory = directory
        self._clients = clients
        self._clock = clock

    async def check_select(self, text: str, access: FieldAccess) -> Selected:
        """The names in *text*, separated by commas. The fields of deals are fetched again if one is unknown.

        Raises:
            InvalidInput: with one error for each name that is empty or unknown.
        """

        async def check(known: KnownFields) -> Selected:
            return _parse_select(text, known)

        return await with_known_fields(access, self._clock, check)

    async def read_all(self, account: Account, owner: DealOwner, owner_id: int, selected: Selected) -> bytes:
        """The JSON of all deals of a record, with the fields that are *selected*.

        Raises:
            InvalidInput: there are more than MAX_DEALS.
        """
        items, more = await self._read(account, owner, owner_id, 0, MAX_DEALS, selected)
        if more is not None:
            rule = f"is required, as there are more than {MAX_DEALS:,} deals"
            raise InvalidInput.of_parameter("cursor", "required", rule)
        return b'{"items":[%b]}' % b",".join(items)

    async def read_page(
        self, account: Account, owner: DealOwner, owner_id: int, cursor: int, size: int, selected: Selected
    ) -> bytes:
        """The JSON of up to *size* deals of a record with ids above *cursor*, and the cursor of the next page."""
        items, more = await self._read(account, owner, owner_id, cursor, size, selected)
        following = orjson.dumps(None if more is None else str(more))
        return b'{"items":[%b],"next":%b}' % (b",".join(items), following)

    async def _read(
        self, account: Account, owner: DealOwner, owner_id: int, cursor: int, limit: int, selected: Selected
    ) -> tuple[list[bytes], int | None]:
        """The JSON of up to *limit* deals, and the id of the last one if there are more."""
        client = self._clients.client(account)
        items: list[bytes] = []
        count, last = 0, cursor
        async with self._directory.mark_stale_on_auth_failure(account):
            try:
                async with aclosing(self._pages(client, owner, owner_id, cursor, limit)) as pages:
                    async for page in pages:
                        taken = page.ids[: limit - count]
                        deals = await self._render(client, owner, page, taken)
                        items += pick(deals, selected, None)
                        count, last = count + len(taken), taken[-1] if taken else last
                        if len(taken) < len(page.ids):
                            return items, last
            except WalkFailed as error:
                raise error.cause from error
        return items, None

    async def _pages(
        self, client: PortalClient, owner: DealOwner, owner_id: int, cursor: int, limit: int
    ) -> AsyncGenerator[Page[list[Row]], None]:
        """The rows that the portal finds; those of items have no more than the column.

        The first request asks for the record itself too: deals may keep the id of a deleted one.
        """
        opening = Opening([record_type(owner.resource).command("get", id=owner_id)])
        found = walk(client, owner.find(owner_id), cursor=cursor, pace=Pace.EAGER, limit=limit + 1, opening=opening)
        async with aclosing(found) as pages:
            async for page in pages:
                with naming(owner.resource, owner_id):
                    answer_of(opening.outcomes[0])
                for row in page.rows:
                    owner.check(row, owner_id)
                yield page

    async def _render(
        self, client: PortalClient, owner: DealOwner, page: Page[list[Row]], row_ids: list[int]
    ) -> list[bytes]:
        """The JSON of the deals *row_ids* of *page*. One that was deleted meanwhile is left out."""
        rows = dict(zip(page.ids, page.rows, strict=True))
        if owner.in_items:
            rows = await read_by_ids(client, _deals_call(), row_ids)
        found = {row_id: rows[row_id] for row_id in row_ids if row_id in rows}
        (portal_list,) = DEALS.lists("")
        rendered = DEALS.render(
            portal_list, Page(list(found.values()), list(found), page.after, page.upto), int(self._clock.now())
        )
        return [tail[:-1] + rendered.head for _, tail in rendered.rows]
