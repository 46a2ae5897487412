"""Streams of mirrored records."""

from typing import Any
from urllib.parse import urlencode

import orjson
import pytest

from tests.gateway import Gateway, Sandbox, Streamed
from tests.support.records import change, enable, portal_ids, sync_again


async def stream(gateway: Gateway, resource: str, **params: Any) -> Streamed:
    """The lines of a stream from the mirror. The clock stands still: a read has a time limit."""
    texts = {name: value if isinstance(value, str) else orjson.dumps(value).decode() for name, value in params.items()}
    answer = await gateway.get(f"/bitrix/stream/{resource}?{urlencode({'source': 'mirror', **texts})}")
    assert answer.status == 200, answer.body
    return Streamed.of(answer.body)


MANY = 2600  # rows, more than two reads


async def test_a_stream_from_the_mirror_has_all_rows_in_the_order_of_ids(connected: Gateway, sandbox: Sandbox) -> None:
    first = max(portal_ids(sandbox, "deals")) + 1
    change(sandbox, "deals", {row_id: {"TITLE": f"row {row_id}"} for row_id in range(first, first + MANY)})
    await enable(connected, "deals", "items/128")
    requests = sandbox.portal.http_requests
    streamed = await stream(connected, "deals")
    assert streamed.end == {"cursor": first + MANY - 1, "count": len(portal_ids(sandbox, "deals")), "complete": True}
    assert [row["id"] for row in streamed.rows] == portal_ids(sandbox, "deals")
    items = await stream(connected, "items/128")
    assert [row["id"] for row in items.rows] == portal_ids(sandbox, "items/128")
    assert sandbox.portal.http_requests == requests
    pages = await connected.rows("deals")
    assert sorted(pages, key=lambda row: row["id"]) == streamed.rows


async def test_a_cursor_continues_a_limited_stream(connected: Gateway, sandbox: Sandbox) -> None:
    await enable(connected, "deals")
    ids, cursor = [], 0
    while True:
        part = await stream(connected, "deals", cursor=str(cursor), limit="70")
        ids += [row["id"] for row in part.rows]
        cursor = part.end["cursor"]
        if part.end["complete"]:
            break
    assert ids == portal_ids(sandbox, "deals")


async def test_a_stream_is_filtered_and_selected(connected: Gateway, sandbox: Sandbox) -> None:
    await enable(connected, "deals")
    streamed = await stream(connected, "deals", filter=[["STAGE_ID", "in", ["NEW"]]], select="STAGE_ID")
    data = sandbox.portal.data.tables["deals"]
    assert streamed.rows == [{"id": i, "STAGE_ID": "NEW"} for i in data if data[i]["STAGE_ID"] == "NEW"]


async def test_deleted_rows_are_not_streamed(connected: Gateway, sandbox: Sandbox) -> None:
    await enable(connected, "deals")
    ids = portal_ids(sandbox, "deals")
    change(sandbox, "deals", removed=ids[-3:])
    await sync_again(connected, "deals")
    streamed = await stream(connected, "deals")
    assert [row["id"] for row in streamed.rows] == ids[:-3]
    assert streamed.end["complete"] is True


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("users?source=mirror", 400, "invalid_input"),
        ("deals?source=elsewhere", 400, "invalid_input"),
        ("deals?source=mirror&pace=eager", 400, "invalid_input"),
        ('deals?source=mirror&filter={"ID":1}', 400, "invalid_input"),
        ("deals?source=mirror&select=TITEL", 400, "invalid_input"),
        ("leads?source=mirror", 409, "not_mirrored"),
        ("items/2?source=mirror", 404, "resource_not_found"),
    ],
)
async def test_a_stream_that_is_not_possible_is_refused(connected: Gateway, path: str, status: int, code: str) -> None:
    await enable(connected, "deals")
    answer = await connected.get(f"/bitrix/stream/{path}")
    assert (answer.status, answer.json["code"]) == (status, code)
