"""Links to files outside REST: public ones, those of attachments, and those of records in the old methods.

Source: methods.md, sections 5.7 and 8.4
"""

from collections.abc import Callable
from html import escape

from aiohttp import web

from gateway.sandbox.behaviour.faults import ConnectionFault
from gateway.sandbox.blobs import StoredFile
from gateway.sandbox.caller import Caller
from gateway.sandbox.content.disk.objects import FILE, LIVE
from gateway.sandbox.content.disk.rights import Level, codes_of
from gateway.sandbox.errors import CallError, insufficient_scope
from gateway.sandbox.exchange import Reply, Request, SeenCall
from gateway.sandbox.php import Value, as_id, entries_of, is_array
from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.rest2.file_addresses import SCOPE, SHOW_FILE, SHOW_PAGES
from gateway.sandbox.rest2.methods.record_files import find_file
from gateway.sandbox.tables.table import Row
from gateway.sandbox.web.bodies import send_download
from gateway.sandbox.web.pages import error_page
from gateway.sandbox.web.replies import send_reply

ATTACHED_FILE = "uf.php"


class FileLinks:
    """The pages behind the links to files of one portal."""

    def __init__(self, portal: SandboxPortal) -> None:
        self._portal = portal

    async def open_public(self, request: web.Request, code: str) -> web.StreamResponse:
        """Send the file of a public link, or a page with the names in its folder. It needs no credential."""
        data = self._portal.data
        object_id = data.links.public_object(code)
        row = data.disk.objects.get(object_id or 0)
        if row is None or row["DELETED_TYPE"] != LIVE:
            return web.Response(status=404, text="Not found")
        if row["TYPE"] == FILE:
            return await send_download(request, self._disk_file(row), self._portal.clock)
        names = "".join(f"<li>{escape(child['NAME'])}</li>" for child in data.disk.children(int(row["ID"])))
        return web.Response(text=f"<h1>{escape(row['NAME'])}</h1><ul>{names}</ul>", content_type="text/html")

    async def open_attached(self, request: web.Request, query: dict[str, Value]) -> web.StreamResponse:
        """Send the file of an attachment to a user who may read it. The credential is in the address."""
        sent = query.get("auth")
        auth = entries_of(sent) if is_array(sent) else {}
        webhook = (as_id(auth["aplogin"]), str(auth.get("ap"))) if "aplogin" in auth else None
        call = Request("", ATTACHED_FILE, {**query, "auth": auth.get("auth")}, webhook=webhook)
        return await self._answer(request, call, lambda caller: self._attached_file(caller, query))

    async def open_shown(self, request: web.Request, page: str, query: dict[str, Value]) -> web.StreamResponse:
        """Send the file of a ``downloadUrl``. *page* is ``crm.deal.show`` or a sibling.

        Without a token it wants a browser session.
        Source: [srv] crm/classes/general/restservice.php, externalizeFile
        """
        call = Request("", SHOW_FILE, query)
        return await self._answer(request, call, lambda caller: self._shown_file(caller, page, query))

    async def _answer(
        self, request: web.Request, call: Request, find: Callable[[Caller], StoredFile]
    ) -> web.StreamResponse:
        """Send the file that *find* returns, or a page with the error. Faults apply as to a method of REST."""
        portal, exchange = self._portal, self._portal.open_exchange(call)
        portal.http_requests += 1
        params = {name: value for name, value in call.params.items() if name != "auth"}
        portal.seen.append(SeenCall.of(call.method, params, call.credential, in_batch=False))
        try:
            await portal.enter_call(exchange, call.method)
            file = find(portal.authorize(call))
        except CallError as error:
            portal.refusals[str(error.code)] += 1
            return web.Response(status=error.status, text=error_page(error.description), content_type="text/html")
        except ConnectionFault as fault:
            return await send_reply(request, Reply(200, {}, fault.kind, fault.value), portal.clock)
        reply = Reply(200, {}, exchange.connection_fault, exchange.fault_value, download=file)
        return await send_reply(request, reply, portal.clock)

    def _attached_file(self, caller: Caller, query: dict[str, Value]) -> StoredFile:
        data = self._portal.data
        attached = data.disk.attachments.get(as_id(query.get("attachedId")))
        if attached is None:
            raise CallError("ERROR_NOT_FOUND", "Not found", 404)
        row = data.disk.objects[int(attached["OBJECT_ID"])]
        codes = codes_of(caller.user_id, caller.client, data.users, data.departments)
        if not caller.is_administrator and data.disk.level(row, codes) < Level.READ:
            raise CallError("ACCESS_DENIED", "Access denied", 403)
        return self._disk_file(row)

    def _shown_file(self, caller: Caller, page: str, query: dict[str, Value]) -> StoredFile:
        if not caller.has_access((SCOPE,)):
            raise insufficient_scope("access")
        type_id = next((number for number, name in SHOW_PAGES.items() if name == page), 0)
        return find_file(self._portal.data, type_id, *(query.get(name) for name in ("ownerId", "fieldName", "fileId")))

    def _disk_file(self, row: Row) -> StoredFile:
        return StoredFile(row["NAME"], self._portal.data.disk.blobs[int(row["FILE_ID"])])
