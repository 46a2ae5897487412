-- What a portal says about the fields of its lists. source: the method that describes them, with its parameters; body:
-- its answer, an object of descriptions by name.
CREATE TABLE field_descriptors (
    portal_id INTEGER NOT NULL REFERENCES portals,
    source    TEXT NOT NULL,
    body      BLOB NOT NULL,
    read_at   INTEGER NOT NULL,
    PRIMARY KEY (portal_id, source)
) STRICT, WITHOUT ROWID;
