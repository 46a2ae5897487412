"""The settings of a sandbox portal."""

from dataclasses import dataclass

from gateway.sandbox.behaviour.cost import CostModel
from gateway.sandbox.behaviour.limits import TARIFFS
from gateway.sandbox.caller import KNOWN_SCOPES
from gateway.sandbox.content.catalog import SMART_PROCESSES
from gateway.sandbox.query.listing import PAGE_ROWS


@dataclass(frozen=True)
class SandboxSettings:
    """The settings of one sandbox portal.

    - *users* to *items*, *tasks* and *eventlog*: the number of rows. *invoices* counts smart and old invoices alike,
      *items* the items of each smart process.
    - *holes*: the share of missing ids.
    - *tariff*: ``standard``, ``enterprise`` or ``off`` (neither leaky bucket nor operating time).
    - *cost*: how long lists take; None for no time.
    - *scope*: the scopes granted to the webhook and the application.
    - *auto_allow*: the authorize page redirects without asking.
    - *integer_start*: ``time.start`` is in whole seconds, as in the cloud since 2026.
    - *webhook_code*: the secret in the webhook's address.
    - *page_rows*: the page size of REST 2.
    - *rest3_page_rows*: the largest page of REST 3.0, whatever limit is requested. None means 50 tasks, and as many
      event log entries as requested, up to 1,000.
    """

    users: int = 120
    leads: int = 200
    deals: int = 300
    contacts: int = 250
    companies: int = 120
    quotes: int = 60
    invoices: int = 60
    items: int = 80
    seed: int = 1
    holes: float = 0.3
    tasks: int = 75
    eventlog: int = 120
    tariff: str = "standard"
    redirect_uri: str = "http://127.0.0.1:8080/webhook/create"
    auto_allow: bool = False
    scope: tuple[str, ...] = KNOWN_SCOPES
    integer_start: bool = False
    webhook_code: str = "sandbox"
    cost: CostModel | None = None
    page_rows: int = PAGE_ROWS
    rest3_page_rows: int | None = None

    def __post_init__(self) -> None:
        if self.users < 1:
            raise ValueError("users: must be at least 1, the owner of the webhook")
        for name, count in {**self.records, "tasks": self.tasks, "eventlog": self.eventlog}.items():
            if count < 0:
                raise ValueError(f"{name}: must be at least 0")
        for name, rows in (("page_rows", self.page_rows), ("rest3_page_rows", self.rest3_page_rows)):
            if rows is not None and rows < 1:
                raise ValueError(f"{name}: must be at least 1")
        if not 0 <= self.holes < 1:
            raise ValueError("holes: must be at least 0 and less than 1")
        if self.tariff not in TARIFFS:
            raise ValueError(f"tariff: must be one of {', '.join(TARIFFS)}")

    @property
    def records(self) -> dict[str, int]:
        """The number of records by table name."""
        tables = ("leads", "deals", "contacts", "companies", "quotes", "invoices")
        items = {f"items/{entity_type_id}": self.items for entity_type_id in SMART_PROCESSES}
        return {**{name: getattr(self, name) for name in tables}, "old_invoices": self.invoices, **items}
