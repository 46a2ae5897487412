"""All that a sandbox portal holds. Tests and the control address change it as a person would change a portal."""

import random
from dataclasses import dataclass

from gateway.sandbox.catalog import make_categories, make_statuses, make_types
from gateway.sandbox.eventlog import make_eventlog
from gateway.sandbox.fields import make_userfields
from gateway.sandbox.made import MadeTable
from gateway.sandbox.people import make_users
from gateway.sandbox.table import Table
from gateway.sandbox.tasks import make_tasks


@dataclass(frozen=True)
class PortalData:
    """Tables of rows by id, in the form in which the list methods give them.

    Categories are numbered per entity type, userfields kept per entity (``CRM_DEAL``); a userfield's labels are maps
    of language to text.
    """

    users: Table
    statuses: Table
    categories: dict[int, Table]
    types: Table
    userfields: dict[str, Table]
    tasks: MadeTable
    eventlog: MadeTable

    @classmethod
    def generate(cls, *, users: int, holes: float, seed: int, tasks: int = 0, eventlog: int = 0) -> "PortalData":
        """The same data for the same arguments, always. *holes* is the share of ids that are missing, below 1."""
        people = make_users(users, holes, random.Random(seed))
        types = make_types()
        categories = make_categories(types)
        return cls(
            users=people,
            statuses=make_statuses(categories),
            categories=categories,
            types=types,
            userfields=make_userfields(types),
            tasks=make_tasks(tasks, holes, tuple(people), random.Random(seed)),
            eventlog=make_eventlog(eventlog, holes, tuple(people), random.Random(seed)),
        )

    @property
    def tables(self) -> dict[str, Table]:
        """Every table by a name: ``users``, ``categories/2``, ``userfields/CRM_DEAL``."""
        return {
            "users": self.users,
            "statuses": self.statuses,
            "types": self.types,
            "tasks": self.tasks,
            "eventlog": self.eventlog,
            **{f"categories/{entity_type_id}": table for entity_type_id, table in self.categories.items()},
            **{f"userfields/{entity_id}": table for entity_id, table in self.userfields.items()},
        }
