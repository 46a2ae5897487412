"""Removes requisites with all that belongs to them."""

from gateway.sandbox.content.addresses import REQUISITE
from gateway.sandbox.content.portal_data import PortalData
from gateway.sandbox.tables.table import Table, Test


def remove_requisite(data: PortalData, requisite_id: int) -> None:
    """Delete the addresses, bank details and links of a requisite.

    Source: [docs] api-reference/crm/requisites/universal/crm-requisite-delete.md
    """
    own, key = str(requisite_id), str(REQUISITE)
    _remove(data.addresses, lambda row: row["ENTITY_TYPE_ID"] == key and row["ENTITY_ID"] == own)
    _remove(data.bank_details, lambda row: row["ENTITY_ID"] == own)
    _remove(data.requisite_links, lambda row: own in (row["REQUISITE_ID"], row["MC_REQUISITE_ID"]))


def _remove(table: Table, test: Test) -> None:
    for row_id in [row_id for row_id, row in table.items() if test(row)]:
        del table[row_id]


def remove_requisites_of(data: PortalData, type_id: int, row_id: int) -> None:
    """Delete the requisites of a deleted contact or company."""
    owner = {"ENTITY_TYPE_ID": str(type_id), "ENTITY_ID": str(row_id)}
    for requisite_id, row in list(data.requisites.items()):
        if owner.items() <= row.items():
            del data.requisites[requisite_id]
            remove_requisite(data, requisite_id)
