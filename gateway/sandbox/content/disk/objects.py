"""The storages of a portal and the tree of folders and files in each of them."""

from collections import defaultdict
from collections.abc import Iterator, Set

from gateway.sandbox.blobs import Blob, Blobs
from gateway.sandbox.content.disk.names import free_name, name_key
from gateway.sandbox.content.disk.rights import EVERYONE, Level, application_code, user_code
from gateway.sandbox.content.records import iso_time
from gateway.sandbox.tables.table import Row, Table

FOLDER, FILE = "folder", "file"
LIVE, TRASHED, TRASHED_WITH_PARENT = "0", "3", "4"
COMMON, USER, APPLICATION = "common", "user", "restapp"
_COMMON_DRIVE = ("Общий диск", COMMON, "shared_files_s1")
_APPLICATION_NAME = "bitrix.restapi"


class Disk:
    """Storages, objects and versions by id, in the form of the reading methods, without addresses.

    The common drive comes first. Users get theirs in `add_storages`, an application in `application_storage`.
    *blobs* has the contents, *rights* are the levels granted by object id and access code.
    """

    def __init__(self, blobs: Blobs, now: float) -> None:
        self.storages = Table()
        self.objects = Table()
        self.versions = Table()
        self.attachments = Table()
        self.blobs = blobs
        self.rights: dict[int, dict[str, Level]] = {}
        self._children: defaultdict[int, set[int]] = defaultdict(set)
        self._owners: set[int] = set()
        self._seen_users = (0, 0)  # their number and next id
        self._add_storage(*_COMMON_DRIVE, EVERYONE, now)

    def add_storages(self, users: Table, now: float) -> None:
        """Add the storages of those *users* that have none yet."""
        seen, self._seen_users = self._seen_users, (len(users), users.next_id)
        if seen == self._seen_users:
            return
        for user_id in users:
            if user_id not in self._owners:
                self._owners.add(user_id)
                names = (users[user_id].get("NAME"), users[user_id].get("LAST_NAME"))
                name = " ".join(filter(None, names)) or f"user{user_id}"
                self._add_storage(name, USER, str(user_id), user_code(user_id), now)

    def storage_of(self, entity_type: str, entity_id: str) -> Row | None:
        """The storage of this owner, if there is one."""
        wanted = (entity_type, entity_id)
        found = (row for row in self.storages.values() if (row["ENTITY_TYPE"], row["ENTITY_ID"]) == wanted)
        return next(found, None)

    def application_storage(self, application_id: int, client: str, now: float) -> Row:
        """The storage of an application, made at the first call.

        Source: methods.md, section 8.1
        """
        found = self.storage_of(APPLICATION, str(application_id))
        code = application_code(client)
        return found or self._add_storage(_APPLICATION_NAME, APPLICATION, str(application_id), code, now)

    def _add_storage(self, name: str, entity_type: str, entity_id: str, code: str, now: float) -> Row:
        storage_id = self.storages.next_id
        root = self._add_object(name, FOLDER, storage_id, None, 0, now, {})
        self.rights[int(root["ID"])] = {code: Level.FULL}
        self.storages[storage_id] = {
            "ID": str(storage_id),
            "NAME": name,
            "CODE": None,
            "MODULE_ID": "disk",
            "ENTITY_TYPE": entity_type,
            "ENTITY_ID": entity_id,
            "ROOT_OBJECT_ID": root["ID"],
        }
        return self.storages[storage_id]

    def add_folder(self, parent: Row, name: str, user_id: int, now: float) -> Row:
        """Add a folder to the folder *parent*."""
        return self._add_object(name, FOLDER, int(parent["STORAGE_ID"]), int(parent["ID"]), user_id, now, {})

    def add_file(self, parent: Row, name: str, blob: Blob, user_id: int, now: float) -> Row:
        """Add a file with this content, its first version, to the folder *parent*."""
        return self._add_content(parent, name, self.blobs.keep(blob), user_id, now)

    def copy(self, row: Row, target: Row, user_id: int, now: float) -> Row:
        """Copy a file, or a folder with all that is in it, to the folder *target*, which lies outside."""
        if row["TYPE"] == FILE:
            return self._add_content(target, row["NAME"], self.blobs.copy(int(row["FILE_ID"])), user_id, now)
        copied = self.add_folder(target, row["NAME"], user_id, now)
        for child in self.children(int(row["ID"])):
            self.copy(child, copied, user_id, now)
        return copied

    def _add_content(self, parent: Row, name: str, content_id: int, user_id: int, now: float) -> Row:
        content = {
            "GLOBAL_CONTENT_VERSION": "1",
            "FILE_ID": str(content_id),
            "SIZE": str(self.blobs[content_id].size),
        }
        added = self._add_object(name, FILE, int(parent["STORAGE_ID"]), int(parent["ID"]), user_id, now, content)
        self.add_version(added, user_id, now)
        return added

    def _add_object(
        self, name: str, kind: str, storage_id: int, parent_id: int | None, user_id: int, now: float, content: Row
    ) -> Row:
        object_id, author, moment = self.objects.next_id, str(user_id), iso_time(int(now))
        self.objects[object_id] = {
            "ID": str(object_id),
            "NAME": name,
            "CODE": None,
            "STORAGE_ID": str(storage_id),
            "TYPE": kind,
            **({"REAL_OBJECT_ID": str(object_id)} if kind == FOLDER else {}),
            "PARENT_ID": None if parent_id is None else str(parent_id),
            "DELETED_TYPE": LIVE,
            **content,
            "CREATE_TIME": moment,
            "UPDATE_TIME": moment,
            "DELETE_TIME": None,
            "CREATED_BY": author,
            "UPDATED_BY": author,
            "DELETED_BY": "0",
        }
        if parent_id is not None:
            self._children[parent_id].add(object_id)
        return self.objects[object_id]

    def add_version(self, file: Row, user_id: int, now: float) -> None:
        """Record the present content of a file as its latest version."""
        version_id = self.versions.next_id
        self.versions[version_id] = {
            "ID": str(version_id),
            "OBJECT_ID": file["ID"],
            "SIZE": file["SIZE"],
            "NAME": file["NAME"],
            "GLOBAL_CONTENT_VERSION": file["GLOBAL_CONTENT_VERSION"],
            "CREATE_TIME": iso_time(int(now)),
            "CREATED_BY": str(user_id),
            "FILE_ID": file["FILE_ID"],
        }

    def change(self, row: Row, columns: Row) -> Row:
        """Change *columns* of an object and return it."""
        object_id = int(row["ID"])
        self.objects[object_id] = {**row, **columns}
        return self.objects[object_id]

    def move(self, row: Row, target: Row) -> Row:
        """Move an object to the folder *target* of the same storage."""
        self._children[int(row["PARENT_ID"])].discard(int(row["ID"]))
        self._children[int(target["ID"])].add(int(row["ID"]))
        return self.change(row, {"PARENT_ID": target["ID"]})

    def remove(self, row: Row) -> None:
        """Remove an object for good, with all that is in it, its versions, rights and attachments."""
        removed = {below["ID"]: below for below in self.below(row)}
        for version in [version for version in self.versions.values() if version["OBJECT_ID"] in removed]:
            self.blobs.remove(int(version["FILE_ID"]))
            del self.versions[int(version["ID"])]
        for attached in [attached for attached in self.attachments.values() if attached["OBJECT_ID"] in removed]:
            del self.attachments[int(attached["ID"])]
        for object_id in map(int, removed):
            self.rights.pop(object_id, None)
            self._children.pop(object_id, None)
            del self.objects[object_id]
        self._children[int(row["PARENT_ID"])].discard(int(row["ID"]))

    def children(self, folder_id: int) -> list[Row]:
        """What a folder holds, without the trash."""
        return [row for row in self.children_and_trash(folder_id) if row["DELETED_TYPE"] == LIVE]

    def children_and_trash(self, folder_id: int) -> list[Row]:
        return [self.objects[object_id] for object_id in sorted(self._children.get(folder_id, ()))]

    def below(self, row: Row) -> Iterator[Row]:
        """All that an object holds, the trash included, and last the object itself."""
        for child in self.children_and_trash(int(row["ID"])):
            yield from self.below(child)
        yield row

    def path(self, row: Row) -> list[Row]:
        """The object and the folders above it up to the root of its storage, from the root on."""
        found = [row]
        while (parent_id := found[-1]["PARENT_ID"]) is not None:
            found.append(self.objects[int(parent_id)])
        return found[::-1]

    def taken_names(self, folder_id: int) -> Set[str]:
        """The keys of the names in a folder."""
        return {name_key(row["NAME"]) for row in self.children(folder_id)}

    def unique_name(self, folder_id: int, name: str) -> str:
        """*name*, with a number if it is taken in the folder."""
        return free_name(name, self.taken_names(folder_id))

    def level(self, row: Row, codes: Set[str]) -> int:
        """The highest level that one of the access codes has on an object, 0 for none."""
        granted = (self.rights.get(int(above["ID"]), {}) for above in self.path(row))
        return max((level for rights in granted for code, level in rights.items() if code in codes), default=0)
