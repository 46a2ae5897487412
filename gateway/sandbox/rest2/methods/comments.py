"""crm.timeline.comment.*: add, update and delete are controllers, get, list and fields are classic."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import NoReturn, TypeAlias

from gateway.sandbox.content.catalog import COMPANY, CONTACT, DEAL, LEAD, QUOTE, SMART_INVOICE
from gateway.sandbox.content.comments import COMMENTS, make_file, read_files
from gateway.sandbox.content.disk.attachments import Holder, attach, detach_all
from gateway.sandbox.content.entities import OLD_INVOICE
from gateway.sandbox.content.records import iso_time
from gateway.sandbox.errors import CallError
from gateway.sandbox.php import Value, entries_of
from gateway.sandbox.query.filters import Kind, Schema, read_filter
from gateway.sandbox.query.listing import find, read_order, select_columns
from gateway.sandbox.rest2.method import Answer, Call, Method, Param, page_window
from gateway.sandbox.rest2.methods.classic import LIST_PARAMS, describe_fields, positive, refuse, refuse_invalid
from gateway.sandbox.tables.table import Row, Table

Owner: TypeAlias = tuple[int, int]  # entityTypeId and id

_OWNER_TYPES = {
    "lead": LEAD,
    "deal": DEAL,
    "contact": CONTACT,
    "company": COMPANY,
    "quote": QUOTE,
    "invoice": OLD_INVOICE,
    "smart_invoice": SMART_INVOICE,
}
_TYPE_NAMES = {type_id: name for name, type_id in _OWNER_TYPES.items()}
_LISTED = Schema({"ID": Kind.NUMBER, "CREATED": Kind.DATE, "AUTHOR_ID": Kind.NUMBER}, key="ID")


def add_comment(call: Call) -> Answer:
    """Add a comment to the timeline of a record and return its id.

    Source: [docs] api-reference/crm/timeline/comments/crm-timeline-comment-add.md
    """
    fields = entries_of(call.params["fields"])
    owner = owner_of(call, fields)
    if owner is None:
        _fail("OWNER_NOT_FOUND", "Owner was not found")
    if owner[0] in call.data.denied:
        _fail("ACCESS_DENIED", "Access denied.")
    if owner[1] not in call.data.records[owner[0]]:
        _fail("NOT_FOUND", "Not found.")
    comment_id = call.data.comments.next_id
    author_id = positive(fields.get("AUTHOR_ID"))
    row = {
        "ID": str(comment_id),
        "CREATED": iso_time(int(call.now)),
        "AUTHOR_ID": str(author_id if author_id in call.data.users else call.caller.user_id),
        "OWNERS": [owner],
        "FILES": [],
    }
    call.data.comments[comment_id] = {**row, **_written(call, comment_id, fields)}
    return Answer(comment_id)


def get_comment(call: Call) -> Answer:
    """Return one comment. Without files it has no ``FILES``.

    Source: [docs] api-reference/crm/timeline/comments/crm-timeline-comment-get.md
    """
    comment_id = positive(call.params.get("id"))
    if not comment_id:
        refuse_invalid("ID")
    row = call.data.comments.get(comment_id)
    if row is None:
        refuse("Not found.")
    if all(type_id in call.data.denied for type_id, _ in row["OWNERS"]):
        refuse("Access denied.")
    return Answer(_shown(row, row["OWNERS"][0]))


def list_comments(call: Call) -> Answer:
    """Return one page of the comments of one record. The filter must name the record.

    Source: [docs] api-reference/crm/timeline/comments/crm-timeline-comment-list.md
    """
    owner = owner_of(call, entries_of(call.params.get("filter", {})))
    if owner is None or owner[0] in call.data.denied:
        refuse("Access denied.")
    rows = {comment_id: row for comment_id, row in call.data.comments.items() if owner in row["OWNERS"]}
    order = read_order(call.params.get("order", {}), _LISTED)
    page = find(Table(rows), read_filter({}, _LISTED), order, _LISTED, page_window(call, whole_pages=True))
    names = [str(name) for name in entries_of(call.params.get("select") or ["*"]).values()]
    return Answer.of_page(page, [select_columns(_shown(row, owner), names) for row in page.rows])


def update_comment(call: Call) -> Answer:
    """Change the text of a comment and, if ``FILES`` is given, replace its files. Return its id.

    Source: [docs] api-reference/crm/timeline/comments/crm-timeline-comment-update.md
    """
    comment_id, row = _found(call)
    _named_owner(call, row)
    call.data.comments[comment_id] = {**row, **_written(call, comment_id, entries_of(call.params["fields"]))}
    return Answer(comment_id)


def delete_comment(call: Call) -> Answer:
    """Remove a comment from the timeline of its owner, and delete it with its last owner.

    Source: [docs] api-reference/crm/timeline/comments/crm-timeline-comment-delete.md
    """
    comment_id, row = _found(call)
    owner = _named_owner(call, row)
    if owner is None and len(row["OWNERS"]) > 1:
        _fail("MULTIPLE_BINDINGS", "Multiple bindings are found. Please specify the owner.")
    remaining = [other for other in row["OWNERS"] if owner is not None and other != owner]
    if remaining:
        call.data.comments[comment_id] = {**row, "OWNERS": remaining}
    else:
        detach_all(call.data.disk, _holder(comment_id))
        del call.data.comments[comment_id]
    return Answer(None)


def _found(call: Call) -> tuple[int, Row]:
    row = call.data.comments.get(call.params["id"])
    if row is None:
        _fail("NOT_FOUND", "Not found.")
    if all(type_id in call.data.denied for type_id, _ in row["OWNERS"]):
        _fail("ACCESS_DENIED", "Access denied.")
    return int(row["ID"]), row


def _named_owner(call: Call, row: Row) -> Owner | None:
    """The owner that the call names, which must be one of the comment; None if it names none."""
    if "ownerTypeId" not in call.params and "ownerId" not in call.params:
        return None
    owner = (positive(call.params.get("ownerTypeId")), positive(call.params.get("ownerId")))
    if owner not in row["OWNERS"]:
        _fail("OWNER_NOT_FOUND", "Owner was not found")
    return owner


def owner_of(call: Call, values: Mapping[str, Value]) -> Owner | None:
    """The owner named by ENTITY_TYPE and ENTITY_ID, None if they are invalid. The record may be missing."""
    name, record_id = str(values.get("ENTITY_TYPE")).lower(), positive(values.get("ENTITY_ID"))
    type_id = _OWNER_TYPES.get(name) or positive(name.removeprefix("dynamic_"))
    return (type_id, record_id) if type_id in call.data.records and record_id else None


def owner_columns(owner: Owner) -> Row:
    """The columns of an answer that name the owner of a comment."""
    type_id, record_id = owner
    return {"ENTITY_ID": str(record_id), "ENTITY_TYPE": _TYPE_NAMES.get(type_id, f"dynamic_{type_id}")}


def _written(call: Call, comment_id: int, fields: Mapping[str, Value]) -> Row:
    """The columns of a new or changed comment: the text, which must not be empty, and the files if given.

    The files are stored on Disk; the id of a file is that of its object there.
    Source: methods.md, section 8.4
    """
    comment = fields.get("COMMENT")
    if not isinstance(comment, str) or not comment.strip():
        _fail("INVALID_ARG_VALUE", "Empty comment")
    if "FILES" not in fields:
        return {"COMMENT": comment}
    user = call.data.users.get(call.caller.user_id, {})
    author = (call.caller.user_id, " ".join(filter(None, (user.get("NAME"), user.get("LAST_NAME")))))
    disk = call.data.disk
    disk.add_storages(call.data.users, call.now)
    detach_all(disk, _holder(comment_id))
    files = []
    for name, content in read_files(fields["FILES"]):
        row = attach(disk, _holder(comment_id), name, content, call.caller.user_id, call.now)
        files.append(make_file(int(row["ID"]), row["NAME"], content, author, call.now))
    return {"COMMENT": comment, "FILES": files}


def _holder(comment_id: int) -> Holder:
    return Holder("crm", "crm_timeline", comment_id)


def _shown(row: Row, owner: Owner) -> Row:
    shown = {
        "ID": row["ID"],
        **owner_columns(owner),
        **{name: row[name] for name in ("CREATED", "COMMENT", "AUTHOR_ID")},
    }
    files = {str(file["id"]): file for file in row["FILES"]}
    return {**shown, "FILES": files} if files else shown


def _fail(code: str, text: str) -> NoReturn:
    raise CallError(code, text)


def _controller(name: str, run: Callable[[Call], Answer], *params: Param) -> Method:
    return Method(f"crm.timeline.comment.{name}", run, ("crm",), params, exact=True)


_ID, _FIELDS = Param("id", "int", required=True), Param("fields", "array", required=True)
_OWNER = (Param("ownerTypeId", "int"), Param("ownerId", "int"))

METHODS = (
    _controller("add", add_comment, _FIELDS),
    _controller("update", update_comment, _ID, _FIELDS, *_OWNER),
    _controller("delete", delete_comment, _ID, *_OWNER),
    Method("crm.timeline.comment.get", get_comment, ("crm",), (Param("id"),)),
    Method("crm.timeline.comment.list", list_comments, ("crm",), LIST_PARAMS),
    Method("crm.timeline.comment.fields", partial(describe_fields, COMMENTS), ("crm",)),
)
