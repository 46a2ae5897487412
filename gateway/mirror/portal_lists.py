"""Lists of records that are not mirrored, read from the portal by ascending id: a whole page, or an error."""

import hashlib

import orjson

from gateway.accounts.clients import PortalClients
from gateway.accounts.directory import AccountDirectory
from gateway.bitrix.lists.first_rows import read_first_rows
from gateway.bitrix.lists.list_specs import Row
from gateway.bitrix.lists.page import ListCall, Page
from gateway.clock import Clock
from gateway.errors import FieldError, InvalidInput
from gateway.fields.service import KnownFields
from gateway.mirror.column_conditions import portal_filter
from gateway.mirror.cursors import Cursor, CursorSigner
from gateway.mirror.field_access import LoadFields, with_known_fields
from gateway.mirror.page_links import link_header
from gateway.mirror.portal_records import record_json
from gateway.mirror.queries import RecordQuery
from gateway.mirror.query_fields import QueryFields, parse_select
from gateway.mirror.resources import Resource, enabling, list_fields, record_type
from gateway.mirror.row_json import OWN_NAMES
from gateway.mirror.translation import TranslationService, pick
from gateway.page_cache import ServedPage
from storage.records import Account


class PortalLists:
    """Reads pages of records from the portal."""

    def __init__(
        self,
        directory: AccountDirectory,
        clients: PortalClients,
        cursors: CursorSigner,
        translations: TranslationService,
        clock: Clock,
    ) -> None:
        self._directory = directory
        self._clients = clients
        self._cursors = cursors
        self._translations = translations
        self._clock = clock

    async def page(
        self, account: Account, resource: Resource, query: RecordQuery, load_fields: LoadFields
    ) -> ServedPage:
        """The page of records that *query*, which has conditions on columns, asks for. They are not counted.

        Raises:
            InvalidInput: the query needs the mirror, selects an unknown name, or has the cursor of another query.
            PortalError: the list could not be read as far as the page reaches.
            TooBusy: the portal's limits leave no room in time.
        """
        _check_unmirrored(query, resource)
        names = None if query.select is None else await self._selected(resource, query.select, load_fields)
        question = [account.account_id, account.portal.portal_id, resource.name, query.columns]
        cursor = self._cursors.read(question, query.cursor) if query.cursor else None
        after = 0 if cursor is None else cursor.position[1]
        call = _call(resource, query, names)
        async with self._directory.mark_stale_on_auth_failure(account):
            found = await read_first_rows(self._clients.client(account), call, after=after, limit=query.size + 1)
        more, rows = len(found) > query.size, found[: query.size]
        items = [self._json(resource, row, row_id) for row_id, row in rows]
        links, following = {"first": "cursor="}, None
        if more:
            following = self._cursors.issue(question, Cursor((None, rows[-1][0]), backward=False))
            links["next"] = f"cursor={following}"
        translation = None
        if query.translate:
            translation = await self._translations.load(account, resource, (await load_fields()).known)
        shown = b",".join(pick(items, names, translation))
        body = b'{"count":null,"items":[%b],"next":%b}' % (shown, orjson.dumps(following))
        etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        return ServedPage(body, etag, link=link_header(query.others, links))

    async def _selected(self, resource: Resource, select: str, load_fields: LoadFields) -> tuple[str, ...]:
        record = record_type(resource)

        async def check(known: KnownFields) -> tuple[str, ...]:
            return parse_select(select, QueryFields(list_fields(resource, known.fields), record.columns, {}, 0))

        return await with_known_fields(await load_fields(), self._clock, check)

    def _json(self, resource: Resource, row: Row, row_id: int) -> bytes:
        (portal_list,) = resource.lists("")
        return record_json(resource.render(portal_list, Page([row], [row_id], 0, None), int(self._clock.now())), row_id)


def _check_unmirrored(query: RecordQuery, resource: Resource) -> None:
    """
    Raises:
        InvalidInput: with one error for each parameter that only the mirror supports.
    """
    present = {
        "filter": query.filter is not None,
        "order": query.order is not None,
        "count": query.exact,
        "page": (query.page or 1) > 1,
    }
    rule = f"is only valid for mirrored lists: enable the list with {enabling(resource)}"
    hints = {"page": f"{rule}, or go on with cursor"}
    errors = [
        FieldError("not_mirrored", hints.get(name, rule), parameter=name)
        for name, is_present in present.items()
        if is_present
    ]
    if errors:
        raise InvalidInput.of_errors(errors)


def _call(resource: Resource, query: RecordQuery, names: tuple[str, ...] | None) -> ListCall:
    (portal_list,) = resource.lists("")
    record = record_type(resource)
    params = portal_list.call.spec.limited(portal_list.call.params, portal_filter(query.columns, record))
    if names is not None:
        own = [name for name in names if name not in OWN_NAMES]
        params["select"] = list(dict.fromkeys([record.names.id, *own]))
    return ListCall(portal_list.call.method, params)
