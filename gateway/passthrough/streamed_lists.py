"""The lists that callers can stream."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class StreamedList:
    """A list method with the parameters that select the list; *version* of REST is 2 or 3."""

    method: str
    version: int = 2
    params: Mapping[str, object] = field(default_factory=dict)


# Source: methods.md 1.1, 4, 5, 12 (b24restdocs api-reference/user/, crm/, tasks/, event-log/)
STREAMED_LISTS = {
    "users": StreamedList("user.get"),
    "leads": StreamedList("crm.lead.list"),
    "deals": StreamedList("crm.deal.list"),
    "contacts": StreamedList("crm.contact.list"),
    "companies": StreamedList("crm.company.list"),
    "quotes": StreamedList("crm.quote.list"),
    "invoices": StreamedList("crm.item.list", params={"entityTypeId": 31}),
    "tasks": StreamedList("tasks.task.list"),
    "eventlog": StreamedList("main.eventlog.tail", version=3),
}
TASKS3 = StreamedList("tasks.task.list", version=3)


def items_of(entity_type_id: int) -> StreamedList:
    """The items of a CRM type or smart process."""
    return StreamedList("crm.item.list", params={"entityTypeId": entity_type_id})
