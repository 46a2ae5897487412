-- Writes of callers, stored before they are sent and kept for a day. sent: the portal's method and what it gets; origin:
-- the key by which a created record is found again; status, location, answer: our answer, NULL while it is not known.
CREATE TABLE writes (
    write_id   INTEGER PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES accounts,
    idempotency_key TEXT,
    digest     BLOB NOT NULL,
    sent       BLOB NOT NULL,
    origin     TEXT NOT NULL,
    begun_at   INTEGER NOT NULL,
    status     INTEGER,
    location   TEXT,
    answer     BLOB
) STRICT;
CREATE UNIQUE INDEX writes_by_key ON writes (account_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX writes_by_time ON writes (begun_at);
