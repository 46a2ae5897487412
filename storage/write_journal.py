"""The journal of callers' writes: each is stored before it is sent, and with its answer once that is known."""

from dataclasses import dataclass
from sqlite3 import Connection

from storage.database import Database


@dataclass(frozen=True)
class StoredAnswer:
    """An answer of ours: its status, `Location` and body, the last two if it has any."""

    status: int
    location: str | None = None
    body: bytes = b""


@dataclass(frozen=True)
class Write:
    """A write of a caller. *answer* is None while its outcome is not known.

    *origin* is the key by which a record that it creates is found, or what it has kept for a repeated request.
    *is_new*: this request has begun it.
    """

    write_id: int
    digest: bytes
    origin: str
    answer: StoredAnswer | None
    is_new: bool


class WriteJournal:
    """Reads and writes the journal.

    A write with a key is on disk before `begin` returns: its caller may ask for it after a crash of the machine. All
    else survives a kill of the process. If a machine crash loses the end of a write, its outcome is unknown again, and
    is looked up when the write is repeated.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(
        self, account_id: int, key: str | None, *, digest: bytes, sent: bytes, origin: str, now: int, keep_s: int
    ) -> Write:
        """Store a write before it is sent, and return it; the earlier one, if the account has used the *key* before.

        Writes that began more than *keep_s* seconds ago are deleted.
        """
        write = self._database.write if key is None else self._database.write_durably
        return await write(_begin, account_id, key, digest, sent, origin, now, keep_s)

    async def has_unfinished(self, since: int) -> bool:
        """Whether the outcome of a write that began after the Unix second *since* is not known."""
        return await self._database.read(_has_unfinished, since)

    async def end(self, write_id: int, answer: StoredAnswer) -> None:
        """Store the answer to a write."""
        await self._database.write(_end, write_id, answer)

    async def keep_origin(self, write_id: int, origin: str) -> None:
        """Store what a write must know if it is repeated, before it changes anything."""
        await self._database.write_durably(_keep_origin, write_id, origin)

    async def forget(self, write_id: int) -> None:
        """Delete a write that certainly had no effect, so that its key can be used again."""
        await self._database.write(_forget, write_id)


DELETE_OLD = "DELETE FROM writes WHERE begun_at < :oldest"
FIND_BY_KEY = """
SELECT write_id, digest, origin, status, location, answer FROM writes
WHERE account_id = :account_id AND idempotency_key = :key
"""
BEGIN = """
INSERT INTO writes (account_id, idempotency_key, digest, sent, origin, begun_at)
VALUES (:account_id, :key, :digest, :sent, :origin, :now) RETURNING write_id
"""
HAS_UNFINISHED = "SELECT EXISTS (SELECT 1 FROM writes WHERE begun_at > :since AND status IS NULL)"
END = "UPDATE writes SET status = :status, location = :location, answer = :answer WHERE write_id = :write_id"
KEEP_ORIGIN = "UPDATE writes SET origin = :origin WHERE write_id = :write_id"
FORGET = "DELETE FROM writes WHERE write_id = :write_id"


def _begin(
    connection: Connection,
    account_id: int,
    key: str | None,
    digest: bytes,
    sent: bytes,
    origin: str,
    now: int,
    keep_s: int,
) -> Write:
    connection.execute(DELETE_OLD, {"oldest": now - keep_s})
    values = {"account_id": account_id, "key": key}
    earlier = None if key is None else connection.execute(FIND_BY_KEY, values).fetchone()
    if earlier is not None:
        write_id, digest, origin, status, location, body = earlier
        answer = None if status is None else StoredAnswer(status, location, body)
        return Write(write_id, digest, origin, answer, is_new=False)
    new = {**values, "digest": digest, "sent": sent, "origin": origin, "now": now}
    (write_id,) = connection.execute(BEGIN, new).fetchone()
    return Write(write_id, digest, origin, None, is_new=True)


def _has_unfinished(connection: Connection, since: int) -> bool:
    return bool(connection.execute(HAS_UNFINISHED, {"since": since}).fetchone()[0])


def _end(connection: Connection, write_id: int, answer: StoredAnswer) -> None:
    values = {"status": answer.status, "location": answer.location, "answer": answer.body}
    connection.execute(END, {"write_id": write_id, **values})


def _keep_origin(connection: Connection, write_id: int, origin: str) -> None:
    connection.execute(KEEP_ORIGIN, {"write_id": write_id, "origin": origin})


def _forget(connection: Connection, write_id: int) -> None:
    connection.execute(FORGET, {"write_id": write_id})
