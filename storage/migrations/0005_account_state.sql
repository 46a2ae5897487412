-- Since when an account is in its state, why it is stale, and when its credential was last tried.
ALTER TABLE accounts ADD COLUMN state_since INTEGER NOT NULL DEFAULT 0;
ALTER TABLE accounts ADD COLUMN stale_code TEXT;
ALTER TABLE accounts ADD COLUMN stale_words TEXT;
ALTER TABLE accounts ADD COLUMN stale_host TEXT;
ALTER TABLE accounts ADD COLUMN tried_at INTEGER;
UPDATE accounts SET state_since = CASE WHEN stale = 1 AND kind <> 'pending' THEN unixepoch() ELSE created_at END;
UPDATE accounts
SET stale_code = 'unknown',
    stale_words = 'the portal no longer accepts the authorization; an earlier version did not store why'
WHERE stale = 1 AND kind <> 'pending';

-- An authorization of another portal that has begun; the account moves there once it is finished.
CREATE TABLE account_moves (
    account_id INTEGER PRIMARY KEY REFERENCES accounts,
    host       TEXT NOT NULL,
    began_at   INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
