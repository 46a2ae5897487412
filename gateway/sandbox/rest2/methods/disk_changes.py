"""The methods that folders and files share: copy, move, rename, trash, delete, public links.

Source: methods.md, section 8.2
"""

from collections.abc import Callable
from dataclasses import dataclass

from gateway.sandbox.content.disk.names import name_key
from gateway.sandbox.content.disk.objects import FOLDER
from gateway.sandbox.content.disk.rights import Level
from gateway.sandbox.content.disk.trash import move_to_trash, restore
from gateway.sandbox.content.records import iso_time
from gateway.sandbox.errors import CallError
from gateway.sandbox.rest2.disk_calls import SCOPES, DiskCall, access_denied, name_taken
from gateway.sandbox.rest2.method import Answer, Call, Method
from gateway.sandbox.tables.table import Row


def change_methods(kind: str, first: int) -> tuple[Method, ...]:
    """The methods of one *kind*, folder or file. *first* is the number of their first parameter in errors."""
    changes = _Changes(kind, first)
    runs: dict[str, Callable[[Call], Answer]] = {
        "copyto": changes.copy,
        "moveto": changes.move,
        "rename": changes.rename,
        "markdeleted": changes.mark_deleted,
        "restore": changes.restore,
        "deletetree" if kind == FOLDER else "delete": changes.delete,
        "getexternallink": changes.public_link,
    }
    return tuple(Method(f"disk.{kind}.{name}", run, SCOPES) for name, run in runs.items())


@dataclass(frozen=True)
class _Changes:
    kind: str
    first: int

    def copy(self, call: Call) -> Answer:
        """Copy an object to a folder and return the copy."""
        asked = DiskCall(call, self.first)
        row, target = asked.object(self.kind, Level.READ), self._target(asked)
        self._check_outside(asked, row, target, "copy")
        self._check_name(asked, row["NAME"], target)
        return Answer(asked.created(asked.disk.copy(row, target, asked.user_id, asked.now)))

    def move(self, call: Call) -> Answer:
        """Move an object to a folder and return it, false if the folder lies in another storage."""
        asked = DiskCall(call, self.first)
        row, target = asked.object(self.kind, Level.EDIT), self._target(asked)
        if row["PARENT_ID"] is None:
            raise CallError("", "Could not move root folder")
        if target["STORAGE_ID"] != row["STORAGE_ID"]:
            return Answer(False)
        self._check_outside(asked, row, target, "move")
        if row["PARENT_ID"] != target["ID"]:
            self._check_name(asked, row["NAME"], target)
            row = asked.disk.move(row, target)
        return Answer(asked.shown(row, "PARENT_ID"))

    def rename(self, call: Call) -> Answer:
        """Rename an object and return it."""
        asked = DiskCall(call, self.first)
        row, name = asked.object(self.kind, Level.EDIT), asked.text("newname", 1)
        if row["PARENT_ID"] is None:
            raise access_denied()
        if name_key(name) != name_key(row["NAME"]):
            self._check_name(asked, name, asked.disk.objects[int(row["PARENT_ID"])])
        changed = {"NAME": name, "UPDATE_TIME": iso_time(int(asked.now)), "UPDATED_BY": str(asked.user_id)}
        return Answer(asked.shown(asked.disk.change(row, changed)))

    def mark_deleted(self, call: Call) -> Answer:
        """Put an object into the trash and return it."""
        asked = DiskCall(call, self.first)
        row = self._removable(asked, Level.EDIT)
        trashed = move_to_trash(asked.disk, row, asked.user_id, asked.now)
        return Answer(asked.shown(trashed, *(["DELETED_TYPE"] if self.kind == FOLDER else [])))

    def restore(self, call: Call) -> Answer:
        """Take an object out of the trash and return it. Only an administrator restores folders."""
        asked = DiskCall(call, self.first)
        row = asked.object(self.kind, Level.EDIT, may_be_in_trash=True)
        if self.kind == FOLDER:
            call.require_administrator(access_denied())
        return Answer(asked.shown(restore(asked.disk, row, asked.now), "DELETED_TYPE"))

    def delete(self, call: Call) -> Answer:
        """Delete an object for good, from its folder or from the trash."""
        asked = DiskCall(call, self.first)
        asked.disk.remove(self._removable(asked, Level.FULL, may_be_in_trash=True))
        return Answer(True)

    def public_link(self, call: Call) -> Answer:
        """Return a link to an object that needs no credential."""
        asked = DiskCall(call, self.first)
        row = asked.object(self.kind, Level.READ)
        return Answer(f"{call.request.origin}/~{call.data.links.public_code(int(row['ID']))}")

    def _target(self, asked: DiskCall) -> Row:
        return asked.object(FOLDER, Level.ADD, "targetfolderid", 1)

    def _removable(self, asked: DiskCall, level: Level, *, may_be_in_trash: bool = False) -> Row:
        row = asked.object(self.kind, level, may_be_in_trash=may_be_in_trash)
        if row["PARENT_ID"] is None:
            raise CallError("DISK_OBJ_22000", "Could not delete root folder")
        return row

    def _check_name(self, asked: DiskCall, name: str, folder: Row) -> None:
        """Check that *name* is free in a folder."""
        if name_key(name) in asked.disk.taken_names(int(folder["ID"])):
            raise name_taken(self.kind)

    def _check_outside(self, asked: DiskCall, row: Row, target: Row, verb: str) -> None:
        """Check that a folder does not get into itself. No page describes this refusal."""
        if row["ID"] in {above["ID"] for above in asked.disk.path(target)}:
            raise CallError("", f"Could not {verb} a folder into itself")
