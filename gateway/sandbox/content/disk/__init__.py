"""Bitrix24 Disk: storages, their folders and files, the trash, versions, rights and links."""
