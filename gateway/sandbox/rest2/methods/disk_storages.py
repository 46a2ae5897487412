"""disk.storage.*: the drives of the company, of its users and of the application."""

from gateway.sandbox.caller import APPLICATION_ID
from gateway.sandbox.content.disk.objects import APPLICATION, COMMON, USER
from gateway.sandbox.content.disk.rights import TASKS, Level
from gateway.sandbox.errors import CallError
from gateway.sandbox.php import is_array
from gateway.sandbox.rest2.disk_calls import SCOPES, DiskCall, access_denied
from gateway.sandbox.rest2.disk_fields import LIST_PARAMS, OBJECT_FIELDS, STORAGE_FIELDS, find_page
from gateway.sandbox.rest2.method import Answer, Call, Method
from gateway.sandbox.rest2.methods.disk_folders import add_folder_to
from gateway.sandbox.rest2.methods.disk_uploads import upload_inline


def list_storages(call: Call) -> Answer:
    """Return one page of the storages that the caller may read.

    Source: methods.md, section 8.1
    """
    asked = DiskCall(call)
    readable = [row for row in asked.disk.storages.values() if asked.may(asked.root_of(row), Level.READ)]
    return Answer.of_page(find_page(call, readable, STORAGE_FIELDS))


def get_storage(call: Call) -> Answer:
    """Return a storage, null if the id is not a number.

    Source: methods.md, section 8.1
    """
    asked = DiskCall(call)
    value = asked.argument("id", 0)
    return Answer(None if is_array(value) or not str(value).isdecimal() else asked.storage(Level.READ))


def list_children(call: Call) -> Answer:
    """Return one page of what the root of a storage holds, nothing without the right to read it.

    Source: methods.md, section 8.1
    """
    asked = DiskCall(call)
    storage = asked.storage(Level.NONE)
    root = asked.root_of(storage)
    children = asked.disk.children(int(root["ID"])) if asked.may(root, Level.READ) else []
    page = find_page(call, children, OBJECT_FIELDS)
    return Answer.of_page(page, [asked.shown(row) for row in page.rows])


def get_for_app(call: Call) -> Answer:
    """Return the storage of the application, made at the first call.

    Source: methods.md, section 8.1
    """
    asked = _for_application(call)
    return Answer(asked.disk.application_storage(APPLICATION_ID, call.caller.client, call.now))


def add_folder(call: Call) -> Answer:
    """Add a folder to the root of a storage.

    Source: methods.md, section 8.1
    """
    asked = DiskCall(call)
    return Answer(add_folder_to(asked, asked.root_of(asked.storage(Level.ADD))))


def upload_file(call: Call) -> Answer:
    """Add a file to the root of a storage; its content is in the call.

    Source: methods.md, section 8.1
    """
    asked = DiskCall(call)
    root = asked.root_of(asked.storage(Level.ADD))
    return Answer(upload_inline(asked, root, asked.argument("filecontent", 2)))


def rename_storage(call: Call) -> Answer:
    """Rename the storage of the application.

    Source: methods.md, section 8.1
    """
    asked = _for_application(call)
    storage, name = asked.storage(Level.EDIT), asked.text("newname", 1)
    if storage["ENTITY_TYPE"] != APPLICATION:
        raise CallError("", "Access denied (invalid type of storage)")
    renamed = asked.disk.storages[int(storage["ID"])] = {**storage, "NAME": name}
    return Answer(renamed)


def _for_application(call: Call) -> DiskCall:
    """A call of a method for applications of administrators.

    Raises:
        CallError: ACCESS_DENIED.
    """
    if not call.caller.is_application:
        raise access_denied("Application context required")
    call.require_administrator(access_denied())
    return DiskCall(call)


METHODS = (
    Method("disk.storage.getlist", list_storages, SCOPES, LIST_PARAMS),
    Method("disk.storage.get", get_storage, SCOPES),
    Method("disk.storage.getfields", lambda _call: Answer(STORAGE_FIELDS), SCOPES),
    Method("disk.storage.gettypes", lambda _call: Answer([USER, COMMON, "group"]), SCOPES),
    Method("disk.storage.getchildren", list_children, SCOPES, LIST_PARAMS),
    Method("disk.storage.getforapp", get_for_app, SCOPES),
    Method("disk.storage.addfolder", add_folder, SCOPES),
    Method("disk.storage.uploadfile", upload_file, SCOPES),
    Method("disk.storage.rename", rename_storage, SCOPES),
    Method("disk.rights.gettasks", lambda _call: Answer(list(TASKS)), SCOPES),
)
