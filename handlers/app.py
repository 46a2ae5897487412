"""The application: its parts in the order in which they open, and every route."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable
from functools import partial

from aiohttp import web
from aiohttp.typedefs import Handler

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
from gateway.bitrix.transport.egress import EgressPolicy
from gateway.bitrix.transport.session import open_session
from gateway.clock import Clock
from gateway.crm.addresses import AddressService
from gateway.crm.binding_service import BindingService
from gateway.crm.bindings import BINDING_TYPES
from gateway.crm.comments import CommentService
from gateway.crm.deletes import RecordDeletes
from gateway.crm.gathered_calls import GatheredCalls
from gateway.crm.journaled import JournaledWrites
from gateway.crm.product_rows import WITHOUT_PRODUCTS
from gateway.crm.product_service import ProductService
from gateway.crm.related_deals import DEAL_OWNERS, RelatedDeals
from gateway.crm.service import RecordService
from gateway.crm.stage_check import StageChecker
from gateway.crm.upserts import UpsertService
from gateway.crm.users import UserFinder
from gateway.crm.written_records import WrittenRecords
from gateway.crypto.vault import KEY_CHECK, NO_KEY, Vault, key_needed
from gateway.fields.service import FieldService
from gateway.mirror.cursors import CursorSigner
from gateway.mirror.maintenance import MirrorMaintenance
from gateway.mirror.names import NameService
from gateway.mirror.pages import Pages
from gateway.mirror.portal_lists import PortalLists
from gateway.mirror.portal_records import PortalRecords
from gateway.mirror.queries import QueryService
from gateway.mirror.record_reader import RecordReader
from gateway.mirror.resources import DICTIONARIES, RECORDS, Resource
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
from gateway.settings.secret_file import Secrets
from handlers.app_keys import (
    ACCOUNTS,
    ADDRESSES,
    BINDINGS,
    CALL_COUNTERS,
    CALL_LOG,
    CALLS,
    CLIENTS,
    COMMENTS,
    CREDENTIALS,
    DATABASE,
    DIRECTORY,
    DRAINING,
    FIELDS,
    PAGES,
    POLICY,
    PORTAL_LISTS,
    PORTAL_RECORDS,
    PRODUCTS,
    QUERIES,
    READER,
    RECORD_DELETES,
    RECORD_WRITES,
    RELATED_DEALS,
    RULES,
    SECRETS,
    SESSION,
    STREAMS,
    SYNC_CONTROL,
    SYNCS,
    TRANSLATIONS,
    UPSERTS,
    WHOLE_USERS,
)
from handlers.bitrix.account import connect_account, delete_account, get_account
from handlers.bitrix.addresses import OWNERS as ADDRESS_OWNERS
from handlers.bitrix.addresses import change_address, create_address, delete_address, list_addresses
from handlers.bitrix.bindings import (
    DEAL_PARAMETERS,
    add_binding,
    binding,
    list_bindings,
    list_related_deals,
    remove_binding,
)
from handlers.bitrix.calls import call_batch, call_batch3, call_method, call_method3, get_openapi3
from handlers.bitrix.catalog import get_portal_type, list_portal_types, list_types_of_contacts
from handlers.bitrix.comments import add_comment, list_comments
from handlers.bitrix.fields import get_field, list_fields, requested_resource
from handlers.bitrix.lists import page_of
from handlers.bitrix.methods import list_methods
from handlers.bitrix.products import list_products, replace_products
from handlers.bitrix.record_writes import change_record, create_record, delete_record, move_record, upsert_record
from handlers.bitrix.records import PARAMETERS as LIST_PARAMETERS
from handlers.bitrix.records import RECORD_PARAMETERS, list_of, record_of
from handlers.bitrix.rules import create_rules, get_rules, replace_rules
from handlers.bitrix.streams import PARAMETERS as STREAM_PARAMETERS
from handlers.bitrix.streams import stream_items, stream_list
from handlers.bitrix.syncs import (
    CONTROLS,
    change_sync,
    controlling,
    get_sync,
    list_syncs,
    sync_of,
)
from handlers.bitrix.users import list_users
from handlers.bitrix.webhook import finish_authorization, show_connected
from handlers.http.access_log import AccessLog
from handlers.http.body_reader import ignore_expectation
from handlers.http.errors import command_error
from handlers.http.keys import ACCESS_LOG, CLOCK, CONFIG, STORAGE_LOG, TOKENS
from handlers.http.middleware import refuse_address, refuse_method, with_middleware
from handlers.http.query import BODY_HINT, with_known_parameters
from handlers.http.storage_log import StorageLog
from handlers.operations.health import check_health, get_liveness, get_readiness
from handlers.operations.openapi import get_openapi_json, get_openapi_yaml
from handlers.operations.openapi_document import OPENAPI, OpenAPIDocument
from storage.accounts import AccountStore
from storage.buckets import BucketStore
from storage.database import Database
from storage.fields import FieldStore
from storage.metadata import MetadataStore
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
from storage.write_journal import WriteJournal

logger = logging.getLogger(__name__)

SHUTDOWN_GRACE_S = 5.0  # for requests to authorization servers that are in flight at shutdown

RECORD_PATHS = ("/bitrix/{resource}", "/bitrix/items/{entityTypeId}")  # of lists of CRM records
ADDRESS_PATH = "/bitrix/{resource}/{id}/addresses"  # of contacts and companies
BINDING_PATHS = {f"/bitrix/{{resource}}/{{id}}/{bound}": bound for _, bound in BINDING_TYPES}
# The kinds of records that have an address, where only some have it.
OWNERS: dict[str, list[str]] = {
    **{
        address: [owner for owner, other in BINDING_TYPES if other == bound]
        for path, bound in BINDING_PATHS.items()
        for address in (path, f"{path}/{{otherId}}")
    },
    **{path: list(ADDRESS_OWNERS) for path in (ADDRESS_PATH, f"{ADDRESS_PATH}/{{type}}")},
    "/bitrix/{resource}/{id}/deals": list(DEAL_OWNERS),
    "/bitrix/{resource}/{id}/products": [name for name in RECORDS if name not in WITHOUT_PRODUCTS],
}
SYNC_PATHS = ("/bitrix/sync/{resource}", "/bitrix/sync/items/{entityTypeId}")


def same(resource: Resource, _request: web.Request) -> Resource:
    """Return *resource*, whatever the request."""
    return resource


ROUTES: list[tuple[str, str, Handler]] = [
    ("GET", "/openapi.yaml", get_openapi_yaml),
    ("GET", "/openapi.json", get_openapi_json),
    ("GET", "/healthz", get_liveness),
    ("GET", "/readyz", get_readiness),
    ("GET", "/connected", show_connected),
    ("GET", "/webhook/create", finish_authorization),
    ("GET", "/bitrix", check_health),
    ("GET", "/bitrix/account", get_account),
    ("POST", "/bitrix/account", connect_account),
    ("DELETE", "/bitrix/account", delete_account),
    ("GET", "/bitrix/sync", list_syncs),
    *(
        route
        for path in SYNC_PATHS
        for route in (
            ("GET", path, get_sync),
            ("PUT", path, change_sync),
            *(("POST", f"{path}/{name}", controlling(act)) for name, act in CONTROLS.items()),
        )
    ),
    ("POST", "/bitrix/call/{method}", call_method),
    ("POST", "/bitrix/batch", call_batch),
    ("GET", "/bitrix/v3/openapi", get_openapi3),
    ("POST", "/bitrix/v3/batch", call_batch3),
    ("POST", "/bitrix/v3/{method}", call_method3),
    ("GET", "/bitrix/stream/items/{entityTypeId}", stream_items),
    ("GET", "/bitrix/stream/{resource}", stream_list),
    ("GET", "/bitrix/rules/{quizID}", get_rules),
    ("POST", "/bitrix/rules/{quizID}", create_rules),
    ("PATCH", "/bitrix/rules/{quizID}", replace_rules),
    ("GET", "/bitrix/types", list_portal_types),
    ("GET", "/bitrix/types/{entityTypeId}", get_portal_type),
    ("GET", "/bitrix/contact-types", list_types_of_contacts),
    ("GET", "/bitrix/methods", list_methods),
    ("GET", "/bitrix/users", list_users),
    *(("GET", f"/bitrix/{name}", page_of(resource)) for name, resource in DICTIONARIES.items() if name != "users"),
    *(("PATCH", f"/bitrix/{resource.name}", sync_of(partial(same, resource))) for resource in DICTIONARIES.values()),
    *(
        route
        for path in RECORD_PATHS
        for route in (
            ("GET", path, list_of(requested_resource)),
            ("PATCH", path, sync_of(requested_resource)),
            ("GET", f"{path}/fields", list_fields),
            ("GET", f"{path}/fields/{{name}}", get_field),
            ("GET", f"{path}/{{id}}", record_of(requested_resource)),
            ("POST", path, create_record),
            ("PUT", path, upsert_record),
            ("PATCH", f"{path}/{{id}}", change_record),
            ("DELETE", f"{path}/{{id}}", delete_record),
            ("PUT", f"{path}/{{id}}/stage", move_record),
            ("GET", f"{path}/{{id}}/products", list_products),
            ("PUT", f"{path}/{{id}}/products", replace_products),
            ("GET", f"{path}/{{id}}/comments", list_comments),
            ("POST", f"{path}/{{id}}/comments", add_comment),
        )
    ),
    ("GET", ADDRESS_PATH, list_addresses),
    ("POST", ADDRESS_PATH, create_address),
    ("PATCH", f"{ADDRESS_PATH}/{{type}}", change_address),
    ("DELETE", f"{ADDRESS_PATH}/{{type}}", delete_address),
    *(
        route
        for path, bound in BINDING_PATHS.items()
        for route in (
            ("GET", path, binding(list_bindings, bound)),
            ("POST", path, binding(add_binding, bound)),
            ("DELETE", f"{path}/{{otherId}}", binding(remove_binding, bound)),
        )
    ),
    ("GET", "/bitrix/{resource}/{id}/deals", list_related_deals),
]

# The addresses of the promised contract: their errors are JSON strings unless `Accept` names problem+json, and they
# ignore unknown query parameters. All other addresses answer with problems and refuse such parameters.
PROMISED = {
    *("/bitrix", "/bitrix/account", "/bitrix/users", "/bitrix/steps", "/bitrix/pipelines", "/bitrix/fields"),
    *("/bitrix/rules/{quizID}", "/webhook/create"),
}
CHECKED_LATER = {  # by the handler, which remembers what it has checked
    **dict.fromkeys((("GET", path) for path in RECORD_PATHS), LIST_PARAMETERS),
    **dict.fromkeys((("GET", f"{path}/{{id}}") for path in RECORD_PATHS), RECORD_PARAMETERS),
}
WITHOUT_BODY = {f"{path}/{name}" for path in SYNC_PATHS for name in CONTROLS}
# The query parameters of all other addresses, which refuse any that is not listed here.
QUERY_PARAMETERS: dict[tuple[str, str], tuple[str, ...]] = {
    ("GET", "/bitrix/stream/{resource}"): (*STREAM_PARAMETERS, "version"),
    ("GET", "/bitrix/stream/items/{entityTypeId}"): STREAM_PARAMETERS,
    **CHECKED_LATER,
    **dict.fromkeys((("PATCH", path) for path in RECORD_PATHS), ("mode",)),
    **dict.fromkeys((("PUT", path) for path in RECORD_PATHS), ("match",)),
    ("GET", "/bitrix/{resource}/{id}/deals"): DEAL_PARAMETERS,
    **dict.fromkeys((("DELETE", f"{path}/{{id}}") for path in RECORD_PATHS), ("cascade",)),
    ("POST", ADDRESS_PATH): ("requisite",),
    ("PATCH", f"{ADDRESS_PATH}/{{type}}"): ("requisite",),
    ("DELETE", f"{ADDRESS_PATH}/{{type}}"): ("requisite",),
}


def matching(path: str) -> str:
    """Return *path* as the router takes it: records have fixed names, so that all others are unknown addresses."""
    names = "|".join(OWNERS.get(path, RECORDS))
    path = path.replace("/{id}", "/{id:(?!fields(?:/|$))[^/]+}")  # the fields of records have addresses beside them
    return path.replace("/bitrix/{resource}", f"/bitrix/{{resource:{names}}}")


def make_app(config: Config, secrets: Secrets, clock: Clock) -> web.Application:
    """The gateway as an application. Its database is open between startup and cleanup."""
    app = web.Application()
    app[CONFIG], app[SECRETS], app[CLOCK] = config, secrets, clock
    app[TOKENS] = TokenVerifier(config, secrets, clock)
    app[STORAGE_LOG] = StorageLog(clock)
    app[OPENAPI] = OpenAPIDocument.load()
    app[DRAINING] = asyncio.Event()
    allowed: dict[str, list[str]] = {}
    for method, path, handler in ROUTES:
        if path not in PROMISED and (method, path) not in CHECKED_LATER:
            hint = BODY_HINT if method == "POST" and path not in WITHOUT_BODY else ""
            handler = with_known_parameters(handler, QUERY_PARAMETERS.get((method, path), ()), hint=hint)
        wrapped = with_middleware(handler, route=path, promised=path in PROMISED)
        app.router.add_route(method, matching(path), wrapped, expect_handler=ignore_expectation)
        allowed.setdefault(path, []).append(method)
    for resource in RECORDS.values():  # a fixed address is found faster than the pattern, which has the other methods
        find = partial(same, resource)
        for path, handler in (("", list_of(find)), ("/{id}", record_of(find))):
            fixed = with_middleware(handler, route=f"{RECORD_PATHS[0]}{path}")
            address = matching(f"/bitrix/{resource.name}{path}")
            app.router.add_route("GET", address, fixed, expect_handler=ignore_expectation)
    for path, methods in allowed.items():
        refused = with_middleware(refuse_method(methods), promised=path in PROMISED)
        app.router.add_route("*", matching(path), refused, expect_handler=ignore_expectation)
    app.router.add_route("*", "/{anything:.*}", with_middleware(refuse_address), expect_handler=ignore_expectation)
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
        metadata = MetadataStore(app[DATABASE])
        check_value = await metadata.load(KEY_CHECK)
        if check_value is None or check_value == NO_KEY:
            await metadata.save(KEY_CHECK, vault.check_value())
        elif not vault.fits(check_value):
            raise key_needed(config.database, config.secrets_file, "the encryption key is different")
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
    app[TRANSLATIONS] = TranslationService(names)
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
    journaled = JournaledWrites(WriteJournal(app[DATABASE]), directory, clock)
    written = WrittenRecords(OwnWriteStore(app[DATABASE]), app[PORTAL_RECORDS], app[READER], app[PAGES], clock)
    allowed_methods = MethodAllowlist(config)
    calls = GatheredCalls(clients, allowed_methods)
    users, stages = UserFinder(names, directory, clients), StageChecker(names, directory, clients)
    app[RECORD_WRITES] = RecordService(journaled, written, directory, clients, calls, users, stages, clock)
    app[RECORD_DELETES] = RecordDeletes(journaled, written, directory, calls, describe=command_error)
    app[UPSERTS] = UpsertService(journaled, app[RECORD_WRITES], directory, clock)
    app[BINDINGS] = BindingService(journaled, written, directory, calls)
    app[RELATED_DEALS] = RelatedDeals(directory, clients, clock)
    app[PRODUCTS] = ProductService(journaled, written, directory, clients, calls, clock)
    app[COMMENTS] = CommentService(journaled, written, directory, clients, calls)
    app[ADDRESSES] = AddressService(journaled, written, directory, clients, calls, clock)
    await journaled.open()
    app[FIELDS] = FieldService(FieldStore(app[DATABASE]), clock, on_kept=app[PAGES].described)
    sync_settings = SyncSettingsStore(app[DATABASE])
    maintenance = MirrorMaintenance(IndexStore(app[DATABASE]), sync_settings, clock)
    sync_store = SyncStore(app[DATABASE])
    runner = SyncRunner(
        sync_store,
        sync_settings,
        maintenance,
        directory,
        clients,
        app[FIELDS],
        app[PAGES],
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
        followers=(app[STREAMS], app[SYNCS]),
    )
    app[CALLS] = CallService(allowed_methods, directory, clients)
    app[RULES] = RuleService(RuleStore(app[DATABASE]), mirror, clock)
    try:
        async with maintenance.open(), app[SYNCS].open(), schedule.open():
            yield
            await finish_pending(app[ACCOUNTS].finish_pending(), clock)
    finally:
        await journaled.close()
        await written.close()
        await calls.close()
        await recovery.close()
        await finish_pending(credentials.finish_pending(), clock)
        await limiters.close()


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
