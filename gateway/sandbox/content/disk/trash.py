"""The trash of Disk.

Source: methods.md, section 8.2
"""

from gateway.sandbox.content.disk.objects import LIVE, TRASHED, TRASHED_WITH_PARENT, Disk
from gateway.sandbox.content.records import iso_time
from gateway.sandbox.tables.table import Row


def move_to_trash(disk: Disk, row: Row, user_id: int, now: float) -> Row:
    """Put an object into the trash, with all that is in it, and return it."""
    stamps = {"DELETE_TIME": iso_time(int(now)), "DELETED_BY": str(user_id)}
    for below in disk.below(row):
        if below["DELETED_TYPE"] == LIVE:
            disk.change(below, {"DELETED_TYPE": TRASHED_WITH_PARENT, **stamps})
    return disk.change(row, {"DELETED_TYPE": TRASHED, **stamps})


def restore(disk: Disk, row: Row, now: float) -> Row:
    """Take an object out of the trash, with all that went with it and the folders above it, and return it.

    A name that is taken by now gets a number. When and by whom it was deleted stays recorded.
    """
    for above in disk.path(row)[:-1]:
        _revive(disk, above, now)
    restored = _revive(disk, row, now)
    _revive_below(disk, restored, now)
    return restored


def _revive(disk: Disk, row: Row, now: float) -> Row:
    if row["DELETED_TYPE"] == LIVE:
        return row
    name = disk.unique_name(int(row["PARENT_ID"]), row["NAME"])
    return disk.change(row, {"DELETED_TYPE": LIVE, "NAME": name, "UPDATE_TIME": iso_time(int(now))})


def _revive_below(disk: Disk, row: Row, now: float) -> None:
    """Restore what went into the trash with its folder. What was there before stays."""
    for child in disk.children_and_trash(int(row["ID"])):
        if child["DELETED_TYPE"] == TRASHED_WITH_PARENT:
            _revive_below(disk, _revive(disk, child, now), now)
