"""Reads a list of REST 3.0 by its cursor, one page after another. The portal decides how long a page is.

Source: protocol.md 9.5, 9.6 (b24restdocs api-reference/rest-v3.md)
"""

from collections.abc import AsyncGenerator, Callable, Sequence

from gateway.bitrix.client import PortalClient
from gateway.bitrix.errors import PortalBroken, PortalError, WalkFailed
from gateway.bitrix.lists.field_check import check_columns
from gateway.bitrix.lists.list_specs import Row, decode_row_id
from gateway.bitrix.lists.page import MAX_PAGE_ATTEMPTS, Page, Rendered, check_ascending
from gateway.bitrix.protocol.json_body import decode_json

ID = "id"
TAIL_ROWS = 1000  # requested per page: the documented maximum


async def read_tail(
    client: PortalClient,
    method: str,
    conditions: object,
    select: Sequence[str],
    *,
    cursor: int = 0,
    unverified: Sequence[str] = (),
    render: Callable[[list[Row]], Rendered],
) -> AsyncGenerator[Page[Rendered], None]:
    """Yield the pages of a 3.0 list in the order of ids, from after *cursor* to the end, without gaps.

    An empty page is the end, and so is a page shorter than an earlier one. A first page shorter than TAIL_ROWS proves
    nothing: portals return 50 tasks whatever the requested limit. *unverified* are selected names that the portal may
    silently drop.

    Raises:
        InvalidInput: the first page has rows, and none of them has one of the *unverified* names.
        WalkFailed: the portal failed permanently. Its cursor is the end of the last page yielded.
        TooBusy: the first request would have to wait too long for the limits; nothing was sent.
        AuthorizationRequired: the client's account was reconnected or deleted meanwhile.
    """
    longest = 0
    while True:
        rows, ids = await _read_page(client, method, conditions, select, cursor)
        if rows and unverified:
            check_columns(unverified, rows)
            unverified = ()
        after, cursor = cursor, ids[-1] if ids else cursor
        at_end = not ids or len(ids) < longest
        longest = max(longest, len(ids))
        yield Page(render(rows), ids, after, None if at_end else cursor)
        if at_end:
            return
        client = client.background()


async def _read_page(
    client: PortalClient, method: str, conditions: object, select: Sequence[str], cursor: int
) -> tuple[list[Row], list[int]]:
    body = _body(method, conditions, select, cursor)
    for attempt in range(1, MAX_PAGE_ATTEMPTS + 1):
        try:
            answer = await client.call3(method, body, write=False)
            return _checked_page(decode_json(answer.body), cursor)
        except PortalError as error:
            if attempt == MAX_PAGE_ATTEMPTS or not isinstance(error, PortalBroken):
                raise WalkFailed(method, cursor, error) from error
    raise AssertionError("the last attempt returns or raises")


def _body(method: str, conditions: object, select: Sequence[str], cursor: int) -> dict[str, object]:
    """A ``.tail`` method takes the cursor as a parameter; other lists take it as one more condition."""
    body: dict[str, object] = {"select": list(dict.fromkeys([*select, ID]))} if select else {}
    if method.endswith(".tail"):
        return body | {
            "filter": conditions,
            "cursor": {"field": ID, "order": "ASC", "value": cursor, "limit": TAIL_ROWS},
        }
    all_conditions = conditions if isinstance(conditions, list) else []
    if all_conditions and isinstance(all_conditions[0], str):  # a single condition, not in a list
        all_conditions = [all_conditions]
    return body | {
        "filter": [*all_conditions, [ID, ">", cursor]],
        "order": {ID: "ASC"},
        "pagination": {"limit": TAIL_ROWS},
    }


def _checked_page(envelope: object, cursor: int) -> tuple[list[Row], list[int]]:
    """The rows of an answer, and their ids.

    Raises:
        PortalBroken: the rows are not a list of at most TAIL_ROWS, or their ids do not ascend from after *cursor*.
    """
    result = envelope.get("result") if isinstance(envelope, dict) else None
    rows = result.get("items") if isinstance(result, dict) else None
    if not isinstance(rows, list) or len(rows) > TAIL_ROWS:
        raise PortalBroken("the rows are not a list, or more than requested")
    ids = [decode_row_id(row, ID) for row in rows]
    check_ascending(ids, cursor)
    return rows, ids
