"""The contacts of leads, deals, companies and quotes, and the companies of contacts, in their order.

The columns of a record hold what it is bound to; the sort numbers are stored beside them. Companies and contacts have
one relation, which the contacts hold.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf

from gateway.sandbox.content.catalog import COMPANY, CONTACT, DEAL, LEAD
from gateway.sandbox.content.portal_data import PortalData
from gateway.sandbox.php import Value
from gateway.sandbox.tables.table import Row, Rows, Test

SORT_STEP = 10


@dataclass(frozen=True)
class Binding:
    """A record that an owner is bound to."""

    record_id: int
    sort: int
    is_primary: bool


def bound_columns(type_id: int) -> tuple[str, str]:
    """The columns of an owner that hold the primary record, and all of them. A company has one for both."""
    if type_id == COMPANY:
        return "CONTACT_ID", "CONTACT_ID"
    return ("COMPANY_ID", "COMPANY_IDS") if type_id == CONTACT else ("CONTACT_ID", "CONTACT_IDS")


def read_bindings(data: PortalData, type_id: int, owner_id: int) -> list[Binding]:
    """The bindings of one owner, by ascending sort number."""
    row = data.records[type_id][owner_id]
    known = data.binding_sorts.get((type_id, owner_id), {})
    if type_id == COMPANY:
        ids = sorted(contacts_of(data, owner_id), key=lambda record_id: (known.get(record_id, inf), record_id))
        preferred = [int(record_id) for record_id in row["CONTACT_ID"] or []]
    else:
        ids = _bound_ids(row, *bound_columns(type_id))
        preferred = [int(row[bound_columns(type_id)[0]] or 0)]
    primary = next((record_id for record_id in (*preferred, *ids) if record_id in ids), 0)
    return [Binding(record_id, sort, record_id == primary) for record_id, sort in _sorted(ids, known).items()]


def columns_of(type_id: int, bindings: Iterable[Binding]) -> Row:
    """The columns of an owner that has these bindings."""
    ordered = sorted(bindings, key=lambda binding: binding.sort)
    primary = [str(binding.record_id) for binding in ordered if binding.is_primary]
    first, every = bound_columns(type_id)
    if type_id == COMPANY:
        return {every: [*primary, *(str(other.record_id) for other in ordered if not other.is_primary)]}
    return {first: next(iter(primary), None), every: [str(binding.record_id) for binding in ordered]}


def contacts_of(data: PortalData, company_id: int) -> list[int]:
    """The ids of the contacts of a company, ascending."""
    first, every = bound_columns(CONTACT)
    return _matching(data.records[CONTACT], lambda row: company_id in _bound_ids(row, first, every), first, every)


def bind_contacts(data: PortalData, company_id: int, contact_ids: Iterable[int]) -> None:
    """Make these the contacts of a company. A contact's modified time does not change."""
    contacts = data.records[CONTACT]
    first, every = bound_columns(CONTACT)
    wanted, bound = set(contact_ids), set(contacts_of(data, company_id))
    for contact_id in wanted ^ bound:
        if contact_id not in contacts:
            continue
        row = contacts[contact_id]
        companies = [str(other) for other in _bound_ids(row, first, every) if other != company_id]
        if contact_id in wanted:
            companies.append(str(company_id))
        primary = row[first] if row[first] in companies else next(iter(companies), None)
        contacts[contact_id] = {**row, first: primary, every: companies}


def remove_links(data: PortalData, type_id: int, row_id: int) -> None:
    """Remove the links to a deleted contact or company. No time of modification changes.

    A contact leaves all records; the lowest of their other contacts becomes the primary one. A company leaves contacts,
    leads and deals, and the others keep its id.
    Source: [srv] crm/classes/general/crm_company.php, crm/lib/cleaning/cleaningmanager.php, crm/lib/binding/
    """
    if type_id == CONTACT:
        first, every = bound_columns(DEAL)
        for table in data.records.values():
            if {first, every} <= table.columns:
                _unbind(table, first, every, row_id)
    if type_id == COMPANY:
        first, every = bound_columns(CONTACT)
        _unbind(data.records[CONTACT], first, every, row_id)
        for table in (data.records[LEAD], data.records[DEAL]):
            for owner_id in _matching(table, lambda row: str(row[first]) == str(row_id), first):
                table[owner_id] = {**table[owner_id], first: None}


def _unbind(table: Rows, first: str, every: str, record_id: int) -> None:
    """Remove a record from the columns of all rows that are bound to it."""
    for owner_id in _matching(table, lambda row: record_id in _bound_ids(row, first, every), first, every):
        row = table[owner_id]
        others = [str(other) for other in _bound_ids(row, first, every) if other != record_id]
        primary = row[first] if row[first] in others else min(others, key=int, default=None)
        table[owner_id] = {**row, every: others, first: primary}


def _matching(table: Rows, test: Test, *columns: str) -> list[int]:
    """The ids of the rows that pass the *test*, which reads only these columns."""
    return list(table.matching_ids(table.ids_between(-inf, inf), test, frozenset(columns)))


def _bound_ids(row: Mapping[str, Value], first: str, every: str) -> list[int]:
    return [int(record_id) for record_id in row.get(every) or [row.get(first)] if record_id]


def _sorted(ids: list[int], known: Mapping[int, int]) -> dict[int, int]:
    """The sort numbers of *ids*: first those that are *known*. If *ids* have another order, all numbers are new."""
    if sorted(ids, key=lambda record_id: known.get(record_id, inf)) != ids:
        known = {}
    sorts: dict[int, int] = {}
    for record_id in ids:
        sorts[record_id] = known.get(record_id, max(sorts.values(), default=0) + SORT_STEP)
    return sorts
