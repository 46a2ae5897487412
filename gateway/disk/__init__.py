"""Files of Bitrix24 Disk: uploads, folders and downloads."""
