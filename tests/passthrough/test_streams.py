"""GET /bitrix/stream/...: rows, their format, and the errors before the first row."""

import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import aiohttp
import orjson
import pytest

from gateway.sandbox.settings import SandboxSettings
from handlers.bitrix.streams import GZIP
from tests.gateway import Gateway, Sandbox, Streamed
from tests.support.streaming import refused_stream

TABLES = {
    "users": "users",
    "leads": "leads",
    "deals": "deals",
    "contacts": "contacts",
    "companies": "companies",
    "quotes": "quotes",
    "invoices": "invoices",
    "items/128": "items/128",
    "items/2": "deals",
    "tasks": "tasks",
    "tasks?version=2": "tasks",
    "tasks?version=3": "tasks",
    "eventlog": "eventlog",
}
STREAM = "/bitrix/stream"


@pytest.fixture
def sandbox_settings(sandbox_settings: SandboxSettings) -> SandboxSettings:
    return replace(sandbox_settings, deals=1300, eventlog=2500, tasks=60, items=80)


def ids_of(sandbox: Sandbox, table: str) -> list[int]:
    return sorted(sandbox.portal.data.tables[table])


def done(cursor: int, count: int, *, complete: bool = True) -> dict[str, object]:
    return {"count": count, "complete": complete, "cursor": cursor}


@pytest.mark.parametrize(("resource", "table"), TABLES.items())
async def test_every_list_is_complete_and_ordered_by_id(
    connected: Gateway, sandbox: Sandbox, resource: str, table: str
) -> None:
    stream = await connected.stream(resource)
    ids = ids_of(sandbox, table)
    assert ids
    assert stream.ids == ids
    assert stream.end == done(ids[-1], len(ids))


async def test_tasks_are_read_with_the_requested_version_of_rest(connected: Gateway) -> None:
    assert isinstance((await connected.stream("tasks")).rows[0]["id"], str)
    third = await connected.stream("tasks", version="3", select="title")
    assert isinstance(third.rows[0]["id"], int)
    assert set(third.rows[0]) == {"id", "title"}


async def test_an_empty_list_is_complete(connected: Gateway, sandbox: Sandbox) -> None:
    sandbox.portal.data.tasks.clear()
    assert await connected.stream("tasks") == Streamed([], done(0, 0))
    assert await connected.stream("tasks", version="3", cursor="7") == Streamed([], done(7, 0))


@pytest.mark.parametrize(
    ("resource", "conditions", "column", "passes"),
    [
        ("deals", {">=OPPORTUNITY": 5000, "ASSIGNED_BY_ID": 1}, "OPPORTUNITY", lambda value: float(value) >= 5000),
        ("users", {"!NAME": "Анна", "ACTIVE": "N"}, "ACTIVE", lambda value: value is False),
        ("tasks", {"REAL_STATUS": [2, 5]}, "status", lambda value: value in ("2", "5")),
        ("contacts", {"ASSIGNED_BY_ID": [2, 4]}, "ASSIGNED_BY_ID", lambda value: value in ("2", "4")),
        ("items/2", {"logic": "OR", "0": {"<=id": 40}, "1": {">id": 900}}, "id", lambda value: not 40 < value <= 900),
        ("eventlog", [["userId", "in", [1, 2]]], "userId", lambda value: value in (1, 2)),
        ("eventlog", ["userId", "between", [1, 3]], "userId", lambda value: 1 <= value <= 3),
        ("tasks?version=3", ["id", "<=", 40], "id", lambda value: value <= 40),
    ],
)
async def test_a_filter_has_the_syntax_of_the_portal(
    connected: Gateway, resource: str, conditions: object, column: str, passes: Callable[[Any], bool]
) -> None:
    rows = (await connected.stream(resource, filter=conditions)).rows
    assert rows
    assert [row[column] for row in rows if not passes(row[column])] == []
    assert len(rows) < len((await connected.stream(resource)).rows)


async def test_a_filter_by_id_limits_the_rows(connected: Gateway, sandbox: Sandbox) -> None:
    ids = ids_of(sandbox, "deals")
    stream = await connected.stream("deals", filter={">ID": ids[99], "<=ID": ids[299]})
    assert stream.ids == ids[100:300]


@pytest.mark.parametrize(("limit", "upto"), [("9" * 5000, 10**9), ("0" * 5000 + "40", 40)], ids=["huge", "padded"])
async def test_a_limit_of_ids_may_have_thousands_of_digits(connected: Gateway, limit: str, upto: int) -> None:
    every = (await connected.stream("tasks")).ids
    assert (await connected.stream("tasks", filter={"<=ID": limit})).ids == [
        row_id for row_id in every if row_id <= upto
    ]


@pytest.mark.parametrize(
    ("resource", "conditions", "sentence"),
    [
        (
            "deals",
            {"%TITEL": "x"},
            "filter: unknown field '%TITEL', which the list would ignore; did you mean '%TITLE'?",
        ),
        ("users", {"LOGIN_NAME": 1}, "filter: unknown field 'LOGIN_NAME', which the list would ignore"),
        ("tasks", {"PLAN": 1}, "filter: unknown field 'PLAN', which the list would ignore"),
        ("deals", [1], "filter: must be a JSON object"),
        ("items/2", "x", "filter: must be a JSON object"),
        ("deals", {">ID": "x"}, "filter: >ID takes a number"),
        ("users", {">ID": [1]}, "filter: >ID takes one number"),
        ("invoices", {"@id": [1, None]}, "filter: @id takes a number"),
    ],
)
async def test_a_filter_that_the_list_would_ignore_is_refused(
    connected: Gateway, sandbox: Sandbox, resource: str, conditions: object, sentence: str
) -> None:
    calls = sum(count for name, count in sandbox.portal.calls.items() if name.endswith(".list"))
    answer = await refused_stream(connected, f"{resource}?filter={orjson.dumps(conditions).decode()}", 400)
    assert answer["detail"] == sentence
    assert [error["parameter"] for error in answer["errors"]] == ["filter"]
    assert sum(count for name, count in sandbox.portal.calls.items() if name.endswith(".list")) == calls


async def test_field_names_are_cached_and_refreshed_for_an_unknown_name(connected: Gateway, sandbox: Sandbox) -> None:
    for _ in range(3):
        await connected.stream("companies", filter={"!TITLE": ""})
    assert sandbox.portal.calls["crm.company.fields"] == 1
    await refused_stream(connected, 'companies?filter={"FRESH":1}', 400)
    assert sandbox.portal.calls["crm.company.fields"] == 2
    await connected.clock.advance(601)
    await connected.stream("companies", filter={"!TITLE": ""})
    assert sandbox.portal.calls["crm.company.fields"] == 3


@pytest.mark.parametrize(
    ("conditions", "rule"),
    [
        ({"id": 1}, "must be a list of conditions"),
        ([["id", "~", 1]], "/0/1 must be one of = != > >= < <= in between"),
        (
            [["id", ">", 1], {"conditions": [["id", "between", [1]]]}],
            "/1/conditions/0/2 must be a list of two values after between",
        ),
    ],
)
@pytest.mark.parametrize("resource", ["eventlog?", "tasks?version=3&"])
async def test_a_rest_3_filter_is_checked_in_detail_before_anything_is_sent(
    connected: Gateway, sandbox: Sandbox, resource: str, conditions: object, rule: str
) -> None:
    requests = sandbox.portal.http_requests
    problem = await refused_stream(connected, f"{resource}filter={orjson.dumps(conditions).decode()}", 400)
    assert problem["errors"] == [{"code": "invalid_filter", "detail": rule, "parameter": "filter"}]
    assert problem["detail"] == f"filter: {rule}"
    assert sandbox.portal.http_requests == requests


async def test_a_filter_refused_by_the_portal_is_reported_with_the_portals_message(connected: Gateway) -> None:
    problem = await refused_stream(connected, 'items/2?filter={"nonsense":1}', 400)
    assert problem["portalError"] == {
        "code": "INVALID_ARG_VALUE",
        "description": "Invalid filter: field 'nonsense' is not allowed in filter",
        "status": None,
    }


@pytest.mark.parametrize(
    ("resource", "select", "columns"),
    [
        ("deals", "TITLE", {"ID", "TITLE"}),
        ("users", "NAME,ACTIVE", {"ID", "NAME", "ACTIVE"}),
        ("items/2", "title", {"id", "title"}),
        ("eventlog", "severity,id", {"id", "severity"}),
    ],
)
async def test_the_id_is_always_selected(connected: Gateway, resource: str, select: str, columns: set[str]) -> None:
    rows = (await connected.stream(resource, select=select)).rows
    assert {frozenset(row) for row in rows} == {frozenset(columns)}


@pytest.mark.parametrize("limit", [1, 50, 51, 1299])
@pytest.mark.parametrize("resource", ["deals", "eventlog"])
async def test_a_limit_is_exact_and_the_next_stream_resumes_at_the_cursor(
    connected: Gateway, sandbox: Sandbox, resource: str, limit: int
) -> None:
    ids = ids_of(sandbox, resource)
    first = await connected.stream(resource, limit=limit)
    assert first.ids == ids[:limit]
    assert first.end == done(ids[limit - 1], limit, complete=False)
    rest = await connected.stream(resource, cursor=first.end["cursor"])
    assert rest.ids == ids[limit:]
    assert rest.end == done(ids[-1], len(ids) - limit)


@pytest.mark.parametrize(("limit", "complete"), [(59, False), (60, True), (61, True)])
@pytest.mark.parametrize("version", ["2", "3"])
async def test_a_limit_that_the_list_does_not_exceed_leaves_it_complete(
    connected: Gateway, sandbox: Sandbox, limit: int, complete: bool, version: str
) -> None:
    ids = ids_of(sandbox, "tasks")[:limit]
    stream = await connected.stream("tasks", limit=limit, version=version)
    assert (stream.ids, stream.end) == (ids, done(ids[-1], len(ids), complete=complete))


async def test_a_stream_from_a_cursor_beyond_the_last_row_is_complete(connected: Gateway) -> None:
    assert await connected.stream("deals", cursor=10**9) == Streamed([], done(10**9, 0))


async def test_a_thrifty_stream_returns_the_same_rows_with_fewer_requests(connected: Gateway, sandbox: Sandbox) -> None:
    requests = sandbox.portal.http_requests
    eager = await connected.stream("deals", pace="eager")
    requests, spent = sandbox.portal.http_requests, sandbox.portal.http_requests - requests
    assert await connected.stream("deals", pace="thrifty") == eager
    assert sandbox.portal.http_requests - requests < spent


async def test_a_gzip_stream_can_be_decoded_from_its_first_chunk(connected: Gateway, sandbox: Sandbox) -> None:
    sandbox.portal.fault("batch:delay=10@1")
    headers = {"Authorization": f"Bearer {connected.token()}", "Accept-Encoding": "gzip"}
    async with (
        aiohttp.ClientSession(auto_decompress=False) as session,
        session.get(f"{connected.origin}{STREAM}/deals", headers=headers) as response,
    ):
        assert response.headers["Content-Encoding"] == "gzip"
        decompressor = zlib.decompressobj(31)
        first = decompressor.decompress(await response.content.readany())
        assert first.count(b"\n") >= 50
        rest = await connected.clock.until(response.read())
        whole = first + decompressor.decompress(rest) + decompressor.flush()
    assert decompressor.eof
    assert Streamed.of(whole).ids == ids_of(sandbox, "deals")


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        ("gzip", True),
        ("br, GZIP;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip; q=0.0, br", False),
        ("identity", False),
        ("x-gzip", False),
        ("", False),
    ],
)
def test_gzip_is_used_if_the_request_accepts_it(accepted: str, expected: bool) -> None:
    assert (GZIP.search(accepted) is not None) is expected


async def test_a_stream_has_the_request_id_and_must_not_be_cached(connected: Gateway) -> None:
    answer = await connected.get(f"{STREAM}/tasks", headers={"X-Request-ID": "mine-1"})
    assert answer.headers["X-Request-ID"] == "mine-1"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Vary"] == "Authorization, Accept-Encoding"
    assert answer.headers["Content-Type"] == "application/x-ndjson"
