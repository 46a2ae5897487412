"""All data of a sandbox portal. Tests and the control address change it as a person would change a portal."""

import itertools
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import NamedTuple

from gateway.sandbox.blobs import Blobs
from gateway.sandbox.content.addresses import make_addresses
from gateway.sandbox.content.catalog import DEAL, blank_type, make_categories, make_pipelines, make_types
from gateway.sandbox.content.currencies import make_currencies
from gateway.sandbox.content.departments import make_departments
from gateway.sandbox.content.disk.objects import Disk
from gateway.sandbox.content.entities import Entity, make_entities, make_smart_process
from gateway.sandbox.content.eventlog import make_eventlog
from gateway.sandbox.content.events import Events
from gateway.sandbox.content.fields import make_userfields
from gateway.sandbox.content.links import Links
from gateway.sandbox.content.office import make_chats, make_mailboxes, make_work_records
from gateway.sandbox.content.offline import OfflineEvents
from gateway.sandbox.content.people import make_users
from gateway.sandbox.content.record_files import RecordFiles
from gateway.sandbox.content.records import CREATED_COLUMNS, MODIFIED_COLUMNS, iso_time, make_records, make_table
from gateway.sandbox.content.requisites import make_preset_fields, make_presets, make_requisites
from gateway.sandbox.content.statuses import make_stages, make_statuses
from gateway.sandbox.content.tasks import make_tasks
from gateway.sandbox.tables.generated import GeneratedTable
from gateway.sandbox.tables.table import Row, Rows, Table, TableGroup

REQUISITES = 20
FIRST_VALUE_ID = 1_500_000_001  # of values of multifields that a client writes, above those of generated ones
FIRST_NEW_CHOICE = 100_001  # greater than the ids of all generated choices of lists
DEAL_CHATS = 3
LAST_ID = 100  # of tables whose rows were all deleted


class Catalog(NamedTuple):
    """The tables that are the same in all portals."""

    types: Table
    categories: dict[int, Table]
    statuses: Table
    userfields: dict[str, Table]


@cache
def _catalog() -> Catalog:
    types = make_types()
    categories = make_categories(types)
    return Catalog(types, categories, make_statuses(categories), make_userfields(types))


def _used_table() -> Table:
    """An empty table that had rows before."""
    return Table(last_id=LAST_ID)


@dataclass(frozen=True)
class PortalData:
    """Tables of rows by id, in the form of the list methods.

    Categories and records are stored per entity type, userfields per entity (``CRM_DEAL``), *user_fields* are those of
    users. The labels of a userfield are maps from language to text. *options* are those of an application by its id and
    user, 0 for the application's own. *calls* are those registered by telephone systems. *type_links* holds, by row id
    of a type, what crm.type.list does not show. *choice_ids* are the ids for new choices of lists, *value_ids* those of
    new values of multifields. *binding_sorts* are the sort numbers of the contacts or companies of a record, by its
    type and id. *card_layouts* are the sections of cards by entity type, pipeline and user, 0 for all users.
    *placement_handlers* are those that applications have bound, with their APP_ID. *denied* are the entity types whose
    records no user may read, *unfinished* the ids of applications whose installation is not finished. *record_files*
    are those in fields of records; their contents are stored with those of *disk*.
    """

    users: Table
    statuses: Table
    categories: TableGroup[int]
    types: Table
    userfields: TableGroup[str]
    entities: dict[int, Entity] = field(compare=False)
    records: dict[int, GeneratedTable] = field(repr=False)
    tasks: GeneratedTable
    eventlog: GeneratedTable
    offline_events: OfflineEvents
    events: Events = field(compare=False, repr=False)
    addresses: Table
    chats: Table
    work_records: Table
    requisites: Table
    disk: Disk = field(compare=False, repr=False)
    record_files: RecordFiles = field(compare=False, repr=False)
    mailboxes: Table = field(default_factory=make_mailboxes)
    departments: Table = field(default_factory=make_departments)
    links: Links = field(default_factory=Links, repr=False, compare=False)
    user_fields: Table = field(default_factory=Table)
    options: dict[tuple[str, int], Row] = field(default_factory=dict)
    calls: dict[str, Row] = field(default_factory=dict)
    presets: Table = field(default_factory=make_presets)
    preset_fields: dict[int, Table] = field(default_factory=make_preset_fields)
    bank_details: Table = field(default_factory=_used_table)
    requisite_links: Table = field(default_factory=Table)
    comments: Table = field(default_factory=_used_table)
    currencies: dict[str, Row] = field(default_factory=make_currencies)
    product_rows: Table = field(default_factory=_used_table)
    recurring_deals: Table = field(default_factory=_used_table)
    placement_handlers: Table = field(default_factory=Table)
    card_layouts: dict[tuple[int, int, int], list[Row]] = field(default_factory=dict)
    binding_sorts: dict[tuple[int, int], dict[int, int]] = field(default_factory=dict)
    denied: set[int] = field(default_factory=set)
    unfinished: set[str] = field(default_factory=set)
    value_ids: Iterator[int] = field(default_factory=lambda: itertools.count(FIRST_VALUE_ID), repr=False, compare=False)
    type_links: dict[int, Row] = field(default_factory=dict)
    choice_ids: Iterator[int] = field(
        default_factory=lambda: itertools.count(FIRST_NEW_CHOICE), compare=False, repr=False
    )

    @classmethod
    def generate(
        cls,
        *,
        users: int,
        holes: float,
        seed: int,
        records: Mapping[str, int] = MappingProxyType({}),
        tasks: int = 0,
        eventlog: int = 0,
        now: float = 0.0,
    ) -> "PortalData":
        """Generate the data. The same arguments give the same data.

        *holes* is the share of missing ids, below 1; *records* the number of records by table name; *now* the portal's
        time.
        """
        catalog = _catalog()
        types, statuses = catalog.types.with_own_rows(), catalog.statuses.with_own_rows()
        categories = TableGroup({key: table.with_own_rows() for key, table in catalog.categories.items()})
        userfields = TableGroup({key: table.with_own_rows() for key, table in catalog.userfields.items()})
        entities = make_entities(types, categories)
        offline_events = OfflineEvents(now)
        people = make_users(users, holes, random.Random(seed))
        crm_records = make_records(
            entities,
            records,
            holes=holes,
            seed=seed,
            users=people,
            statuses=statuses,
            userfields=userfields,
        )
        addresses = make_addresses(REQUISITES)
        blobs = Blobs()
        return cls(
            users=people,
            statuses=statuses,
            categories=categories,
            types=types,
            userfields=userfields,
            entities=entities,
            records=crm_records,
            tasks=make_tasks(tasks, holes, seed, tuple(people)),
            eventlog=make_eventlog(eventlog, holes, seed, tuple(people), now),
            offline_events=offline_events,
            events=Events(offline_events, types),
            addresses=addresses,
            requisites=make_requisites(addresses),
            disk=Disk(blobs, now),
            record_files=RecordFiles(blobs),
            chats=make_chats(itertools.islice(crm_records[DEAL], DEAL_CHATS)),
            work_records=make_work_records(tuple(people), now),
        )

    def write(self, table_name: str, row_id: int, columns: Row, now: float) -> None:
        """Change *columns* of a row, or add it, as any method of a portal does.

        A CRM record gets the time *now* as that of its modification, and a new one as that of its creation, unless
        *columns* holds them. An edit that changes nothing is not saved. A new type is a smart process with all that
        belongs to it; the fields of a type do not follow later edits of its switches.

        Source: [docs] api-reference/crm/universal/crm-item-update.md
        """
        table = self.tables[table_name]
        if row_id in table:
            row = table[row_id]
            if columns.items() <= row.items():
                return
            stamped: tuple[str, ...] = MODIFIED_COLUMNS
        else:
            is_type = table is self.types
            row = blank_type(row_id, self.entities, iso_time(int(now))) if is_type else table.blank(row_id)
            stamped = (*CREATED_COLUMNS, *MODIFIED_COLUMNS)
        is_record = table_name in {self.entities[type_id].table for type_id in self.records}
        stamps = {name: iso_time(int(now)) for name in stamped if is_record and name in row}
        table[row_id] = {**row, **stamps, **columns}
        if table is self.types and table[row_id]["entityTypeId"] not in self.entities:
            self._add_smart_process(table[row_id])

    def _add_smart_process(self, type_row: Row) -> None:
        """Add the pipelines, the stages and the empty table of records of a new type. It has no custom fields yet."""
        type_id = type_row["entityTypeId"]
        self.categories[type_id] = make_pipelines(type_row, itertools.count(self.categories.next_id))
        for category_id in self.categories[type_id]:
            self.add_stages(type_id, category_id)
        self.userfields[f"CRM_{type_row['id']}"] = Table()
        entity = make_smart_process(type_row, self.categories[type_id])
        self.entities[type_id] = entity
        self.records[type_id] = make_table(
            entity, 0, 0, entity.table, self.users, self.statuses, self.userfields, self.records
        )

    def remove_application(self, client: str) -> None:
        """Remove an application's handlers of placements and events. All handlers of events belong to one application.

        Source: [docs] settings/app-uninstallation.md
        """
        self.events.handlers.clear()
        for row_id in [row_id for row_id, row in self.placement_handlers.items() if row["APP_ID"] == client]:
            del self.placement_handlers[row_id]

    def add_stages(self, type_id: int, category_id: int) -> None:
        """Add the default stages of a new pipeline."""
        for stage in make_stages(type_id, category_id):
            status_id = self.statuses.next_id
            self.statuses[status_id] = {"ID": str(status_id), **stage}

    @property
    def tables(self) -> dict[str, Rows]:
        """All tables by name: ``users``, ``deals``, ``items/128``, ``categories/2``, ``userfields/CRM_DEAL``."""
        return {
            "users": self.users,
            "departments": self.departments,
            "chats": self.chats,
            "mailboxes": self.mailboxes,
            "work_records": self.work_records,
            "statuses": self.statuses,
            "types": self.types,
            "tasks": self.tasks,
            "eventlog": self.eventlog,
            "offline_events": self.offline_events,
            "addresses": self.addresses,
            "requisites": self.requisites,
            "presets": self.presets,
            "bank_details": self.bank_details,
            "recurring_deals": self.recurring_deals,
            "product_rows": self.product_rows,
            "requisite_links": self.requisite_links,
            **{f"categories/{entity_type_id}": table for entity_type_id, table in self.categories.items()},
            **{f"userfields/{entity_id}": table for entity_id, table in self.userfields.items()},
            **{self.entities[type_id].table: table for type_id, table in self.records.items()},
        }
