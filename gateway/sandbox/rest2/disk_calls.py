"""What the methods of Disk share: their parameters and errors, the check of rights, and the form of objects."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from gateway.sandbox.content.disk.objects import COMMON, FILE, FOLDER, LIVE, USER, Disk
from gateway.sandbox.content.disk.rights import Level, codes_of, read_rights
from gateway.sandbox.errors import CallError
from gateway.sandbox.php import Value, as_id, entries_of, is_array
from gateway.sandbox.rest2.file_addresses import signed_address
from gateway.sandbox.rest2.method import Call
from gateway.sandbox.tables.table import Row

SCOPE = "disk"
SCOPES = (SCOPE,)


@dataclass(frozen=True)
class DiskCall:
    """A call of a method of Disk. The names of its parameters have any case.

    *first* is the number of the first parameter in errors; the pages of folders count from 1.
    Source: methods.md, section 8.2
    """

    call: Call
    first: int = 0

    @cached_property
    def disk(self) -> Disk:
        """The Disk of the portal, with a storage for every user."""
        self.call.data.disk.add_storages(self.call.data.users, self.call.now)
        return self.call.data.disk

    @cached_property
    def sent(self) -> Mapping[str, Value]:
        """The parameters by name in lower case."""
        return {name.lower(): value for name, value in self.call.sent.items()}

    @property
    def user_id(self) -> int:
        return self.call.caller.user_id

    @property
    def now(self) -> float:
        return self.call.now

    def argument(self, name: str, position: int) -> Value:
        """A required parameter.

        Raises:
            CallError: it is missing or empty.
        """
        value = self.sent.get(name)
        if value is None or value in ("", [], {}):
            raise self.wrong_argument(position)
        return value

    def wrong_argument(self, position: int) -> CallError:
        return CallError("ERROR_ARGUMENT", f"Invalid value of parameter {{Parameter #{self.first + position}}}")

    def text(self, name: str, position: int) -> str:
        """A required parameter that is no array.

        Raises:
            CallError: it is missing, empty or an array.
        """
        value = self.argument(name, position)
        if is_array(value):
            raise self.wrong_argument(position)
        return str(value)

    def columns(self, position: int) -> Mapping[str, Value]:
        """The required array ``data`` by name in upper case.

        Raises:
            CallError: it is missing or not an array.
        """
        value = self.argument("data", position)
        if not is_array(value):
            raise self.wrong_argument(position)
        return {name.upper(): item for name, item in entries_of(value).items()}

    def new_rights(self) -> dict[str, Level]:
        """The ``rights`` for a new object by access code.

        Raises:
            CallError: they are malformed.
        """
        rights = read_rights(self.sent.get("rights") or [])
        if rights is None:
            raise CallError("", "Invalid rights format")
        return rights

    def object(
        self, kind: str, level: Level, name: str = "id", position: int = 0, *, may_be_in_trash: bool = False
    ) -> Row:
        """The folder or file whose id is the parameter *name*.

        Raises:
            CallError: the parameter is missing, there is no such object, or the caller has less than *level* on it.
        """
        value = self.text(name, position)
        row = self.disk.objects.get(as_id(value))
        if row is None or row["TYPE"] != kind or (row["DELETED_TYPE"] != LIVE and not may_be_in_trash):
            raise not_found(value)
        self.require(row, level)
        return row

    def storage(self, level: Level) -> Row:
        """The storage whose id is the parameter ``id``.

        Raises:
            CallError: as `object`.
        """
        value = self.text("id", 0)
        storage = self.disk.storages.get(as_id(value))
        if storage is None:
            raise not_found(value)
        self.require(self.root_of(storage), level)
        return storage

    def root_of(self, storage: Row) -> Row:
        return self.disk.objects[int(storage["ROOT_OBJECT_ID"])]

    def require(self, row: Row, level: Level) -> None:
        """Check the caller's rights on an object.

        Raises:
            CallError: ACCESS_DENIED.
        """
        if not self.may(row, level):
            raise access_denied()

    def may(self, row: Row, level: Level) -> bool:
        """Whether the caller has this *level* on an object. An administrator has every level."""
        return self.call.caller.is_administrator or self.disk.level(row, self._codes) >= level

    @cached_property
    def _codes(self) -> frozenset[str]:
        caller, data = self.call.caller, self.call.data
        return codes_of(caller.user_id, caller.client, data.users, data.departments)

    def shown(self, row: Row, *numbers: str) -> Row:
        """An object as the reading methods show it, with a new link to its content. *numbers* are not strings."""
        shown = {**row, **{name: int(row[name]) for name in numbers if row.get(name) is not None}}
        if row["TYPE"] == FILE:
            shown["DOWNLOAD_URL"] = self.link("download", {"id": row["ID"]})
        return {**shown, "DETAIL_URL": self._detail_url(row)}

    def created(self, row: Row) -> Row:
        """An object as the creating methods show it.

        Source: methods.md, section 8.2
        """
        numbers = ("ID", "REAL_OBJECT_ID", "DELETED_TYPE", "FILE_ID", "GLOBAL_CONTENT_VERSION")
        return self.shown({**row, "DELETED_BY": None}, *numbers)

    def link(self, method: str, query: dict[str, Value]) -> str:
        """A link of ``upload`` or ``download``, which works only with the credential of this call."""
        return signed_address(self.call.request, self.call.data.links, SCOPE, method, query)

    def _detail_url(self, row: Row) -> str:
        """The address of the page of an object, with raw spaces and letters of any script.

        Source: methods.md, section 8.2
        """
        storage = self.disk.storages[int(row["STORAGE_ID"])]
        names = "/".join(above["NAME"] for above in self.disk.path(row)[1:])
        page = "path" if row["TYPE"] == FOLDER else "file"
        if storage["ENTITY_TYPE"] == USER:
            return f"{self.call.request.origin}/company/personal/user/{storage['ENTITY_ID']}/disk/{page}/{names}"
        drive = "docs" if storage["ENTITY_TYPE"] == COMMON else f"docs/{storage['ENTITY_ID']}"
        return f"{self.call.request.origin}/{drive}/{page}/{names}"


def not_found(value: Value) -> CallError:
    return CallError("ERROR_NOT_FOUND", f"Could not find entity with id `{value}`")


def access_denied(detail: str = "") -> CallError:
    """The refusal for missing rights.

    Source: protocol.md, section 7
    """
    return CallError("ACCESS_DENIED", f"Access denied! {detail}".rstrip(), 403)


def name_taken(kind: str) -> CallError:
    return CallError("DISK_OBJ_22000", f"A {kind} with this name already exists")
