"""Typed keys of the parts of the application, and of the values of a request."""

import asyncio

from aiohttp import web

from gateway.accounts.connections import Connections
from gateway.accounts.service import AccountService
from gateway.auth.tokens import TokenVerifier
from gateway.bitrix.transport.egress import EgressPolicy
from gateway.bitrix.transport.session import PortalSession
from gateway.clock import Clock
from gateway.mirror.pages import Pages
from gateway.mirror.sync import SyncService
from gateway.passthrough.calls import CallService
from gateway.passthrough.streams import StreamService
from gateway.quizzes.rules import RuleService
from gateway.settings.config import Config
from gateway.settings.secret_file import Secrets
from handlers.http.access_log import AccessLog
from handlers.http.storage_log import StorageLog
from handlers.operations.openapi_document import OpenAPIDocument
from storage.database import Database

CONFIG = web.AppKey("CONFIG", Config)
SECRETS = web.AppKey("SECRETS", Secrets)
CLOCK = web.AppKey("CLOCK", Clock)
TOKENS = web.AppKey("TOKENS", TokenVerifier)
ACCESS_LOG = web.AppKey("ACCESS_LOG", AccessLog)
STORAGE_LOG = web.AppKey("STORAGE_LOG", StorageLog)
OPENAPI = web.AppKey("OPENAPI", OpenAPIDocument)
DRAINING = web.AppKey("DRAINING", asyncio.Event)
DATABASE = web.AppKey("DATABASE", Database)
POLICY = web.AppKey("POLICY", EgressPolicy)
SESSION = web.AppKey("SESSION", PortalSession)
PAGES = web.AppKey("PAGES", Pages)
CONNECTIONS = web.AppKey("CONNECTIONS", Connections)
SYNCS = web.AppKey("SYNCS", SyncService)
ACCOUNTS = web.AppKey("ACCOUNTS", AccountService)
CALLS = web.AppKey("CALLS", CallService)
RULES = web.AppKey("RULES", RuleService)
STREAMS = web.AppKey("STREAMS", StreamService)

ACCOUNT_KEY = web.RequestKey("ACCOUNT_KEY", str)
"""The account that the token of the request names."""

REQUEST_ID = web.RequestKey("REQUEST_ID", str)
"""The id of a stream's request, whose response starts before its handler returns."""
