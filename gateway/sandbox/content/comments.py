"""The comments of timelines, and the files attached to them."""

import binascii
from collections.abc import Iterator

from gateway.sandbox.content.base64_text import decode_strictly
from gateway.sandbox.content.other_entities import other_entity
from gateway.sandbox.content.records import iso_time
from gateway.sandbox.php import Value, entries_of, is_array
from gateway.sandbox.tables.table import Row

# Source: [docs] api-reference/crm/timeline/comments/crm-timeline-comment-fields.md,
# bindings/crm-timeline-bindings-fields.md
_OWNER = "ENTITY_ID integer/*i; ENTITY_TYPE string/*i"
COMMENTS = other_entity(
    "comments",
    f"ID integer/r; CREATED datetime/r; {_OWNER}; AUTHOR_ID integer/i; COMMENT string; FILES attached_diskfile/m",
)
BINDINGS = other_entity("bindings", f"OWNER_ID integer/*i; {_OWNER}")
_VIDEOS = (".mp4", ".mov", ".avi", ".webm", ".mkv")


def read_files(value: Value) -> Iterator[tuple[str, bytes]]:
    """The uploaded files of ``FILES``, each a name and its content in base64. Others are ignored.

    Source: [docs] api-reference/files/how-to-update-files.md
    """
    for entry in entries_of(value).values() if is_array(value) else ():
        if is_array(entry) and len(entry) == 2:
            name, content = entries_of(entry).values()
            try:
                yield str(name), b"".join(decode_strictly(str(content)))
            except binascii.Error:
                continue


def make_file(file_id: int, name: str, content: bytes, author: tuple[int, str], created: float) -> Row:
    """A file of a comment in the form of crm.timeline.comment.get. *author* is the id and name of a user.

    Source: [docs] api-reference/crm/timeline/comments/crm-timeline-comment-get.md
    """
    size = _image_size(content)
    kind = "image" if size else "video" if name.lower().endswith(_VIDEOS) else "file"
    query = f"?&ncc=1&filename={name}"
    return {
        "id": file_id,
        "date": iso_time(int(created)),
        "type": kind,
        "name": name,
        "size": len(content),
        "image": {"width": size[0], "height": size[1]} if size else False,
        "authorId": author[0],
        "authorName": author[1],
        "urlPreview": f"/disk/showFile/{file_id}/{query}&width=640&height=640" if size else "",
        "urlShow": f"/disk/showFile/{file_id}/{query}",
        "urlDownload": f"/disk/downloadFile/{file_id}/{query}",
    }


def _image_size(content: bytes) -> tuple[int, int] | None:
    """Width and height of a GIF or PNG image."""
    if content.startswith((b"GIF87a", b"GIF89a")):
        return int.from_bytes(content[6:8], "little"), int.from_bytes(content[8:10], "little")
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")
    return None
