"""All REST 2 methods of the sandbox. To add one, write a function and add it to METHODS of its module."""

from gateway.sandbox.rest2.method import by_name
from gateway.sandbox.rest2.methods import (
    addresses,
    batch,
    categories,
    deal_categories,
    events,
    item_writes,
    items,
    record_writes,
    records,
    service,
    statuses,
    tasks,
    types,
    userfield_config,
    userfield_types,
    userfields,
    users,
)

METHODS = by_name(
    (
        *service.METHODS,
        *batch.METHODS,
        *events.METHODS,
        *users.METHODS,
        *statuses.METHODS,
        *categories.METHODS,
        *deal_categories.METHODS,
        *types.METHODS,
        *userfields.METHODS,
        *userfield_types.METHODS,
        *userfield_config.METHODS,
        *records.METHODS,
        *record_writes.METHODS,
        *addresses.METHODS,
        *items.METHODS,
        *item_writes.METHODS,
        *tasks.METHODS,
    )
)
