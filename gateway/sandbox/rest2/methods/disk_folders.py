"""disk.folder.*: folders, what they hold, and their trash.

Source: methods.md, section 8.2
"""

from gateway.sandbox.content.disk.names import name_key
from gateway.sandbox.content.disk.objects import FOLDER
from gateway.sandbox.content.disk.rights import LEVELS, Level, user_code
from gateway.sandbox.php import as_id
from gateway.sandbox.rest2.disk_calls import SCOPES, DiskCall, access_denied, name_taken, not_found
from gateway.sandbox.rest2.disk_fields import FOLDER_FIELDS, LIST_PARAMS, OBJECT_FIELDS, find_page
from gateway.sandbox.rest2.method import Answer, Call, Method
from gateway.sandbox.rest2.methods.disk_changes import change_methods
from gateway.sandbox.rest2.methods.disk_uploads import required_parameter
from gateway.sandbox.tables.table import Row

_FIRST = 1  # the number of the first parameter in errors


def get_folder(call: Call) -> Answer:
    """Return a folder."""
    asked = DiskCall(call, _FIRST)
    return Answer(asked.shown(asked.object(FOLDER, Level.READ)))


def list_children(call: Call) -> Answer:
    """Return one page of the folders and files in a folder, without the trash."""
    asked = DiskCall(call, _FIRST)
    folder = asked.object(FOLDER, Level.READ)
    page = find_page(call, asked.disk.children(int(folder["ID"])), OBJECT_FIELDS)
    return Answer.of_page(page, [asked.shown(row) for row in page.rows])


def add_subfolder(call: Call) -> Answer:
    """Add a folder to a folder."""
    asked = DiskCall(call, _FIRST)
    return Answer(add_folder_to(asked, asked.object(FOLDER, Level.ADD)))


def add_folder_to(asked: DiskCall, parent: Row) -> Row:
    """Add the folder that ``data`` names to the folder *parent*.

    Raises:
        CallError: the name is missing or taken.
    """
    rights = asked.new_rights()
    name = asked.columns(1).get("NAME")
    if not isinstance(name, str) or not name:
        raise required_parameter("NAME")
    if name_key(name) in asked.disk.taken_names(int(parent["ID"])):
        raise name_taken(FOLDER)
    row = asked.disk.add_folder(parent, name, asked.user_id, asked.now)
    asked.disk.rights[int(row["ID"])] = rights
    return asked.created(row)


def share_to_user(call: Call) -> Answer:
    """Grant a user a right on a folder."""
    asked = DiskCall(call, _FIRST)
    folder, user_id = asked.object(FOLDER, Level.FULL), asked.text("userid", 1)
    level = LEVELS.get(asked.text("taskname", 2))
    if level is None:
        raise access_denied()
    if as_id(user_id) not in call.data.users:
        raise not_found(user_id)
    asked.disk.rights.setdefault(int(folder["ID"]), {})[user_code(as_id(user_id))] = level
    return Answer(True)


METHODS = (
    Method("disk.folder.get", get_folder, SCOPES),
    Method("disk.folder.getfields", lambda _call: Answer(FOLDER_FIELDS), SCOPES),
    Method("disk.folder.getchildren", list_children, SCOPES, LIST_PARAMS),
    Method("disk.folder.addsubfolder", add_subfolder, SCOPES),
    Method("disk.folder.sharetouser", share_to_user, SCOPES),
    *change_methods(FOLDER, _FIRST),
)
