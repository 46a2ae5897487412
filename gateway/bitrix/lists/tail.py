"""Lists of REST 3.0, read by their cursor, one page after another; how long a page is, the portal decides.

Source: protocol.md 9.5, 9.6 (b24restdocs api-reference/rest-v3.md)
"""

from collections.abc import AsyncGenerator, Callable, Sequence

from gateway.bitrix.client import PortalClient
from gateway.bitrix.errors import PortalBroken, PortalError, WalkFailed
from gateway.bitrix.lists.field_check import check_columns
from gateway.bitrix.lists.list_specs import Row, row_id
from gateway.bitrix.lists.page import MAX_PAGE_ATTEMPTS, Page, Rendered, check_ascent
from gateway.bitrix.protocol.json_body import decode_json

ID = "id"
TAIL_ROWS = 1000  # asked for: the largest page that is documented


async def tail(
    client: PortalClient,
    method: str,
    given: object,
    select: Sequence[str],
    *,
    cursor: int = 0,
    unsure: Sequence[str] = (),
    render: Callable[[list[Row]], Rendered],
) -> AsyncGenerator[Page[Rendered], None]:
    """The pages of a 3.0 list in the order of ids, from beyond *cursor* to the end; each follows on the last.

    The end is an empty page, or a page shorter than an earlier one of this reading. A page shorter than TAIL_ROWS alone
    proves nothing: portals give 50 tasks whatever limit they are asked for. *unsure* are the names of the select that
    the portal may drop without a word.

    Raises:
        InvalidInput: the first page has rows, and none of them has one of the names *unsure*.
        WalkFailed: the portal failed for good; its cursor is the end of the last page given out.
        TooBusy: the client waits no longer for room for the first request; nothing was sent.
        AuthorizationRequired: the account that the client calls for was connected anew or deleted meanwhile.
    """
    longest = 0
    while True:
        rows, ids = await _page(client, method, given, select, cursor)
        if rows and unsure:
            check_columns(unsure, rows)
            unsure = ()
        after, cursor = cursor, ids[-1] if ids else cursor
        at_end = not ids or len(ids) < longest
        longest = max(longest, len(ids))
        yield Page(render(rows), ids, after, None if at_end else cursor)
        if at_end:
            return
        client = client.background()


async def _page(
    client: PortalClient, method: str, given: object, select: Sequence[str], cursor: int
) -> tuple[list[Row], list[int]]:
    body = _body(method, given, select, cursor)
    for ask in range(1, MAX_PAGE_ATTEMPTS + 1):
        try:
            answer = await client.call3(method, body, write=False)
            return _checked(decode_json(answer.body), cursor)
        except PortalError as error:
            if ask == MAX_PAGE_ATTEMPTS or not isinstance(error, PortalBroken):
                raise WalkFailed(method, cursor, error) from error
    raise AssertionError("the last ask returns or raises")


def _body(method: str, given: object, select: Sequence[str], cursor: int) -> dict[str, object]:
    body: dict[str, object] = {"select": list(dict.fromkeys([*select, ID]))} if select else {}
    if method.endswith(".tail"):
        return body | {"filter": given, "cursor": {"field": ID, "order": "ASC", "value": cursor, "limit": TAIL_ROWS}}
    conditions = given if isinstance(given, list) else []
    if conditions and isinstance(conditions[0], str):
        conditions = [conditions]
    return body | {
        "filter": [*conditions, [ID, ">", cursor]],
        "order": {ID: "ASC"},
        "pagination": {"limit": TAIL_ROWS},
    }


def _checked(envelope: object, cursor: int) -> tuple[list[Row], list[int]]:
    result = envelope.get("result") if isinstance(envelope, dict) else None
    rows = result.get("items") if isinstance(result, dict) else None
    if not isinstance(rows, list) or len(rows) > TAIL_ROWS:
        raise PortalBroken("the rows are no list, or more than were asked for")
    ids = [row_id(row, ID) for row in rows]
    check_ascent(ids, cursor)
    return rows, ids
