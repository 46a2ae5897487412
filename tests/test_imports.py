"""The table of rooms: which part of the product may import which, and what only one part may use."""

import ast
import re
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.support.source import definitions, names_used, texts, within

ROOT = Path(__file__).parent.parent
PACKAGES = ("gateway", "handlers", "storage")
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
}

GROUND_FLOOR = (
    "gateway.background",
    "gateway.clock",
    "gateway.errors",
    "gateway.log",
    "gateway.log_lines",
    "gateway.memory",
    "gateway.origins",
    "gateway.page_cache",
    "gateway.redaction",
    "gateway.request_id",
    "gateway.schemas",
)
BELOW_SERVICES = (
    *GROUND_FLOOR,
    "gateway.__version__",
    "gateway.bitrix",
    "gateway.crypto",
    "gateway.settings",
    "storage",
)

BELOW_REST = (
    "gateway.clock",
    "gateway.sandbox.behaviour",
    "gateway.sandbox.blobs",
    "gateway.sandbox.caller",
    "gateway.sandbox.content",
    "gateway.sandbox.errors",
    "gateway.sandbox.exchange",
    "gateway.sandbox.php",
    "gateway.sandbox.portal",
    "gateway.sandbox.query",
    "gateway.sandbox.tables",
)

# Every room with the rooms it may import. A module belongs to the most specific room that its name begins with.
# A room includes the rooms inside it: "gateway.bitrix" allows "gateway.bitrix.lists" too.
ROOMS: dict[str, tuple[str, ...]] = {
    "gateway": (),
    "gateway.background": (),
    "gateway.clock": (),
    "gateway.errors": (),
    "gateway.log": ("gateway.redaction",),
    "gateway.log_lines": ("gateway.background", "gateway.clock"),
    "gateway.memory": (),
    "gateway.origins": (),
    "gateway.page_cache": ("gateway.memory",),
    "gateway.redaction": (),
    "gateway.request_id": (),
    "gateway.schemas": ("gateway.errors",),
    "storage": GROUND_FLOOR,
    "gateway.crypto": GROUND_FLOOR,
    "gateway.bitrix": (),
    "gateway.bitrix.errors": GROUND_FLOOR,
    "gateway.bitrix.retry": ("gateway.bitrix.errors",),
    "gateway.bitrix.protocol": (*GROUND_FLOOR, "gateway.bitrix.errors"),
    "gateway.bitrix.transport": (*GROUND_FLOOR, "gateway.bitrix.errors"),
    "gateway.bitrix.auth": (
        *GROUND_FLOOR,
        "gateway.bitrix.errors",
        "gateway.bitrix.protocol",
        "gateway.bitrix.retry",
        "gateway.bitrix.transport",
    ),
    "gateway.bitrix.attempts": (*GROUND_FLOOR, "gateway.bitrix.errors", "gateway.bitrix.retry"),
    "gateway.bitrix.limits": (
        *GROUND_FLOOR,
        "gateway.bitrix.attempts",
        "gateway.bitrix.errors",
        "gateway.bitrix.protocol",
    ),
    "gateway.bitrix.monitoring": (
        *GROUND_FLOOR,
        "gateway.bitrix.errors",
        "gateway.bitrix.limits",
        "gateway.bitrix.protocol",
    ),
    "gateway.bitrix.sender": (
        *GROUND_FLOOR,
        "gateway.bitrix.auth",
        "gateway.bitrix.errors",
        "gateway.bitrix.limits",
        "gateway.bitrix.monitoring",
        "gateway.bitrix.protocol",
        "gateway.bitrix.transport",
    ),
    "gateway.bitrix.outcomes": (*GROUND_FLOOR, "gateway.bitrix.errors"),
    "gateway.bitrix.file_links": (
        "gateway.bitrix.auth",
        "gateway.bitrix.errors",
        "gateway.bitrix.protocol",
        "gateway.bitrix.transport",
    ),
    "gateway.bitrix.file_transfers": (
        *GROUND_FLOOR,
        "gateway.bitrix.auth",
        "gateway.bitrix.errors",
        "gateway.bitrix.file_links",
        "gateway.bitrix.limits",
        "gateway.bitrix.protocol",
        "gateway.bitrix.sender",
        "gateway.bitrix.transport",
    ),
    "gateway.bitrix.client": (
        *GROUND_FLOOR,
        "gateway.bitrix.attempts",
        "gateway.bitrix.auth",
        "gateway.bitrix.errors",
        "gateway.bitrix.file_transfers",
        "gateway.bitrix.limits",
        "gateway.bitrix.monitoring",
        "gateway.bitrix.protocol",
        "gateway.bitrix.retry",
        "gateway.bitrix.sender",
        "gateway.bitrix.transport",
    ),
    "gateway.bitrix.lists": (
        *GROUND_FLOOR,
        "gateway.bitrix.client",
        "gateway.bitrix.errors",
        "gateway.bitrix.limits",
        "gateway.bitrix.protocol",
        "gateway.bitrix.retry",
    ),
    "gateway.bitrix.rows": (*GROUND_FLOOR, "gateway.bitrix.errors", "gateway.bitrix.lists"),
    "gateway.settings": (*GROUND_FLOOR, "gateway.bitrix.transport", "gateway.crypto", "storage"),
    "gateway.auth": (*GROUND_FLOOR, "gateway.crypto", "gateway.settings"),
    "gateway.accounts": BELOW_SERVICES,
    "gateway.fields": (*BELOW_SERVICES, "gateway.accounts"),
    "gateway.mirror": (*BELOW_SERVICES, "gateway.accounts", "gateway.fields"),
    "gateway.crm": (*BELOW_SERVICES, "gateway.accounts", "gateway.disk", "gateway.fields", "gateway.mirror"),
    "gateway.disk": (*BELOW_SERVICES, "gateway.accounts"),
    "gateway.passthrough": (*BELOW_SERVICES, "gateway.accounts", "gateway.fields"),
    "gateway.quizzes": (*BELOW_SERVICES, "gateway.accounts", "gateway.mirror"),
    "gateway.widgets": (*BELOW_SERVICES, "gateway.accounts", "gateway.auth"),
    "gateway.sandbox": (),
    "gateway.sandbox.behaviour": (
        "gateway.clock",
        "gateway.sandbox.errors",
        "gateway.sandbox.php",
        "gateway.sandbox.query",
    ),
    "gateway.sandbox.blobs": ("gateway.clock",),
    "gateway.sandbox.caller": ("gateway.clock",),
    "gateway.sandbox.content": (
        "gateway.clock",
        "gateway.sandbox.blobs",
        "gateway.sandbox.php",
        "gateway.sandbox.query",
        "gateway.sandbox.tables",
    ),
    "gateway.sandbox.errors": ("gateway.clock",),
    "gateway.sandbox.exchange": (
        "gateway.clock",
        "gateway.sandbox.blobs",
        "gateway.sandbox.php",
    ),
    "gateway.sandbox.oauth": (
        "gateway.clock",
        "gateway.sandbox.errors",
    ),
    "gateway.sandbox.php": ("gateway.clock",),
    "gateway.sandbox.portal": (
        "gateway.clock",
        "gateway.sandbox.behaviour",
        "gateway.sandbox.caller",
        "gateway.sandbox.content",
        "gateway.sandbox.errors",
        "gateway.sandbox.exchange",
        "gateway.sandbox.oauth",
        "gateway.sandbox.php",
        "gateway.sandbox.query",
        "gateway.sandbox.settings",
    ),
    "gateway.sandbox.query": (
        "gateway.clock",
        "gateway.sandbox.errors",
        "gateway.sandbox.php",
        "gateway.sandbox.tables",
    ),
    "gateway.sandbox.rest2": BELOW_REST,
    "gateway.sandbox.rest3": BELOW_REST,
    "gateway.sandbox.settings": (
        "gateway.clock",
        "gateway.sandbox.behaviour",
        "gateway.sandbox.caller",
        "gateway.sandbox.content",
        "gateway.sandbox.query",
    ),
    "gateway.sandbox.tables": ("gateway.clock",),
    "gateway.sandbox.web": (
        "gateway.clock",
        "gateway.sandbox.behaviour",
        "gateway.sandbox.blobs",
        "gateway.sandbox.caller",
        "gateway.sandbox.content",
        "gateway.sandbox.errors",
        "gateway.sandbox.exchange",
        "gateway.sandbox.php",
        "gateway.sandbox.portal",
        "gateway.sandbox.rest2",
        "gateway.sandbox.rest3",
        "gateway.sandbox.tables",
    ),
    "handlers.http": (*GROUND_FLOOR, "gateway.auth", "gateway.bitrix.errors", "gateway.settings", "storage.errors"),
    "handlers.app_keys": ("gateway", "storage"),
    "handlers.bitrix": ("gateway", "storage", "handlers.app_keys", "handlers.http"),
    "handlers.operations": ("gateway", "storage", "handlers.app_keys", "handlers.http"),
    "handlers.widgets": ("gateway", "storage", "handlers.app_keys", "handlers.http"),
    "handlers.routes": (
        "gateway",
        "handlers.app_keys",
        "handlers.bitrix",
        "handlers.http",
        "handlers.operations",
        "handlers.widgets",
    ),
    "handlers.record_services": ("gateway", "storage", "handlers.app_keys", "handlers.http"),
    "handlers.widget_services": ("gateway", "storage", "handlers.app_keys", "handlers.http"),
    "handlers.app": ("gateway", "storage", "handlers"),
    "gateway.cli": (
        *BELOW_SERVICES,
        "gateway.accounts",
        "gateway.auth",
        "gateway.disk",
        "gateway.mirror",
        "gateway.passthrough",
        "gateway.sandbox",
        "gateway.widgets",
        "handlers.app",
        "handlers.http.server",
    ),
    "gateway.__main__": ("gateway.cli",),
    "handlers": (),
}

# Packages that hold rooms, and no module beside them.
PACKAGES_OF_ROOMS = ("gateway", "gateway.bitrix", "gateway.sandbox", "handlers")

# Names that only the listed modules and packages may use.
RESTRICTED = (
    (("aiohttp.web",), ("handlers", "gateway.sandbox", "gateway.cli.serve", "gateway.cli.demo_servers")),
    (
        ("aiohttp.ClientSession",),
        (
            "gateway.bitrix.transport.download_session",
            "gateway.bitrix.transport.session",
            "gateway.cli.gateway_client",
            "gateway.cli.demo",
            "gateway.sandbox.web.opening",
        ),
    ),
    (("aiohttp",), ("handlers", "gateway.bitrix.transport", "gateway.cli", "gateway.sandbox")),
    (("handlers",), ("handlers", "gateway.cli.serve")),
    (
        (
            "time",
            "datetime.date.today",
            "datetime.datetime.now",
            "datetime.datetime.today",
            "datetime.datetime.utcnow",
            "asyncio.sleep",
            "asyncio.timeout",
            "asyncio.timeout_at",
            "asyncio.wait_for",
        ),
        ("gateway.clock",),
    ),
)

SQL = re.compile(
    r"\b(SELECT\s.*\bFROM|INSERT\s+(OR\s+\w+\s+)?INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM|REPLACE\s+INTO|PRAGMA\s+\w+"
    r"|(CREATE|ALTER|DROP)\s+(TABLE|INDEX|VIEW|TRIGGER)|BEGIN\s+IMMEDIATE)\b",
    re.DOTALL,
)


def room_of(name: str) -> str:
    """The most specific room of the table that a dotted *name* is in."""
    return max((room for room in ROOMS if within(name, room)), key=len)


def module_of(name: str) -> str:
    """The module that a dotted *name* is, or is imported from."""
    return name if name in MODULES else name.rpartition(".")[0]


def room_graph(trees: Mapping[str, ast.Module]) -> dict[str, set[str]]:
    """Each room with the rooms that its modules import."""
    graph: dict[str, set[str]] = {room_of(module): set() for module in trees}
    for module, tree in trees.items():
        for _, name in names_used(tree):
            if within(name, *PACKAGES) and (imported := room_of(module_of(name))) != room_of(module):
                graph[room_of(module)].add(imported)
    return graph


def load(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


DEFINITIONS = {module: definitions(load(module)) for module in MODULES}


def violations(module: str, source: str) -> list[str]:
    """Every place where *source*, as the text of *module*, breaks a rule of this file."""
    tree = ast.parse(source)
    room = room_of(module)
    found = set()
    for line, name in names_used(tree):
        if name.startswith("."):
            found.add((line, f"imports {name}, which is relative"))
        if within(name, *PACKAGES) and room_of(name) != room and not within(name, *ROOMS[room]):
            found.add((line, f"imports {name}"))
        for names, owners in RESTRICTED:
            if within(name, *names) and not within(module, *owners):
                found.add((line, f"uses {name}"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in MODULES:
            for alias in node.names:
                if alias.name not in DEFINITIONS[node.module] and f"{node.module}.{alias.name}" not in MODULES:
                    found.add((node.lineno, f"imports {alias.name} from {node.module}, which does not define it"))
    if room != "storage":
        found |= {(line, f"contains SQL: {text.strip()[:40]}") for line, text in texts(tree) if SQL.search(text)}
    return [f"{module}:{line} {what}" for line, what in sorted(found)]


def test_test_modules_do_not_import_test_modules() -> None:
    imports = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for line, name in names_used(ast.parse(path.read_text(encoding="utf-8")))
        if name.startswith("tests.") and re.search(r"\.test_\w+", name.rpartition(".")[0])
    ]
    assert imports == []


def test_every_module_is_in_a_listed_room() -> None:
    assert [
        module for module in MODULES if room_of(module) in PACKAGES_OF_ROOMS and module not in PACKAGES_OF_ROOMS
    ] == []


def test_every_room_has_modules() -> None:
    assert ROOMS.keys() == {room_of(module) for module in MODULES}


def test_rooms_do_not_import_each_other_in_a_circle() -> None:
    TopologicalSorter(room_graph({module: load(module) for module in MODULES})).prepare()


def test_a_circle_of_rooms_is_found() -> None:
    sources = {
        "gateway.mirror.sync": "from gateway.passthrough.calls import CallService",
        "gateway.passthrough.calls": "from gateway.quizzes.rules import RuleService",
        "gateway.quizzes.rules": "from gateway.mirror.pages import Pages",
    }
    with pytest.raises(CycleError):
        TopologicalSorter(room_graph({module: ast.parse(source) for module, source in sources.items()})).prepare()


@pytest.mark.parametrize("module", ["gateway.somewhere", "gateway.bitrix.somewhere", "handlers.somewhere"])
def test_a_module_outside_every_room_is_found(module: str) -> None:
    assert room_of(module) in PACKAGES_OF_ROOMS


@pytest.mark.parametrize("module", MODULES)
def test_a_module_keeps_the_rules(module: str) -> None:
    assert violations(module, MODULES[module].read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("storage.accounts", "from gateway.settings.config import Config"),
        ("storage.accounts", "from gateway.bitrix.client import PortalClient"),
        ("gateway.accounts.service", "from gateway.mirror.pages import Pages"),
        ("gateway.accounts.service", "from gateway.passthrough.streams import StreamService"),
        ("gateway.mirror.sync", "from gateway.passthrough.streams import StreamService"),
        ("gateway.passthrough.streams", "from gateway.mirror.pages import Pages"),
        ("gateway.bitrix.protocol.v2", "import aiohttp"),
        ("gateway.bitrix.protocol.v2", "from gateway.bitrix.client import PortalClient"),
        ("gateway.bitrix.limits.limiter", "from gateway.bitrix.lists.walk import walk"),
        ("gateway.auth.tokens", "from gateway.accounts.service import AccountService"),
        ("handlers.http.errors", "from gateway.mirror.pages import Pages"),
        ("gateway.cli.sync", "from handlers.app import make_app"),
        ("gateway.bitrix.lists.walk", "from gateway.bitrix.lists.walk import ListCall"),
        ("storage.accounts", "from handlers import keys"),
        ("storage.accounts", "def late():\n    import gateway.accounts.service"),
        ("gateway.accounts.service", "from handlers.app_keys import CONFIG"),
        ("gateway.accounts.service", "from handlers.app import make_app"),
        ("gateway.cli.serve", "from handlers.app_keys import CONFIG"),
        ("gateway.cli.demo_servers", "from handlers.app import make_app"),
        ("gateway.accounts.service", "from gateway.sandbox.portal import SandboxPortal"),
        ("gateway.bitrix.client", "from gateway.settings.config import Config"),
        ("gateway.bitrix.client", "from gateway import config"),
        ("gateway.redaction", "from gateway.errors import NotFound"),
        ("gateway.clock", "from gateway.redaction import redact"),
        ("gateway.bitrix.client", "import gateway\ngateway.config"),
        ("gateway.bitrix.client", "from storage.records import Account"),
        ("gateway.sandbox.portal", "from gateway.bitrix.protocol.v2 import encode"),
        ("gateway.sandbox.portal", "from gateway.errors import PortalError"),
        ("gateway.sandbox.content.tasks", "from gateway.sandbox.rest2.front import Rest2"),
        ("gateway.sandbox.rest3.front", "from gateway.sandbox.rest2.front import Rest2"),
        ("gateway.accounts.service", "from ..handlers import app"),
        ("gateway.accounts.service", "from aiohttp import web"),
        ("gateway.accounts.service", "from aiohttp.web import Request"),
        ("gateway.bitrix.client", "import aiohttp\naiohttp.web.Request"),
        ("storage.database", "import aiohttp.web"),
        ("gateway.accounts.service", "from aiohttp import ClientSession"),
        ("handlers.bitrix.webhook", "import aiohttp\n\nasync def ask():\n    async with aiohttp.ClientSession(): ..."),
        ("gateway.mirror.sync", "import time"),
        ("storage.accounts", "from time import monotonic as m"),
        ("handlers.app", "from datetime import datetime\nstarted = datetime.now()"),
        ("handlers.app", "import datetime as dt\nstarted = dt.datetime.utcnow()"),
        ("gateway.mirror.sync", "import asyncio\n\nasync def wait():\n    await asyncio.sleep(1)"),
        ("gateway.sandbox.portal", "from asyncio import timeout"),
        ("gateway.bitrix.client", "import asyncio\nasyncio.wait_for"),
        ("handlers.operations.health", 'QUERY = "SELECT 1 FROM account"'),
        ("gateway.accounts.service", 'QUERY = """\n    UPDATE account\n    SET stale = 1\n"""'),
        ("gateway.accounts.service", 'QUERY = f"SELECT {columns} FROM {table}"'),
        ("gateway.bitrix.auth.oauth", 'run("PRAGMA journal_mode")'),
    ],
)
def test_a_violation_is_found(module: str, source: str) -> None:
    assert violations(module, source) != []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("storage.accounts", 'from storage.database import Database\nQUERY = "SELECT id FROM account"'),
        (
            "gateway.accounts.service",
            "from gateway.bitrix.client import PortalClient\nfrom storage.records import Account",
        ),
        (
            "gateway.bitrix.transport.session",
            "import aiohttp\naiohttp.ClientSession()\nfrom gateway.clock import Clock",
        ),
        ("gateway.sandbox.portal", "from aiohttp import web\nfrom gateway.clock import Clock"),
        ("gateway.cli.serve", "from aiohttp.web import AppRunner\nfrom handlers.app import make_app"),
        ("gateway.cli.demo", "from gateway.sandbox.portal import SandboxPortal\nfrom aiohttp import ClientSession"),
        ("storage.accounts", "from gateway.errors import NotFound"),
        ("gateway.clock", "import asyncio, time\ntime.monotonic()\nasyncio.timeout(1)"),
        ("gateway.mirror.sync", "import asyncio\nfrom datetime import UTC, datetime\ndatetime.fromtimestamp(0, UTC)"),
        ("gateway.mirror.sync", "self.time.sleep()"),
        (
            "handlers.bitrix.users",
            'from gateway.accounts.service import AccountService\n"""It may SELECT a row FROM a table."""',
        ),
        ("handlers.bitrix.users", 'hint = "Select a portal from the list"'),
    ],
)
def test_an_allowed_import_is_accepted(module: str, source: str) -> None:
    assert violations(module, source) == []
