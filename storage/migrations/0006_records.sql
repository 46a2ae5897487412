-- Records of the CRM beside the dictionaries. Their tail is the portal's whole row as one JSON object, and their head
-- holds what we add to it; the typed columns are null in dictionaries. added, changed: the generations at which a row
-- came and last changed.
ALTER TABLE mirror_rows ADD COLUMN category INTEGER;
ALTER TABLE mirror_rows ADD COLUMN stage TEXT;
ALTER TABLE mirror_rows ADD COLUMN person INTEGER;
ALTER TABLE mirror_rows ADD COLUMN contact INTEGER;
ALTER TABLE mirror_rows ADD COLUMN company INTEGER;
ALTER TABLE mirror_rows ADD COLUMN modified INTEGER;
ALTER TABLE mirror_rows ADD COLUMN added INTEGER;
ALTER TABLE mirror_rows ADD COLUMN changed INTEGER;

CREATE INDEX mirror_rows_by_stage ON mirror_rows (list_id, stage, category) WHERE deleted = 0 AND stage IS NOT NULL;
CREATE INDEX mirror_rows_by_category ON mirror_rows (list_id, category) WHERE deleted = 0 AND category IS NOT NULL;
CREATE INDEX mirror_rows_by_person ON mirror_rows (list_id, person) WHERE deleted = 0 AND person IS NOT NULL;
CREATE INDEX mirror_rows_by_contact ON mirror_rows (list_id, contact) WHERE deleted = 0 AND contact IS NOT NULL;
CREATE INDEX mirror_rows_by_company ON mirror_rows (list_id, company) WHERE deleted = 0 AND company IS NOT NULL;
CREATE INDEX mirror_rows_by_modified ON mirror_rows (list_id, modified, portal_row_id)
WHERE deleted = 0 AND changed IS NOT NULL;
CREATE INDEX mirror_rows_deleted ON mirror_rows (list_id, portal_row_id) WHERE deleted = 1;

-- The generation at which a block's number of live rows last changed, so that an index in memory can be kept up.
ALTER TABLE mirror_blocks ADD COLUMN changed INTEGER NOT NULL DEFAULT 0;
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

-- mode: what a run reads. server_time: the portal's Unix time in its first answer; largest: the largest id of then.
ALTER TABLE sync_runs ADD COLUMN mode TEXT NOT NULL DEFAULT 'full' CHECK (mode IN ('full', 'incremental'));
ALTER TABLE sync_runs ADD COLUMN server_time INTEGER;
ALTER TABLE sync_runs ADD COLUMN zone_s INTEGER;
ALTER TABLE sync_runs ADD COLUMN largest INTEGER;
