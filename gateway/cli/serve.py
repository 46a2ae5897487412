"""The command `serve`: runs the gateway, and shuts it down gracefully."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import structlog
from aiohttp import web
from pysqlite3 import sqlite_version

from gateway.cli.process import cannot_listen, free_port, raise_file_limit
from gateway.clock import Clock
from gateway.errors import SettingsError
from gateway.settings.config import Config
from gateway.settings.database_place import database_refusals
from gateway.settings.secret_file import Secrets, resolve_secrets
from handlers.app import drain, make_app
from handlers.http.server import Runner

logger = structlog.get_logger(__name__)

# Besides the callers' connections: 200 calls, 100 downloads, 400 received files, the database and libraries.
OTHER_FILES = 768
SHUTDOWN_S = 5  # aiohttp waits this long for requests in flight, twice, before it cancels them


async def run_gateway(config: Config, clock: Clock) -> None:
    """Run the gateway until cancelled.

    Raises:
        SettingsError: when it cannot start; its text says what to do.
    """
    config = with_connection_limit(with_free_port(config))  # first: a gateway that cannot start makes no secrets
    secrets = resolve_secrets(config)
    announce_new(secrets, config)
    async with serving(config, secrets, clock) as app:
        logger.info("listening", address=config.own_origin, database=str(config.database), sqlite=sqlite_version)
        await serve_until_stopped(app, config, clock)


def announce_new(secrets: Secrets, config: Config) -> None:
    """Log where *secrets* are that were generated just now."""
    if secrets.created:
        logger.warning(
            "generated secrets: back this file up, apart from the database",
            names=secrets.created,
            file=str(config.secrets_file),
        )


async def serve_until_stopped(app: web.Application, config: Config, clock: Clock) -> None:
    """Wait for cancellation, then drain: end streams, and accept requests until load balancers have noticed."""
    try:
        await asyncio.Event().wait()
    finally:
        logger.info("stopping")
        await drain(app)
        await clock.sleep(config.drain_s)


@asynccontextmanager
async def serving(config: Config, secrets: Secrets, clock: Clock) -> AsyncIterator[web.Application]:
    """Listen until the block ends, then finish the requests in flight and stop.

    Raises:
        SettingsError: when the gateway cannot start; its text says what to do.
    """
    runner = Runner(make_app(config, secrets, clock), shutdown_timeout=SHUTDOWN_S)
    try:
        with database_refusals(config.database):
            await runner.setup()
        try:
            await web.TCPSite(runner, config.host, config.port).start()
        except OSError as error:
            raise cannot_listen(config.host, config.port, error) from error
        yield runner.app
    finally:
        await runner.cleanup()


def with_free_port(config: Config) -> Config:
    """*config* with its port, or with any free port if that is 0.

    Raises:
        SettingsError: when the port is taken, or the host is not an address of this machine.
    """
    return replace(config, port=free_port(config.host, config.port))


def with_connection_limit(config: Config) -> Config:
    """*config* with max_connections reduced to the limit of open files.

    Raises:
        SettingsError: when the limit leaves no connection.
    """
    limit = raise_file_limit(config.max_connections + OTHER_FILES) - OTHER_FILES
    if limit < 1:
        raise SettingsError(f"the limit of open files is too low: raise it to at least {OTHER_FILES + 1} (ulimit -n)")
    if limit < config.max_connections:
        logger.warning("reduced max_connections: the limit of open files is too low (ulimit -n)", connections=limit)
    return replace(config, max_connections=min(config.max_connections, limit))
