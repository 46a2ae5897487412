"""All that a sandbox portal holds. Tests and the control address change it as a person would change a portal."""

import random
from dataclasses import dataclass

from gateway.sandbox.catalog import make_categories, make_statuses, make_types
from gateway.sandbox.fields import make_userfields
from gateway.sandbox.people import make_users
from gateway.sandbox.table import Table


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

    @classmethod
    def generate(cls, *, users: int, holes: float, seed: int) -> "PortalData":
        """The same data for the same arguments, always. *holes* is the share of user ids that are missing, below 1."""
        types = make_types()
        categories = make_categories(types)
        return cls(
            users=make_users(users, holes, random.Random(seed)),
            statuses=make_statuses(categories),
            categories=categories,
            types=types,
            userfields=make_userfields(types),
        )

    @property
    def tables(self) -> dict[str, Table]:
        """Every table by a name: ``users``, ``categories/2``, ``userfields/CRM_DEAL``."""
        return {
            "users": self.users,
            "statuses": self.statuses,
            "types": self.types,
            **{f"categories/{entity_type_id}": table for entity_type_id, table in self.categories.items()},
            **{f"userfields/{entity_id}": table for entity_id, table in self.userfields.items()},
        }
