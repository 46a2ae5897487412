"""Uploads to Disk and downloads from it, with the two technical methods behind the links.

Source: methods.md, sections 8.3 and 8.4; protocol.md, section 17
"""

import binascii

from gateway.sandbox.blobs import Blob, StoredFile
from gateway.sandbox.content.base64_text import decode_strictly
from gateway.sandbox.content.disk.names import name_key
from gateway.sandbox.content.disk.objects import FILE, FOLDER, LIVE
from gateway.sandbox.content.disk.rights import Level
from gateway.sandbox.errors import CallError
from gateway.sandbox.php import Value, as_bool, as_id, entries_of, is_array
from gateway.sandbox.rest2.disk_calls import SCOPE, SCOPES, DiskCall, access_denied, name_taken, not_found
from gateway.sandbox.rest2.method import Answer, Call, Method
from gateway.sandbox.tables.table import Row

FIELD = "file"


def upload_to_folder(call: Call) -> Answer:
    """Add a file to a folder; without a content, return the address for it. Only then the folder is looked at."""
    asked = DiskCall(call)
    content = asked.sent.get("filecontent")
    if content is not None:
        return Answer(upload_inline(asked, asked.object(FOLDER, Level.ADD), content))
    query = {"id": asked.text("id", 0), "generateUniqueName": int(as_bool(asked.sent.get("generateuniquename")))}
    return Answer({"field": FIELD, "uploadUrl": asked.link("upload", query)})


def upload_inline(asked: DiskCall, folder: Row, content: Value) -> Row:
    """Add a file with the *content* of a parameter, named by ``data``, to a folder and return it.

    Raises:
        CallError: the name is missing or taken, or the content is not base64.
    """
    rights = asked.new_rights()
    name = asked.columns(1).get("NAME")
    if not isinstance(name, str) or not name:
        raise required_parameter("NAME")
    name = _usable_name(asked, folder, name, is_unique=as_bool(asked.sent.get("generateuniquename")))
    row = asked.disk.add_file(folder, name, save_inline(asked, content), asked.user_id, asked.now)
    asked.disk.rights[int(row["ID"])] = rights
    return asked.created(row)


def save_inline(asked: DiskCall, content: Value) -> Blob:
    """Store the *content* of a parameter: base64, or a pair of a name and base64.

    Raises:
        CallError: it is empty or not base64.
    """
    text = list(entries_of(content).values())[1:2] if is_array(content) else [content]
    if not text or not isinstance(text[0], str) or not text[0].strip():
        raise could_not_save()
    try:
        return asked.disk.blobs.store(decode_strictly(text[0]))
    except binascii.Error:
        raise could_not_save() from None


def upload(call: Call) -> Answer:
    """Add the file of a multipart body, under the name of its part, to the folder of the token."""
    asked, query = DiskCall(call), _read_token(call, "upload")
    file = call.request.files.get(FIELD)
    if file is None:
        raise required_parameter(FIELD)
    folder = asked.disk.objects.get(as_id(query.get("id")))
    if folder is None or folder["TYPE"] != FOLDER or folder["DELETED_TYPE"] != LIVE:
        raise not_found(query.get("id"))
    asked.require(folder, Level.ADD)
    name = _usable_name(asked, folder, file.name, is_unique=as_bool(query.get("generateUniqueName")))
    return Answer(asked.created(asked.disk.add_file(folder, name, file.blob, asked.user_id, asked.now)))


def download(call: Call) -> Answer:
    """Send the content of the file or version of the token."""
    asked, query = DiskCall(call), _read_token(call, "download")
    version = asked.disk.versions.get(as_id(query.get("id"))) if query.get("service") == "version" else None
    row = asked.disk.objects.get(as_id(version["OBJECT_ID"] if version else query.get("id")))
    if row is None or row["TYPE"] != FILE:
        raise not_found(query.get("id"))
    asked.require(row, Level.READ)
    source = version or row
    return Answer(None, download=StoredFile(source["NAME"], asked.disk.blobs[int(source["FILE_ID"])]))


def _read_token(call: Call, method: str) -> dict[str, Value]:
    """The query of the token of a link.

    Raises:
        CallError: the token is not one for this method and this credential.
    """
    query = call.data.links.read_token(SCOPE, method, call.sent.get("token"), call.request.credential or "")
    if query is None:
        raise access_denied("Link check failed")
    return query


def _usable_name(asked: DiskCall, folder: Row, name: str, *, is_unique: bool) -> str:
    """The name for a new file.

    Raises:
        CallError: the name is taken, and none is to be made from it.
    """
    folder_id = int(folder["ID"])
    if is_unique:
        return asked.disk.unique_name(folder_id, name)
    if name_key(name) in asked.disk.taken_names(folder_id):
        raise name_taken(FILE)
    return name


def required_parameter(name: str) -> CallError:
    code = "DISK_BASE_SERVICE_22001"
    return CallError(code, f"Error: required parameter {name} ({code})")


def could_not_save() -> CallError:
    return CallError("ERROR_COULD_NOT_SAVE_FILE", "Could not save file")


METHODS = (
    Method("disk.folder.uploadfile", upload_to_folder, SCOPES),
    Method("upload", upload, SCOPES, is_listed=False),
    Method("download", download, SCOPES, is_listed=False),
)
