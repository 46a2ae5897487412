-- The rows of a stage are found in the order of the list.
DROP INDEX mirror_rows_by_stage;
CREATE INDEX mirror_rows_by_stage ON mirror_rows (list_id, stage, row_id, category)
WHERE deleted = 0 AND stage IS NOT NULL;
