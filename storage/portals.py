"""Finds, adds and merges portal rows. A portal is identified by its member_id if known, otherwise by its host.

These functions run inside the transactions of `storage.accounts`.
"""

from sqlite3 import Connection

from storage.records import Portal

PORTAL_BY_HOST = "SELECT portal_id, host, member_id FROM portals WHERE host = :host"
PORTAL_BY_MEMBER = "SELECT portal_id, host, member_id FROM portals WHERE member_id = :member_id"
ADD_PORTAL = """
INSERT INTO portals (host, member_id, created_at) VALUES (:host, :member_id, :now) RETURNING portal_id
"""


def portal_at(connection: Connection, host: str) -> Portal | None:
    """Return the known portal at *host*, or None."""
    return _find(connection, PORTAL_BY_HOST, {"host": host})


def find_or_add_portal(connection: Connection, *, host: str, now: int) -> int:
    """Return our id of the portal at *host*. Add the portal if it is unknown."""
    if found := portal_at(connection, host):
        return found.portal_id
    return _add(connection, host, None, now)


LEARN_MEMBER_ID = "UPDATE portals SET member_id = :member_id WHERE portal_id = :portal_id"
LEARN_HOST = "UPDATE portals SET host = :host WHERE portal_id = :portal_id"
LOSE_HOST = "UPDATE portals SET host = NULL WHERE portal_id = :portal_id"
TOUCH_LISTS = "UPDATE mirror_lists SET generation = generation + 1 WHERE portal_id = :portal_id"


def identify_portal(connection: Connection, *, member_id: str, host: str, now: int) -> int:
    """Return our id of the portal *member_id* at *host*, both as reported by its authorization server.

    A row with this host and no member_id is the same portal; it is merged into the row with the member_id. If the host
    belongs to a row with another member_id, the host has a new owner and that row loses it.
    """
    by_member, by_host = _find(connection, PORTAL_BY_MEMBER, {"member_id": member_id}), portal_at(connection, host)
    if by_member is None and by_host is not None and by_host.member_id is None:
        connection.execute(LEARN_MEMBER_ID, {"member_id": member_id, "portal_id": by_host.portal_id})
        connection.execute(TOUCH_LISTS, {"portal_id": by_host.portal_id})  # accountID is part of their pages
        return by_host.portal_id
    if by_host is not None and by_host.member_id not in (None, member_id):
        connection.execute(LOSE_HOST, {"portal_id": by_host.portal_id})
    if by_member is None:
        return _add(connection, host, member_id, now)
    if by_host is not None and by_host.member_id is None:
        merge_portals(connection, by_host.portal_id, by_member.portal_id)
    connection.execute(LEARN_HOST, {"host": host, "portal_id": by_member.portal_id})
    return by_member.portal_id


# An account may have the same list or rule under both rows. The one it uses now stays; the other moves to an archive
# row that no account refers to, so nothing is deleted.
SET_ASIDE = (
    """
    UPDATE mirror_lists AS here SET portal_id = :archive
    WHERE portal_id IN (:portal_id, :into)
    AND portal_id <> (SELECT CASE portal_id WHEN :portal_id THEN :portal_id ELSE :into END
                      FROM accounts WHERE accounts.account_id = here.account_id)
    AND EXISTS (SELECT 1 FROM mirror_lists AS there WHERE there.account_id = here.account_id
                AND there.resource = here.resource AND there.portal_id IN (:portal_id, :into)
                AND there.portal_id <> here.portal_id)
    """,
    """
    UPDATE rules AS here SET portal_id = :archive
    WHERE portal_id IN (:portal_id, :into)
    AND portal_id <> (SELECT CASE portal_id WHEN :portal_id THEN :portal_id ELSE :into END
                      FROM accounts WHERE accounts.account_id = here.account_id)
    AND EXISTS (SELECT 1 FROM rules AS there WHERE there.account_id = here.account_id
                AND there.quiz_id = here.quiz_id AND there.portal_id IN (:portal_id, :into)
                AND there.portal_id <> here.portal_id)
    """,
)
# The sum is unknown if a level is unknown. Levels of different times are added as if neither had drained since.
ADD_BUCKETS = """
INSERT INTO buckets (portal_id, level, marked_at)
SELECT :into, CASE WHEN count(level) = count(*) THEN sum(level) END, max(marked_at)
FROM buckets WHERE portal_id IN (:portal_id, :into) HAVING count(*) > 0
ON CONFLICT (portal_id) DO UPDATE SET level = excluded.level, marked_at = excluded.marked_at
"""
MOVE = (
    ADD_BUCKETS,
    "DELETE FROM buckets WHERE portal_id = :portal_id",
    "UPDATE mirror_lists SET portal_id = :into, generation = generation + 1 WHERE portal_id = :portal_id",
    "UPDATE rules SET portal_id = :into WHERE portal_id = :portal_id",
    "UPDATE widget_placements SET portal_id = :into WHERE portal_id = :portal_id",
    "UPDATE accounts SET portal_id = :into WHERE portal_id = :portal_id",
    "DELETE FROM field_descriptors WHERE portal_id = :portal_id",  # read again when they are needed
    "DELETE FROM portals WHERE portal_id = :portal_id",
)

DROP_ARCHIVE = """
DELETE FROM portals WHERE portal_id = :archive
AND NOT EXISTS (SELECT 1 FROM mirror_lists WHERE portal_id = :archive)
AND NOT EXISTS (SELECT 1 FROM rules WHERE portal_id = :archive)
"""


def merge_portals(connection: Connection, portal_id: int, into: int) -> None:
    """Merge two rows of the same portal: move everything from *portal_id* to *into* and delete *portal_id*."""
    archive = _add(connection, f"joined:{portal_id}:{into}", None, 0)
    for statement in SET_ASIDE:
        connection.execute(statement, {"archive": archive, "portal_id": portal_id, "into": into})
    for statement in MOVE:
        connection.execute(statement, {"portal_id": portal_id, "into": into})
    connection.execute(DROP_ARCHIVE, {"archive": archive})


def _find(connection: Connection, query: str, parameters: dict[str, str]) -> Portal | None:
    row = connection.execute(query, parameters).fetchone()
    return row and Portal(*row)


def _add(connection: Connection, host: str | None, member_id: str | None, now: int) -> int:
    row: tuple[int] = connection.execute(ADD_PORTAL, {"host": host, "member_id": member_id, "now": now}).fetchone()
    return row[0]
