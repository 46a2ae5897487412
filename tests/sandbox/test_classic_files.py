"""File fields of CRM records by the old methods."""

from typing import Any

import pytest
from aiohttp import ClientSession

from gateway.sandbox.content.catalog import COMPANY, CONTACT, DEAL, LEAD, QUOTE
from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.web.server import SandboxServer
from tests.sandbox.client import RestClient, php_query
from tests.sandbox.files import contents, download, encoded, file_field

METHODS = {LEAD: "lead", DEAL: "deal", CONTACT: "contact", COMPANY: "company", QUOTE: "quote"}
ONE, TWO = ({"fileData": ["one.txt", encoded(b"1")]}, {"fileData": ["two.txt", encoded(b"22")]})


class Records:
    """Records of one type by its old methods."""

    def __init__(self, client: RestClient, type_id: int, auth: str | None = None) -> None:
        self._client, self._name, self._auth = client, METHODS[type_id], {"auth": auth} if auth else {}

    async def add(self, **fields: Any) -> int:
        return int(await self._call("add", fields={"TITLE": "A", "NAME": "A"} | fields))

    async def update(self, row_id: int, **fields: Any) -> dict[str, Any]:
        assert await self._call("update", id=row_id, fields=fields) is True
        return await self.get(row_id)

    async def get(self, row_id: int) -> dict[str, Any]:
        row: dict[str, Any] = await self._call("get", id=row_id)
        return row

    async def _call(self, action: str, **params: Any) -> Any:
        return (await self._client.call(f"crm.{self._name}.{action}", **params, **self._auth)).result


@pytest.mark.parametrize("type_id", METHODS)
async def test_a_single_file_is_replaced_kept_and_removed(
    webhook: RestClient, portal: SandboxPortal, type_id: int
) -> None:
    name, records = file_field(portal, type_id, multiple=False), Records(webhook, type_id)
    row_id = await records.add(**{name: ONE})
    first = (await records.get(row_id))[name]["id"]
    for unchanging in ("", None, {"id": first}, {"fileData": ["a", ""]}, [TWO], {"id": first + 1, "remove": "Y"}):
        assert (await records.update(row_id, **{name: unchanging}))[name]["id"] == first
    second = (await records.update(row_id, **{name: {"id": first, **TWO}}))[name]["id"]
    assert contents(portal) == [b"22"]
    assert (await records.update(row_id, **{name: {"id": second, "remove": "y"}}))[name] is None
    assert contents(portal) == []


async def test_the_new_files_are_the_set_of_a_multiple_field(webhook: RestClient, portal: SandboxPortal) -> None:
    name, records = file_field(portal, DEAL, multiple=True), Records(webhook, DEAL)
    row_id = await records.add(**{name: [ONE, TWO]})
    files = (await records.get(row_id))[name]
    assert [file["id"] for file in files] == [30_001, 30_002]
    assert len((await records.update(row_id, **{name: None}))[name]) == 2
    kept = [{"id": 30_001}, {"id": 30_002, "remove": "Y"}, ONE]  # an id alone keeps nothing
    assert [file["id"] for file in (await records.update(row_id, **{name: kept}))[name]] == [30_003]
    assert contents(portal) == [b"1"]
    assert [file["id"] for file in (await records.update(row_id, **{name: TWO}))[name]] == [30_004]
    assert (await records.update(row_id, **{name: []}))[name] is False
    assert contents(portal) == []


async def test_a_file_needs_no_name(webhook: RestClient, portal: SandboxPortal) -> None:
    name, records = file_field(portal, DEAL, multiple=True), Records(webhook, DEAL)
    await records.add(**{name: [{"fileData": encoded(b"1")}, {"fileData": [encoded(b"22")]}, {"fileData": []}]})
    assert contents(portal) == [b"1", b"22"]


@pytest.mark.parametrize(("type_id", "name"), [(CONTACT, "PHOTO"), (COMPANY, "LOGO")])
async def test_photo_and_logo_follow_the_same_rules(webhook: RestClient, type_id: int, name: str) -> None:
    records = Records(webhook, type_id)
    row_id = await records.add(**{name: ONE})
    file = (await records.get(row_id))[name]
    assert file["showUrl"].endswith(f"?ownerId={row_id}&fieldName={name}&dynamic=N&fileId={file['id']}")
    assert (await records.update(row_id, **{name: {"id": file["id"], "remove": "Y"}}))[name] is None


@pytest.mark.parametrize("type_id", METHODS)
async def test_lists_and_records_show_the_addresses_of_a_file(
    webhook: RestClient,
    anonymous: RestClient,
    access_token: str,
    server: SandboxServer,
    session: ClientSession,
    portal: SandboxPortal,
    type_id: int,
) -> None:
    name, method = file_field(portal, type_id, multiple=False), METHODS[type_id]
    row_id = await Records(webhook, type_id).add(**{name: ONE})
    page = f"/bitrix/components/bitrix/crm.{method}.show/show_file.php"
    query = f"ownerId={row_id}&fieldName={name}&dynamic=Y&fileId=30001"
    listed = await webhook.call(f"crm.{method}.list", select=[name], filter={"ID": row_id})
    shown = {"id": 30_001, "showUrl": f"{page}?{query}", "downloadUrl": f"{page}?auth=&{query}"}
    assert listed.result == [{name: shown}]
    by_token = await anonymous.call(f"/rest/crm.{method}.get", id=row_id, auth=access_token)
    address = f"{page}?auth={access_token}&{query}"
    assert by_token.result[name] == shown | {"downloadUrl": address}
    found = await download(session, server.origin + address)
    assert (found.status, found.content) == (200, b"1")
    assert found.headers["Content-Disposition"] == "attachment; filename=\"one.txt\"; filename*=utf-8''one.txt"


async def test_a_form_writes_files(webhook: RestClient, portal: SandboxPortal) -> None:
    name = file_field(portal, DEAL, multiple=True)
    await webhook.form("crm.deal.add", php_query({"fields": {name: [ONE, TWO]}}))
    assert contents(portal) == [b"1", b"22"]


async def test_a_deleted_record_deletes_its_files(webhook: RestClient, portal: SandboxPortal) -> None:
    row_id = await Records(webhook, DEAL).add(**{file_field(portal, DEAL, multiple=True): [ONE, TWO]})
    await webhook.call("crm.deal.delete", id=row_id)
    assert contents(portal) == []


async def test_a_new_field_of_type_file_takes_files(webhook: RestClient, portal: SandboxPortal) -> None:
    fields = {"FIELD_NAME": "SCANS", "USER_TYPE_ID": "file", "MULTIPLE": "Y"}
    await webhook.call("crm.deal.userfield.add", fields=fields)
    row_id = await Records(webhook, DEAL).add(UF_CRM_SCANS=[ONE])
    assert len((await Records(webhook, DEAL).get(row_id))["UF_CRM_SCANS"]) == 1
    assert contents(portal) == [b"1"]
