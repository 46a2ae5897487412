"""One HTTP request to a portal, as its limiter sees it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from gateway.bitrix.attempts import Attempts
from gateway.bitrix.limits.request_queue import Priority


@dataclass(frozen=True, slots=True)
class PortalRequest:
    """A request that calls *method*, and for a batch also the methods of its *commands*.

    *methods* are all of them; each draws on its operating budget under *budget_key*. *write* says whether the request
    may change something. The same value serves all *attempts* of a call. For the log, *arguments* are those of the
    method, and *batched* the methods of a batch's commands, in their order.
    """

    method: str
    methods: Collection[str]
    attempts: Attempts
    budget_key: str
    priority: Priority
    commands: int = 1
    write: bool = False
    arguments: object = None
    batched: Sequence[str] = ()
