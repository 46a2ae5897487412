"""The commands of `bitrix-gateway`."""
