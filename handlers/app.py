"""The application: its parts in the order in which they open."""

import asyncio
import logging
import warnings
from collections.abc import AsyncIterator, Awaitable

from aiohttp import BadContentDispositionHeader, BadContentDispositionParam, web

from gateway.accounts.allowed_methods import MethodAllowlist
from gateway.accounts.authorization import Authorizations
from gateway.accounts.clients import PortalClients
from gateway.accounts.credentials import AccountCredentials
from gateway.accounts.directory import AccountDirectory
from gateway.accounts.limiters import PortalLimiters
from gateway.accounts.recovery import WebhookRecovery
from gateway.accounts.service import AccountService
from gateway.accounts.states import StateSigner
from gateway.auth.tokens import TokenVerifier
from gateway.bitrix.auth.oauth import AuthorizationServers
from gateway.bitrix.monitoring.call_log import CallLog
from gateway.bitrix.monitoring.counters import CallCounters
from gateway.bitrix.monitoring.token_requests import TokenRequestLog
from gateway.bitrix.transport.egress import EgressPolicy
from gateway.bitrix.transport.session import open_session
from gateway.clock import Clock
from gateway.crypto.vault import Vault
from gateway.disk.drive import Drive
from gateway.disk.folder_paths import FolderPaths
from gateway.disk.spool import Spool
from gateway.disk.uploads import UploadService
from gateway.fields.service import FieldService
from gateway.mirror.cursors import CursorSigner
from gateway.mirror.links import LinkRefresher
from gateway.mirror.maintenance import MirrorMaintenance
from gateway.mirror.names import NameService
from gateway.mirror.pages import Pages
from gateway.mirror.portal_lists import PortalLists
from gateway.mirror.portal_records import PortalRecords
from gateway.mirror.queries import QueryService
from gateway.mirror.record_reader import RecordReader
from gateway.mirror.schedule import SyncSchedule
from gateway.mirror.sync import SyncService
from gateway.mirror.sync_control import SyncControl
from gateway.mirror.sync_runner import SyncRunner
from gateway.mirror.translation import TranslationService
from gateway.mirror.users import UserService
from gateway.passthrough.calls import CallService
from gateway.passthrough.streams import StreamService
from gateway.quizzes.rules import RuleService
from gateway.settings.config import Config
from gateway.settings.encryption_key import check_key
from gateway.settings.secret_file import Secrets
from handlers.app_keys import (
    ACCOUNTS,
    CALL_COUNTERS,
    CALL_LOG,
    CALLS,
    CLIENTS,
    CREDENTIALS,
    DATABASE,
    DIRECTORY,
    DRAINING,
    DRIVE,
    FIELDS,
    FOLDER_PATHS,
    PAGES,
    POLICY,
    PORTAL_LISTS,
    PORTAL_RECORDS,
    QUERIES,
    READER,
    RULES,
    SECRETS,
    SESSION,
    SPOOL,
    STREAMS,
    SYNC_CONTROL,
    SYNCS,
    TRANSLATIONS,
    UPLOADS,
    WHOLE_USERS,
)
from handlers.http.access_log import AccessLog
from handlers.http.keys import ACCESS_LOG, CLOCK, CONFIG, STORAGE_LOG, TOKENS
from handlers.http.storage_log import StorageLog
from handlers.operations.openapi_document import OPENAPI, OpenAPIDocument
from handlers.record_services import record_services
from handlers.routes import add_routes
from handlers.widget_services import placement_service, widget_services
from storage.accounts import AccountStore
from storage.buckets import BucketStore
from storage.database import Database
from storage.fields import FieldStore
from storage.mirror import MirrorStore
from storage.mirror_dictionaries import DictionaryStore
from storage.mirror_indexes import IndexStore
from storage.mirror_queries import QueryStore
from storage.mirror_records import RecordStore
from storage.own_writes import OwnWriteStore
from storage.rules import RuleStore
from storage.sync_settings import SyncSettingsStore
from storage.syncs import SyncStore
from storage.user_rows import UserRowStore

logger = logging.getLogger(__name__)

SHUTDOWN_GRACE_S = 5.0  # for requests to authorization servers that are in flight at shutdown


def make_app(config: Config, secrets: Secrets, clock: Clock) -> web.Application:
    """The gateway as an application. Its database is open between startup and cleanup."""
    for quoting in (BadContentDispositionHeader, BadContentDispositionParam):
        # They quote what callers send, outside the log, and Python keeps each different text for ever.
        warnings.simplefilter("ignore", quoting)
    app = web.Application()
    app[CONFIG], app[SECRETS], app[CLOCK] = config, secrets, clock
    app[TOKENS] = TokenVerifier(config, secrets, clock)
    app[STORAGE_LOG] = StorageLog(clock)
    app[OPENAPI] = OpenAPIDocument.load()
    app[DRAINING] = asyncio.Event()
    add_routes(app)
    app.cleanup_ctx.extend(LIFECYCLE)
    app.on_shutdown.append(drain)
    return app


async def access_log(app: web.Application) -> AsyncIterator[None]:
    """Log every request until the last one is answered."""
    config = app[CONFIG]
    app[ACCESS_LOG] = AccessLog(app[CLOCK], level=config.log_level, form=config.log_format)
    yield
    await app[ACCESS_LOG].close()


async def call_log(app: web.Application) -> AsyncIterator[None]:
    """Log and count every call to a portal until the last one has ended."""
    config = app[CONFIG]
    app[CALL_LOG] = CallLog(app[CLOCK], level=config.log_level, form=config.log_format)
    app[CALL_COUNTERS] = CallCounters(app[CLOCK])
    yield
    await app[CALL_LOG].close()


async def database(app: web.Application) -> AsyncIterator[None]:
    """Open and migrate the database first, and close it after everything else has stopped."""
    config, vault = app[CONFIG], Vault(app[SECRETS].encryption_key)
    async with Database.open(config.database) as app[DATABASE]:
        await check_key(app[DATABASE], vault, config)
        yield


async def portal_session(app: web.Application) -> AsyncIterator[None]:
    """Open the HTTP session for portals and authorization servers."""
    config = app[CONFIG]
    app[POLICY] = EgressPolicy(config.insecure_portals, config.private_portals)
    session = open_session(
        app[POLICY], app[CLOCK], max_answer_bytes=config.max_answer_bytes, portal_ca_file=config.portal_ca_file
    )
    async with session as app[SESSION]:
        yield


async def services(app: web.Application) -> AsyncIterator[None]:
    """Create the services that handlers call, and run the syncs and their schedule."""
    config, clock, store = app[CONFIG], app[CLOCK], AccountStore(app[DATABASE])
    mirror = MirrorStore(app[DATABASE])
    servers = AuthorizationServers(
        app[SESSION],
        clock,
        client_id=config.bitrix_client_id or "",
        client_secret=config.bitrix_client_secret or "",
        allowed=frozenset(config.oauth_servers),
        insecure=config.insecure_portals,
        on_request=TokenRequestLog(app[CALL_LOG], clock).on_request,
    )
    app[PAGES] = Pages(mirror, cache_bytes=config.page_cache_bytes)
    vault = Vault(app[SECRETS].encryption_key)
    directory = app[DIRECTORY] = AccountDirectory(store, clock, on_portal_changed=app[PAGES].forget)
    limiters = PortalLimiters(config, store, BucketStore(app[DATABASE]), clock)
    await limiters.open()
    credentials = app[CREDENTIALS] = AccountCredentials(store, directory, limiters, vault, servers, clock)
    clients = app[CLIENTS] = PortalClients(
        credentials,
        limiters,
        app[SESSION],
        app[CALL_COUNTERS],
        app[CALL_LOG],
        clock,
        max_wait_s=config.max_wait_s,
    )
    recovery = WebhookRecovery(directory, clients, store, clock, max_wait_s=config.max_wait_s)
    app[WHOLE_USERS] = UserService(UserRowStore(app[DATABASE]), app[PAGES], clock)
    names = NameService(DictionaryStore(app[DATABASE]), app[PAGES])
    app[FIELDS] = FieldService(FieldStore(app[DATABASE]), clock, on_kept=app[PAGES].described)
    app[TRANSLATIONS] = TranslationService(names, app[FIELDS])
    cursors = CursorSigner(app[SECRETS].encryption_key)
    app[QUERIES] = QueryService(
        QueryStore(app[DATABASE]),
        mirror,
        app[PAGES],
        cursors,
        app[TRANSLATIONS],
        clock,
        limit_s=config.query_limit_s,
    )
    app[READER] = RecordReader(RecordStore(app[DATABASE]), app[PAGES], clock, limit_s=config.query_limit_s)
    app[PORTAL_RECORDS] = PortalRecords(RecordStore(app[DATABASE]), directory, clients, clock)
    app[PORTAL_LISTS] = PortalLists(directory, clients, cursors, app[TRANSLATIONS], clock)
    allowed_methods = MethodAllowlist(config)
    sync_settings = SyncSettingsStore(app[DATABASE])
    maintenance = MirrorMaintenance(IndexStore(app[DATABASE]), sync_settings, clock)
    sync_store = SyncStore(app[DATABASE])
    links = LinkRefresher(
        sync_settings,
        QueryStore(app[DATABASE]),
        app[PORTAL_RECORDS],
        OwnWriteStore(app[DATABASE]),
        app[PAGES],
        directory,
        clock,
        limit_s=config.query_limit_s,
    )
    runner = SyncRunner(
        sync_store,
        sync_settings,
        maintenance,
        directory,
        clients,
        app[FIELDS],
        app[PAGES],
        links,
        clock,
        language=config.field_language,
        overlap_s=config.sync_overlap_s,
        reconcile_interval_s=config.reconcile_interval_s,
    )
    app[SYNCS] = SyncService(sync_store, sync_settings, runner, directory, clock, language=config.field_language)
    schedule = SyncSchedule(app[SYNCS], directory, recovery, clock, interval_s=config.sync_interval_s)
    app[SYNC_CONTROL] = SyncControl(
        sync_settings,
        maintenance,
        app[SYNCS],
        directory,
        clients,
        app[PAGES],
        on_change=schedule.settings_changed,
    )
    app[STREAMS] = StreamService(
        allowed_methods, directory, clients, app[FIELDS], buffer_bytes=config.stream_buffer_bytes
    )
    placements = placement_service(app)
    states = StateSigner(app[SECRETS].encryption_key, clock)
    authorizations = Authorizations(config, store, states, servers, app[SESSION], clock)
    app[ACCOUNTS] = AccountService(
        config,
        store,
        directory,
        credentials,
        clients,
        authorizations,
        recovery,
        app[POLICY],
        clock,
        followers=(app[STREAMS], app[SYNCS], placements),
    )
    app[CALLS] = CallService(allowed_methods, directory, clients)
    app[SPOOL] = Spool(config.spool_dir or config.database.parent, config.spool_bytes)
    app[DRIVE] = Drive(allowed_methods, directory, clients)
    app[FOLDER_PATHS] = FolderPaths(app[DRIVE], clock)
    app[UPLOADS] = UploadService(allowed_methods, directory, clients, clock)
    widget_services(app, vault, placements)
    app[RULES] = RuleService(RuleStore(app[DATABASE]), mirror, clock)
    try:
        writing = record_services(app, names, links, allowed_methods)
        async with writing, maintenance.open(), app[SYNCS].open(), schedule.open(), placements.open():
            yield
            await finish_pending(app[ACCOUNTS].finish_pending(), clock)
    finally:
        await links.close()
        await recovery.close()
        await finish_pending(credentials.finish_pending(), clock)
        await limiters.close()
        app[SPOOL].close()


async def finish_pending(work: Awaitable[None], clock: Clock) -> None:
    """Wait for *work* for SHUTDOWN_GRACE_S, then cancel it."""
    try:
        async with clock.timeout(SHUTDOWN_GRACE_S):
            await work
    except TimeoutError:
        logger.warning("an authorization server did not answer before the stop: authorize again where needed")


LIFECYCLE = (access_log, call_log, database, portal_session, services)  # started in this order, stopped in reverse


async def drain(app: web.Application) -> None:
    """Report at /readyz that the gateway is shutting down, and end all streams, each with its last line."""
    app[DRAINING].set()
    if STREAMS in app:  # missing if the startup failed earlier
        app[STREAMS].end_all()
