"""The versions of a file's content."""

from gateway.sandbox.blobs import Blob
from gateway.sandbox.content.disk.objects import Disk
from gateway.sandbox.content.records import iso_time
from gateway.sandbox.tables.table import Row


def versions_of(disk: Disk, file: Row) -> list[Row]:
    """The versions of a file, oldest first."""
    return [row for row in disk.versions.values() if row["OBJECT_ID"] == file["ID"]]


def save_version(disk: Disk, file: Row, blob: Blob, user_id: int, now: float) -> Row:
    """Replace the content of a file and return it. The earlier content stays a version."""
    return _replace_content(disk, file, disk.blobs.keep(blob), user_id, now)


def restore_version(disk: Disk, file: Row, version: Row, user_id: int, now: float) -> Row:
    """Make the content of a *version* the newest one and return the file."""
    return _replace_content(disk, file, disk.blobs.copy(int(version["FILE_ID"])), user_id, now)


def _replace_content(disk: Disk, file: Row, content_id: int, user_id: int, now: float) -> Row:
    changed = disk.change(
        file,
        {
            "GLOBAL_CONTENT_VERSION": str(int(file["GLOBAL_CONTENT_VERSION"]) + 1),
            "FILE_ID": str(content_id),
            "SIZE": str(disk.blobs[content_id].size),
            "UPDATE_TIME": iso_time(int(now)),
            "UPDATED_BY": str(user_id),
        },
    )
    disk.add_version(changed, user_id, now)
    return changed
