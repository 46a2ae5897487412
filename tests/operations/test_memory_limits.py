"""Each cache and buffer in the README's table is filled through its public interface and stays within its bound."""

import gc
import re
import tracemalloc
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from sqlite3 import Connection
from typing import cast

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from jose import jws

from gateway.accounts.clients import PortalClients
from gateway.accounts.limiters import MAX_IDLE_LIMITERS, PortalLimiters
from gateway.bitrix.client import PortalClient
from gateway.bitrix.errors import MAX_CODE_CHARS, PortalError
from gateway.bitrix.limits.limiter import PortalLimiter
from gateway.bitrix.lists.field_rules import EQUAL, FieldRules
from gateway.bitrix.monitoring.call_log import CallLogEntry, listed
from gateway.bitrix.protocol.v2 import Answer as PortalAnswer
from gateway.bitrix.protocol.v2 import Command
from gateway.clock import format_time
from gateway.crm.directories import DirectoryFinder
from gateway.crm.values import CURRENCIES
from gateway.fields.service import FieldService
from gateway.log_lines import MAX_BUFFERED_ENTRIES
from gateway.mirror.names import NameService
from gateway.mirror.page_links import MAX_LINK_CHARACTERS
from gateway.mirror.pipelines import PipelineDirectory
from gateway.mirror.resources import DICTIONARIES
from gateway.page_cache import ServedPage
from gateway.settings.config import Config, load_config
from handlers.app_keys import CALL_LOG, CLIENTS, DATABASE, DIRECTORY, PAGES, SESSION
from handlers.bitrix.records import MAX_CACHED_QUERY_CHARACTERS, parse_query, parse_record_query
from handlers.bitrix.users import parse_query as parse_user_query
from handlers.http.access_log import AccessLogEntry
from handlers.http.keys import ACCESS_LOG, CLOCK, TOKENS
from handlers.http.pages import respond_page
from handlers.http.query import page_and_size
from storage.accounts import AccountStore
from storage.buckets import BucketStore
from storage.conditions import Comparison, Group
from storage.fields import FieldStore
from storage.json_values import Kind, QueryField
from storage.mirror import MirrorStore
from storage.mirror_dictionaries import DictionaryStore
from storage.mirror_queries import QueryStore, Selection
from storage.records import Account, Portal
from tests.bitrix.limits.burst import a_request
from tests.gateway import JWT_SECRET, Gateway, Sandbox, authorize
from tests.support.disk import root_of, uploaded
from tests.support.flood import Flood, head_of
from tests.support.raw import send_before_reading
from tests.support.rogue import listening
from tests.support.stored import run_sql

README = Path(__file__).parent.parent.parent / "README.md"
ROW = re.compile(r"^\| ([^|`]+) \| `([^`]+)` \| ([^|]+) \|$", re.MULTILINE)
UNITS = {"KiB": 1024, "MiB": 1024**2}
WIDE = "\N{GRINNING FACE}"  # four bytes a character
LONG = 255
UUID = "0b8ac3f1-6f5e-4d0c-9f0d-2a7c5e1b9d43"
SETTINGS = {
    "GATEWAY_MAX_CONNECTIONS": "8",
    "GATEWAY_PAGE_CACHE_BYTES": "4194304",
    "GATEWAY_LOG_FORMAT": "json",
}
CACHES = (  # must be full after the test filled them
    "verified tokens",
    "parsed page queries",
    "parsed queries of users",
    "numbers of matching records",
    "cached pages",
    "generations of lists",
    "block indexes of lists",
    "accounts",
    "fields of portals' lists",
    "names of users, stages and pipelines",
    "directories and currencies of portals",
    "pipelines that are not mirrored",
)
# How many of the responses that the bound is for the test fills.
FILLED = {"portal responses being read": 1, "files being downloaded": 8, "files being received": 8}
Retained = list[object]  # stays in memory until it is measured
Fill = Callable[[Gateway, Sandbox, Retained], Awaitable[None]]
FILLS: dict[str, Fill] = {}
# Filled by other tests.
SHOWN_IN = {
    "stream lines that wait to be sent": "tests/passthrough/test_stream_consumers.py",
    "rows held back, per running sync": "tests/bitrix/lists/test_walk_costs.py",
}


def table() -> dict[str, str]:
    """Return the bounds that the README states."""
    section = README.read_text(encoding="utf-8").partition("### What it keeps in memory\n")[2].partition("\n## ")[0]
    return {name: bound for name, _, bound in ROW.findall(section)}


def bytes_of(bound: str, config: Config) -> int:
    """Return a bound in bytes. Its factors are numbers, sizes or settings."""
    product = 1
    for factor in bound.split(" × "):
        number, _, unit = factor.partition(" ")
        if number.startswith("`"):
            product *= getattr(config, number.strip("`").removeprefix("GATEWAY_").lower())
        else:
            product *= int(number.replace(",", "")) * UNITS.get(unit, 1)
    return product


def fills(name: str) -> Callable[[Fill], Fill]:
    """Register a function that fills a cache or buffer of the table."""

    def note(fill: Fill) -> Fill:
        FILLS[name] = fill
        return fill

    return note


def test_the_table_lists_every_cache_and_buffer_and_each_is_filled() -> None:
    assert table().keys() == FILLS.keys() | SHOWN_IN.keys()
    assert not FILLS.keys() & SHOWN_IN.keys()
    for file in SHOWN_IN.values():
        assert (README.parent / file).exists()


def test_the_table_names_existing_modules() -> None:
    section = README.read_text(encoding="utf-8").partition("### What it keeps in memory\n")[2].partition("\n## ")[0]
    for _, module, _ in ROW.findall(section):
        assert (README.parent / module).exists(), module


@fills("verified tokens")
async def fill_tokens(gateway: Gateway, _sandbox: Sandbox, _retained: Retained) -> None:
    for number in range(2_500):
        caller = {"sub": str(number).ljust(LONG, "x"), "user_id": str(number).ljust(LONG, WIDE), "client_uuid": UUID}
        claims = orjson.dumps(caller | {"padding": "x" * 3_500})
        header = f"Bearer {jws.sign(claims, JWT_SECRET, algorithm='HS256')}"
        for variant in (header, header + " " * 50_000):
            gateway.app[TOKENS].verify(variant)


@fills("parsed page queries")
async def fill_queries(_gateway: Gateway, _sandbox: Sandbox, _retained: Retained) -> None:
    for number in range(6_000):
        page_and_size(f"x={number}&y=".ljust(128, WIDE))
        page_and_size(f"x={number}&y=".ljust(20_000, WIDE))


@fills("parsed queries of records")
async def fill_record_queries(_gateway: Gateway, _sandbox: Sandbox, _retained: Retained) -> None:
    for number in range(300):
        nested = "[" * 20 + f"{number}" + "]" * 20
        query = f"filter=[{','.join([nested] * 20)}]"
        assert len(query) <= MAX_CACHED_QUERY_CHARACTERS
        parse_query(query)
        parse_record_query(f"related={query}"[:MAX_CACHED_QUERY_CHARACTERS])
    parse_query(f"filter=[{','.join([nested] * 230)}]")


@fills("parsed queries of users")
async def fill_user_queries(_gateway: Gateway, _sandbox: Sandbox, _retained: Retained) -> None:
    for number in range(2_000):
        parse_user_query(f"active=true&select={number},".ljust(512, WIDE))
        parse_user_query(f"active=true&select={number},".ljust(20_000, WIDE))


@fills("numbers of matching records")
async def fill_counts(gateway: Gateway, _sandbox: Sandbox, retained: Retained) -> None:
    run_sql(gateway, "INSERT INTO sync_settings (list_id, enabled) VALUES (1, 1)")
    store = QueryStore(gateway.app[DATABASE])
    retained.append(store)
    field = QueryField("STAGE_ID", Kind.TEXT, column="stage")
    for number in range(3_000):
        several = tuple(Comparison(field, "!=", (f"{number}{WIDE * (number % 100)}",)) for _ in range(1 + number % 3))
        selection = Selection(1, Group(any=False, negative=False, conditions=several), count=10)
        assert await store.select(selection, nullcontext()) is not None  # the clock keeps its timers


@fills("response heads of pages")
async def fill_heads(_gateway: Gateway, _sandbox: Sandbox, _retained: Retained) -> None:
    for number in range(1_000):
        page = ServedPage(b"{}", f'"{number}"', link=f"<?page={number}>".ljust(MAX_LINK_CHARACTERS, "x"))
        respond_page(make_mocked_request("GET", "/bitrix/deals"), page, number)


@fills("formatted times")
async def fill_times(_gateway: Gateway, _sandbox: Sandbox, _retained: Retained) -> None:
    for at in range(5_000):
        format_time(at)


@fills("cached pages")
async def fill_pages(gateway: Gateway, _sandbox: Sandbox, _retained: Retained) -> None:
    account = await gateway.app[DIRECTORY].require("acme")
    for size in range(1, 500):
        await gateway.app[PAGES].page(account, DICTIONARIES["users"], page=1, size=size)


@fills("generations of lists")
async def fill_generations(gateway: Gateway, _sandbox: Sandbox, _retained: Retained) -> None:
    for list_id in range(100_000):
        gateway.app[PAGES].changed(1_000_000 + list_id, 1_000_000 + list_id)
        gateway.app[PAGES].synced(1_000_000 + list_id, 1_000_000 + list_id)


@fills("block indexes of lists")
async def fill_indexes(gateway: Gateway, _sandbox: Sandbox, retained: Retained) -> None:
    account = await gateway.app[DIRECTORY].require("acme")
    store, blocks = MirrorStore(gateway.app[DATABASE]), 20_000
    for number in range(12):
        run_sql(
            gateway,
            f"INSERT INTO mirror_lists (list_id, account_id, portal_id, resource, live) VALUES ({1000 + number}, "
            f"{account.account_id}, {account.portal.portal_id}, 'list {number}', {256 * blocks})",
        )
        run_sql(
            gateway,
            "WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers "
            f"WHERE n + 1 < {blocks}) INSERT INTO mirror_blocks (list_id, block, first_row_id, live) "
            f"SELECT {1000 + number}, n, 1000000000 + n * 256, 256 FROM numbers",
        )
    retained.append(store)
    for number in range(12):
        await store.page(account.account_id, account.portal, f"list {number}", page=2, size=1)


@fills("accounts")
async def fill_accounts(gateway: Gateway, _sandbox: Sandbox, _retained: Retained) -> None:
    for number in range(9_000):
        await gateway.app[DIRECTORY].find(f"{number}".ljust(LONG, WIDE))


class ManyFields:
    """A portal whose lists have 400 fields with long names."""

    async def call(self, _command: Command) -> PortalAnswer:
        return PortalAnswer({f"UF_CRM_{number}_".ljust(60, "x"): {"title": "x"} for number in range(400)})


@fills("fields of portals' lists")
async def fill_fields(gateway: Gateway, _sandbox: Sandbox, retained: Retained) -> None:
    account = await gateway.app[DIRECTORY].require("acme")
    names = FieldService(FieldStore(gateway.app[DATABASE]), gateway.clock)
    retained.append(names)
    for number in range(150):
        rules = FieldRules(f"list.{number}", EQUAL, case_insensitive=True)
        selected = ["UF_CRM_7_".ljust(60, "x")]
        await names.check(account, cast(PortalClient, ManyFields()), rules, {"=" + selected[0]: "x"}, selected)


@fills("names of users, stages and pipelines")
async def fill_names(gateway: Gateway, _sandbox: Sandbox, retained: Retained) -> None:
    account = await gateway.app[DIRECTORY].require("acme")
    service = NameService(DictionaryStore(gateway.app[DATABASE]), gateway.app[PAGES])
    retained.append(service)
    numbers = "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 2000)"
    tail = (
        '\',"bitrixUserID":"\' || n || \'","name":"' + "x" * 100 + '","lastName":"\' || n || \'",'
        '"email":"\' || n || \'@example.com"}\''
    )
    for number in range(1, 41):
        portal = replace(account.portal, portal_id=account.portal.portal_id + number)
        run_sql(
            gateway, f"INSERT INTO portals (portal_id, host, created_at) VALUES ({portal.portal_id}, 'n{number}', 1)"
        )
        run_sql(
            gateway,
            f"INSERT INTO mirror_lists (list_id, account_id, portal_id, resource) VALUES ({2000 + number}, "
            f"{account.account_id}, {portal.portal_id}, 'users')",
        )
        run_sql(
            gateway,
            f"{numbers} INSERT INTO mirror_rows (list_id, part, portal_row_id, block, head, tail) "
            f"SELECT {2000 + number}, 0, n, 0, x'', CAST({tail} AS BLOB) FROM numbers",
        )
        await service.users_by_email(replace(account, portal=portal))


@fills("directories and currencies of portals")
async def fill_directories(gateway: Gateway, sandbox: Sandbox, retained: Retained) -> None:
    app, account = gateway.app, await gateway.app[DIRECTORY].require("acme")
    names = NameService(DictionaryStore(app[DATABASE]), app[PAGES])
    finder = DirectoryFinder(names, app[DIRECTORY], app[CLIENTS], gateway.clock)
    retained.append(finder)
    sample = sandbox.portal.data.currencies["RUB"]
    localized = {"ru": {**sample["LANG"]["ru"], "FULL_NAME": WIDE * LONG}}
    for number in range(300):
        sandbox.portal.data.currencies[f"N{number}"] = {**sample, "CURRENCY": f"N{number}", "LANG": localized}
    for number in range(1, 41):
        portal = replace(account.portal, portal_id=account.portal.portal_id + number)
        found = await finder.find(replace(account, portal=portal), {CURRENCIES: {"RUB"}})
        assert "N299" in found[CURRENCIES].names
    sandbox.portal.seen.clear()


class ManyPipelines:
    """Portals whose types have 500 pipelines with long names."""

    def client(self, _account: Account) -> "ManyPipelines":
        return self

    async def call(self, _command: Command) -> PortalAnswer:
        return PortalAnswer({"categories": [{"id": number, "name": f"{number}".ljust(60)} for number in range(500)]})


@fills("pipelines that are not mirrored")
async def fill_pipelines(gateway: Gateway, _sandbox: Sandbox, retained: Retained) -> None:
    directory = gateway.app[DIRECTORY]
    account = await directory.require("acme")
    names = NameService(DictionaryStore(gateway.app[DATABASE]), gateway.app[PAGES])
    pipelines = PipelineDirectory(names, directory, cast(PortalClients, ManyPipelines()), gateway.clock)
    retained.append(pipelines)
    for number in range(60):
        await pipelines.read(account, 128 + number)


@fills("rate limiters of portals")
async def fill_limiters(gateway: Gateway, _sandbox: Sandbox, retained: Retained) -> None:
    database, clock = gateway.app[DATABASE], gateway.app[CLOCK]
    limiters = PortalLimiters(Config(), AccountStore(database), BucketStore(database), clock)
    retained.append(limiters)
    for number in range(2 * MAX_IDLE_LIMITERS):
        learn_much(limiters.of(Portal(number, f"{number}.example.com", None)), 3)
    for number in range(20):
        learn_much(limiters.of(Portal(number, f"{number}.example.com", None)), 400)


def learn_much(limiter: PortalLimiter, methods: int) -> None:
    """Make *limiter* record many methods with long names."""
    answer = PortalAnswer([], operating_s=1.0)
    for number in range(methods):
        name = f"m{number}.".ljust(LONG, "x")
        limiter.record("a credential", name, answer)
        limiter.record_load(a_request(methods=[name] * 50, commands=50), answer, 0.0)


@fills("token renewals in progress")
async def fill_refreshers(gateway: Gateway, sandbox: Sandbox, _retained: Retained) -> None:
    for number in range(40):
        await authorize(gateway, sandbox, account=f"a{number}")
    gc.collect()
    tracemalloc.clear_traces()
    for number in range(40):
        gateway.app[CLIENTS].client(await gateway.app[DIRECTORY].require(f"a{number}"))


@fills("request log lines, for half a second")
async def fill_request_log(gateway: Gateway, _sandbox: Sandbox, _retained: Retained) -> None:
    log = gateway.app[ACCESS_LOG]
    log.flush()
    for number in range(20 * MAX_BUFFERED_ENTRIES - 1):
        log.add(
            AccessLogEntry(
                1e9 + number, "PROPPATCH", "/bitrix/stream/items/{entityTypeId}", 200, 0.5, f"{number}".ljust(128)
            )
        )


@fills("call log lines, for half a second")
async def fill_call_log(gateway: Gateway, _sandbox: Sandbox, _retained: Retained) -> None:
    log = gateway.app[CALL_LOG]
    log.flush()
    for number in range(20 * MAX_BUFFERED_ENTRIES - 1):
        entry = CallLogEntry(
            at=1e9 + number,
            method=f"m{number}.".ljust(LONG, "x"),
            portal=f"{number}.".ljust(LONG, "x"),
            account=f"{number}".ljust(LONG, WIDE),
            duration_s=0.5,
            outcome=f"{number}".ljust(MAX_CODE_CHARS, WIDE),
            attempt=1,
            request_id=f"{number}".ljust(128),
            commands=None,
            names=listed(f"UF_CRM_{number}_{name}" for name in range(1_000)),
        )
        log.add(entry)


@fills("open connections, request heads and pipelined requests")
async def fill_connections(gateway: Gateway, sandbox: Sandbox, retained: Retained) -> None:
    sandbox.portal.hold("user.get")
    asking = head_of(gateway, "POST", "/bitrix/call/user.get", "Content-Length: 0")
    further = head_of(gateway, "GET", "/bitrix/users", f"X-Long: {'x' * 60_000}")
    retained.extend([await Flood.begin(gateway, asking + 50 * further) for _ in range(8)])


@fills("request bodies being read")
async def fill_bodies(gateway: Gateway, _sandbox: Sandbox, retained: Retained) -> None:
    head = head_of(gateway, "POST", "/bitrix/account", "Content-Type: application/json", "Content-Length: 1048576")
    data = head + b" " * 1_048_575
    retained.extend([await Flood.begin(gateway, data) for _ in range(8)])


@fills("portal responses being read")
async def fill_answers(gateway: Gateway, _sandbox: Sandbox, _retained: Retained) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * 1_000_000)

    async with listening(endless) as origin:
        with pytest.raises(PortalError):
            await gateway.app[SESSION].post(f"{origin}/rest/1/code/profile", {}, ())


@fills("files being downloaded")
async def fill_downloads(gateway: Gateway, sandbox: Sandbox, retained: Retained) -> None:
    (line,) = await uploaded(gateway, root_of(sandbox), ("large.bin", bytes(40 * 1024**2)))
    head = head_of(gateway, "GET", line["url"])
    retained.extend([await Flood.begin(gateway, head) for _ in range(FILLED["files being downloaded"])])


@fills("files being received")
async def fill_spool(gateway: Gateway, sandbox: Sandbox, retained: Retained) -> None:
    typed = "Content-Type: multipart/form-data; boundary=b", f"Content-Length: {10 * 1024**2}"
    part = b'--b\r\nContent-Disposition: form-data; name="f"; filename="a.txt"\r\n\r\n' + bytes(3 * 1024**2 + 200_000)
    data = head_of(gateway, "POST", f"/bitrix/files?folder={root_of(sandbox)}", *typed) + part
    retained.extend([await Flood.begin(gateway, data) for _ in range(FILLED["files being received"])])


def cache_kibibytes(connection: Connection) -> int:
    return -int(connection.execute("PRAGMA cache_size").fetchone()[0])


@fills("SQLite page cache of the writer")
async def fill_writer_cache(gateway: Gateway, _sandbox: Sandbox, _retained: Retained) -> None:
    assert await gateway.app[DATABASE].write(cache_kibibytes) <= 32 * 1024  # not memory of Python


@fills("SQLite page caches of readers")
async def fill_reader_caches(gateway: Gateway, _sandbox: Sandbox, _retained: Retained) -> None:
    assert await gateway.app[DATABASE].read(cache_kibibytes) <= 2 * 1024


@fills("parsed URLs and content types, in aiohttp and yarl")
async def fill_addresses(gateway: Gateway, _sandbox: Sandbox, _retained: Retained) -> None:
    for number in range(300):
        address = f"http://gateway/{number}/".ljust(120_000, "x")
        typed = f"Content-Type: a/b; c={number}".ljust(60_000, "y")
        for target, line in ((address, "X: y"), ("/bitrix/account", typed)):
            head = head_of(gateway, "POST", target, line, "Content-Length: 2", "Connection: close")
            await send_before_reading(gateway, head + b"{}")


def allocated_bytes() -> int:
    """Return the bytes allocated since tracing started and not freed, without those of the tests' own records."""
    gc.collect()
    taken = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(False, "*/tests/canaries.py")])
    return sum(trace.size for trace in taken.traces)


@pytest.mark.parametrize("name", FILLS)
async def test_a_full_cache_or_buffer_stays_within_its_bound(connected: Gateway, sandbox: Sandbox, name: str) -> None:
    await connected.restart(**SETTINGS)
    bound = bytes_of(table()[name], load_config(connected.environ | SETTINGS))
    retained: Retained = []
    gc.collect()
    tracemalloc.start()
    try:
        await FILLS[name](connected, sandbox, retained)
        allocated, (_, peak) = allocated_bytes(), tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    if name == "portal responses being read":
        allocated = peak
    if name in FILLED:
        bound = bound * FILLED[name] // int(table()[name].partition(" ")[0])
    assert allocated <= bound, f"{allocated:,} bytes are allocated"
    assert name not in CACHES or allocated > bound / 2, f"{allocated:,} bytes fill less than half"
    sandbox.portal.release("user.get")
