"""The settings of a sandbox portal."""

from dataclasses import dataclass

from gateway.sandbox.behaviour.cost import CostModel
from gateway.sandbox.behaviour.limits import TARIFFS
from gateway.sandbox.caller import KNOWN_SCOPES
from gateway.sandbox.content.catalog import SMART_PROCESSES
from gateway.sandbox.query.listing import PAGE_ROWS


@dataclass(frozen=True)
class SandboxSettings:
    """How a sandbox portal is set up.

    *leads* and so on are how many there are of each; *invoices* of the smart and of the old ones alike, *items* of each
    smart process. *holes* is the share of missing ids; *tariff* one of standard, enterprise, off (neither bucket nor
    budget); *cost* is how long lists take, None for no time at all;
    *scope* what the webhook and the application are granted; *auto_allow* redirects from the authorize page at once;
    *integer_start* gives ``time.start`` in whole seconds, as the cloud does since 2026; *webhook_code* is the secret in
    the webhook's address. *tasks* and *eventlog* are how many there are, with *holes* among their ids too.
    *page_rows* is the size of a page in version 2, *rest3_page_rows* the largest page of REST 3.0, whatever limit is
    asked for; None: 50 tasks, and as many entries of the event log as were asked for, up to 1,000.
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
            raise ValueError("users: at least 1, the owner of the webhook")
        for name, count in {**self.records, "tasks": self.tasks, "eventlog": self.eventlog}.items():
            if count < 0:
                raise ValueError(f"{name}: at least 0")
        for name, rows in (("page_rows", self.page_rows), ("rest3_page_rows", self.rest3_page_rows)):
            if rows is not None and rows < 1:
                raise ValueError(f"{name}: at least 1")
        if not 0 <= self.holes < 1:
            raise ValueError("holes: a share from 0 to less than 1")
        if self.tariff not in TARIFFS:
            raise ValueError(f"tariff: one of {', '.join(TARIFFS)}")

    @property
    def records(self) -> dict[str, int]:
        """How many records there are, by the name of their table."""
        tables = ("leads", "deals", "contacts", "companies", "quotes", "invoices")
        items = {f"items/{entity_type_id}": self.items for entity_type_id in SMART_PROCESSES}
        return {**{name: getattr(self, name) for name in tables}, "old_invoices": self.invoices, **items}
