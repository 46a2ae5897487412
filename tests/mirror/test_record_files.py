"""Files of records: shown and stored by their ids, without the addresses that hold a credential and always change."""

from typing import Any

import pytest
from aiohttp import ClientSession

from gateway.sandbox.rest2.views import item_name
from storage.database import migrations
from tests.gateway import Gateway, Sandbox, authorize
from tests.sandbox.client import RestClient
from tests.sandbox.files import encoded, file_field
from tests.support.records import change, enable, page, portal_ids, sync_again
from tests.support.stored import every_byte, run_sql

TYPES = {"deals": 2, "contacts": 3, "companies": 4, "invoices": 31, "items/128": 128}
SYSTEM = {"contacts": "PHOTO", "companies": "LOGO"}
SENT = {"PHOTO": "photo", "LOGO": "logo"}  # names in crm.item
ITEMS = ("invoices", "items/128")  # the lists that show the names of crm.item
SECRETS = (b"downloadUrl", b"urlMachine", b"auth=", b"token=", b"crm%7C", b"/rest/")
FILE = ["a.txt", encoded(b"1")]


@pytest.fixture(params=TYPES)
def resource(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["webhook", "token"])
async def either(request: pytest.FixtureRequest, gateway: Gateway, sandbox: Sandbox) -> Gateway:
    """The gateway with account "acme" connected by webhook, and by OAuth."""
    if request.param == "webhook":
        await gateway.connect(sandbox.webhook)
    else:
        await authorize(gateway, sandbox)
        await gateway.synced()
    return gateway


async def save(sandbox: Sandbox, resource: str, row_id: int, **fields: Any) -> None:
    """Change a record as another application of the portal does."""
    place = {"entityTypeId": TYPES[resource], "id": row_id, "useOriginalUfNames": "Y"}
    async with ClientSession() as session:
        answer = await RestClient(session, sandbox.webhook).call("crm.item.update", **place, fields=fields)
    assert answer.status == 200, answer.body


def field_names(sandbox: Sandbox, resource: str) -> tuple[str, str]:
    """The original names of a single and a multiple field of files."""
    single, multiple = (file_field(sandbox.portal, TYPES[resource], multiple=several) for several in (False, True))
    return single, multiple


async def add_files(sandbox: Sandbox, resource: str, row_id: int) -> dict[str, Any]:
    """Give a record one file in each single field and two in a multiple one; return the ids by the shown names."""
    single, multiple = field_names(sandbox, resource)
    files: dict[str, Any] = {single: FILE, multiple: [FILE, FILE]}
    if resource in SYSTEM:
        files[SYSTEM[resource]] = FILE
    await save(sandbox, resource, row_id, **{SENT.get(name, name): value for name, value in files.items()})
    stored = sandbox.portal.data.tables[resource][row_id]
    return {item_name(name) if resource in ITEMS else name: stored[name] for name in files}


def ids_in(record: dict[str, Any], names: dict[str, Any]) -> dict[str, Any]:
    """The ids of the files in the fields *names* of a *record*, which has no secret addresses."""
    address, found = "url" if "createdTime" in record else "showUrl", {}
    for name in names:
        files = record[name] if isinstance(record[name], list) else [record[name]]
        assert all(file.keys() == {"id", address} for file in files), files
        ids = [str(file["id"]) for file in files]
        found[name] = ids if isinstance(record[name], list) else ids[0]
    return found


async def test_files_of_records_are_shown_without_secret_addresses(
    either: Gateway, sandbox: Sandbox, resource: str
) -> None:
    row_id = portal_ids(sandbox, resource)[3]
    files = await add_files(sandbox, resource, row_id)
    record = f"/bitrix/{resource}/{row_id}"
    shown = [(await either.get(record)).json, (await either.stream(resource)).rows[3]]
    await enable(either, resource)
    shown += [(await either.get(record)).json, (await page(either, f"/bitrix/{resource}")).json["items"][3]]
    shown.append((await either.stream(resource, source="mirror")).rows[3])
    title = "title" if resource in ITEMS else "NAME" if resource == "contacts" else "TITLE"
    shown.append((await either.patch(record, json={title: "B"}, headers={"Idempotency-Key": "1"})).json)
    assert [ids_in(each, files) for each in shown] == [files] * 6
    assert [secret for secret in SECRETS if secret in every_byte(either)] == []


async def test_a_record_with_files_does_not_change_at_each_sync(
    either: Gateway, sandbox: Sandbox, resource: str
) -> None:
    row_id = portal_ids(sandbox, resource)[3]
    await add_files(sandbox, resource, row_id)
    await enable(either, resource)
    record, whole = f"/bitrix/{resource}/{row_id}", f"/bitrix/{resource}"
    before = [(await either.get(record)).body, (await page(either, whole)).headers["ETag"]]
    for mode in ("full", ""):
        await either.clock.advance(600)
        await sync_again(either, resource, mode)
        assert [(await either.get(record)).body, (await page(either, whole)).headers["ETag"]] == before
    await save(sandbox, resource, row_id, **{field_names(sandbox, resource)[0]: ""})
    await sync_again(either, resource)
    assert (await page(either, whole)).headers["ETag"] != before[1]


async def test_texts_that_look_like_addresses_stay(connected: Gateway, sandbox: Sandbox) -> None:
    row_id = portal_ids(sandbox, "deals")[3]
    text = '{"urlMachine":"x","downloadUrl":1}? downloadUrl'
    change(sandbox, "deals", {row_id: {"TITLE": text}})
    await enable(connected, "deals")
    assert (await connected.get(f"/bitrix/deals/{row_id}")).json["TITLE"] == text
    assert (await connected.stream("deals")).rows[3]["TITLE"] == text


async def test_rows_of_an_older_version_lose_their_addresses_with_the_next_sync(
    connected: Gateway, sandbox: Sandbox
) -> None:
    single, _ = field_names(sandbox, "deals")
    row_id = portal_ids(sandbox, "deals")[0]
    await save(sandbox, "deals", row_id, **{single: FILE})
    await enable(connected, "deals", "contacts")
    expected = (await page(connected, "/bitrix/deals?size=1000")).body
    await connected.stop()
    leak = """CAST(replace(tail, '"showUrl":', '"downloadUrl":"/?auth=1","showUrl":') AS BLOB)"""
    stored = f"UPDATE mirror_rows SET tail = {leak} WHERE portal_row_id = {row_id}"
    run_sql(connected, f"{stored}; {dict(migrations())[14]}")
    await connected.start()
    assert b"auth=1" in (await page(connected, "/bitrix/deals?size=1000")).body
    assert (await sync_again(connected, "contacts"))["mode"] == "incremental"
    assert (await sync_again(connected, "deals"))["mode"] == "full"
    shown = (await page(connected, "/bitrix/deals?size=1000")).body
    assert b"auth=1" not in shown
    assert len(shown) == len(expected)
