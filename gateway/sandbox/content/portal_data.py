"""All data of a sandbox portal. Tests and the control address change it as a person would change a portal."""

import itertools
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import NamedTuple

from gateway.sandbox.content.addresses import make_addresses
from gateway.sandbox.content.catalog import (
    blank_type,
    make_categories,
    make_pipelines,
    make_stages,
    make_statuses,
    make_types,
)
from gateway.sandbox.content.currencies import make_currencies
from gateway.sandbox.content.entities import Entity, make_entities, make_smart_process
from gateway.sandbox.content.eventlog import make_eventlog
from gateway.sandbox.content.fields import make_userfields
from gateway.sandbox.content.offline import OfflineEvents
from gateway.sandbox.content.people import make_users
from gateway.sandbox.content.records import CREATED_COLUMNS, MODIFIED_COLUMNS, iso_time, make_records, make_table
from gateway.sandbox.content.requisites import make_preset_fields, make_presets, make_requisites
from gateway.sandbox.content.tasks import make_tasks
from gateway.sandbox.tables.generated import GeneratedTable
from gateway.sandbox.tables.table import Row, Rows, Table

REQUISITES = 20
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

    Categories and records are stored per entity type, userfields per entity (``CRM_DEAL``). The labels of a userfield
    are maps from language to text. *denied* are the entity types whose records no user may read.
    """

    users: Table
    statuses: Table
    categories: dict[int, Table]
    types: Table
    userfields: dict[str, Table]
    entities: dict[int, Entity] = field(compare=False)
    records: dict[int, GeneratedTable] = field(repr=False)
    tasks: GeneratedTable
    eventlog: GeneratedTable
    offline_events: OfflineEvents
    addresses: Table
    requisites: Table
    presets: Table = field(default_factory=make_presets)
    preset_fields: dict[int, Table] = field(default_factory=make_preset_fields)
    bank_details: Table = field(default_factory=_used_table)
    requisite_links: Table = field(default_factory=Table)
    comments: Table = field(default_factory=_used_table)
    comment_files: Table = field(default_factory=_used_table)
    currencies: dict[str, Row] = field(default_factory=make_currencies)
    denied: set[int] = field(default_factory=set)

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
        categories = {type_id: table.with_own_rows() for type_id, table in catalog.categories.items()}
        userfields = {entity_id: table.with_own_rows() for entity_id, table in catalog.userfields.items()}
        entities = make_entities(types, categories)
        people = make_users(users, holes, random.Random(seed))
        addresses = make_addresses(REQUISITES)
        return cls(
            users=people,
            statuses=statuses,
            categories=categories,
            types=types,
            userfields=userfields,
            entities=entities,
            records=make_records(
                entities,
                records,
                holes=holes,
                seed=seed,
                users=people,
                statuses=statuses,
                userfields=userfields,
            ),
            tasks=make_tasks(tasks, holes, seed, tuple(people)),
            eventlog=make_eventlog(eventlog, holes, seed, tuple(people), now),
            offline_events=OfflineEvents(now),
            addresses=addresses,
            requisites=make_requisites(addresses),
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
            row = blank_type(row_id, self.types, iso_time(int(now))) if table is self.types else table.blank(row_id)
            stamped = (*CREATED_COLUMNS, *MODIFIED_COLUMNS)
        is_record = table_name in {self.entities[type_id].table for type_id in self.records}
        stamps = {name: iso_time(int(now)) for name in stamped if is_record and name in row}
        table[row_id] = {**row, **stamps, **columns}
        if table is self.types and table[row_id]["entityTypeId"] not in self.entities:
            self._add_smart_process(table[row_id])

    def _add_smart_process(self, type_row: Row) -> None:
        """Add the pipelines, the stages and the empty table of records of a new type. It has no custom fields yet."""
        type_id = type_row["entityTypeId"]
        used = max(category_id for table in self.categories.values() for category_id in table)
        self.categories[type_id] = make_pipelines(type_row, itertools.count(used + 1))
        status_ids = itertools.count(max(self.statuses) + 2, 2)
        for category_id in self.categories[type_id]:
            for stage in make_stages(type_id, category_id):
                status_id = next(status_ids)
                self.statuses[status_id] = {"ID": str(status_id), **stage}
        self.userfields[f"CRM_{type_row['id']}"] = Table()
        entity = make_smart_process(type_row, self.categories[type_id])
        self.entities[type_id] = entity
        self.records[type_id] = make_table(
            entity, 0, 0, entity.table, self.users, self.statuses, self.userfields, self.records
        )

    @property
    def tables(self) -> dict[str, Rows]:
        """All tables by name: ``users``, ``deals``, ``items/128``, ``categories/2``, ``userfields/CRM_DEAL``."""
        return {
            "users": self.users,
            "statuses": self.statuses,
            "types": self.types,
            "tasks": self.tasks,
            "eventlog": self.eventlog,
            "offline_events": self.offline_events,
            "addresses": self.addresses,
            "requisites": self.requisites,
            "presets": self.presets,
            "bank_details": self.bank_details,
            "requisite_links": self.requisite_links,
            **{f"categories/{entity_type_id}": table for entity_type_id, table in self.categories.items()},
            **{f"userfields/{entity_id}": table for entity_id, table in self.userfields.items()},
            **{self.entities[type_id].table: table for type_id, table in self.records.items()},
        }
