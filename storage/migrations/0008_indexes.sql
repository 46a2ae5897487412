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
