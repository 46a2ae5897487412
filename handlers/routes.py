"""Every address of the gateway: its handlers, its query parameters, and how its errors look."""

from functools import partial

from aiohttp import web
from aiohttp.typedefs import Handler

from gateway.crm.bindings import BINDING_TYPES
from gateway.crm.product_rows import WITHOUT_PRODUCTS
from gateway.crm.related_deals import DEAL_OWNERS
from gateway.mirror.resources import DICTIONARIES, RECORDS, Resource
from gateway.widgets.rendering import WIDGETS_PATH
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
from handlers.bitrix.disk import (
    CURSOR,
    TRASH,
    add_folder,
    change_file,
    delete_file,
    get_content,
    get_file,
    get_folder,
    get_storage,
    list_storages,
)
from handlers.bitrix.fields import get_field, list_fields, requested_resource
from handlers.bitrix.files import UPLOAD_PARAMETERS, upload_files
from handlers.bitrix.lists import page_of
from handlers.bitrix.methods import list_methods
from handlers.bitrix.products import list_products, replace_products
from handlers.bitrix.record_files import (
    ADD_PARAMETERS,
    FIELD,
    add_record_files,
    get_record_content,
    list_record_files,
    remove_record_file,
)
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
from handlers.http.bodies import without_body
from handlers.http.body_reader import ignore_expectation
from handlers.http.errors import ErrorStyle
from handlers.http.middleware import refuse_address, refuse_method, with_middleware
from handlers.http.query import BODY_HINT, with_known_parameters
from handlers.operations.health import check_health, get_liveness, get_readiness
from handlers.operations.openapi import get_openapi_json, get_openapi_yaml
from handlers.widgets.catalogue import DELETE_PARAMETERS as MANIFEST_DELETE_PARAMETERS
from handlers.widgets.catalogue import LIST_PARAMETERS as WIDGET_LIST_PARAMETERS
from handlers.widgets.catalogue import add_widget, delete_manifest, get_widget, list_widgets, replace_manifest
from handlers.widgets.installations import install_widget, set_source, uninstall_widget
from handlers.widgets.openings import PARAMETERS as OPENING_PARAMETERS
from handlers.widgets.openings import get_widget_keys, open_widget

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
AMOCRM_PREFIX = "/api/v4/"
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
    ("POST", "/bitrix/files", upload_files),
    ("GET", "/bitrix/storages", list_storages),
    ("GET", "/bitrix/storages/{id}", get_storage),
    ("GET", "/bitrix/folders/{id}", get_folder),
    ("POST", "/bitrix/folders/{id}/folders", add_folder),
    ("GET", "/bitrix/files/{id}", get_file),
    ("PATCH", "/bitrix/files/{id}", change_file),
    ("DELETE", "/bitrix/files/{id}", delete_file),
    ("GET", "/bitrix/files/{id}/content", get_content),
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
            ("GET", f"{path}/{{id}}/files", list_record_files),
            ("POST", f"{path}/{{id}}/files", add_record_files),
            ("DELETE", f"{path}/{{id}}/files/{{fileId}}", remove_record_file),
            ("GET", f"{path}/{{id}}/files/{{fileId}}/content", get_record_content),
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
    ("GET", WIDGETS_PATH, list_widgets),
    ("POST", WIDGETS_PATH, add_widget),
    ("GET", f"{WIDGETS_PATH}/{{code}}", get_widget),
    ("POST", f"{WIDGETS_PATH}/{{code}}", install_widget),
    ("DELETE", f"{WIDGETS_PATH}/{{code}}", uninstall_widget),
    ("PUT", f"{WIDGETS_PATH}/{{code}}/manifest", replace_manifest),
    ("DELETE", f"{WIDGETS_PATH}/{{code}}/manifest", delete_manifest),
    ("PUT", f"{WIDGETS_PATH}/{{code}}/source", set_source),
    ("POST", "/widgets/open/{id}", open_widget),
    ("GET", "/widgets/keys", get_widget_keys),
]

# The addresses of the promised contract: their errors are JSON strings unless `Accept` names problem+json, and they
# ignore unknown query parameters. All other addresses answer with problems and refuse such parameters.
PROMISED = {
    *("/bitrix", "/bitrix/account", "/bitrix/users", "/bitrix/steps", "/bitrix/pipelines", "/bitrix/fields"),
    *("/bitrix/rules/{quizID}", "/webhook/create"),
}
# Checked by the handler: it remembers what it has checked, or tells first what the caller may not do or see.
CHECKED_LATER = {
    **dict.fromkeys((("GET", path) for path in RECORD_PATHS), LIST_PARAMETERS),
    **dict.fromkeys((("GET", f"{path}/{{id}}") for path in RECORD_PATHS), RECORD_PARAMETERS),
    **{(method, path): () for method, path, _ in ROUTES if path.startswith(AMOCRM_PREFIX)},
    ("GET", WIDGETS_PATH): WIDGET_LIST_PARAMETERS,
    ("DELETE", f"{WIDGETS_PATH}/{{code}}/manifest"): MANIFEST_DELETE_PARAMETERS,
}
# Ignored, with all others that a portal may send one day.
IGNORED = {("POST", "/widgets/open/{id}"): OPENING_PARAMETERS}
# The operations, besides GET and DELETE, that have no body. Those of the promised contract ignore one.
WITHOUT_BODY = {
    *(("POST", f"{path}/{name}") for path in SYNC_PATHS for name in CONTROLS),
    *(("PATCH", path) for path in RECORD_PATHS),
}
# The query parameters of all other addresses, which refuse any that is not listed here.
QUERY_PARAMETERS: dict[tuple[str, str], tuple[str, ...]] = {
    ("GET", "/bitrix/stream/{resource}"): (*STREAM_PARAMETERS, "version"),
    ("GET", "/bitrix/stream/items/{entityTypeId}"): STREAM_PARAMETERS,
    **CHECKED_LATER,
    ("POST", "/bitrix/files"): UPLOAD_PARAMETERS,
    ("GET", "/bitrix/storages"): CURSOR,
    ("GET", "/bitrix/folders/{id}"): CURSOR,
    ("DELETE", "/bitrix/files/{id}"): TRASH,
    **IGNORED,
    **dict.fromkeys((("PATCH", path) for path in RECORD_PATHS), ("mode",)),
    **dict.fromkeys((("PUT", path) for path in RECORD_PATHS), ("match",)),
    **dict.fromkeys((("POST", f"{path}/{{id}}/files") for path in RECORD_PATHS), ADD_PARAMETERS),
    **{
        (method, f"{path}/{{id}}/files{rest}"): FIELD
        for path in RECORD_PATHS
        for method, rest in (("GET", ""), ("DELETE", "/{fileId}"), ("GET", "/{fileId}/content"))
    },
    ("GET", "/bitrix/{resource}/{id}/deals"): DEAL_PARAMETERS,
    **dict.fromkeys((("DELETE", f"{path}/{{id}}") for path in RECORD_PATHS), ("cascade",)),
    ("POST", ADDRESS_PATH): ("requisite",),
    ("PATCH", f"{ADDRESS_PATH}/{{type}}"): ("requisite",),
    ("DELETE", f"{ADDRESS_PATH}/{{type}}"): ("requisite",),
}


def style_of(path: str) -> ErrorStyle:
    """Return how the errors of the address *path* look."""
    if path in PROMISED:
        return ErrorStyle.PROMISED
    return ErrorStyle.AMOCRM if path.startswith(AMOCRM_PREFIX) else ErrorStyle.PROBLEM


def matching(path: str) -> str:
    """Return *path* as the router takes it: records have fixed names, so that all others are unknown addresses."""
    if not path.startswith("/bitrix/"):
        return path
    names = "|".join(OWNERS.get(path, RECORDS))
    path = path.replace("/{id}", "/{id:(?!fields(?:/|$))[^/]+}")  # the fields of records have addresses beside them
    return path.replace("/bitrix/{resource}", f"/bitrix/{{resource:{names}}}")


def add_routes(app: web.Application) -> None:
    """Add all addresses to *app*. Other methods of them are 405, other addresses 404."""
    allowed: dict[str, list[str]] = {}
    for method, path, handler in ROUTES:
        if (method, path) in WITHOUT_BODY:
            handler = without_body(handler)
        if path not in PROMISED and (method, path) not in CHECKED_LATER | IGNORED:
            hint = BODY_HINT if method == "POST" and (method, path) not in WITHOUT_BODY else ""
            handler = with_known_parameters(handler, QUERY_PARAMETERS.get((method, path), ()), hint=hint)
        wrapped = with_middleware(handler, route=path, style=style_of(path))
        app.router.add_route(method, matching(path), wrapped, expect_handler=ignore_expectation)
        allowed.setdefault(path, []).append(method)
    # A fixed address is found faster than the pattern, which has the other methods; the pattern of one record is tried
    # first, because its requests have the least other work.
    for resource in RECORDS.values():
        find = partial(same, resource)
        for path, handler in (("/{id}", record_of(find)), ("", list_of(find))):
            fixed = with_middleware(handler, route=f"{RECORD_PATHS[0]}{path}")
            address = matching(f"/bitrix/{resource.name}{path}")
            app.router.add_route("GET", address, fixed, expect_handler=ignore_expectation)
    for path, methods in allowed.items():
        refused = with_middleware(refuse_method(methods), style=style_of(path))
        app.router.add_route("*", matching(path), refused, expect_handler=ignore_expectation)
    unknown = with_middleware(refuse_address, style=ErrorStyle.AMOCRM)
    app.router.add_route("*", f"{AMOCRM_PREFIX}{{anything:.*}}", unknown, expect_handler=ignore_expectation)
    app.router.add_route("*", "/{anything:.*}", with_middleware(refuse_address), expect_handler=ignore_expectation)
