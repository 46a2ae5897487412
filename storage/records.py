"""What the tables hold, as values."""

from dataclasses import dataclass, field
from typing import Literal

AccountKind = Literal["pending", "oauth", "webhook"]
RunState = Literal["running", "done", "failed"]


@dataclass(frozen=True)
class Portal:
    """One Bitrix24: *member_id* is who it is (None until learned), *host* where it answers today; never both None."""

    portal_id: int
    host: str | None
    member_id: str | None

    @property
    def bitrix_id(self) -> str:
        """What callers know the portal by: its member_id, or the host until that is learned."""
        return self.member_id or self.host or ""


@dataclass(frozen=True)
class Bucket:
    """A portal's request counter: its *level* at a clean stop, None when nobody noted it, and the time of the mark."""

    portal_id: int
    level: float | None
    marked_at: float


@dataclass(frozen=True)
class Trouble:
    """Why an account is stale: a stable *code*, our *words*, and the *host* that its portal has moved to, if known."""

    code: str
    words: str
    host: str | None


@dataclass(frozen=True)
class Move:
    """An authorization of the portal at *host* that has begun and can be finished before *expires_at*."""

    host: str
    began_at: int
    expires_at: int


@dataclass(frozen=True)
class Account:
    """One caller's authorisation on a portal. *account_key* is the account named in the caller's token.

    *since* is when it came into its state; *trouble* is why it is stale and *tried_at* when its credential was last
    tried, both None for other accounts. A *move* may have expired.
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
        """The host, and port, at which its portal was connected."""
        return self.origin.partition("://")[2]

    def move_at(self, now: float) -> Move | None:
        """The move that can still be finished."""
        return self.move if self.move is not None and now < self.move.expires_at else None


MirrorRow = tuple[int, bytes]
"""A portal's row, ready to store: its id there, and all that we keep of it as that part of the answer."""


@dataclass(frozen=True)
class MirrorPage:
    """Some rows of a list as JSON objects joined by commas, the count of all live ones, and their generation."""

    list_id: int
    generation: int
    count: int
    items: bytes


@dataclass(frozen=True)
class SublistProgress:
    """How far a run has come in one part: the last proven id, whether its end is proven, why it was skipped."""

    sublist: int
    cursor: int | None
    done: bool
    skipped: str | None


@dataclass(frozen=True)
class SyncRun:
    """The latest run of one list's sync. *left_out*: rows of the portal that the contract cannot show."""

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
        """The last proven id of the part that the run is in; None before the first, and where parts are read whole."""
        return next((sublist.cursor for sublist in reversed(self.sublists) if sublist.cursor is not None), None)


@dataclass(frozen=True)
class Rule:
    """What a quiz's answers become on a portal; *body* is the JSON object of the posted properties."""

    rule_id: int
    quiz_id: int
    body: bytes
    created_at: int
