"""All REST 2 methods of the sandbox. To add one, write a function and add it to METHODS of its module."""

from gateway.sandbox.rest2.method import by_name
from gateway.sandbox.rest2.methods import (
    addresses,
    batch,
    chats,
    crm,
    departments,
    event_handlers,
    events,
    items,
    options,
    records,
    service,
    task_changes,
    tasks,
    telephony,
    user_changes,
    user_userfields,
    userfields,
    users,
)

METHODS = by_name(
    (
        *service.METHODS,
        *batch.METHODS,
        *event_handlers.METHODS,
        *events.METHODS,
        *users.METHODS,
        *user_changes.METHODS,
        *user_userfields.METHODS,
        *options.METHODS,
        *departments.METHODS,
        *crm.METHODS,
        *userfields.METHODS,
        *records.METHODS,
        *addresses.METHODS,
        *items.METHODS,
        *tasks.METHODS,
        *task_changes.METHODS,
        *chats.METHODS,
        *telephony.METHODS,
    )
)
