"""Pages of users as the portal has them: whole rows, or some of their fields."""

from collections.abc import Set
from dataclasses import dataclass

import orjson

from gateway.bitrix.lists.field_check import UNKNOWN_FIELD
from gateway.bitrix.lists.field_rules import FIELD_RULES
from gateway.bitrix.lists.suggestions import suggest_name
from gateway.bitrix.protocol.v2 import Command
from gateway.clock import Clock
from gateway.errors import FieldError, InvalidInput, StateConflict
from gateway.fields.service import KnownFields
from gateway.mirror.field_access import LoadFields, with_mirrored_fields
from gateway.mirror.page_links import link_header, page_links
from gateway.mirror.pages import PageContent, Pages, whole_users
from gateway.mirror.query_fields import MAX_SELECTED, MAX_SHOWN_CHARACTERS, MAX_SUGGESTIONS
from gateway.mirror.resources import DICTIONARIES
from gateway.page_cache import ServedPage
from storage.records import Account
from storage.user_rows import UserRowStore

USERS = DICTIONARIES["users"]
RULES = FIELD_RULES["user.get"]
USER_FIELDS = Command(RULES.fields_method)
SYNC_NEEDED = "some users were read by an older version, without all fields: PATCH /bitrix/users reads them again"


@dataclass(frozen=True)
class UserQuery:
    """What a caller asks of users. *active* is None for all of them, *select* is None for whole rows.

    *others* are all parameters but page, for links. *text* is the whole query as it was sent, by which its page is
    cached; None if it is too long for that.
    """

    page: int
    size: int
    active: bool | None = None
    select: str | None = None
    others: tuple[tuple[str, str], ...] = ()
    text: str | None = None


class UserService:
    """Answers queries of whole users from the mirror."""

    def __init__(self, store: UserRowStore, pages: Pages, clock: Clock) -> None:
        self._store = store
        self._pages = pages
        self._clock = clock

    async def page(self, account: Account, query: UserQuery, load_fields: LoadFields) -> ServedPage:
        """The page of users that *query* asks for.

        Raises:
            InvalidInput: a selected field is unknown.
            StateConflict: some users were last read before the gateway kept whole rows.
        """
        portal, key = account.portal, None
        if query.text is not None:
            key = (account.account_id, portal.portal_id, portal.bitrix_id, USERS.name, query.text)
            cached = self._pages.find(key)
            if cached is not None and self._pages.synced_at(cached.list_id) is not None:
                return cached
        names = None if query.select is None else await self._select(query.select, load_fields)
        invalidations = self._pages.invalidations
        found = await self._store.page(
            account.account_id, portal, active=query.active, page=query.page, size=query.size
        )
        if found is None:
            return self._pages.empty(USERS, account.account_id)
        if not found.complete:
            raise StateConflict(SYNC_NEEDED, code="sync_needed")
        items = found.items if names is None else _pick(found.items, names)
        body = b'{"count":%d,"items":[%b]}' % (found.count, items)
        links = page_links(query.page, more=query.page * query.size < found.count)
        whole = whole_users(found.facts.list_id)
        self._pages.changed(whole, found.generation)
        content = PageContent(body, link_header(query.others, links), invalidations, ((whole, found.generation),))
        if found.synced_at is not None:
            self._pages.synced(found.facts.list_id, found.synced_at)
        return self._pages.serve(key, account, found.facts, found.facts.generation, content)

    async def _select(self, text: str, load_fields: LoadFields) -> tuple[str, ...]:
        """The names in *text*. The fields are fetched again if one is unknown."""

        async def check(known: KnownFields) -> tuple[str, ...]:
            return parse_select(text, known.fields.keys())

        return await with_mirrored_fields(await load_fields(), self._clock, check)


def parse_select(text: str, described: Set[str]) -> tuple[str, ...]:
    """The names in *text*, separated by commas, in their order and each once.

    *described* are those that the portal describes; it gives some more.

    Raises:
        InvalidInput: with one error for each name that is empty or unknown.
    """
    names = dict.fromkeys(text.split(","))
    if len(names) > MAX_SELECTED:
        raise InvalidInput.of_parameter("select", "invalid_value", f"must have at most {MAX_SELECTED} names")
    known = {"id", *described, *RULES.extra_selects}
    errors: list[FieldError] = []
    for name in names:
        if not name:
            rule = "must be names of fields, separated by commas"
            errors.append(FieldError("invalid_value", rule, parameter="select"))
        elif name not in known:
            nearest = suggest_name(name, known) if len(errors) < MAX_SUGGESTIONS else None
            question = "" if nearest is None else f"; did you mean {nearest!r}?"
            sentence = f"unknown field {name[:MAX_SHOWN_CHARACTERS]!r}{question}"
            errors.append(FieldError(UNKNOWN_FIELD, sentence, parameter="select"))
    if errors:
        raise InvalidInput.of_errors(errors)
    return tuple(names)


def _pick(items: bytes, names: tuple[str, ...]) -> bytes:
    """The *names* of each user, and its id; null where the portal's row lacks one."""
    wanted = dict.fromkeys(("id", *names))
    users = orjson.loads(b"[%b]" % items)
    return b",".join(orjson.dumps({name: user.get(name) for name in wanted}) for user in users)
