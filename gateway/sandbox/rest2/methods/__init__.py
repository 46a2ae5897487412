"""All REST 2 methods of the sandbox. To add one, write a function and add it to METHODS of its module."""

from gateway.sandbox.rest2.method import by_name
from gateway.sandbox.rest2.methods import (
    addresses,
    batch,
    bindings,
    comments,
    crm,
    currencies,
    duplicates,
    enums,
    events,
    items,
    preset_fields,
    records,
    requisite_links,
    requisites,
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
        *requisites.METHODS,
        *preset_fields.METHODS,
        *requisite_links.METHODS,
        *addresses.METHODS,
        *duplicates.METHODS,
        *comments.METHODS,
        *bindings.METHODS,
        *enums.METHODS,
        *currencies.METHODS,
        *items.METHODS,
        *tasks.METHODS,
    )
)
