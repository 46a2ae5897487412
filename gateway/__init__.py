"""What the gateway knows and decides: no aiohttp.web (the sandbox apart), no SQL."""

from importlib.metadata import version

__version__ = version("bitrix-gateway")
