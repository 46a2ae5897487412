"""The arrows between our packages go one way, and what only one place may touch is touched there alone."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("gateway", "handlers", "storage")
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
}

# What a module may import of ours. The first line that names the module or a package it is in counts.
ARROWS = (
    ("storage", ("storage", "gateway.memory")),
    ("gateway.memory", ()),
    ("gateway.redaction", ()),
    (
        "gateway.bitrix",
        (
            "gateway.bitrix",
            "gateway.clock",
            "gateway.errors",
            "gateway.memory",
            "gateway.origins",
            "gateway.redaction",
        ),
    ),
    ("gateway.sandbox", ("gateway.sandbox", "gateway.clock")),
    ("gateway.cli.serve", ("gateway", "storage", "handlers.app", "handlers.http.server")),
    ("gateway", ("gateway", "storage")),
    ("handlers", ("gateway", "storage", "handlers")),
)

# What only some modules may name.
KEPT = (
    (("aiohttp.web",), ("handlers", "gateway.sandbox", "gateway.cli.serve", "gateway.cli.demo_servers")),
    (
        ("aiohttp.ClientSession",),
        ("gateway.bitrix.transport.session", "gateway.cli.gateway_client", "gateway.cli.demo"),
    ),
    (("gateway.sandbox",), ("gateway.sandbox", "gateway.cli")),
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


def within(name: str, *places: str) -> bool:
    """Whether a dotted *name* is one of *places* or inside one."""
    return any(name == place or name.startswith(f"{place}.") for place in places)


def names_used(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and full dotted name of everything imported, and of every attribute reached through an import."""
    bound: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
                top = alias.name.partition(".")[0]
                bound[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom):
            home = "." * node.level + (node.module or "")
            for alias in node.names:
                yield node.lineno, f"{home}.{alias.name}"
                bound[alias.asname or alias.name] = f"{home}.{alias.name}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (name := dotted(node, bound)):
            yield node.lineno, name


def dotted(node: ast.expr, bound: dict[str, str]) -> str | None:
    if isinstance(node, ast.Attribute):
        owner = dotted(node.value, bound)
        return f"{owner}.{node.attr}" if owner else None
    return bound.get(node.id) if isinstance(node, ast.Name) else None


def texts(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and text of every string that is not a docstring; a hole in an f-string reads as ``x``."""
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield (
                node.lineno,
                "".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in node.values),
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            yield node.lineno, node.value


def trespasses(module: str, source: str) -> list[str]:
    """Name every place where *module* reaches for what it may not."""
    tree = ast.parse(source)
    allowed = next(ours for place, ours in ARROWS if within(module, place))
    found = set()
    for line, name in names_used(tree):
        if name.startswith("."):
            found.add((line, f"imports {name}, which is relative"))
        if within(name, *PACKAGES) and not within(name, *allowed):
            found.add((line, f"imports {name}"))
        for names, owners in KEPT:
            if within(name, *names) and not within(module, *owners):
                found.add((line, f"names {name}"))
    if not within(module, "storage"):
        found |= {(line, f"speaks SQL: {text.strip()[:40]}") for line, text in texts(tree) if SQL.search(text)}
    return [f"{module}:{line} {what}" for line, what in sorted(found)]


def test_no_test_module_imports_from_another() -> None:
    imports = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for line, name in names_used(ast.parse(path.read_text(encoding="utf-8")))
        if name.startswith("tests.") and re.search(r"\.test_\w+", name.rpartition(".")[0])
    ]
    assert imports == []


def test_every_package_is_looked_into() -> None:
    assert {"storage", "gateway", "gateway.bitrix", "gateway.sandbox", "gateway.clock", "handlers"} <= MODULES.keys()


@pytest.mark.parametrize("module", MODULES)
def test_a_module_reaches_only_for_what_it_may(module: str) -> None:
    assert trespasses(module, MODULES[module].read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("storage.accounts", "from gateway.errors import NotFound"),
        ("storage.accounts", "from handlers import keys"),
        ("storage.accounts", "def late():\n    import gateway.clock"),
        ("gateway.accounts.service", "from handlers.app_keys import CONFIG"),
        ("gateway.accounts.service", "from handlers.app import make_app"),
        ("gateway.cli.serve", "from handlers.app_keys import CONFIG"),
        ("gateway.cli.demo_servers", "from handlers.app import make_app"),
        ("gateway.accounts.service", "from gateway.sandbox.portal import SandboxPortal"),
        ("gateway.bitrix.client", "from gateway.settings.config import Config"),
        ("gateway.bitrix.client", "from gateway import config"),
        ("gateway.redaction", "from gateway.errors import NotFound"),
        ("gateway.bitrix.client", "import gateway\ngateway.config"),
        ("gateway.bitrix.client", "from storage.records import Account"),
        ("gateway.sandbox.portal", "from gateway.bitrix.protocol.v2 import encode"),
        ("gateway.sandbox.portal", "from gateway.errors import PortalError"),
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
def test_a_trespass_is_caught(module: str, source: str) -> None:
    assert trespasses(module, source) != []


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
        ("gateway.clock", "import asyncio, time\ntime.monotonic()\nasyncio.timeout(1)"),
        ("gateway.mirror.sync", "import asyncio\nfrom datetime import UTC, datetime\ndatetime.fromtimestamp(0, UTC)"),
        ("gateway.mirror.sync", "from gateway import timetable\nself.time.sleep()"),
        ("handlers.users", 'from gateway.accounts.service import Accounts\n"""It may SELECT a row FROM a table."""'),
        ("handlers.users", 'hint = "Select a portal from the list"'),
    ],
)
def test_what_is_allowed_is_no_trespass(module: str, source: str) -> None:
    assert trespasses(module, source) == []
