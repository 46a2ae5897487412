"""mail.mailbox.list, which exists only in REST 3.0."""

from gateway.sandbox.php import Value
from gateway.sandbox.rest3.dto import Dto, Field, Kind
from gateway.sandbox.rest3.fields import field_methods
from gateway.sandbox.rest3.listing import list_rows
from gateway.sandbox.rest3.method import Call, Method
from gateway.sandbox.tables.table import Table

_SCOPES = ("mail",)
_PAGE_ROWS = 25
_MAX_ROWS = 100

# Source: [docs] api-reference/rest-v3/mail/mailbox/mail-mailbox-list.md
MAILBOX = Dto.of(
    "MailboxDto",
    Field("id", Kind.INT),
    *(Field(name, Kind.STRING) for name in ("name", "email", "senderName")),
)
_SHOWN = tuple(MAILBOX.fields)


def list_mailboxes(call: Call) -> Value:
    """Return one page of the caller's mailboxes whose names and addresses contain the given fragments.

    Source: [docs] api-reference/rest-v3/mail/mailbox/mail-mailbox-list.md
    """
    fragments = {name: (call.text_of(name) or "").casefold() for name in ("name", "email")}
    found = {
        number: row
        for number, row in call.data.mailboxes.items()
        if row["userId"] == call.caller.user_id
        and all(fragment in row[name].casefold() for name, fragment in fragments.items())
    }
    pagination = call.query.get("pagination") or {}
    if isinstance(pagination, dict):
        pagination = {"limit": _PAGE_ROWS, **pagination}
    return {"items": list_rows(Table(found), {"pagination": pagination}, MAILBOX, call.data, _SHOWN, call.max_rows)}


METHODS = (
    Method("mail.mailbox.list", list_mailboxes, _SCOPES, MAILBOX, max_rows=_MAX_ROWS),
    *field_methods("mail.mailbox", MAILBOX, _SCOPES),
)
