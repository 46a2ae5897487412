"""Downloads of the files of CRM records: bytes and ranges, who may read them, faults, sizes."""

import hashlib
from collections.abc import Awaitable, Callable
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import orjson
import pytest
from aiohttp import ClientPayloadError, ClientSession

from gateway.sandbox.content.catalog import DEAL
from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.web.server import SandboxServer
from tests.clock import ManualClock
from tests.sandbox.client import RestClient, php_query
from tests.sandbox.files import download, encoded, file_field

CONTENT = bytes(range(256)) * 1_024  # 256 KiB
Filed = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture
def filed(anonymous: RestClient, portal: SandboxPortal) -> Filed:
    """Add a deal with one file, and return the file as crm.item.get shows it to a token, or to the webhook."""

    async def filed(token: str | None = None, name: str = "plan.pdf", content: bytes = CONTENT) -> dict[str, Any]:
        prefix, auth = ("/rest/", {"auth": token}) if token else (portal.webhook_path, {})
        fields = {file_field(portal, DEAL, multiple=False): [name, encoded(content)]}
        params = {"entityTypeId": DEAL, "useOriginalUfNames": "Y", **auth}
        item = (await anonymous.call(f"{prefix}crm.item.add", fields=fields, **params)).result["item"]
        file: dict[str, Any] = item[next(iter(fields))]
        return file

    return filed


async def test_a_token_and_a_webhook_download_the_whole_file(
    filed: Filed, session: ClientSession, server: SandboxServer, portal: SandboxPortal, access_token: str
) -> None:
    by_token, by_webhook = [(await filed(token))["urlMachine"] for token in (access_token, None)]
    method = "crm.controller.item.getFile"
    assert by_token.startswith(f"{server.origin}/rest/{method}.json?auth={access_token}&token=crm%7C")
    assert by_webhook.startswith(f"{server.origin}{portal.webhook_path}{method}/?token=crm%7C")
    for address in (by_token, by_webhook):
        found = await download(session, address)
        assert (found.status, found.content) == (200, CONTENT)
        assert found.headers["Content-Length"] == str(len(CONTENT))
        assert found.headers["Content-Type"] == "application/pdf"
    assert portal.calls["crm.controller.item.getfile"] == 2


@pytest.mark.parametrize(
    ("name", "kind", "disposition"),
    [
        ("план ☎.TXT", "text/plain", "attachment; filename=\"____ _.TXT\"; filename*=utf-8''{}"),
        ('a"b\r\n.zzz', "application/octet-stream", "attachment; filename=\"a_b__.zzz\"; filename*=utf-8''{}"),
        ("../x/y.png", "image/png", "attachment; filename=\"y.png\"; filename*=utf-8''y.png"),
    ],
)
async def test_a_download_names_the_file(
    filed: Filed, session: ClientSession, name: str, kind: str, disposition: str
) -> None:
    headers = (await download(session, (await filed(name=name))["urlMachine"])).headers
    assert headers["Content-Type"] == kind
    assert headers["Content-Disposition"] == disposition.format(quote(name, safe=""))


async def test_a_download_serves_ranges(filed: Filed, session: ClientSession) -> None:
    address = (await filed())["urlMachine"]
    part = await download(session, address, Range="bytes=1000-1999")
    assert (part.status, part.content) == (206, CONTENT[1000:2000])
    assert part.headers["Content-Range"] == f"bytes 1000-1999/{len(CONTENT)}"
    rest = await download(session, address, Range="bytes=262140-")
    assert (rest.status, rest.content) == (206, CONTENT[262_140:])
    beyond = await download(session, address, Range="bytes=300000-")
    assert (beyond.status, beyond.headers["Content-Range"]) == (416, f"bytes */{len(CONTENT)}")


async def test_each_read_makes_a_new_link_and_all_of_them_work(
    filed: Filed, webhook: RestClient, session: ClientSession, portal: SandboxPortal
) -> None:
    first = (await filed())["urlMachine"]
    listed = await webhook.call("crm.item.list", entityTypeId=DEAL, order={"id": "DESC"}, select=["*"])
    name = f"ufCrm_{file_field(portal, DEAL, multiple=False).rpartition('_')[2]}"
    second = listed.result["items"][0][name]["urlMachine"]
    assert first != second
    assert {(await download(session, address)).content for address in (first, second)} == {CONTENT}


async def test_a_link_dies_with_its_token(
    filed: Filed, session: ClientSession, portal: SandboxPortal, access_token: str, tokens_of: Callable[[int], str]
) -> None:
    address = (await filed(access_token))["urlMachine"]
    renewed = tokens_of(1)
    other = await download(session, address.replace(access_token, renewed))
    assert (other.status, b"Access denied! Link check failed" in other.content) == (403, True)
    portal.oauth.expire_access_tokens()
    expired = await download(session, address)
    assert (expired.status, b"expired_token" in expired.content) == (401, True)


@pytest.mark.parametrize("token", ["", "crm", "crm||", "crm|%41%41|x.y", "disk|YQ==|YQ==.YQ==", "crm|ж|x"])
async def test_a_link_with_a_wrong_token_is_refused(
    session: ClientSession, server: SandboxServer, portal: SandboxPortal, token: str
) -> None:
    address = f"{server.origin}{portal.webhook_path}crm.controller.item.getFile/?token={quote(token, safe='%')}"
    assert (await download(session, address)).status == 403
    assert (await download(session, address.partition("?")[0])).status == 403


async def test_a_signed_link_cannot_name_another_file(filed: Filed, session: ClientSession) -> None:
    first, second = [(await filed())["urlMachine"] for _ in range(2)]
    parts = [parse_qs(urlsplit(address).query)["token"][0].split("|") for address in (first, second)]
    forged = quote("|".join((parts[0][0], parts[1][1], parts[0][2])), safe="")
    assert (await download(session, f"{first.partition('?')[0]}?token={forged}")).status == 403


async def test_only_a_reader_of_the_record_downloads_its_files(
    filed: Filed, session: ClientSession, portal: SandboxPortal
) -> None:
    address = (await filed())["urlMachine"]
    portal.deny("deals")
    assert (await download(session, address)).status == 403
    portal.allow("deals")
    portal.settings = type(portal.settings)(scope=("user",))
    assert (await download(session, address)).status == 403


async def test_addresses_for_a_browser_want_a_session(
    filed: Filed, webhook: RestClient, session: ClientSession, server: SandboxServer, portal: SandboxPortal
) -> None:
    assert (await download(session, (await filed())["url"])).status == 401
    row = (await webhook.call("crm.deal.get", id=max(portal.data.records[DEAL]))).result
    file = row[file_field(portal, DEAL, multiple=False)]
    for name in ("showUrl", "downloadUrl"):  # the webhook gets no token
        refused = await download(session, server.origin + file[name])
        assert (refused.status, refused.headers["Content-Type"]) == (401, "text/html; charset=utf-8")


async def test_a_page_of_files_wants_the_right_field_and_record(
    filed: Filed, session: ClientSession, server: SandboxServer, portal: SandboxPortal, access_token: str
) -> None:
    file, row_id = await filed(), max(portal.data.records[DEAL])
    name = file_field(portal, DEAL, multiple=False)
    page = f"{server.origin}/bitrix/components/bitrix/crm.{{}}.show/show_file.php?auth={access_token}&"
    right = {"ownerId": row_id, "fieldName": name, "fileId": file["id"]}
    other = file_field(portal, DEAL, multiple=True)
    for kind, wrong in (
        ("deal", {"fieldName": other}),
        ("deal", {"fieldName": "TITLE"}),
        ("deal", {"ownerId": 999_999_999}),
        ("deal", {"fileId": file["id"] + 1}),
        ("lead", {}),
        ("task", {}),
    ):
        query = "&".join(f"{key}={value}" for key, value in (right | wrong).items())
        assert (await download(session, page.format(kind) + query)).status == 404
    query = "&".join(f"{key}={value}" for key, value in right.items())
    assert (await download(session, page.format("deal") + query)).status == 200
    listed = query.replace("fieldName=", "fieldName[]=")
    assert (await download(session, page.format("deal") + listed)).status == 404


@pytest.mark.parametrize("how", ["clear", "replace", "delete"])
async def test_the_link_of_a_deleted_file_is_not_found(
    filed: Filed, webhook: RestClient, session: ClientSession, portal: SandboxPortal, how: str
) -> None:
    file, row_id = await filed(), max(portal.data.records[DEAL])
    place = {"entityTypeId": DEAL, "id": row_id, "useOriginalUfNames": "Y"}
    if how == "delete":
        await webhook.call("crm.item.delete", **place)
    else:
        value = "" if how == "clear" else ["new.pdf", encoded(b"new")]
        await webhook.call("crm.item.update", **place, fields={file_field(portal, DEAL, multiple=False): value})
    found = await download(session, file["urlMachine"])
    assert (found.status, b"NOT_FOUND" in found.content) == (404, True)


@pytest.mark.parametrize("method", ["crm.controller.item.getFile", "request"])
async def test_a_cut_download_ends_in_the_middle(
    filed: Filed, session: ClientSession, portal: SandboxPortal, method: str
) -> None:
    address = (await filed())["urlMachine"]
    portal.fault(f"{method}:cut")
    async with session.get(address) as response:
        assert (response.status, response.content_length) == (200, len(CONTENT))
        with pytest.raises(ClientPayloadError):
            await response.content.readexactly(len(CONTENT))
        assert response.content.total_bytes == len(CONTENT) // 2
    assert (await download(session, address)).content == CONTENT


@pytest.mark.parametrize(("fault", "status"), [("qle", 503), ("502", 502), ("html500", 500), ("error=X", 400)])
async def test_a_download_can_fail(
    filed: Filed, session: ClientSession, portal: SandboxPortal, fault: str, status: int
) -> None:
    address = (await filed())["urlMachine"]
    portal.fault(f"crm.controller.item.getfile:{fault}")
    assert (await download(session, address)).status == status
    assert (await download(session, address)).status == 200


async def test_a_truncated_download_looks_whole(filed: Filed, session: ClientSession, portal: SandboxPortal) -> None:
    address = (await filed())["urlMachine"]
    portal.fault("crm.controller.item.getfile:truncated")
    found = await download(session, address)
    assert (found.status, found.content) == (200, CONTENT[: len(CONTENT) // 2])


async def test_a_page_of_files_has_faults_too(
    filed: Filed,
    anonymous: RestClient,
    session: ClientSession,
    server: SandboxServer,
    portal: SandboxPortal,
    access_token: str,
) -> None:
    await filed()
    row = (await anonymous.call("/rest/crm.deal.get", id=max(portal.data.records[DEAL]), auth=access_token)).result
    address = server.origin + row[file_field(portal, DEAL, multiple=False)]["downloadUrl"]
    portal.fault("show_file.php:502")
    assert (await download(session, address)).status == 502
    portal.fault("show_file.php:cut")
    with pytest.raises(ClientPayloadError):
        await download(session, address)
    assert (await download(session, address)).content == CONTENT
    assert portal.calls["show_file.php"] == 3


async def test_links_to_files_can_lead_to_another_origin(
    filed: Filed, webhook: RestClient, portal: SandboxPortal
) -> None:
    portal.fault("*:link_origin=https://elsewhere.example*")
    assert (await filed())["urlMachine"].startswith(f"https://elsewhere.example{portal.webhook_path}")
    row = (await webhook.call("crm.deal.get", id=max(portal.data.records[DEAL]))).result
    address = row[file_field(portal, DEAL, multiple=False)]["downloadUrl"]
    assert address.startswith("https://elsewhere.example/bitrix/components/")


async def test_a_slow_download_takes_its_time(
    filed: Filed, session: ClientSession, portal: SandboxPortal, clock: ManualClock
) -> None:
    address = (await filed())["urlMachine"]
    for fault in ("delay=20", f"slow={len(CONTENT) // 20}"):
        portal.fault(f"crm.controller.item.getfile:{fault}")
        started = clock.now()
        assert (await clock.until(download(session, address))).content == CONTENT
        assert clock.now() - started >= 20


async def test_downloads_count_in_the_leaky_bucket(filed: Filed, session: ClientSession) -> None:
    address = (await filed(content=b"1"))["urlMachine"]
    statuses = [(await download(session, address)).status for _ in range(60)]
    assert statuses == [200] * 50 + [503] * 10


@pytest.mark.parametrize("form", [False, True])
async def test_fifty_megabytes_in_one_call_are_stored_and_not_kept_in_memory(
    webhook: RestClient, session: ClientSession, portal: SandboxPortal, form: bool
) -> None:
    content = bytes(200 * len(CONTENT)) if form else CONTENT * 200  # zeros need no escapes, which take seconds
    name = file_field(portal, DEAL, multiple=False)
    fields = {name: {"fileData": ["large.bin", encoded(content)]}}
    kind = "x-www-form-urlencoded" if form else "json"
    body = php_query({"fields": fields}).encode() if form else orjson.dumps({"fields": fields})
    headers = {"Content-Type": f"application/{kind}"}
    answer = await webhook.send("POST", f"{webhook.base}crm.deal.add", data=BytesIO(body), headers=headers)
    row_id = answer.result
    item = (await webhook.call("crm.item.get", entityTypeId=DEAL, id=row_id, useOriginalUfNames="Y")).result["item"]
    async with session.get(item[name]["urlMachine"]) as response:
        digest = hashlib.sha256()
        async for chunk in response.content.iter_any():
            digest.update(chunk)
    assert digest.hexdigest() == hashlib.sha256(content).hexdigest()
    sent = portal.seen[0].params["fields"][name]["fileData"]
    assert sent == ["large.bin", f"({len(encoded(content))} characters)"]
