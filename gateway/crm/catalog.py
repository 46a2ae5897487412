"""The types of records of a portal, read when they are asked for."""

from collections.abc import Sequence

from gateway.bitrix.client import PortalClient
from gateway.bitrix.errors import PortalBroken, PortalError
from gateway.bitrix.lists.full import read_full
from gateway.bitrix.lists.list_specs import Row
from gateway.bitrix.lists.page import ListCall
from gateway.bitrix.protocol.v2 import Command
from gateway.crm.missing_records import naming_missing


async def list_types(client: PortalClient) -> list[Row]:
    """The smart processes, as crm.type.list describes them.

    Raises:
        PortalError: the portal refused, or the list could not be read completely.
    Source: methods.md 3 (b24restdocs api-reference/crm/universal/user-defined-object-types/crm-type-list.md)
    """
    (rows,) = await read_lists(client, [ListCall("crm.type.list")])
    return rows


async def get_type(client: PortalClient, entity_type_id: int) -> Row:
    """One smart process, with its relations.

    Raises:
        PortalError: the portal does not have it, or refused.
    Source: methods.md 3 (.../user-defined-object-types/crm-type-get-by-entity-type-id.md)
    """
    with naming_missing(f"type {entity_type_id}"):
        answer = await client.call(Command("crm.type.getByEntityTypeId", {"entityTypeId": entity_type_id}))
    row = answer.result.get("type") if isinstance(answer.result, dict) else None
    if not isinstance(row, dict):
        raise PortalBroken("a type is not an object")
    return row


async def list_contact_types(client: PortalClient) -> list[dict[str, str]]:
    """The types of contacts by id and name, in the portal's order.

    Raises:
        PortalError: the portal refused, or the list could not be read.
    Source: methods.md 3 (b24restdocs api-reference/crm/status/crm-status-list.md)
    """
    (rows,) = await read_lists(client, [ListCall("crm.status.list", {"filter": {"ENTITY_ID": "CONTACT_TYPE"}})])
    rows.sort(key=sort_of)
    return [{"id": str(row.get("STATUS_ID")), "name": str(row.get("NAME"))} for row in rows]


def sort_of(row: Row) -> int:
    """The place of a status in its directory."""
    value = str(row.get("SORT"))
    return int(value) if value.isascii() and value.isdigit() else 0


async def read_lists(client: PortalClient, calls: Sequence[ListCall]) -> list[list[Row]]:
    """The rows of each list, by their ids.

    Raises:
        PortalError: the portal refused one of the lists, or it could not be read completely.
    """
    outcomes = await read_full(client, calls)
    for outcome in outcomes:
        if isinstance(outcome, PortalError):
            raise outcome
    return [list(outcome.values()) for outcome in outcomes if not isinstance(outcome, PortalError)]
