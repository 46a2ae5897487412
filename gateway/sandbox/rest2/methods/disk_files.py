"""disk.file.*, disk.version.* and disk.attachedObject.*: files, their versions, and where they are attached.

Source: methods.md, section 8.2
"""

from urllib.parse import urlencode

from gateway.sandbox.caller import WEBHOOK
from gateway.sandbox.content.disk.objects import FILE
from gateway.sandbox.content.disk.rights import Level
from gateway.sandbox.content.disk.versions import restore_version, save_version, versions_of
from gateway.sandbox.errors import CallError
from gateway.sandbox.php import as_id, is_array
from gateway.sandbox.rest2.disk_calls import SCOPES, DiskCall, not_found
from gateway.sandbox.rest2.disk_fields import FILE_FIELDS, LIST_PARAMS, VERSION_FIELDS, find_page
from gateway.sandbox.rest2.method import Answer, Call, Method
from gateway.sandbox.rest2.methods.disk_changes import change_methods
from gateway.sandbox.rest2.methods.disk_uploads import save_inline
from gateway.sandbox.tables.table import Row, Table

_VERSION = "GLOBAL_CONTENT_VERSION"


def get_file(call: Call) -> Answer:
    """Return a file."""
    asked = DiskCall(call)
    return Answer(asked.shown(asked.object(FILE, Level.READ)))


def list_versions(call: Call) -> Answer:
    """Return one page of the versions of a file, newest first."""
    asked = DiskCall(call)
    versions = versions_of(asked.disk, asked.object(FILE, Level.READ))
    page = find_page(call, versions, VERSION_FIELDS, order={"ID": "DESC"})
    return Answer.of_page(page, [_shown_version(asked, row) for row in page.rows])


def upload_version(call: Call) -> Answer:
    """Replace the content of a file."""
    asked = DiskCall(call)
    file, content = asked.object(FILE, Level.EDIT), asked.argument("filecontent", 1)
    changed = save_version(asked.disk, file, save_inline(asked, content), asked.user_id, asked.now)
    return Answer(asked.shown(changed, _VERSION))


def restore_from_version(call: Call) -> Answer:
    """Make an earlier content of a file the newest one."""
    asked = DiskCall(call)
    file, version_id = asked.object(FILE, Level.EDIT), asked.text("versionid", 1)
    version = asked.disk.versions.get(as_id(version_id))
    if version is None:
        raise not_found(version_id)
    if version["OBJECT_ID"] != file["ID"]:
        raise CallError("DISK_FILE_22004", "Cannot restore version from another file")
    return Answer(asked.shown(restore_version(asked.disk, file, version, asked.user_id, asked.now), _VERSION))


def get_version(call: Call) -> Answer:
    """Return a version."""
    asked = DiskCall(call)
    row = _related(asked, asked.disk.versions)
    return Answer(_shown_version(asked, row))


def get_attached(call: Call) -> Answer:
    """Return an attachment, with a link to its file."""
    asked = DiskCall(call)
    row = _related(asked, asked.disk.attachments)
    file, credential = asked.disk.objects[int(row["OBJECT_ID"])], call.request.credential or ""
    auth = {"auth[auth]": credential}
    if call.caller.client == WEBHOOK:
        auth = {"auth[aplogin]": str(call.caller.user_id), "auth[ap]": credential}
    query = urlencode({"attachedId": row["ID"], **auth, "action": "download", "ncc": 1}, safe="[]")
    link = f"{call.request.origin}/bitrix/tools/disk/uf.php?{query}"
    return Answer({**row, "DOWNLOAD_URL": link, "NAME": file["NAME"], "SIZE": file["SIZE"]})


def _related(asked: DiskCall, table: Table) -> Row:
    """The row of *table* whose id is the parameter ``id``, if the caller may read its file.

    Raises:
        CallError: the parameter is missing, there is no such row, or the caller may not read the file.
    """
    value = asked.sent.get("id")
    if not value or is_array(value):
        raise CallError("ERROR_ARGUMENT", "Invalid value of parameter `id`")
    row = table.get(as_id(value))
    if row is None:
        raise not_found(value)
    asked.require(asked.disk.objects[int(row["OBJECT_ID"])], Level.READ)
    return row


def _shown_version(asked: DiskCall, row: Row) -> Row:
    shown = {name: value for name, value in row.items() if name != "FILE_ID"}
    return {**shown, "DOWNLOAD_URL": asked.link("download", {"id": row["ID"], "service": "version"})}


METHODS = (
    Method("disk.file.get", get_file, SCOPES),
    Method("disk.file.getfields", lambda _call: Answer(FILE_FIELDS), SCOPES),
    *change_methods(FILE, 0),
    Method("disk.file.getversions", list_versions, SCOPES, LIST_PARAMS),
    Method("disk.file.uploadversion", upload_version, SCOPES),
    Method("disk.file.restorefromversion", restore_from_version, SCOPES),
    Method("disk.version.get", get_version, SCOPES),
    Method("disk.attachedobject.get", get_attached, SCOPES),
)
