-- The request counter of a portal at a clean stop; level is null from the first request after a start on.
CREATE TABLE buckets (
    portal_id INTEGER PRIMARY KEY REFERENCES portals,
    level     REAL,
    marked_at REAL NOT NULL
) STRICT;
