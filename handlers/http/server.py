"""How the application is put on the net: aiohttp's server, with connections of ours."""

from aiohttp import web

from gateway.clock import Clock
from gateway.settings.config import Config
from handlers.app_keys import CLOCK, CONFIG
from handlers.http.admission import Admission
from handlers.http.connection import DROPPED_S, WRITE_TIMEOUT_S, Connection
from handlers.http.deadlines import Deadlines

# A request that has begun is finished even when its caller leaves, so that nothing is stored without the memory of it
# being told.
HANDLER_CANCELLATION = False


class Server(web.Server):
    """Makes the connections of an application, whose own server is *made*, and knows what they have in common."""

    def __init__(self, made: web.Server, config: Config, clock: Clock) -> None:
        super().__init__(
            made.request_handler, request_factory=made.request_factory, handler_cancellation=made.handler_cancellation
        )
        self.admission = Admission(
            clock, most=config.max_connections, most_per_address=config.max_connections_per_address
        )
        self.heads: Deadlines[Connection] = Deadlines(clock, config.head_timeout_s, Connection.head_is_late)
        self.ends: Deadlines[Connection] = Deadlines(clock, DROPPED_S, Connection.end_is_late)
        self.untaken: Deadlines[Connection] = Deadlines(clock, WRITE_TIMEOUT_S, Connection.abort)

    def __call__(self) -> web.RequestHandler:
        return Connection(self, self._loop)

    async def shutdown(self, timeout: float | None = None) -> None:
        """End all connections."""
        await super().shutdown(timeout)
        await self.admission.close()
        for deadlines in (self.heads, self.ends, self.untaken):
            await deadlines.close()


class Runner(web.AppRunner):
    """Starts and ends *app*, which holds its settings and its clock; tests run it just so."""

    def __init__(self, app: web.Application, *, shutdown_timeout: float) -> None:
        super().__init__(app, shutdown_timeout=shutdown_timeout, handler_cancellation=HANDLER_CANCELLATION)

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return Server(made, self.app[CONFIG], self.app[CLOCK])
