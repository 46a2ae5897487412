"""The two servers of the demo: a sandbox portal, and the gateway configured for it."""

import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web

from gateway.cli.demo_widgets import load_examples
from gateway.cli.gateway_client import local_origin
from gateway.cli.process import cannot_listen
from gateway.cli.serve import serving, with_free_port
from gateway.clock import Clock
from gateway.errors import SettingsError
from gateway.redaction import Secret
from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.settings import SandboxSettings
from gateway.sandbox.web.server import SandboxServer
from gateway.settings.config import Config, load_config, settings_given
from gateway.settings.database_place import database_refusals
from gateway.settings.rules import PUBLIC_KEY_SETTINGS
from gateway.settings.secret_file import Secrets, resolve_secrets
from gateway.settings.setting import environment_name
from storage.accounts import AccountStore
from storage.database import Database

PORTAL_HOST = "127.0.0.1"
# Defaults of the demo where they differ from those of `serve`.
DEFAULTS = {"GATEWAY_LOG_LEVEL": "warning", "GATEWAY_DRAIN_S": "0"}
# Settings that the demo replaces: those that follow from the sandbox, and the keys of other token issuers.
SANDBOX_SETTINGS = ("bitrix_client_id", "bitrix_client_secret", "oauth_servers", "public_url", "insecure_portals")
TOKEN_SETTINGS = (*PUBLIC_KEY_SETTINGS, "jwt_algorithms")


@dataclass(frozen=True)
class DemoSettings:
    """Configuration of both servers.

    *temporary*: the database is deleted at the end. *replaced*: names of given settings that the demo replaces.
    """

    config: Config
    temporary: bool
    replaced: tuple[str, ...]
    portal_port: int
    portal: SandboxSettings


def choose_settings(
    environ: Mapping[str, str], flags: Mapping[str, object], portal_port: int, portal: SandboxSettings
) -> DemoSettings:
    """The settings of the demo: *flags* win over *environ*, which wins over the demo's defaults.

    Raises:
        SettingsError: when a setting is invalid.
    """
    keys = settings_given(environ, PUBLIC_KEY_SETTINGS)
    replaced = settings_given(environ, SANDBOX_SETTINGS) + (settings_given(environ, TOKEN_SETTINGS) if keys else [])
    used = {name: value for name, value in environ.items() if name not in replaced and value.strip()}
    config = load_config(DEFAULTS | used, flags)
    temporary = flags.get("database") is None and not settings_given(environ, ["database"])
    return DemoSettings(config, temporary, tuple(replaced), portal_port, portal)


@dataclass(frozen=True)
class Demo:
    """Both servers while they are running."""

    app: web.Application
    config: Config
    secrets: Secrets
    portal: SandboxPortal
    portal_origin: str


@asynccontextmanager
async def demo_servers(settings: DemoSettings, clock: Clock) -> AsyncIterator[Demo]:
    """Run both servers until the block ends.

    Raises:
        SettingsError: when one of them cannot start.
        ManifestsRefused: the database has a widget of an account with the code of an example.
    """
    async with AsyncExitStack() as stack:
        config = with_free_port(settings.config)
        if settings.temporary:
            config = replace(config, database=stack.enter_context(temporary_database()))
        origin = local_origin(config)
        portal = SandboxPortal(
            replace(settings.portal, redirect_uri=f"{origin}/webhook/create", auto_allow=True), clock
        )
        try:
            server = await stack.enter_async_context(SandboxServer(portal, host=PORTAL_HOST, port=settings.portal_port))
        except OSError as error:
            raise cannot_listen(PORTAL_HOST, settings.portal_port, error) from error
        config = replace(
            config,
            bitrix_client_id=portal.application.client_id,
            bitrix_client_secret=Secret(portal.application.client_secret),
            oauth_servers=(server.origin.removeprefix("http://"),),
            public_url=origin,
            insecure_portals=True,
        )
        secrets = resolve_secrets(config)
        if not settings.temporary:
            await refuse_real_portals(config.database)
        await load_examples(config, clock)
        app = await stack.enter_async_context(serving(config, secrets, clock))
        yield Demo(app, config, secrets, portal, server.origin)


@contextmanager
def temporary_database() -> Iterator[Path]:
    """The path of a database that is deleted when the block ends."""
    with tempfile.TemporaryDirectory(prefix="bitrix-gateway-") as directory:
        yield Path(directory) / "demo.db"


async def refuse_real_portals(database: Path) -> None:
    """Refuse a database in production use: the demo would renew its tokens at the sandbox.

    Raises:
        SettingsError: when *database* has an account on a portal that is not on this machine.
    """
    with database_refusals(database):
        async with Database.open(database) as opened:
            accounts = await AccountStore(opened).list_connected()
    hosts = sorted({urlsplit(account.origin).netloc for account in accounts if not is_local(account.origin)})
    if hosts:
        raise SettingsError(
            f"{database} contains accounts of real portals ({hosts[0]}): choose another database for the demo "
            f"({environment_name('database')} or --database)"
        )


def is_local(origin: str) -> bool:
    """Whether *origin* is on this machine."""
    host = urlsplit(origin).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
