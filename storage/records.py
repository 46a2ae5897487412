"""Records of the database tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple

AccountKind = Literal["pending", "oauth", "webhook"]
RunState = Literal["running", "done", "failed"]
SyncMode = Literal["full", "incremental"]


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
"""A row ready to store: its id on the portal, and its JSON (see `gateway.mirror.row_json`)."""


class RecordColumns(NamedTuple):
    """The columns by which records of the CRM are found; None if the record does not have the value.

    *category* is its pipeline, *person* the responsible user, *modified* a Unix time in seconds.
    """

    category: int | None
    stage: str | None
    person: int | None
    contact: int | None
    company: int | None
    modified: int | None


class UserRow(NamedTuple):
    """The whole row of a user, as JSON, and whether the user is *active*: works in the company."""

    active: bool
    body: bytes


@dataclass(frozen=True)
class RowPage:
    """Rows of one sublist as the portal has them, ready to store.

    If the page is complete, these are all rows with ``after < id <= upto``; None leaves that end open. *head* is the
    JSON that we add to each row, its ``%d`` replaced by our id. Records of the CRM have *columns* by id, and a *head*
    without an id. *mark* is the generation that the list had when the rows were requested: records that have changed
    since are left alone, because this page may show an earlier version of them. *users* are the whole rows of users by
    id.
    """

    sublist: int
    rows: list[MirrorRow]
    after: int | None
    upto: int | None
    head: bytes
    columns: Mapping[int, RecordColumns] | None = None
    mark: int = 0
    users: Mapping[int, UserRow] = field(default_factory=dict)

    @classmethod
    def join(cls, parts: Sequence["RowPage"]) -> "RowPage":
        """All rows of *parts*, which differ in nothing else."""
        rows = [row for part in parts for row in part.rows]
        columns = {row_id: values for part in parts for row_id, values in (part.columns or {}).items()}
        users = {row_id: user for part in parts for row_id, user in part.users.items()}
        return replace(parts[0], rows=rows, columns=None if parts[0].columns is None else columns, users=users)

    def is_late(self, changed: int | None) -> bool:
        """Whether a row that changed at this generation was requested before."""
        return changed is not None and changed > self.mark


@dataclass(frozen=True)
class ListFacts:
    """A list in one snapshot: its *generation*, its *count* of live rows, and since when its records are up to date.

    *enabled* is set for records that are mirrored. *synced_at* is None before the first full sync has ended.
    """

    list_id: int
    generation: int
    count: int
    enabled: bool
    synced_at: int | None


@dataclass(frozen=True)
class MirrorPage:
    """A page of a list: rows as JSON objects joined by commas, and the list in the same snapshot."""

    facts: ListFacts
    items: bytes

    @property
    def list_id(self) -> int:
        return self.facts.list_id

    @property
    def generation(self) -> int:
        return self.facts.generation

    @property
    def count(self) -> int:
        return self.facts.count


@dataclass(frozen=True)
class SublistProgress:
    """The progress of a run in one sublist: the last proven id, whether it is done, and why it was skipped."""

    sublist: int
    cursor: int | None
    done: bool
    skipped: str | None


@dataclass(frozen=True)
class SyncRun:
    """The latest run of one list's sync. *left_out* counts portal rows that the contract cannot represent.

    *server_time* is the portal's Unix time in the run's first answer, *zone_s* how far the portal's times are ahead of
    UTC, and *largest* the largest id of then; all are None before that answer, and in dictionaries. *generation* is
    that of the list.
    """

    list_id: int
    resource: str
    state: RunState
    rows: int
    total: int | None
    left_out: int
    started_at: int
    finished_at: int | None
    error: str | None
    mode: SyncMode
    server_time: int | None
    zone_s: int | None
    largest: int | None
    generation: int
    sublists: tuple[SublistProgress, ...]

    @property
    def cursor(self) -> int | None:
        """The last proven id of the current sublist; None before the first, and if sublists are read in full."""
        return next((sublist.cursor for sublist in reversed(self.sublists) if sublist.cursor is not None), None)


@dataclass(frozen=True)
class SyncSettings:
    """What callers have set for the sync of a list, and how far its records are read.

    *interval_s* is None for the default. *watermark* is the portal's Unix time in the first answer of the last finished
    read, *zone_s* how far the portal's times are ahead of UTC, *synced_at* our time of that answer, and *reconciled_at*
    our time of the last walk of all ids; all None before the first full sync has ended.
    """

    list_id: int
    enabled: bool
    paused: bool
    interval_s: int | None
    watermark: int | None
    zone_s: int | None
    synced_at: int | None
    reconciled_at: int | None


@dataclass(frozen=True)
class Rule:
    """How a quiz's answers become CRM items on a portal. *body* is the posted JSON object."""

    rule_id: int
    quiz_id: int
    body: bytes
    created_at: int
