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
