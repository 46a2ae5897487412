"""Puts an app on the net: listens, and stops in good order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import structlog
from aiohttp import web
from pysqlite3 import sqlite_version

from gateway.cli.process import allow_files, cannot_listen, free_port
from gateway.clock import Clock
from gateway.errors import SettingsError
from gateway.settings.config import Config
from gateway.settings.database_place import database_refusals
from gateway.settings.secret_file import Secrets, resolve_secrets
from handlers.app import drain, make_app
from handlers.http.server import Runner

logger = structlog.get_logger(__name__)

OTHER_FILES = 512  # beside the connections of callers: those to portals, the database's, what else a process has
SHUTDOWN_S = 5  # for the requests in flight; aiohttp waits twice as long before it cancels them


async def run_gateway(config: Config, clock: Clock) -> None:
    """Run the gateway until cancelled.

    Raises:
        SettingsError: when it cannot start; it says what to do.
    """
    config = with_connections(with_port(config))  # before secrets are made for a gateway that cannot start
    secrets = resolve_secrets(config)
    if secrets.created:
        logger.warning(
            "made secrets: back this file up, apart from the database",
            names=secrets.created,
            file=str(config.secrets_file),
        )
    async with serving(config, secrets, clock) as app:
        logger.info("listening", address=config.own_origin, database=str(config.database), sqlite=sqlite_version)
        await serve_until_stopped(app, config, clock)


async def serve_until_stopped(app: web.Application, config: Config, clock: Clock) -> None:
    """Wait to be cancelled, then drain: end the streams, and take requests until load balancers have noticed."""
    try:
        await asyncio.Event().wait()
    finally:
        logger.info("stopping")
        await drain(app)
        await clock.sleep(config.drain_s)


@asynccontextmanager
async def serving(config: Config, secrets: Secrets, clock: Clock) -> AsyncIterator[web.Application]:
    """The gateway, listening until the block ends; then it finishes the requests in flight and stops.

    Raises:
        SettingsError: when it cannot start; it says what to do.
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


def with_port(config: Config) -> Config:
    """*config* with a port that is free now: its own, or any in the place of 0.

    Raises:
        SettingsError: when its own is taken, or its host is none of this machine.
    """
    return replace(config, port=free_port(config.host, config.port))


def with_connections(config: Config) -> Config:
    """*config* with no more connections than the system lets this process have.

    Raises:
        SettingsError: when that leaves none.
    """
    room = allow_files(config.max_connections + OTHER_FILES) - OTHER_FILES
    if room < 1:
        raise SettingsError(f"this process may open too few files: allow it at least {OTHER_FILES + 1} (ulimit -n)")
    if room < config.max_connections:
        logger.warning("takes fewer connections: the system allows too few open files (ulimit -n)", connections=room)
    return replace(config, max_connections=min(config.max_connections, room))
