-- Rows with files had the addresses of their contents in them, with the credential of the account. Lists with such rows
-- are read in full again.
UPDATE sync_settings SET watermark = NULL
WHERE list_id IN (
    SELECT list_id FROM mirror_rows
    WHERE instr(tail, CAST('"urlMachine":"' AS BLOB)) OR instr(tail, CAST('"downloadUrl":"' AS BLOB))
);
