"""Runs the application on aiohttp's server, with `Connection` as the protocol of each connection."""

from aiohttp import web

from handlers.http.admission import Admission
from handlers.http.connection import DISCARD_TIMEOUT_S, WRITE_TIMEOUT_S, Connection
from handlers.http.deadlines import Deadlines
from handlers.http.keys import CLOCK, CONFIG

# A handler runs to its end even if its caller leaves: a change that is written to the database must reach memory too.
HANDLER_CANCELLATION = False


class Server(web.Server):
    """Creates the connections of *app*; holds their limits and deadlines. *base* is the server that aiohttp made."""

    def __init__(self, base: web.Server, app: web.Application) -> None:
        super().__init__(
            base.request_handler, request_factory=base.request_factory, handler_cancellation=base.handler_cancellation
        )
        config, clock = app[CONFIG], app[CLOCK]
        self.admission = Admission(
            clock, max_connections=config.max_connections, max_per_address=config.max_connections_per_address
        )
        self.head_deadlines: Deadlines[Connection] = Deadlines(clock, config.head_timeout_s, Connection.on_late_head)
        self.discard_deadlines: Deadlines[Connection] = Deadlines(
            clock, DISCARD_TIMEOUT_S, Connection.on_discard_timeout
        )
        self.write_deadlines: Deadlines[Connection] = Deadlines(clock, WRITE_TIMEOUT_S, Connection.abort)

    def __call__(self) -> web.RequestHandler:
        return Connection(self, self._loop)

    async def shutdown(self, timeout: float | None = None) -> None:
        """Close all connections."""
        await super().shutdown(timeout)
        await self.admission.close()
        for deadlines in (self.head_deadlines, self.discard_deadlines, self.write_deadlines):
            await deadlines.close()


class Runner(web.AppRunner):
    """Starts and stops *app*, in production and in tests."""

    def __init__(self, app: web.Application, *, shutdown_timeout: float) -> None:
        super().__init__(app, shutdown_timeout=shutdown_timeout, handler_cancellation=HANDLER_CANCELLATION)

    async def _make_server(self) -> web.Server:
        return Server(await super()._make_server(), self.app)
