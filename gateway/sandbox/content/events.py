"""The events of a sandbox portal: their names, the application's handlers, and what goes into the offline queue."""

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.sandbox.content.offline import OfflineEvents
from gateway.sandbox.php import Value
from gateway.sandbox.tables.table import Table

TEST_EVENT = "ONAPPTEST"
QUEUE_EVENT = "ONOFFLINEEVENT"  # tells online that the offline queue has events

_COMMON = (
    "ONAPPUNINSTALL", "ONAPPINSTALL", "ONAPPUPDATE", "ONAPPPAYMENT", TEST_EVENT, "ONAPPMETHODCONFIRM", QUEUE_EVENT,
)  # fmt: skip
_CHANGES = ("ADD", "UPDATE", "DELETE")
_USERFIELDS = ("USERFIELDADD", "USERFIELDUPDATE", "USERFIELDDELETE", "USERFIELDSETENUMVALUES")
_DYNAMIC = "ONCRMDYNAMICITEM"
# The objects of the CRM and their events, in the order of the portal's list.
_CRM: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("INVOICE", (*_CHANGES, "SETSTATUS")),
    ("LEAD", (*_CHANGES, *_USERFIELDS)),
    ("DEAL", (*_CHANGES, "MOVETOCATEGORY", *_USERFIELDS)),
    ("COMPANY", (*_CHANGES, *_USERFIELDS)),
    ("CONTACT", (*_CHANGES, *_USERFIELDS)),
    ("QUOTE", (*_CHANGES, *_USERFIELDS)),
    ("INVOICE", _USERFIELDS),
    *((name, _CHANGES) for name in ("CURRENCY", "PRODUCT", "PRODUCTPROPERTY", "PRODUCTSECTION", "ACTIVITY")),
    ("REQUISITE", (*_CHANGES, *_USERFIELDS)),
    ("BANKDETAIL", _CHANGES),
    ("ADDRESS", ("REGISTER", "UNREGISTER")),
    ("MEASURE", _CHANGES),
    ("DEALRECURRING", (*_CHANGES, "EXPOSE")),
    ("INVOICERECURRING", (*_CHANGES, "EXPOSE")),
    ("TIMELINECOMMENT", _CHANGES),
    ("DYNAMICITEM", _CHANGES),
    ("TYPE", (*_CHANGES, *_USERFIELDS)),
    ("DOCUMENTGENERATORDOCUMENT", _CHANGES),
)


@dataclass(frozen=True)
class Handler:
    """A handler of one event. An offline one has no address, and its events go into the queue of its *source_key*.

    *user_id* is the user whose tokens the handler gets, 0 for the user whose action causes the event.
    """

    event: str
    url: str = ""
    user_id: int = 0
    offline: bool = False
    source_key: str = ""


class Events:
    """The events of one portal. Online events are not delivered.

    *types* are the smart processes, which have events of their own. *source_key* is that of the call that is being
    carried out: its events do not go into the queue of the same key.
    """

    def __init__(self, queue: OfflineEvents, types: Table) -> None:
        self.handlers: list[Handler] = []
        self.source_key = ""
        self._queue = queue
        self._types = types

    def scopes(self) -> dict[str, str]:
        """The names of all events with the scope that each requires, "" for none.

        Source: [docs] api-reference/events/events.md
        """
        crm = [f"ONCRM{name}{action}" for name, actions in _CRM for action in actions]
        own = [f"{_DYNAMIC}{action}_{row['entityTypeId']}" for row in self._types.values() for action in _CHANGES]
        tasks = [f"{name}{action}" for name in ("ONTASK", "ONTASKCOMMENT") for action in _CHANGES]
        return {
            **dict.fromkeys(_COMMON, ""),
            "ONUSERADD": "user",
            **dict.fromkeys(crm, "crm"),
            **dict.fromkeys(own, "crm"),
            **dict.fromkeys(tasks, "task"),
        }

    def record(self, name: str, data: Mapping[str, Value], now: float, user_id: int = 1) -> None:
        """Put an event that happened at Unix time *now* into the queue of each of its offline handlers.

        *data* is the event's ``data``, *user_id* the user who caused it, by default the administrator. An event of an
        item of a smart process is also an event of its type, such as ``ONCRMDYNAMICITEMADD_128``.

        Source: [docs] api-reference/events/offline-events.md, crm/universal/events; protocol notes 15.5, 16
        """
        names = [name]
        if name.startswith(_DYNAMIC):
            names.append(f"{name}_{data['FIELDS']['ENTITY_TYPE_ID']}")
        for event in names:
            for handler in self.handlers:
                is_own = self.source_key and handler.source_key == self.source_key
                if handler.offline and handler.event == event and not is_own:
                    self._queue.enqueue(event, data, now, user_id, handler.source_key)
