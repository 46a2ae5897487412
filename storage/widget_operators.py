"""The catalogue of widgets as operators see and change it: all widgets of all accounts, also beside a gateway."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from sqlite3 import Connection

from storage.database import Database, require_known
from storage.widgets import (
    WIDGET,
    MissingOf,
    Owner,
    StoredWidget,
    add_widget,
    count_installations,
    delete_widget,
    find_widget,
    replace_widget,
    to_widget,
)


@dataclass(frozen=True)
class WidgetChange:
    """A widget to add, with the id *widget_id* if given, or a new version of *widget*."""

    code: str
    widget: StoredWidget | None
    widget_id: int | None
    owner: Owner
    manifest: bytes
    head: bytes
    missing_of: MissingOf


@dataclass(frozen=True)
class Removal:
    """The numbers of installations of widgets by code, None for an unknown one; and whether all are removed."""

    installations: Mapping[str, int | None]
    done: bool


class OperatorStore:
    """Reads and writes the whole catalogue. Writes are durable: on disk before the method returns.

    Each of them raises DatabaseTooNew if a newer gateway has migrated the database meanwhile.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list_all(self) -> list[tuple[StoredWidget, int]]:
        """Return all widgets by ascending id, each with the number of its installations."""
        return await self._database.read(_list_all)

    async def store(self, changes: Sequence[WidgetChange], *, now: int) -> bool:
        """Store all *changes*. Return False and store none if a code or an id is taken, or a widget has changed."""
        try:
            await self._database.write_durably(_store, changes, now)
        except _CatalogueChanged:
            return False
        return True

    async def remove(self, codes: Sequence[str], *, uninstall: bool) -> Removal:
        """Remove the widgets *codes*: all, or none if one does not exist, or is installed and *uninstall* is not set.

        The installations are removed with them, and their placements are to be unbound.
        """
        return await self._database.write_durably(_remove, codes, uninstall)


class _CatalogueChanged(Exception):
    """Rolls the transaction back."""


LIST_ALL = f"""
SELECT counted.*, (SELECT count(*) FROM widget_installations AS i WHERE i.widget_id = counted.widget_id)
FROM ({WIDGET}) AS counted ORDER BY counted.widget_id
"""


def _list_all(connection: Connection) -> list[tuple[StoredWidget, int]]:
    return [(to_widget(row[:-1]), row[-1]) for row in connection.execute(LIST_ALL)]


def _store(connection: Connection, changes: Sequence[WidgetChange], now: int) -> None:
    require_known(connection)
    for each in changes:
        if each.widget is None:
            added = add_widget(connection, each.code, each.owner, each.manifest, each.head, now, each.widget_id)
            stored = added is not None
        else:
            stored = replace_widget(connection, each.widget, each.owner, each.manifest, each.head, each.missing_of, now)
        if not stored:
            raise _CatalogueChanged


def _remove(connection: Connection, codes: Sequence[str], uninstall: bool) -> Removal:
    require_known(connection)
    found = {code: find_widget(connection, code) for code in codes}
    installations = {
        code: None if widget is None else count_installations(connection, widget.widget_id)
        for code, widget in found.items()
    }
    done = all(count == 0 or (uninstall and count is not None) for count in installations.values())
    if done:
        for code in codes:
            delete_widget(connection, code, uninstall)
    return Removal(installations, done)
