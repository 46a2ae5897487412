"""Files of Disk that are attached to something else, such as a comment."""

from dataclasses import dataclass

from gateway.sandbox.content.disk.objects import USER, Disk
from gateway.sandbox.content.records import iso_time
from gateway.sandbox.tables.table import Row

UPLOADS = "Загруженные файлы"  # the folder of a user's storage for files that are uploaded elsewhere
_UPLOADS_CODE = "FOR_UPLOADED_FILES"


@dataclass(frozen=True)
class Holder:
    """What files are attached to, in the words of disk.attachedObject.get.

    Source: [docs] api-reference/disk/attached-object/disk-attached-object-get.md
    """

    module_id: str
    entity_type: str
    entity_id: int


def attach(disk: Disk, holder: Holder, name: str, content: bytes, user_id: int, now: float) -> Row:
    """Store a file among the uploads of a user, attach it, and return it."""
    blob = disk.blobs.store((content,))
    folder = _uploads(disk, user_id, now)
    file = disk.add_file(folder, disk.unique_name(int(folder["ID"]), name), blob, user_id, now)
    attachment_id = disk.attachments.next_id
    disk.attachments[attachment_id] = {
        "ID": str(attachment_id),
        "OBJECT_ID": file["ID"],
        "MODULE_ID": holder.module_id,
        "ENTITY_TYPE": holder.entity_type,
        "ENTITY_ID": str(holder.entity_id),
        "CREATE_TIME": iso_time(int(now)),
        "CREATED_BY": str(user_id),
    }
    return file


def detach_all(disk: Disk, holder: Holder) -> None:
    """Remove all attachments of *holder*. Their files stay on Disk."""
    wanted = (holder.entity_type, str(holder.entity_id))
    for row in [row for row in disk.attachments.values() if (row["ENTITY_TYPE"], row["ENTITY_ID"]) == wanted]:
        del disk.attachments[int(row["ID"])]


def _uploads(disk: Disk, user_id: int, now: float) -> Row:
    """The folder for uploads of a user, made at the first one. Users without a storage use the common drive."""
    storage = disk.storage_of(USER, str(user_id)) or disk.storages[1]
    root = disk.objects[int(storage["ROOT_OBJECT_ID"])]
    found = [row for row in disk.children(int(root["ID"])) if row["CODE"] == _UPLOADS_CODE]
    if found:
        return found[0]
    name = disk.unique_name(int(root["ID"]), UPLOADS)
    return disk.change(disk.add_folder(root, name, user_id, now), {"CODE": _UPLOADS_CODE})
