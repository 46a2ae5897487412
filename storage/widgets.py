"""The catalogue of widgets, as each viewer sees it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from sqlite3 import Connection
from typing import Any, Literal

import orjson

from storage.database import Database

Visibility = Literal["public", "account", "own"]


@dataclass(frozen=True)
class Owner:
    """Who sees a widget: everybody, the users of an account, or one of its users. The others are None."""

    visibility: Visibility
    account_key: str | None
    user_id: str | None


@dataclass(frozen=True)
class Viewer:
    """Who looks at the catalogue: a user of an account; a user without an id sees no widget as their own."""

    account_key: str
    user_id: str | None


@dataclass(frozen=True)
class StoredWidget:
    """A widget with its current version: the *manifest* as JSON, and the *head* of the JSON that all accounts see."""

    widget_id: int
    code: str
    owner: Owner
    version_id: int
    manifest: bytes
    head: bytes


@dataclass(frozen=True)
class Installation:
    """A widget in an account. *settings* are sealed; None if the encryption key was lost.

    *missing* has the keys whose values the template of the current version misses. Not *active*: its placements have
    not been bound yet.
    """

    installation_id: int
    account_key: str
    widget_id: int
    version_id: int
    settings: bytes | None = field(repr=False)
    missing: tuple[str, ...]
    pipeline_id: int | None
    active: bool


@dataclass(frozen=True)
class FoundWidget:
    """A widget that a viewer may see, and its installation in the viewer's account, if it has one."""

    generation: int
    widget: StoredWidget
    installation: Installation | None


@dataclass(frozen=True)
class ListedWidget:
    """What a list shows of a widget. *installation* is None if the account has none that is active."""

    widget_id: int
    code: str
    head: bytes
    installation: Installation | None


@dataclass(frozen=True)
class VisibleWidgets:
    """The ids of all widgets that a viewer may see at *generation*, in ascending order."""

    generation: int
    widget_ids: Sequence[int]


@dataclass(frozen=True)
class WidgetPage:
    """A page of widgets; *visible* are all that the viewer may see."""

    visible: VisibleWidgets
    items: list[ListedWidget]


MissingOf = Callable[[Installation], Sequence[str]]
"""Returns the keys of the new template whose values an installation misses. Runs inside the transaction."""


class WidgetStore:
    """Reads and writes the catalogue. Writes are durable: on disk before the method returns."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def generation(self) -> int:
        """Return the generation of the catalogue, which every write changes, also that of another process."""
        return await self._database.read_batched(_generation)

    async def find(self, viewer: Viewer, code: str) -> FoundWidget | None:
        """Return the widget *code* if *viewer* may see it, else None."""
        return await self._database.read_batched(_find, viewer, code)

    async def page(self, viewer: Viewer, *, page: int, limit: int, known: VisibleWidgets | None) -> WidgetPage:
        """Return page *page* (from 1) of *limit* widgets that *viewer* may see, by ascending id.

        *known* is what an earlier page had as `visible`: it is not read again if the catalogue has not changed since.
        """
        return await self._database.read_batched(_page, viewer, page, limit, known)

    async def add(
        self, code: str, owner: Owner, manifest: bytes, head: bytes, *, now: int, widget_id: int | None = None
    ) -> int | None:
        """Add a widget, with the id *widget_id* if given. Return its id; None if the code or the id is taken."""
        return await self._database.write_durably(add_widget, code, owner, manifest, head, now, widget_id)

    async def replace(
        self, widget: StoredWidget, owner: Owner, manifest: bytes, head: bytes, missing_of: MissingOf, *, now: int
    ) -> bool:
        """Add a version to *widget*, and let the installations follow that miss nothing of it.

        Return False and change nothing if the widget has changed or is gone.
        """
        return await self._database.write_durably(replace_widget, widget, owner, manifest, head, missing_of, now)

    async def delete(self, code: str, *, uninstall: bool) -> bool:
        """Delete the widget and its versions. Return False if it is installed, unless *uninstall* is set.

        With *uninstall*, its installations are removed, and their placements are to be unbound.
        """
        return await self._database.write_durably(delete_widget, code, uninstall)


GENERATION = "SELECT generation FROM widget_catalogue"
NEXT_GENERATION = "UPDATE widget_catalogue SET generation = generation + 1"
WIDGET = """
SELECT w.widget_id, w.code, w.visibility, w.account_key, w.user_id, w.version_id, v.manifest, v.head
FROM widgets AS w JOIN widget_versions AS v ON v.version_id = w.version_id
"""
INSTALLATION_COLUMNS = """
i.installation_id, i.account_key, i.widget_id, i.version_id, i.settings, i.missing, i.pipeline_id, i.active
"""
IS_VISIBLE = """
(w.visibility = 'public' OR w.account_key = :account_key AND (w.visibility = 'account' OR w.user_id = :user_id))
"""
INSTALLED = f"SELECT {INSTALLATION_COLUMNS} FROM widget_installations AS i"
FIND_INSTALLED = f"{INSTALLED} WHERE i.account_key = :account_key AND i.widget_id = :widget_id"
LIST_INSTALLED = f"{INSTALLED} WHERE i.widget_id = :widget_id"
LIST_VISIBLE = f"""
SELECT w.widget_id FROM widgets AS w WHERE {IS_VISIBLE}
UNION SELECT i.widget_id FROM widget_installations AS i WHERE i.account_key = :account_key AND i.active
ORDER BY 1
"""
LIST_PAGE = f"""
SELECT w.widget_id, w.code, v.head, {INSTALLATION_COLUMNS}
FROM json_each(:widget_ids) AS listed
JOIN widgets AS w ON w.widget_id = listed.value
JOIN widget_versions AS v ON v.version_id = w.version_id
LEFT JOIN widget_installations AS i ON i.account_key = :account_key AND i.widget_id = w.widget_id AND i.active
ORDER BY w.widget_id
"""
IS_TAKEN = "SELECT 1 FROM widgets WHERE code = :code OR widget_id = :widget_id"
ADD_WIDGET = """
INSERT INTO widgets (widget_id, code, visibility, account_key, user_id)
VALUES (:widget_id, :code, :visibility, :account_key, :user_id)
"""
ADD_VERSION = """
INSERT INTO widget_versions (widget_id, manifest, head, created_at) VALUES (:widget_id, :manifest, :head, :now)
"""
SET_VERSION = """
UPDATE widgets
SET version_id = :version_id, visibility = :visibility, account_key = :account_key, user_id = :user_id
WHERE widget_id = :widget_id
"""
FOLLOW = """
UPDATE widget_installations SET version_id = :version_id, missing = '[]' WHERE installation_id = :installation_id
"""
SET_MISSING = "UPDATE widget_installations SET missing = :missing WHERE installation_id = :installation_id"
COUNT_INSTALLED = "SELECT count(*) FROM widget_installations WHERE widget_id = :widget_id AND active"
UNBIND_ALL = """
UPDATE widget_placements SET state = 'unbinding', installation_id = NULL
WHERE installation_id IN (SELECT installation_id FROM widget_installations WHERE widget_id = :widget_id)
"""
REMOVE_ALL = "DELETE FROM widget_installations WHERE widget_id = :widget_id"
DELETE_WIDGET = "DELETE FROM widgets WHERE widget_id = :widget_id"


def changed(connection: Connection) -> None:
    """Change the generation of the catalogue. Part of every transaction that changes what is shown of it."""
    connection.execute(NEXT_GENERATION)


def find_installation(connection: Connection, account_key: str, widget_id: int) -> Installation | None:
    """Return the installation of a widget in an account, active or not."""
    row = connection.execute(FIND_INSTALLED, {"account_key": account_key, "widget_id": widget_id}).fetchone()
    return row and _installation(row)


def store_missing(connection: Connection, installation_id: int, version_id: int, missing: Sequence[str]) -> None:
    """Store what an installation misses of the current version, which it follows if that is nothing."""
    found = {"installation_id": installation_id}
    if missing:
        connection.execute(SET_MISSING, found | {"missing": orjson.dumps(list(missing)).decode()})
    else:
        connection.execute(FOLLOW, found | {"version_id": version_id})


def _generation(connection: Connection) -> int:
    (generation,) = connection.execute(GENERATION).fetchone()
    return int(generation)


def to_widget(row: Sequence[Any]) -> StoredWidget:
    """Return the widget in a row of WIDGET."""
    widget_id, code, visibility, account_key, user_id, *version = row
    return StoredWidget(widget_id, code, Owner(visibility, account_key, user_id), *version)


def _installation(row: Sequence[Any]) -> Installation:
    installation_id, account_key, widget_id, version_id, settings, missing, pipeline_id, active = row
    keys = tuple(orjson.loads(missing))
    return Installation(installation_id, account_key, widget_id, version_id, settings, keys, pipeline_id, bool(active))


def count_installations(connection: Connection, widget_id: int) -> int:
    """Return the number of installations of a widget, active or not."""
    (installed,) = connection.execute(COUNT_INSTALLED, {"widget_id": widget_id}).fetchone()
    return int(installed)


def _find(connection: Connection, viewer: Viewer, code: str) -> FoundWidget | None:
    widget = find_widget(connection, code)
    if widget is None:
        return None
    installation = find_installation(connection, viewer.account_key, widget.widget_id)
    if not _may_see(viewer, widget.owner) and not (installation is not None and installation.active):
        return None
    return FoundWidget(_generation(connection), widget, installation)


def _may_see(viewer: Viewer, owner: Owner) -> bool:
    """What IS_VISIBLE says of one widget."""
    if owner.visibility == "public":
        return True
    return owner.account_key == viewer.account_key and owner.user_id in (None, viewer.user_id)


def find_widget(connection: Connection, code: str) -> StoredWidget | None:
    """Return the widget *code*, whoever may see it."""
    row = connection.execute(f"{WIDGET} WHERE w.code = :code", {"code": code}).fetchone()
    return row and to_widget(row)


def _page(connection: Connection, viewer: Viewer, page: int, limit: int, known: VisibleWidgets | None) -> WidgetPage:
    generation = _generation(connection)
    if known is None or known.generation != generation:
        names = {"account_key": viewer.account_key, "user_id": viewer.user_id}
        known = VisibleWidgets(generation, [row[0] for row in connection.execute(LIST_VISIBLE, names)])
    first = (page - 1) * limit
    shown = {
        "widget_ids": orjson.dumps(known.widget_ids[first : first + limit]).decode(),
        "account_key": viewer.account_key,
    }
    rows = connection.execute(LIST_PAGE, shown).fetchall()
    items = [
        ListedWidget(widget_id, code, head, None if installed[0] is None else _installation(installed))
        for widget_id, code, head, *installed in rows
    ]
    return WidgetPage(known, items)


def _owner_columns(owner: Owner) -> dict[str, object]:
    return {"visibility": owner.visibility, "account_key": owner.account_key, "user_id": owner.user_id}


def add_widget(
    connection: Connection, code: str, owner: Owner, manifest: bytes, head: bytes, now: int, widget_id: int | None
) -> int | None:
    """See `WidgetStore.add`."""
    if connection.execute(IS_TAKEN, {"code": code, "widget_id": widget_id}).fetchone() is not None:
        return None
    row = {"widget_id": widget_id, "code": code, **_owner_columns(owner)}
    added = connection.execute(ADD_WIDGET, row).lastrowid
    assert added is not None
    _add_version(connection, added, owner, manifest, head, now)
    changed(connection)
    return added


def _add_version(connection: Connection, widget_id: int, owner: Owner, manifest: bytes, head: bytes, now: int) -> int:
    row = {"widget_id": widget_id, "manifest": manifest, "head": head, "now": now}
    version_id = connection.execute(ADD_VERSION, row).lastrowid
    assert version_id is not None
    connection.execute(SET_VERSION, {"widget_id": widget_id, "version_id": version_id, **_owner_columns(owner)})
    return version_id


def replace_widget(
    connection: Connection,
    widget: StoredWidget,
    owner: Owner,
    manifest: bytes,
    head: bytes,
    missing_of: MissingOf,
    now: int,
) -> bool:
    """See `WidgetStore.replace`."""
    if find_widget(connection, widget.code) != widget:
        return False
    version_id = _add_version(connection, widget.widget_id, owner, manifest, head, now)
    for row in connection.execute(LIST_INSTALLED, {"widget_id": widget.widget_id}).fetchall():
        installation = _installation(row)
        store_missing(connection, installation.installation_id, version_id, missing_of(installation))
    changed(connection)
    return True


def delete_widget(connection: Connection, code: str, uninstall: bool) -> bool:
    """See `WidgetStore.delete`."""
    widget = find_widget(connection, code)
    if widget is None:
        return True
    found = {"widget_id": widget.widget_id}
    if count_installations(connection, widget.widget_id) and not uninstall:
        return False
    connection.execute(UNBIND_ALL, found)
    connection.execute(REMOVE_ALL, found)
    connection.execute(DELETE_WIDGET, found)
    changed(connection)
    return True
