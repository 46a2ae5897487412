-- The schema as it stands. migrations/ is how it came about; a test proves that both build the same tables.

-- Whose file this is, so that another program's is told from it: "BxGw" in ASCII.
PRAGMA application_id = 1115178871;

-- What this file knows of itself: the check value of the encryption key, the mark of /readyz.
CREATE TABLE facts (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- One Bitrix24. member_id is who it is (null until learned), host where it answers today (null once another portal does).
CREATE TABLE portals (
    portal_id  INTEGER PRIMARY KEY,
    host       TEXT UNIQUE,
    member_id  TEXT UNIQUE,
    created_at INTEGER NOT NULL,
    CHECK (host IS NOT NULL OR member_id IS NOT NULL)
) STRICT;

-- The request counter of a portal at a clean stop; level is null from the first request after a start on.
CREATE TABLE buckets (
    portal_id INTEGER PRIMARY KEY REFERENCES portals,
    level     REAL,
    marked_at REAL NOT NULL
) STRICT;

-- One caller's authorisation on a portal. sealed: the token pair or the webhook address, encrypted. state_since: since
-- when it is ok, pending or stale. Of a stale one: why, the host that its portal has moved to, the last try of its credential.
CREATE TABLE accounts (
    account_id  INTEGER PRIMARY KEY,
    account_key TEXT NOT NULL UNIQUE,
    portal_id   INTEGER NOT NULL REFERENCES portals,
    origin      TEXT NOT NULL,
    kind        TEXT NOT NULL CHECK (kind IN ('pending', 'oauth', 'webhook')),
    sealed      BLOB,
    stale       INTEGER NOT NULL CHECK (stale IN (0, 1)),
    deleted     INTEGER NOT NULL CHECK (deleted IN (0, 1)),
    created_at  INTEGER NOT NULL,
    state_since INTEGER NOT NULL DEFAULT 0,
    stale_code  TEXT,
    stale_words TEXT,
    stale_host  TEXT,
    tried_at    INTEGER,
    CHECK ((kind = 'pending') = (sealed IS NULL))
) STRICT;

CREATE INDEX accounts_by_portal ON accounts (portal_id);

-- An authorization of another portal that has begun; the account moves there once it is finished.
CREATE TABLE account_moves (
    account_id INTEGER PRIMARY KEY REFERENCES accounts,
    host       TEXT NOT NULL,
    began_at   INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

-- OAuth states handed out and not yet used.
CREATE TABLE oauth_states (
    nonce      TEXT PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES accounts,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One mirrored resource of one account on one portal. The generation changes whenever an answer made of its rows would.
CREATE TABLE mirror_lists (
    list_id    INTEGER PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES accounts,
    portal_id  INTEGER NOT NULL REFERENCES portals,
    resource   TEXT NOT NULL,
    generation INTEGER NOT NULL DEFAULT 1,
    live       INTEGER NOT NULL DEFAULT 0,
    inserted   INTEGER NOT NULL DEFAULT 0,
    UNIQUE (account_id, portal_id, resource)
) STRICT;

-- A portal's row. In dictionaries it is kept as callers see it: head (our id and createdAt) + the list's accountID + tail
-- (all that the portal says). In records of the CRM, tail is the portal's whole row as one JSON object, and head is what
-- we add at its end (syncedAt and deleted); only they have values in the columns from category on.
-- part: which of the resource's lists on the portal it came from. modified: a Unix time. added, changed: the generations
-- at which the row came and last changed.
CREATE TABLE mirror_rows (
    row_id        INTEGER PRIMARY KEY,
    list_id       INTEGER NOT NULL REFERENCES mirror_lists,
    part          INTEGER NOT NULL,
    portal_row_id INTEGER NOT NULL,
    block         INTEGER NOT NULL,
    deleted       INTEGER NOT NULL DEFAULT 0 CHECK (deleted IN (0, 1)),
    head          BLOB NOT NULL,
    tail          BLOB NOT NULL,
    category      INTEGER,
    stage         TEXT,
    person        INTEGER,
    contact       INTEGER,
    company       INTEGER,
    modified      INTEGER,
    added         INTEGER,
    changed       INTEGER
) STRICT;

CREATE UNIQUE INDEX mirror_rows_by_portal_row ON mirror_rows (list_id, part, portal_row_id);
CREATE INDEX mirror_rows_listed ON mirror_rows (list_id, row_id, portal_row_id) WHERE deleted = 0;
CREATE INDEX mirror_rows_by_stage ON mirror_rows (list_id, stage, row_id, category)
WHERE deleted = 0 AND stage IS NOT NULL;
CREATE INDEX mirror_rows_by_category ON mirror_rows (list_id, category) WHERE deleted = 0 AND category IS NOT NULL;
CREATE INDEX mirror_rows_by_person ON mirror_rows (list_id, person) WHERE deleted = 0 AND person IS NOT NULL;
CREATE INDEX mirror_rows_by_contact ON mirror_rows (list_id, contact) WHERE deleted = 0 AND contact IS NOT NULL;
CREATE INDEX mirror_rows_by_company ON mirror_rows (list_id, company) WHERE deleted = 0 AND company IS NOT NULL;
CREATE INDEX mirror_rows_by_modified ON mirror_rows (list_id, modified, portal_row_id)
WHERE deleted = 0 AND changed IS NOT NULL;
CREATE INDEX mirror_rows_deleted ON mirror_rows (list_id, portal_row_id) WHERE deleted = 1;

-- The whole rows of users as the portal has them, beside the part that mirror_rows has for the contract: one for each
-- live user that was read since they are kept.
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

-- 256 insertions of one list, with how many of them are still live: where a deep page begins, without a scan.
-- changed: the generation at which that number last changed, so that an index in memory can be kept up.
CREATE TABLE mirror_blocks (
    list_id      INTEGER NOT NULL REFERENCES mirror_lists,
    block        INTEGER NOT NULL,
    first_row_id INTEGER NOT NULL,
    live         INTEGER NOT NULL,
    changed      INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (list_id, block)
) STRICT, WITHOUT ROWID;

CREATE INDEX mirror_blocks_changed ON mirror_blocks (list_id, changed);

-- What callers have set for a list's sync, and how far its records are read. watermark: the portal's Unix time in the
-- first answer of the last finished read; zone_s: how far the portal's times are ahead of UTC; synced_at: when that read
-- began; reconciled_at: when the last walk of all ids began.
CREATE TABLE sync_settings (
    list_id       INTEGER PRIMARY KEY REFERENCES mirror_lists,
    enabled       INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    paused        INTEGER NOT NULL DEFAULT 0 CHECK (paused IN (0, 1)),
    interval_s    INTEGER,
    watermark     INTEGER,
    zone_s        INTEGER,
    synced_at     INTEGER,
    reconciled_at INTEGER
) STRICT;

-- The latest run of each list's sync. mode: what it reads. server_time: the portal's Unix time in its first answer;
-- largest: the largest id of then.
CREATE TABLE sync_runs (
    list_id     INTEGER PRIMARY KEY REFERENCES mirror_lists,
    state       TEXT NOT NULL CHECK (state IN ('running', 'done', 'failed')),
    rows        INTEGER NOT NULL,
    total       INTEGER,
    left_out    INTEGER NOT NULL,
    started_at  INTEGER NOT NULL,
    finished_at INTEGER,
    error       TEXT,
    mode        TEXT NOT NULL DEFAULT 'full' CHECK (mode IN ('full', 'incremental')),
    server_time INTEGER,
    zone_s      INTEGER,
    largest     INTEGER
) STRICT;

-- How far the run has come in each part: the last proven id, whether it is read to its end, why it was skipped.
CREATE TABLE sync_parts (
    list_id INTEGER NOT NULL REFERENCES mirror_lists,
    part    INTEGER NOT NULL,
    cursor  INTEGER,
    done    INTEGER NOT NULL CHECK (done IN (0, 1)),
    skipped TEXT,
    PRIMARY KEY (list_id, part)
) STRICT, WITHOUT ROWID;

-- Live rows that the run did not meet between proven rows: to be asked for again before they are marked deleted.
CREATE TABLE sync_missing (
    list_id INTEGER NOT NULL REFERENCES mirror_lists,
    row_id  INTEGER NOT NULL REFERENCES mirror_rows,
    PRIMARY KEY (list_id, row_id)
) STRICT, WITHOUT ROWID;

-- What a portal says about the fields of its lists. source: the method that describes them, with its parameters; body:
-- its answer, an object of descriptions by name.
CREATE TABLE field_descriptors (
    portal_id INTEGER NOT NULL REFERENCES portals,
    source    TEXT NOT NULL,
    body      BLOB NOT NULL,
    read_at   INTEGER NOT NULL,
    PRIMARY KEY (portal_id, source)
) STRICT, WITHOUT ROWID;

-- Fields whose values are kept beside the rows of a list, for queries. kind, multiple, multifield, zone_s: how the values
-- are read from the rows. built_upto: the last row id that was indexed; rows that change are indexed at once.
CREATE TABLE mirror_indexes (
    index_id   INTEGER PRIMARY KEY,
    list_id    INTEGER NOT NULL REFERENCES mirror_lists,
    field      TEXT NOT NULL,
    kind       TEXT NOT NULL,
    multiple   INTEGER NOT NULL CHECK (multiple IN (0, 1)),
    multifield INTEGER NOT NULL CHECK (multifield IN (0, 1)),
    zone_s     INTEGER NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('building', 'ready', 'dropped')),
    built_upto INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE UNIQUE INDEX mirror_indexes_by_field ON mirror_indexes (list_id, field) WHERE state <> 'dropped';

-- The values of indexed fields: one entry per value of a row, -Infinity for an empty field.
CREATE TABLE mirror_values (
    index_id      INTEGER NOT NULL REFERENCES mirror_indexes,
    value         ANY NOT NULL,
    portal_row_id INTEGER NOT NULL,
    row_id        INTEGER NOT NULL,
    PRIMARY KEY (index_id, value, portal_row_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX mirror_values_by_row ON mirror_values (row_id, index_id);

-- What a quiz's answers become. body: the nine properties as they were posted.
CREATE TABLE rules (
    rule_id    INTEGER PRIMARY KEY,
    account_id INTEGER NOT NULL REFERENCES accounts,
    portal_id  INTEGER NOT NULL REFERENCES portals,
    quiz_id    INTEGER NOT NULL,
    body       BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    UNIQUE (account_id, portal_id, quiz_id)
) STRICT;

-- Writes of callers, stored before they are sent and kept for a day. sent: the portal's method and what it gets; origin:
-- the key by which a created record is found again, or what a repeated write must know; status, location, answer: our
-- answer, NULL while it is not known.
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

-- The generation of the catalogue of widgets: it changes with any table of widgets but the placements.
CREATE TABLE widget_catalogue (
    generation INTEGER NOT NULL
) STRICT;

INSERT INTO widget_catalogue (generation) VALUES (1);

-- Widgets that accounts can install. visibility: who sees it: everybody, the users of account_key, or its user user_id.
-- version_id: the version that holds. Ids are never used again.
CREATE TABLE widgets (
    widget_id   INTEGER PRIMARY KEY AUTOINCREMENT,
    code        TEXT NOT NULL UNIQUE,
    visibility  TEXT NOT NULL CHECK (visibility IN ('public', 'account', 'own')),
    account_key TEXT,
    user_id     TEXT,
    version_id  INTEGER,
    CHECK ((visibility = 'public') = (account_key IS NULL)),
    CHECK ((visibility = 'own') = (user_id IS NOT NULL))
) STRICT;

CREATE INDEX widgets_by_account ON widgets (account_key);

-- All versions of the manifests of widgets. manifest: as JSON, with every property; head: the JSON that all accounts see.
CREATE TABLE widget_versions (
    version_id INTEGER PRIMARY KEY,
    widget_id  INTEGER NOT NULL REFERENCES widgets ON DELETE CASCADE,
    manifest   BLOB NOT NULL,
    head       BLOB NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE INDEX widget_versions_by_widget ON widget_versions (widget_id);

-- Widgets in accounts. version_id: the version that the installation follows; placed_version_id: that whose placements
-- are bound, or about to be; settings: sealed JSON, NULL if the
-- encryption key was lost; missing: a JSON list of keys whose values the template of the current version misses; active:
-- 0 until all placements are bound for the first time.
CREATE TABLE widget_installations (
    installation_id INTEGER PRIMARY KEY,
    account_key  TEXT NOT NULL,
    widget_id    INTEGER NOT NULL REFERENCES widgets,
    version_id   INTEGER NOT NULL REFERENCES widget_versions,
    placed_version_id INTEGER,
    settings     BLOB,
    missing      TEXT NOT NULL DEFAULT '[]',
    pipeline_id  INTEGER,
    active       INTEGER NOT NULL CHECK (active IN (0, 1)),
    installed_at INTEGER NOT NULL,
    UNIQUE (account_key, widget_id)
) STRICT;

CREATE INDEX widget_installations_by_widget ON widget_installations (widget_id);

-- Handlers of placements on portals, stored before each call that binds or unbinds them. placement_id: a random part of
-- the handler's address; installation_id: NULL once the widget is removed; definition: the titles and options that are
-- bound, as JSON.
CREATE TABLE widget_placements (
    placement_id    TEXT PRIMARY KEY,
    account_key     TEXT NOT NULL,
    portal_id       INTEGER NOT NULL REFERENCES portals,
    installation_id INTEGER REFERENCES widget_installations ON DELETE SET NULL,
    placement       TEXT NOT NULL,
    definition      TEXT NOT NULL,
    handler         TEXT NOT NULL,
    state           TEXT NOT NULL CHECK (state IN ('binding', 'bound', 'unbinding'))
) STRICT;

CREATE INDEX widget_placements_by_installation ON widget_placements (installation_id);
CREATE INDEX widget_placements_by_account ON widget_placements (account_key);
