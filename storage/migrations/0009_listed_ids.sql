-- Ranges of the portal's ids are found in the order of a list without reading its rows.
DROP INDEX mirror_rows_listed;
CREATE INDEX mirror_rows_listed ON mirror_rows (list_id, row_id, portal_row_id) WHERE deleted = 0;
