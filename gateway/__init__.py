"""The gateway's logic, without web handlers and SQL."""

from importlib.metadata import version

__version__ = version("bitrix-gateway")
