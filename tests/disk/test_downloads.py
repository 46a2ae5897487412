"""Downloads of files: whole, in parts, and cut in the middle."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from handlers.bitrix.downloads import disposition, part_of
from handlers.http.errors import HttpError
from handlers.http.ranges import parse_range
from tests.gateway import Answer, Gateway, Sandbox
from tests.support.disk import root_of, uploaded
from tests.support.record_files import attached, field_of, first_record
from tests.support.recording_proxy import recording_proxy

CONTENT = bytes(range(256)) * 5000  # more than is read from a socket at once


@pytest.fixture
async def path(connected: Gateway, sandbox: Sandbox) -> str:
    """The content of an uploaded file."""
    (line,) = await uploaded(connected, root_of(sandbox), ("отчёт 1.txt", CONTENT))
    return str(line["url"])


async def get(gateway: Gateway, path: str, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await gateway.clock.until(gateway.get(path, headers=named))


async def test_the_content_comes_with_its_name_and_type(connected: Gateway, path: str) -> None:
    answer = await get(connected, path)
    assert (answer.status, answer.body) == (200, CONTENT)
    assert answer.headers["Content-Length"] == str(len(CONTENT))
    assert answer.headers["Content-Type"]
    assert answer.headers["Content-Disposition"] == (
        "attachment; filename=\"_____ 1.txt\"; filename*=UTF-8''%D0%BE%D1%82%D1%87%D1%91%D1%82%201.txt"
    )


async def test_oauth_accounts_download_too(authorized: Gateway, sandbox: Sandbox) -> None:
    (line,) = await uploaded(authorized, root_of(sandbox), ("a.txt", CONTENT))
    assert (await get(authorized, line["url"])).body == CONTENT


async def test_an_empty_file_is_downloaded(connected: Gateway, sandbox: Sandbox) -> None:
    (line,) = await uploaded(connected, root_of(sandbox), ("empty", b""))
    answer = await get(connected, line["url"])
    assert (answer.status, answer.body, answer.headers["Content-Length"]) == (200, b"", "0")
    assert (await get(connected, line["url"], Range="bytes=0-")).status == 416


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=10-19", 10, 19),
        ("bytes=100-", 100, None),
        ("bytes=-5", -5, None),
        ("bytes=0-9999999", 0, None),
    ],
)
async def test_a_part_is_sent(connected: Gateway, path: str, asked: str, first: int, last: int | None) -> None:
    answer = await get(connected, path, Range=asked)
    expected = CONTENT[first:] if last is None else CONTENT[first : last + 1]
    assert (answer.status, answer.body) == (206, expected)
    start = first % len(CONTENT)
    assert answer.headers["Content-Range"] == f"bytes {start}-{start + len(expected) - 1}/{len(CONTENT)}"


async def test_a_part_is_cut_out_if_a_portal_ignores_ranges() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(CONTENT), 1000):
            yield CONTENT[start : start + 1000]

    for asked in (range(1), range(999, 1001), range(70000, 75000), range(len(CONTENT) - 1, len(CONTENT))):
        assert b"".join([part async for part in part_of(chunks(), asked)]) == CONTENT[asked.start : asked.stop]


@pytest.mark.parametrize("asked", ["bytes=9999999-", f"bytes={len(CONTENT)}-", "bytes=-0"])
async def test_a_part_that_does_not_exist_is_416(connected: Gateway, path: str, asked: str) -> None:
    answer = await get(connected, path, Range=asked)
    assert (answer.status, answer.headers["Content-Range"]) == (416, f"bytes */{len(CONTENT)}")


@pytest.mark.parametrize(
    "asked", ["bytes=", "bytes=a-b", "bytes=5-2", "lines=1-2", "bytes=0-1,5-6", "0-5", "bytes=--5"]
)
async def test_what_is_no_single_range_is_ignored(connected: Gateway, path: str, asked: str) -> None:
    answer = await get(connected, path, Range=asked)
    assert (answer.status, answer.body) == (200, CONTENT)


async def test_a_caller_that_has_the_content_gets_304(connected: Gateway, sandbox: Sandbox, path: str) -> None:
    tag = (await get(connected, path)).headers["ETag"]
    sandbox.portal.calls.clear()
    answer = await get(connected, path, If_None_Match=tag)
    assert (answer.status, answer.body, sandbox.portal.calls["download"]) == (304, b"", 0)


async def test_the_tag_of_a_file_differs_by_account_and_by_portal(
    connected: Gateway, sandbox: Sandbox, path: str
) -> None:
    record, field = first_record(sandbox, "deals"), await field_of(connected, "deals", "file", multiple=False)
    (line,) = await attached(connected, record, field, ("a", b"content"))
    async with recording_proxy(sandbox) as copy:  # another portal with files of the same ids
        for address in (path, str(line["url"])):
            await connected.connect(sandbox.webhook)
            await connected.connect(sandbox.webhook, account="other")
            tags = [(await get(connected, address)).headers["ETag"] for _ in range(2)]
            of_other = await connected.clock.until(connected.get(address, account="other"))
            await connected.connect(copy.webhook)
            tags += [(await get(connected, address)).headers["ETag"], of_other.headers["ETag"]]
            assert tags[0] == tags[1]
            assert len(set(tags)) == 3


async def test_a_range_of_another_version_is_ignored(connected: Gateway, path: str) -> None:
    tag = (await get(connected, path)).headers["ETag"]
    assert (await get(connected, path, Range="bytes=0-4", If_Range=tag)).status == 206
    assert (await get(connected, path, Range="bytes=0-4", If_Range='"other"')).status == 200


async def test_a_download_that_is_cut_does_not_look_complete(connected: Gateway, sandbox: Sandbox, path: str) -> None:
    sandbox.portal.fault("download:cut*")
    with pytest.raises((aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError, aiohttp.ClientConnectionError)):
        await get(connected, path)


@pytest.mark.parametrize(
    ("fault", "status"), [("download:drop*", 504), ("download:502*", 502), ("disk.file.get:502*", 502)]
)
async def test_a_portal_that_fails_before_the_first_byte_is_an_error(
    connected: Gateway, sandbox: Sandbox, path: str, fault: str, status: int
) -> None:
    sandbox.portal.fault(fault)
    assert (await get(connected, path)).status == status


async def test_an_address_at_another_host_is_refused(connected: Gateway, sandbox: Sandbox, path: str) -> None:
    sandbox.portal.fault("disk.file.get:link_origin=http://127.0.0.2:9*")
    answer = await get(connected, path)
    assert (answer.status, answer.json["code"]) == (502, "portal_broken")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a b.txt", 'attachment; filename="a b.txt"'),
        ('a"b\r\n.txt', "attachment; filename=\"a_b__.txt\"; filename*=UTF-8''a%22b%0D%0A.txt"),
        ("💾", "attachment; filename=\"_\"; filename*=UTF-8''%F0%9F%92%BE"),
    ],
)
def test_names_are_encoded(name: str, expected: str) -> None:
    assert disposition(name) == expected


def test_ranges_of_nothing() -> None:
    assert parse_range(None, 0) is None
    with pytest.raises(HttpError):
        parse_range("bytes=0-", 0)
    assert parse_range("bytes=-99", 10) == range(10)
