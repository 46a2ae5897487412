"""Typed keys of what every request needs: parts of the application, and values of a request."""

from aiohttp import web

from gateway.auth.caller import Caller
from gateway.auth.tokens import TokenVerifier
from gateway.clock import Clock
from gateway.settings.config import Config
from handlers.http.access_log import AccessLog
from handlers.http.storage_log import StorageLog

CONFIG = web.AppKey("CONFIG", Config)
CLOCK = web.AppKey("CLOCK", Clock)
TOKENS = web.AppKey("TOKENS", TokenVerifier)
ACCESS_LOG = web.AppKey("ACCESS_LOG", AccessLog)
STORAGE_LOG = web.AppKey("STORAGE_LOG", StorageLog)

CALLER = web.RequestKey("CALLER", Caller)
"""Who sent the request, by its token."""

REQUEST_ID = web.RequestKey("REQUEST_ID", str)
"""The id of a stream's request, whose response starts before its handler returns."""
