"""Contents in file fields of records: added in one update with those that stay, listed, downloaded and removed."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from gateway.crm.file_fields import FileField
from gateway.crm.record_files import MAX_BYTES
from gateway.disk.spool import Spool, SpooledFile
from handlers.app_keys import SPOOL
from handlers.bitrix.multipart import ReceivedFile
from handlers.bitrix.record_files import check_files
from handlers.http.errors import HttpError
from tests.gateway import Gateway, Sandbox
from tests.support.record_files import ask, attach, attached, contents, field_of, first_record, listed
from tests.support.records import ALL_RECORDS, enable

LARGE = bytes(range(256)) * (5 * 1024 * 1024 // 256)


@pytest.mark.parametrize("resource", ALL_RECORDS)
async def test_files_are_added_listed_and_removed(connected: Gateway, sandbox: Sandbox, resource: str) -> None:
    path, field = first_record(sandbox, resource), await field_of(connected, resource, "file", multiple=True)
    assert await listed(connected, path) == []
    first, second = await attached(connected, path, field, ("договор 🧩.pdf", b"one"), ("b.txt", b"two"))
    (third,) = await attached(connected, path, field, ("c.bin", LARGE))
    assert [line["name"] for line in (first, second, third)] == ["договор 🧩.pdf", "b.txt", "c.bin"]
    assert [line["size"] for line in (first, second, third)] == [3, 3, len(LARGE)]
    assert contents(sandbox) == [b"one", b"two", LARGE]
    expected = [{"field": field, "id": line["id"], "url": line["url"]} for line in (first, second, third)]
    assert await listed(connected, path) == await listed(connected, path, field) == expected
    assert (await ask(connected, "DELETE", f"{path}/files/{second['id']}?field={field}")).status == 204
    assert contents(sandbox) == [b"one", LARGE]
    assert [each["id"] for each in await listed(connected, path)] == [first["id"], third["id"]]


@pytest.mark.parametrize(("resource", "field"), [("deals", None), ("contacts", "PHOTO"), ("companies", "LOGO")])
async def test_a_field_with_one_file_has_the_newest(
    connected: Gateway, sandbox: Sandbox, resource: str, field: str | None
) -> None:
    path = first_record(sandbox, resource)
    name = field or await field_of(connected, resource, "file", multiple=False)
    await attached(connected, path, name, ("a.png", b"one"))
    (line,) = await attached(connected, path, name, ("b.png", b"two"))
    assert contents(sandbox) == [b"two"]
    assert [each["id"] for each in await listed(connected, path, name)] == [line["id"]]
    assert (await ask(connected, "DELETE", f"{path}/files/{line['id']}?field={name}")).status == 204
    assert (contents(sandbox), await listed(connected, path)) == ([], [])


async def check_downloads(gateway: Gateway, sandbox: Sandbox) -> None:
    """Check that contents are downloaded as they were added."""
    path, field = first_record(sandbox, "deals"), await field_of(gateway, "deals", "file", multiple=True)
    small, large = await attached(gateway, path, field, ("отчёт 1.txt", b"small"), ("b.bin", LARGE))
    answer = await ask(gateway, "GET", small["url"].removeprefix("/bitrix/"))
    assert (answer.status, answer.body) == (200, b"small")
    assert answer.headers["Content-Disposition"].endswith("filename*=UTF-8''%D0%BE%D1%82%D1%87%D1%91%D1%82%201.txt")
    assert answer.headers["Content-Length"] == "5"
    assert (await ask(gateway, "GET", large["url"].removeprefix("/bitrix/"))).body == LARGE


async def test_contents_are_downloaded_by_webhook(connected: Gateway, sandbox: Sandbox) -> None:
    await check_downloads(connected, sandbox)


async def test_contents_are_downloaded_by_oauth(authorized: Gateway, sandbox: Sandbox) -> None:
    await check_downloads(authorized, sandbox)


@pytest.mark.parametrize(
    ("asked", "positions"),
    [("bytes=0-0", (0, 0)), ("bytes=100-", (100, 999)), ("bytes=-5", (995, 999)), ("bytes=10-5000", (10, 999))],
)
async def test_a_part_of_a_content_is_downloaded(
    connected: Gateway, sandbox: Sandbox, asked: str, positions: tuple[int, int]
) -> None:
    content = bytes(range(250)) * 4
    path, field = first_record(sandbox, "deals"), await field_of(connected, "deals", "file", multiple=False)
    (line,) = await attached(connected, path, field, ("a", content))
    answer = await ask(connected, "GET", line["url"].removeprefix("/bitrix/"), headers={"Range": asked})
    first, last = positions
    assert (answer.status, answer.body) == (206, content[first : last + 1])
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/1000"
    assert answer.headers["Content-Length"] == str(last + 1 - first)


async def test_a_part_that_a_content_does_not_have_is_416_and_nonsense_is_ignored(
    connected: Gateway, sandbox: Sandbox
) -> None:
    path, field = first_record(sandbox, "deals"), await field_of(connected, "deals", "file", multiple=False)
    (line,) = await attached(connected, path, field, ("a", b"content"))
    address = line["url"].removeprefix("/bitrix/")
    for missing in ("bytes=7-", "bytes=-0", "bytes=-00"):
        answer = await ask(connected, "GET", address, headers={"Range": missing})
        assert (answer.status, answer.headers["Content-Range"]) == (416, "bytes */7")
    answer = await ask(connected, "GET", address, headers={"Range": "BYTES= 1 - 3 "})
    assert (answer.status, answer.body) == (206, b"ont")
    for ignored in ("bytes=5-2", "bytes=a-b", "bytes=0-1,3-4", "lines=1-2", "bytes="):
        answer = await ask(connected, "GET", address, headers={"Range": ignored})
        assert (answer.status, answer.body) == (200, b"content")


async def test_a_content_that_is_known_is_not_sent_again(connected: Gateway, sandbox: Sandbox) -> None:
    path, field = first_record(sandbox, "deals"), await field_of(connected, "deals", "file", multiple=False)
    (line,) = await attached(connected, path, field, ("a", b"content"))
    address = line["url"].removeprefix("/bitrix/")
    etag = (await ask(connected, "GET", address)).headers["ETag"]
    answer = await ask(connected, "GET", address, headers={"If-None-Match": etag})
    assert (answer.status, answer.body, answer.headers["ETag"]) == (304, b"", etag)
    other = {"Range": "bytes=0-1", "If-Range": '"other"'}
    assert (await ask(connected, "GET", address, headers=other)).status == 200


async def test_only_a_file_of_the_field_is_opened_or_removed(connected: Gateway, sandbox: Sandbox) -> None:
    path, field = first_record(sandbox, "deals"), await field_of(connected, "deals", "file", multiple=False)
    other = await field_of(connected, "deals", "file", multiple=True)
    (line,) = await attached(connected, path, field, ("a", b"content"))
    for method, address in (("GET", f"files/{line['id']}/content"), ("DELETE", f"files/{line['id']}")):
        answer = await ask(connected, method, f"{path}/{address}?field={other}")
        assert (answer.status, answer.json["code"]) == (404, "file_not_found")
    assert contents(sandbox) == [b"content"]


async def test_callers_see_no_credential_of_the_portal(authorized: Gateway, sandbox: Sandbox) -> None:
    path, field = first_record(sandbox, "deals"), await field_of(authorized, "deals", "file", multiple=True)
    answer = await attach(authorized, path, field, [("a", b"1")])
    items = await ask(authorized, "GET", f"{path}/files")
    for text in (answer.body, items.body):
        assert b"auth=" not in text
        assert b"token" not in text


async def test_a_mirrored_record_shows_its_files_at_once(connected: Gateway, sandbox: Sandbox) -> None:
    await enable(connected, "deals")
    path, field = first_record(sandbox, "deals"), await field_of(connected, "deals", "file", multiple=False)
    (line,) = await attached(connected, path, field, ("a", b"content"))
    shown = (await ask(connected, "GET", f"{path}?source=mirror")).json[field]
    assert str(shown["id"]) == str(line["id"])
    await ask(connected, "DELETE", f"{path}/files/{line['id']}?field={field}")
    assert not (await ask(connected, "GET", f"{path}?source=mirror")).json[field]


async def test_callers_who_add_files_at_once_lose_none(connected: Gateway, sandbox: Sandbox) -> None:
    path, field = first_record(sandbox, "deals"), await field_of(connected, "deals", "file", multiple=True)
    adding = [attach(connected, path, field, [(f"{number}", b"%d" % number)]) for number in range(5)]
    answers = await asyncio.gather(*adding)
    assert len({answer.json["files"][0]["id"] for answer in answers}) == 5
    assert sorted(contents(sandbox)) == [b"0", b"1", b"2", b"3", b"4"]


@pytest.mark.parametrize("fault", ["drop", "cut", "502", "qle", "lost", "unreadable"])
@pytest.mark.parametrize("multiple", [True, False])
async def test_a_lost_answer_neither_loses_nor_doubles_a_file(
    connected: Gateway, sandbox: Sandbox, fault: str, multiple: bool
) -> None:
    path, field = first_record(sandbox, "deals"), await field_of(connected, "deals", "file", multiple=multiple)
    await attached(connected, path, field, ("old", b"old"))
    sandbox.portal.fault(f"crm.item.update:{fault}")
    (line,) = await attached(connected, path, field, ("new", b"new"))
    assert contents(sandbox) == ([b"old", b"new"] if multiple else [b"new"])
    assert (await listed(connected, path, field))[-1]["id"] == line["id"]
    sandbox.portal.fault(f"crm.item.update:{fault}")
    assert (await ask(connected, "DELETE", f"{path}/files/{line['id']}?field={field}")).status == 204
    assert contents(sandbox) == ([b"old"] if multiple else [])


def test_the_files_of_one_update_have_a_limit(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 10**10)
    field = FileField("UF_CRM_1", "UF_CRM_1", "file", multiple=True)
    files = [ReceivedFile(f"{number}", SpooledFile(spool)) for number in range(40)]
    for file in files:
        file.file.size = MAX_BYTES // 40
    check_files(files, field)
    files[0].file.size += 40
    with pytest.raises(HttpError, match="at most") as error:
        check_files(files, field)
    assert error.value.status == 413
    spool.close()


async def test_an_unknown_outcome_is_told_for_each_file(connected: Gateway, sandbox: Sandbox) -> None:
    path, field = first_record(sandbox, "deals"), await field_of(connected, "deals", "file", multiple=True)
    sandbox.portal.fault("crm.item.update:cut*")
    sandbox.portal.fault("crm.item.get:502*@1")
    answer = await attach(connected, path, field, [("a", b"1"), ("b", b"2")])
    assert (answer.status, answer.json["code"], answer.json["failed"]) == (422, "not_attached", 2)
    assert {line["error"]["code"] for line in answer.json["files"]} == {"outcome_unknown"}


async def test_a_refusal_of_the_portal_is_told_for_each_file(connected: Gateway, sandbox: Sandbox) -> None:
    path, field = first_record(sandbox, "deals"), await field_of(connected, "deals", "file", multiple=True)
    sandbox.portal.fault("crm.item.update:error=ACCESS_DENIED")
    answer = await attach(connected, path, field, [("a", b"1"), ("b", b"2")])
    assert (answer.status, [line["name"] for line in answer.json["files"]]) == (422, ["a", "b"])
    assert {line["error"]["code"] for line in answer.json["files"]} == {"ACCESS_DENIED"}
    assert contents(sandbox) == []


@pytest.mark.parametrize(
    ("query", "parameter", "code"),
    [
        ("", "field", "required"),
        ("field=", "field", "required"),
        ("field=UF_CRM_NONE", "field", "unknown_field"),
        ("field=TITLE", "field", "invalid_value"),
        ("field=COMMENTS", "field", "invalid_value"),
        ("field=FILE&folder=1", "folder", "invalid_value"),
        ("field=FILE&unique=1", "unique", "invalid_value"),
        ("field=FILE&path=a", "path", "invalid_value"),
        ("field=FILE&field=FILE", "field", "repeated"),
    ],
)
async def test_invalid_parameters_are_refused_before_a_file_is_sent(
    connected: Gateway, sandbox: Sandbox, query: str, parameter: str, code: str
) -> None:
    field = await field_of(connected, "deals", "file", multiple=True)
    sandbox.portal.calls.clear()
    answer = await ask(connected, "POST", f"deals/1/files?{query.replace('FILE', field)}", data=None)
    assert answer.status == 400
    (error,) = answer.json["errors"]
    assert (error["parameter"], error["code"]) == (parameter, code)
    assert sandbox.portal.calls["crm.item.update"] == 0


async def test_an_empty_field_is_refused(connected: Gateway) -> None:
    answer = await ask(connected, "GET", "deals/1/files?field=")
    assert (answer.status, answer.json["detail"]) == (400, "field: must name a field with files")


@pytest.mark.parametrize(
    ("files", "pointer", "code"),
    [([("a", b"1"), ("b", b"2")], "/1", "too_many"), ([("a", b"")], "/0", "empty")],
)
async def test_what_the_field_does_not_take_is_refused(
    connected: Gateway, sandbox: Sandbox, files: list[tuple[str, bytes]], pointer: str, code: str
) -> None:
    path, field = first_record(sandbox, "deals"), await field_of(connected, "deals", "file", multiple=False)
    answer = await attach(connected, path, field, files)
    (error,) = answer.json["errors"]
    assert (answer.status, error["pointer"], error["code"]) == (400, pointer, code)
    assert contents(sandbox) == []


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_a_record_that_does_not_exist_is_404(connected: Gateway, method: str) -> None:
    field = await field_of(connected, "deals", "file", multiple=True)
    if method == "POST":
        answer = await attach(connected, "deals/999999", field, [("a", b"1")])
    else:
        rest = "" if method == "GET" else "/1"
        answer = await ask(connected, method, f"deals/999999/files{rest}?field={field}")
    assert (answer.status, answer.json["detail"]) == (404, "the portal has no record 999999 of deals")
    assert connected.app[SPOOL].held_bytes == 0


async def test_settings_may_deny_files_in_fields(connected: Gateway, sandbox: Sandbox) -> None:
    field = await field_of(connected, "deals", "file", multiple=True)
    await connected.restart(GATEWAY_METHODS_DENY="crm.item.update")
    answer = await attach(connected, first_record(sandbox, "deals"), field, [("a", b"x")])
    assert (answer.status, answer.json["code"]) == (403, "method_denied")


async def test_a_download_that_is_cut_does_not_look_complete(connected: Gateway, sandbox: Sandbox) -> None:
    path, field = first_record(sandbox, "deals"), await field_of(connected, "deals", "file", multiple=False)
    (line,) = await attached(connected, path, field, ("a", LARGE))
    sandbox.portal.fault("crm.controller.item.getfile:cut")
    with pytest.raises(aiohttp.ClientPayloadError):
        await ask(connected, "GET", line["url"].removeprefix("/bitrix/"))


async def test_an_address_at_another_host_is_not_opened(connected: Gateway, sandbox: Sandbox, other: Sandbox) -> None:
    await connected.connect(sandbox.webhook)
    path, field = first_record(sandbox, "deals"), await field_of(connected, "deals", "file", multiple=False)
    (line,) = await attached(connected, path, field, ("a", b"content"))
    sandbox.portal.fault(f"crm.item.get:link_origin={other.origin}")
    before = other.portal.http_requests
    answer = await ask(connected, "GET", line["url"].removeprefix("/bitrix/"))
    assert (answer.status, answer.json["code"], other.portal.http_requests - before) == (502, "portal_broken", 0)
