"""Where the application keeps its parts, with their types."""

import asyncio

from aiohttp import web

from gateway.accounts import AccountService
from gateway.bitrix.egress import EgressPolicy
from gateway.bitrix.session import PortalSession
from gateway.calls import CallService
from gateway.clock import Clock
from gateway.config import Config
from gateway.connections import Connections
from gateway.pages import Pages
from gateway.rules import RuleService
from gateway.secret_file import Secrets
from gateway.streams import StreamService
from gateway.sync import SyncService
from gateway.tokens import TokenVerifier
from handlers.request_log import RequestLog
from handlers.storage_log import StorageLog
from storage.database import Database

CONFIG = web.AppKey("CONFIG", Config)
SECRETS = web.AppKey("SECRETS", Secrets)
CLOCK = web.AppKey("CLOCK", Clock)
TOKENS = web.AppKey("TOKENS", TokenVerifier)
REQUEST_LOG = web.AppKey("REQUEST_LOG", RequestLog)
STORAGE_LOG = web.AppKey("STORAGE_LOG", StorageLog)
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
"""The request's key for the account that its token names."""

REQUEST_ID = web.RequestKey("REQUEST_ID", str)
"""The key for the id of a request whose answer begins before it is whole."""
