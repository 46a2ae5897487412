"""The HTTP server of a sandbox portal: addresses, pages and bytes."""

import ssl
from dataclasses import replace
from types import TracebackType
from typing import Self

from aiohttp import web
from yarl import URL

from gateway.sandbox.behaviour.faults import UPLOAD
from gateway.sandbox.exchange import Reply, Request
from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.rest2.front import Rest2
from gateway.sandbox.rest3.front import Request3, Rest3
from gateway.sandbox.rest3.idempotency import HEADER as IDEMPOTENCY_KEY
from gateway.sandbox.web.control import control_routes
from gateway.sandbox.web.file_links import FileLinks
from gateway.sandbox.web.pages import REFUSED, allow_page, error_page
from gateway.sandbox.web.params import MAX_BODY_BYTES, read_params, read_query
from gateway.sandbox.web.replies import REST_HEADERS, abort, send_reply
from gateway.sandbox.web.uploads import BodyCut, received_files

MAX_LINE_BYTES = 2**16
SHUTDOWN_S = 0.5


class SandboxServer:
    """A listening server for one portal, as an async context manager. *port* 0 picks a free port."""

    def __init__(
        self,
        portal: SandboxPortal,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self.portal = portal
        self._rest2 = Rest2(portal)
        self._rest3 = Rest3(portal)
        self._file_links = FileLinks(portal)
        self._host, self._port, self._ssl = host, port, ssl_context
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.add_routes(control_routes(portal))
        app.router.add_route("*", "/{tail:.*}", self._answer)
        # As in PHP, a handler finishes even if its client disconnects.
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=False, shutdown_timeout=SHUTDOWN_S, max_line_size=MAX_LINE_BYTES
        )

    async def __aenter__(self) -> Self:
        """Start listening.

        Raises:
            OSError: the port is in use.
        """
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self._port, ssl_context=self._ssl).start()
        except OSError:
            await self._runner.cleanup()
            raise
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.portal.faults.release_all()
        await self._runner.cleanup()

    @property
    def origin(self) -> str:
        """The origin of the server, for example ``http://127.0.0.1:43211``."""
        return f"{'https' if self._ssl else 'http'}://{self._host}:{self._port}"

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a request to any address. Doubled and trailing slashes are ignored."""
        match [part for part in request.path.split("/") if part]:
            case ["rest", *address] if request.method == "OPTIONS" and address:
                return web.Response(headers=REST_HEADERS)
            case ["rest", "api", method]:
                return await self._rest_3(request, method, None)
            case ["rest", "api", user_id, code, method] if user_id.isdecimal():
                return await self._rest_3(request, method, (int(user_id), code))
            case ["rest", method]:
                return await self._rest_2(request, method, None)
            case ["rest", user_id, code, method] if user_id.isdecimal():
                return await self._rest_2(request, method, (int(user_id), code))
            case ["oauth", "authorize"]:
                return await self._authorize(request)
            case ["oauth", "token"]:
                return await self._send(
                    request, await self.portal.exchange_token(await read_params(request), str(request.url.origin()))
                )
            case [code] if code.startswith("~"):
                return await self._file_links.open_public(request, code.removeprefix("~"))
            case ["bitrix", "tools", "disk", "uf.php"]:
                return await self._file_links.open_attached(request, read_query(request))
            case ["bitrix", "components", "bitrix", page, "show_file.php"]:
                return await self._file_links.open_shown(request, page, read_query(request))
            case ["bitrix", "services", "main", "ajax.php"]:
                return web.Response(status=401, text=error_page("Authorization required"), content_type="text/html")
        return web.Response(status=404, text="Not found")

    async def _send(self, request: web.Request, reply: Reply) -> web.StreamResponse:
        return await send_reply(request, reply, self.portal.clock)

    async def _rest_2(self, request: web.Request, method: str, webhook: tuple[int, str] | None) -> web.StreamResponse:
        call = Request(
            source=request.remote or "",
            method=method.removesuffix(".json"),
            params=read_query(request),
            bearer=_bearer(request),
            webhook=webhook,
            origin=str(request.url.origin()),
        )
        if call.method.lower() == UPLOAD:
            return await self._upload(request, call)
        return await self._send(request, await self._rest2.answer(replace(call, params=await read_params(request))))

    async def _upload(self, request: web.Request, call: Request) -> web.StreamResponse:
        """Answer the second step of an upload. As in PHP, the body is read before anything is checked."""
        portal = self.portal
        fault = portal.faults.take(UPLOAD, of_body=True)
        try:
            async with received_files(request, portal.data.disk.blobs, fault, portal.clock) as files:
                return await self._send(request, await self._rest2.answer(replace(call, files=files)))
        except BodyCut:
            return abort(request)

    async def _rest_3(self, request: web.Request, method: str, webhook: tuple[int, str] | None) -> web.StreamResponse:
        """Answer a request of REST 3.0, which ignores the query string."""
        reply = await self._rest3.answer(
            Request3(
                shared=Request(request.remote or "", method.removesuffix(".json"), {}, _bearer(request), webhook),
                verb=request.method,
                body=await request.read(),
                content_type=request.content_type,
                key=request.headers.get(IDEMPOTENCY_KEY),
            )
        )
        return await self._send(request, reply)

    async def _authorize(self, request: web.Request) -> web.StreamResponse:
        """Show the page where a person allows the application, or redirect back to the application.

        The redirect URI is the application's setting; the query cannot change it.
        Source: [docs] settings/oauth/index.md
        """
        params = await read_params(request)
        application = self.portal.application
        if params.get("client_id") != application.client_id:
            return web.Response(status=404, text=REFUSED, content_type="text/html")
        state = str(params.get("state", ""))
        if request.method != "POST" and not self.portal.settings.auto_allow:
            return web.Response(text=allow_page(application.client_id, state), content_type="text/html")
        redirect_to = URL(application.redirect_uri).update_query(
            code=self.portal.oauth.issue_code(),
            state=state,
            domain=request.host,
            member_id=self.portal.member_id,
            scope=",".join(application.scope),
            server_domain=request.host,
        )
        return web.Response(status=302, headers={"Location": str(redirect_to)})


def _bearer(request: web.Request) -> str | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None
