"""crm.timeline.bindings.*: the records in whose timelines a comment occurs."""

from functools import partial

from gateway.sandbox.content.comments import BINDINGS
from gateway.sandbox.php import entries_of
from gateway.sandbox.rest2.method import Answer, Call, Method
from gateway.sandbox.rest2.methods.classic import (
    FIELDS,
    LIST_PARAMS,
    describe_fields,
    list_rows,
    positive,
    refuse,
    refuse_invalid,
)
from gateway.sandbox.rest2.methods.comments import Owner, owner_columns, owner_of
from gateway.sandbox.tables.table import Row, Table


def bind(call: Call) -> Answer:
    """Add a comment to the timeline of one more record.

    Source: [docs] api-reference/crm/timeline/bindings/crm-timeline-bindings-bind.md
    """
    comment_id, row, owner = _read_binding(call)
    if owner[1] not in call.data.records[owner[0]]:
        refuse("Access denied.")
    if owner not in row["OWNERS"]:
        call.data.comments[comment_id] = {**row, "OWNERS": [*row["OWNERS"], owner]}
    return Answer(True)


def unbind(call: Call) -> Answer:
    """Remove a comment from the timeline of a record.

    Source: [docs] api-reference/crm/timeline/bindings/crm-timeline-bindings-unbind.md
    """
    comment_id, row, owner = _read_binding(call)
    if owner not in row["OWNERS"]:
        refuse("Not found.")
    call.data.comments[comment_id] = {**row, "OWNERS": [other for other in row["OWNERS"] if other != owner]}
    return Answer(True)


def list_bindings(call: Call) -> Answer:
    """Return one page of the records of one comment.

    Source: [docs] api-reference/crm/timeline/bindings/crm-timeline-bindings-list.md
    """
    comment_id = positive(entries_of(call.params.get("filter", {})).get("OWNER_ID"))
    if not comment_id:
        refuse_invalid("OWNER_ID")
    owners: list[Owner] = call.data.comments.get(comment_id, {}).get("OWNERS", [])
    rows = [{"OWNER_ID": str(comment_id), **owner_columns(owner)} for owner in owners]
    return list_rows(BINDINGS, Table(dict(enumerate(rows, start=1))), call, key="")


def _read_binding(call: Call) -> tuple[int, Row, Owner]:
    """The comment and the record that the fields name. Nobody has a right to a missing comment."""
    fields = entries_of(call.params.get("fields", {}))
    comment_id = positive(fields.get("OWNER_ID"))
    if not comment_id:
        refuse_invalid("OWNER_ID")
    if not positive(fields.get("ENTITY_ID")):
        refuse_invalid("ENTITY_ID")
    owner = owner_of(call, fields)
    if owner is None:
        refuse_invalid("ENTITY_TYPE")
    row = call.data.comments.get(comment_id)
    if row is None or owner[0] in call.data.denied:
        refuse("Access denied.")
    return comment_id, row, owner


METHODS = (
    Method("crm.timeline.bindings.bind", bind, ("crm",), (FIELDS,)),
    Method("crm.timeline.bindings.unbind", unbind, ("crm",), (FIELDS,)),
    Method("crm.timeline.bindings.list", list_bindings, ("crm",), LIST_PARAMS),
    Method("crm.timeline.bindings.fields", partial(describe_fields, BINDINGS), ("crm",)),
)
