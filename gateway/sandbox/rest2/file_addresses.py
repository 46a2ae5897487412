"""The addresses of files in answers. They hold the credential of the caller."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from urllib.parse import quote, urlencode

from gateway.sandbox.content.catalog import COMPANY, CONTACT, DEAL, LEAD, QUOTE
from gateway.sandbox.content.entities import OLD_INVOICE, Field
from gateway.sandbox.content.links import Links
from gateway.sandbox.content.record_files import ids_of
from gateway.sandbox.exchange import Request
from gateway.sandbox.php import Value
from gateway.sandbox.tables.table import Row

GET_FILE = "crm.controller.item.getFile"
SHOW_FILE = "show_file.php"
SCOPE = "crm"
# The pages that show the files of a record, by entity type.
SHOW_PAGES = {
    LEAD: "crm.lead.show",
    DEAL: "crm.deal.show",
    CONTACT: "crm.contact.show",
    COMPANY: "crm.company.show",
    QUOTE: "crm.quote.show",
    OLD_INVOICE: "crm.invoice.show",
}


def signed_address(request: Request, links: Links, scope: str, method: str, query: dict[str, Value]) -> str:
    """An address of a technical *method*, such as ``download``, that works only with the credential of *request*.

    Source: protocol.md, section 17; methods.md, section 8.4
    """
    token = quote(links.token(scope, method, query, request.credential or ""), safe="")
    if request.token is not None:
        return f"{request.origin}/rest/{method}.json?auth={quote(request.token, safe='')}&token={token}"
    user_id, code = request.webhook or (0, "")
    return f"{request.origin}/rest/{user_id}/{code}/{method}/?token={token}"


@dataclass(frozen=True)
class FileAddresses:
    """Makes the addresses of the files of CRM records for the caller of one *request*, for the two forms of a record.

    *links* signs those that work without a browser session.
    """

    request: Request
    links: Links

    def show_item_files(self, type_id: int, columns: Iterable[tuple[str, str]], rows: dict[int, Row]) -> None:
        """Replace the ids of files in items by their addresses. *columns* are the shown and stored names.

        Source: [docs] api-reference/files/how-to-update-files.md; methods.md, sections 5.7 and 8.4
        """
        for shown, name in columns:
            for row_id, row in rows.items():
                if row.get(shown):
                    row[shown] = _each(row[shown], partial(self._item_file, type_id, row_id, name))

    def show_classic_files(self, type_id: int, fields: Iterable[Field], rows: dict[int, Row]) -> None:
        """Replace the ids of files in rows of the old methods by their addresses."""
        for item in fields:
            for row_id, row in rows.items():
                if row.get(item.name):
                    row[item.name] = _each(row[item.name], partial(self._classic_file, type_id, row_id, item))

    def _item_file(self, type_id: int, row_id: int, name: str, file_id: str) -> Row:
        place = {"entityTypeId": type_id, "id": row_id, "fieldName": name, "fileId": file_id}
        query = {"action": GET_FILE, "SITE_ID": "s1", **place}
        return {
            "id": int(file_id),
            "url": f"{self.request.origin}/bitrix/services/main/ajax.php?{urlencode(query)}",
            "urlMachine": signed_address(self.request, self.links, SCOPE, GET_FILE, query),
        }

    def _classic_file(self, type_id: int, row_id: int, item: Field, file_id: str) -> Row:
        """Addresses without the origin. For a webhook there is no token: both work only in a browser session.

        Source: [srv] crm/classes/general/restservice.php, externalizeFile
        """
        page = f"/bitrix/components/bitrix/{SHOW_PAGES[type_id]}/{SHOW_FILE}"
        query = urlencode(
            {"ownerId": row_id, "fieldName": item.name, "dynamic": "NY"[item.is_custom], "fileId": file_id}
        )
        token = quote(self.request.token or "", safe="")
        return {
            "id": int(file_id),
            "showUrl": f"{page}?{query}",
            "downloadUrl": f"{page}?auth={token}&{query}",
        }


def _each(value: Value, show: Callable[[str], Row]) -> Value:
    shown = [show(file_id) for file_id in ids_of(value)]
    return shown if isinstance(value, list) else shown[0]
