"""Typed keys of the parts of the application that only some handlers use."""

import asyncio

from aiohttp import web

from gateway.accounts.clients import PortalClients
from gateway.accounts.credentials import AccountCredentials
from gateway.accounts.directory import AccountDirectory
from gateway.accounts.service import AccountService
from gateway.bitrix.monitoring.call_log import CallLog
from gateway.bitrix.monitoring.counters import CallCounters
from gateway.bitrix.transport.egress import EgressPolicy
from gateway.bitrix.transport.session import PortalSession
from gateway.crm.binding_service import BindingService
from gateway.crm.comments import CommentService
from gateway.crm.product_service import ProductService
from gateway.crm.related_deals import RelatedDeals
from gateway.crm.service import RecordService
from gateway.crm.upserts import UpsertService
from gateway.fields.service import FieldService
from gateway.mirror.pages import Pages
from gateway.mirror.portal_records import PortalRecords
from gateway.mirror.queries import QueryService
from gateway.mirror.record_reader import RecordReader
from gateway.mirror.sync import SyncService
from gateway.mirror.sync_control import SyncControl
from gateway.mirror.translation import TranslationService
from gateway.mirror.users import UserService
from gateway.passthrough.calls import CallService
from gateway.passthrough.streams import StreamService
from gateway.quizzes.rules import RuleService
from gateway.settings.secret_file import Secrets
from storage.database import Database

SECRETS = web.AppKey("SECRETS", Secrets)
DRAINING = web.AppKey("DRAINING", asyncio.Event)
DATABASE = web.AppKey("DATABASE", Database)
POLICY = web.AppKey("POLICY", EgressPolicy)
SESSION = web.AppKey("SESSION", PortalSession)
PAGES = web.AppKey("PAGES", Pages)
READER = web.AppKey("READER", RecordReader)
PORTAL_RECORDS = web.AppKey("PORTAL_RECORDS", PortalRecords)
RECORD_WRITES = web.AppKey("RECORD_WRITES", RecordService)
BINDINGS = web.AppKey("BINDINGS", BindingService)
RELATED_DEALS = web.AppKey("RELATED_DEALS", RelatedDeals)
PRODUCTS = web.AppKey("PRODUCTS", ProductService)
COMMENTS = web.AppKey("COMMENTS", CommentService)
QUERIES = web.AppKey("QUERIES", QueryService)
WHOLE_USERS = web.AppKey("WHOLE_USERS", UserService)
TRANSLATIONS = web.AppKey("TRANSLATIONS", TranslationService)
FIELDS = web.AppKey("FIELDS", FieldService)
DIRECTORY = web.AppKey("DIRECTORY", AccountDirectory)
CREDENTIALS = web.AppKey("CREDENTIALS", AccountCredentials)
CLIENTS = web.AppKey("CLIENTS", PortalClients)
SYNCS = web.AppKey("SYNCS", SyncService)
SYNC_CONTROL = web.AppKey("SYNC_CONTROL", SyncControl)
ACCOUNTS = web.AppKey("ACCOUNTS", AccountService)
CALL_COUNTERS = web.AppKey("CALL_COUNTERS", CallCounters)
CALL_LOG = web.AppKey("CALL_LOG", CallLog)
CALLS = web.AppKey("CALLS", CallService)
RULES = web.AppKey("RULES", RuleService)
STREAMS = web.AppKey("STREAMS", StreamService)
UPSERTS = web.AppKey("UPSERTS", UpsertService)
