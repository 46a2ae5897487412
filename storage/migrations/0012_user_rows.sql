-- The whole rows of users as the portal has them, beside the part that mirror_rows has for the contract: one for each
-- live user that was read since. The next syncs read all users again.
CREATE TABLE user_rows (
    row_id  INTEGER PRIMARY KEY REFERENCES mirror_rows,
    list_id INTEGER NOT NULL REFERENCES mirror_lists,
    active  INTEGER NOT NULL CHECK (active IN (0, 1)),
    body    BLOB NOT NULL
) STRICT;
CREATE INDEX user_rows_by_active ON user_rows (list_id, active);

-- generation: changes with any whole row of the list; synced_at: when the last finished read of all users began.
CREATE TABLE user_lists (
    list_id    INTEGER PRIMARY KEY REFERENCES mirror_lists,
    generation INTEGER NOT NULL DEFAULT 0,
    synced_at  INTEGER
) STRICT;

DELETE FROM sync_parts WHERE list_id IN (SELECT list_id FROM mirror_lists WHERE resource = 'users');
