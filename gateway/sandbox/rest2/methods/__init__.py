"""Every REST method of the sandbox; a new one is a function and its row in one of these modules."""

from gateway.sandbox.rest2.method import by_name
from gateway.sandbox.rest2.methods import (
    addresses,
    batch,
    crm,
    events,
    items,
    records,
    service,
    tasks,
    userfields,
    users,
)

METHODS = by_name(
    (
        *service.METHODS,
        *batch.METHODS,
        *events.METHODS,
        *users.METHODS,
        *crm.METHODS,
        *userfields.METHODS,
        *records.METHODS,
        *addresses.METHODS,
        *items.METHODS,
        *tasks.METHODS,
    )
)
