"""The files of CRM records: what a client writes, and what the portal stores. A row holds only their ids."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gateway.sandbox.blobs import Blobs, StoredFile
from gateway.sandbox.content.base64_text import decode_leniently
from gateway.sandbox.content.entities import Field
from gateway.sandbox.php import Value


@dataclass(frozen=True)
class NewFile:
    """A file that a client writes, with its *content* in base64."""

    name: str
    content: str = field(repr=False)


class RecordFiles:
    """The files of all records. An id is the number of the content, in the form of a row's column: text."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._names: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._names)

    def save(self, value: Value) -> Value:
        """The value of a column with ids instead of new files, which are stored."""
        if isinstance(value, NewFile):
            file_id = str(self._blobs.keep(self._blobs.store(decode_leniently(value.content))))
            self._names[file_id] = value.name
            return file_id
        return [self.save(entry) for entry in value] if isinstance(value, list) else value

    def get(self, file_id: str) -> StoredFile | None:
        name = self._names.get(file_id)
        return None if name is None else StoredFile(name, self._blobs[int(file_id)])

    def remove(self, file_ids: Iterable[str]) -> None:
        """Delete files with their contents."""
        for file_id in file_ids:
            if self._names.pop(file_id, None) is not None:
                self._blobs.remove(int(file_id))


def file_ids(row: Mapping[str, Value], fields: Iterable[Field]) -> set[str]:
    """The ids of all files in the file fields of a record."""
    return {file_id for item in fields if item.type == "file" for file_id in ids_of(row.get(item.name))}


def ids_of(value: Value) -> list[str]:
    """The ids of the files in a column, which is single or multiple."""
    return value if isinstance(value, list) else [value] if value else []
