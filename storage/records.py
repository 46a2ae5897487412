"""Records of the database tables."""

from dataclasses import dataclass, field
from typing import Literal

AccountKind = Literal["pending", "oauth", "webhook"]
RunState = Literal["running", "done", "failed"]


@dataclass(frozen=True)
class Portal:
    """A Bitrix24 portal. *member_id* is its permanent id, *host* its current host. Either may be unknown (None)."""

    portal_id: int
    host: str | None
    member_id: str | None

    @property
    def bitrix_id(self) -> str:
        """The portal's id for callers: its member_id, or its host until the member_id is known."""
        return self.member_id or self.host or ""


@dataclass(frozen=True)
class Bucket:
    """A portal's leaky bucket: its *level* at the time *marked_at*, None if unknown."""

    portal_id: int
    level: float | None
    marked_at: float


@dataclass(frozen=True)
class Trouble:
    """Why an account is stale: a stable *code*, our *message*, and the portal's new *host* if it has moved."""

    code: str
    message: str
    host: str | None


@dataclass(frozen=True)
class Move:
    """A pending move to the portal at *host*, waiting for its authorization until *expires_at*."""

    host: str
    began_at: int
    expires_at: int


@dataclass(frozen=True)
class Account:
    """A caller's authorization on a portal. *account_key* is the account id in the caller's token.

    *since* is the time of the last change of state. For a stale account, *trouble* is the reason and *tried_at* is when
    its credential was last tried; both are None otherwise. A *move* may have expired.
    """

    account_id: int
    account_key: str
    portal: Portal
    origin: str
    kind: AccountKind
    sealed: bytes | None = field(repr=False)
    stale: bool
    deleted: bool
    created_at: int
    since: int
    trouble: Trouble | None
    tried_at: int | None
    move: Move | None

    @property
    def host(self) -> str:
        """The host, with port if any, of the portal's origin."""
        return self.origin.partition("://")[2]

    def move_at(self, now: float) -> Move | None:
        """Return the pending move if it has not expired at *now*."""
        return self.move if self.move is not None and now < self.move.expires_at else None


MirrorRow = tuple[int, bytes]
"""A row ready to store: its id on the portal, and its JSON suffix (see `gateway.mirror.row_json`)."""


@dataclass(frozen=True)
class MirrorPage:
    """A page of a list: rows as JSON objects joined by commas, the list's number of live rows and its generation."""

    list_id: int
    generation: int
    count: int
    items: bytes


@dataclass(frozen=True)
class SublistProgress:
    """The progress of a run in one sublist: the last proven id, whether it is done, and why it was skipped."""

    sublist: int
    cursor: int | None
    done: bool
    skipped: str | None


@dataclass(frozen=True)
class SyncRun:
    """The latest run of one list's sync. *left_out* counts portal rows that the contract cannot represent."""

    list_id: int
    resource: str
    state: RunState
    rows: int
    total: int | None
    left_out: int
    started_at: int
    finished_at: int | None
    error: str | None
    sublists: tuple[SublistProgress, ...]

    @property
    def cursor(self) -> int | None:
        """The last proven id of the current sublist; None before the first, and if sublists are read in full."""
        return next((sublist.cursor for sublist in reversed(self.sublists) if sublist.cursor is not None), None)


@dataclass(frozen=True)
class Rule:
    """How a quiz's answers become CRM items on a portal. *body* is the posted JSON object."""

    rule_id: int
    quiz_id: int
    body: bytes
    created_at: int
