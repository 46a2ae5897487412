"""Links to files outside REST: public ones, and those of attachments.

Source: methods.md, section 8.4
"""

from html import escape

from aiohttp import web

from gateway.sandbox.content.disk.objects import FILE, LIVE
from gateway.sandbox.content.disk.rights import Level, codes_of
from gateway.sandbox.errors import CallError
from gateway.sandbox.exchange import Download, Request
from gateway.sandbox.php import Value, as_id, entries_of, is_array
from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.tables.table import Row
from gateway.sandbox.web.bodies import send_download


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
            return await self._send(request, row)
        names = "".join(f"<li>{escape(child['NAME'])}</li>" for child in data.disk.children(int(row["ID"])))
        return web.Response(text=f"<h1>{escape(row['NAME'])}</h1><ul>{names}</ul>", content_type="text/html")

    async def open_attached(self, request: web.Request, query: dict[str, Value]) -> web.StreamResponse:
        """Send the file of an attachment to a user who may read it. The credential is in the address."""
        data = self._portal.data
        sent = query.get("auth")
        auth = entries_of(sent) if is_array(sent) else {}
        webhook = (as_id(auth["aplogin"]), str(auth.get("ap"))) if "aplogin" in auth else None
        attached = data.disk.attachments.get(as_id(query.get("attachedId")))
        try:
            caller = self._portal.authorize(Request("", "uf.php", {"auth": auth.get("auth")}, webhook=webhook))
        except CallError as error:
            return web.Response(status=error.status, text=error.description)
        if attached is None:
            return web.Response(status=404, text="Not found")
        row = data.disk.objects[int(attached["OBJECT_ID"])]
        codes = codes_of(caller.user_id, caller.client, data.users, data.departments)
        if not caller.is_administrator and data.disk.level(row, codes) < Level.READ:
            return web.Response(status=403, text="Access denied")
        return await self._send(request, row)

    async def _send(self, request: web.Request, file: Row) -> web.StreamResponse:
        download = Download(file["NAME"], self._portal.data.disk.blobs[int(file["FILE_ID"])])
        return await send_download(request, download, self._portal.clock)
