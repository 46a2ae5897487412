"""The mailboxes, chats and working days of a sandbox portal."""

from collections.abc import Iterable, Sequence

from gateway.sandbox.content.tasks import format_time
from gateway.sandbox.tables.table import Row, Table

_DAY_S = 86_400
_SHIFT_S = 9 * 3600
_BREAK_S = 3600
_WORKERS = 10  # the first users keep records of their time
_DAYS = 7

# Owner, name, address and sender.
_MAILBOXES = (
    (1, "Work email", "user1@example.com", "Анна Иванова"),
    (1, "Продажи ✉", "sales@example.com", "Sandbox"),
    (1, "Support", "support@example.org", "Sandbox"),
)


def make_mailboxes() -> Table:
    """Make the mailboxes in the form of mail.mailbox.list, with their owners.

    Source: [docs] api-reference/rest-v3/mail/mailbox/mail-mailbox-list.md
    """
    return Table(
        {
            number: {"id": number, "userId": owner, "name": name, "email": email, "senderName": sender}
            for number, (owner, name, email, sender) in enumerate(_MAILBOXES, 1)
        }
    )


def make_chats(deal_ids: Iterable[int]) -> Table:
    """Make one chat for each of these deals.

    Source: [docs] api-reference/chats/im-chat-get.md
    """
    return Table(
        {
            number: {"ID": number, "ENTITY_TYPE": "CRM", "ENTITY_ID": f"DEAL|{deal_id}"}
            for number, deal_id in enumerate(deal_ids, 1)
        }
    )


def make_work_records(user_ids: Sequence[int], now: float) -> Table:
    """Make the working days of the last week in the form of timeman.record.list. Some have not ended.

    Source: [docs] api-reference/rest-v3/timeman/timeman-record-list.md
    """
    shifts = [(user_id, day) for day in range(_DAYS, 0, -1) for user_id in user_ids[:_WORKERS]]
    return Table(
        {
            number: _work_record(number, user_id, now - day * _DAY_S, is_open=day == 1 and number % 3 == 0)
            for number, (user_id, day) in enumerate(shifts, 1)
        }
    )


def _work_record(record_id: int, user_id: int, start: float, *, is_open: bool) -> Row:
    return {
        "id": record_id,
        "userId": user_id,
        "startTime": format_time(start),
        "endTime": None if is_open else format_time(start + _SHIFT_S),
        "duration": 0 if is_open else _SHIFT_S - _BREAK_S,
        "breakLength": 0 if is_open else _BREAK_S,
        "state": "OPENED" if is_open else "CLOSED",
        "isApproved": not is_open,
    }
