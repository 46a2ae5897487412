"""Portals that send another content than was asked for, or something else: callers get all bytes or see a failure."""

import gzip
from collections.abc import AsyncIterator

import aiohttp
import orjson
import pytest
from aiohttp import web

from gateway.bitrix.retry import MAX_ATTEMPTS
from gateway.bitrix.transport.download_session import MAX_REDIRECTS
from tests.gateway import Answer, Gateway, Sandbox
from tests.support.disk import root_of, uploaded
from tests.support.record_files import attached, field_of, first_record
from tests.support.recording_proxy import RecordingProxy, Responder, Sent, recording_proxy
from tests.support.rogue import listening

CONTENT = bytes(range(100)) * 10
SIZE = len(CONTENT)
LARGE = CONTENT * 3000  # more than is read from a socket at once
RECORD_METHOD = "crm.controller.item.getFile"
NAMED = 'attachment; filename="a.json"'
JSON = "application/json; charset=utf-8"
QUERY_LIMIT = orjson.dumps({"error": "QUERY_LIMIT_EXCEEDED", "error_description": "Too many requests"})
DENIED = orjson.dumps({"error": "ACCESS_DENIED", "error_description": "Access denied"})
RESULT = b'{"result": true}'


@pytest.fixture
async def proxy(gateway: Gateway, sandbox: Sandbox) -> AsyncIterator[RecordingProxy]:
    """The portal of the account, which lies as a test demands."""
    async with recording_proxy(sandbox) as proxy:
        await gateway.connect(proxy.webhook)
        yield proxy


@pytest.fixture
async def path(gateway: Gateway, sandbox: Sandbox, proxy: RecordingProxy) -> str:
    """The content of a file of Disk, whose size the portal tells."""
    assert proxy.origin
    (line,) = await uploaded(gateway, root_of(sandbox), ("a.bin", CONTENT))
    return str(line["url"])


@pytest.fixture
async def record_path(gateway: Gateway, sandbox: Sandbox, proxy: RecordingProxy) -> str:
    """The content of a file of a record, whose size the portal does not tell."""
    assert proxy.origin
    field = await field_of(gateway, "deals", "file", multiple=False)
    (line,) = await attached(gateway, first_record(sandbox, "deals"), field, ("a.bin", CONTENT))
    return str(line["url"])


def sending(body: bytes, status: int = 200, *, chunked: bool = False, **headers: str) -> Responder:
    """Answers with this response; *chunked* without a Content-Length."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    async def pieces() -> AsyncIterator[bytes]:
        yield body

    async def answer(_sent: Sent) -> web.StreamResponse:
        return web.Response(status=status, body=pieces() if chunked else body, headers=named)

    return answer


def part(first: int, last: int, size: int = SIZE, *, body: bytes | None = None) -> Responder:
    """Answers with a part of the file."""
    sent = CONTENT[first : last + 1] if body is None else body
    return sending(sent, 206, Content_Range=f"bytes {first}-{last}/{size}")


def no_part(size: int) -> Responder:
    return sending(b"error page", 416, Content_Range=f"bytes */{size}")


async def get(gateway: Gateway, path: str, wanted: str | None) -> Answer:
    headers = {} if wanted is None else {"Range": wanted}
    return await gateway.clock.until(gateway.get(path, headers=headers))


WRONG: dict[str, tuple[str | None, Responder]] = {
    "an unasked part": (None, part(0, 9)),
    "no part, unasked": (None, no_part(SIZE)),
    "another part": ("bytes=10-19", part(0, 9)),
    "a shorter part": ("bytes=10-19", part(10, 14)),
    "a part beyond the end": ("bytes=10-19", part(10, 19, 15)),
    "a part with another length": ("bytes=10-19", part(10, 19, body=b"short")),
    "a part without positions": ("bytes=10-19", sending(CONTENT[10:20], 206)),
    "a part of an unknown size": ("bytes=10-19", sending(CONTENT[10:20], 206, Content_Range="bytes 10-19/*")),
    "no part, but there is one": ("bytes=10-19", no_part(SIZE)),
    "no part, without the size": ("bytes=10-19", sending(b"error page", 416)),
    "a chunked part that is short": ("bytes=10-19", sending(b"x", 206, chunked=True, Content_Range="bytes 10-19/1000")),
    "no content": (None, sending(b"", 204)),
    "another success": (None, sending(CONTENT, 203)),
    "not modified": (None, sending(b"", 304)),
    "choices": (None, sending(CONTENT, 300)),
    "gzip": (None, sending(gzip.compress(CONTENT), Content_Encoding="gzip")),
    "gzip, chunked": (None, sending(gzip.compress(CONTENT), chunked=True, Content_Encoding="gzip")),
    "another success with positions": ("bytes=10-19", sending(CONTENT[10:20], 203, Content_Range="bytes 10-19/1000")),
    "a page": (None, sending(b"<h1>Maintenance</h1>", Content_Type="text/html; charset=utf-8")),
    "a result": (None, sending(RESULT, Content_Type="application/json")),
    "a chunked result": (None, sending(RESULT, chunked=True, Content_Type="Application/JSON; charset=utf-8")),
}
WRONG_SIZES: dict[str, tuple[str | None, Responder]] = {
    "shorter": (None, sending(CONTENT[:-1])),
    "longer": (None, sending(CONTENT + b"x")),
    "empty": (None, sending(b"")),
    "chunked and shorter": (None, sending(CONTENT[:-1], chunked=True)),
    "chunked and longer": (None, sending(CONTENT + b"x", chunked=True)),
    "chunked and empty": (None, sending(b"", chunked=True)),
    "shorter, and a part is asked for": ("bytes=10-19", sending(CONTENT[:15])),
    "chunked and shorter than the part": ("bytes=10-19", sending(CONTENT[:5], chunked=True)),
    "a part of another size": ("bytes=10-19", part(10, 19, SIZE + 1)),
    "no part of another size": ("bytes=10-19", no_part(5)),
}


async def check_is_refused(
    gateway: Gateway, proxy: RecordingProxy, path: str, method: str, wanted: str | None, lie: Responder
) -> None:
    """Check that a lie becomes an error, or that the caller sees that bytes are missing."""
    proxy.answer(method, *[lie] * MAX_ATTEMPTS)
    try:
        answer = await get(gateway, path, wanted)
    except aiohttp.ClientError:
        return  # the connection was closed in the middle
    assert (answer.status, answer.json["code"]) == (502, "portal_broken")


@pytest.mark.parametrize(("wanted", "lie"), (WRONG | WRONG_SIZES).values(), ids=WRONG | WRONG_SIZES)
async def test_what_is_not_the_file_of_disk_is_refused(
    gateway: Gateway, proxy: RecordingProxy, path: str, wanted: str | None, lie: Responder
) -> None:
    await check_is_refused(gateway, proxy, path, "download", wanted, lie)


@pytest.mark.parametrize(("wanted", "lie"), WRONG.values(), ids=WRONG)
async def test_what_is_not_the_file_of_a_record_is_refused(
    gateway: Gateway, proxy: RecordingProxy, record_path: str, wanted: str | None, lie: Responder
) -> None:
    await check_is_refused(gateway, proxy, record_path, RECORD_METHOD, wanted, lie)


RIGHT: dict[str, tuple[str | None, Responder, int, bytes]] = {
    "the whole": (None, sending(CONTENT), 200, CONTENT),
    "the whole, chunked": (None, sending(CONTENT, chunked=True), 200, CONTENT),
    "not encoded": (None, sending(CONTENT, Content_Encoding="identity"), 200, CONTENT),
    "JSON with a name": (None, sending(CONTENT, Content_Type=JSON, Content_Disposition=NAMED), 200, CONTENT),
    "a part": ("bytes=10-19", part(10, 19), 206, CONTENT[10:20]),
    "a part at the end": ("bytes=-7", part(SIZE - 7, SIZE - 1), 206, CONTENT[-7:]),
    "a part up to the end": ("bytes=990-", part(990, SIZE - 1), 206, CONTENT[990:]),
    "the whole in the place of a part": ("bytes=10-19", sending(CONTENT), 206, CONTENT[10:20]),
}


@pytest.mark.parametrize("of_record", [False, True])
@pytest.mark.parametrize(("wanted", "truth", "status", "body"), RIGHT.values(), ids=RIGHT)
async def test_what_is_the_file_is_passed_on(
    gateway: Gateway,
    proxy: RecordingProxy,
    path: str,
    record_path: str,
    of_record: bool,
    wanted: str | None,
    truth: Responder,
    status: int,
    body: bytes,
) -> None:
    proxy.answer(RECORD_METHOD if of_record else "download", truth)
    answer = await get(gateway, record_path if of_record else path, wanted)
    assert (answer.status, answer.body) == (status, body)


async def test_a_record_s_file_has_the_size_that_the_portal_sends(
    gateway: Gateway, proxy: RecordingProxy, record_path: str
) -> None:
    proxy.answer(RECORD_METHOD, no_part(5), sending(b"other", chunked=True))
    answer = await get(gateway, record_path, "bytes=10-19")
    assert (answer.status, answer.headers["Content-Range"]) == (416, "bytes */5")
    answer = await get(gateway, record_path, "bytes=1-2")  # nothing tells the size, so all is sent
    assert (answer.status, answer.body) == (200, b"other")


async def test_an_error_with_200_is_an_error(gateway: Gateway, proxy: RecordingProxy, path: str) -> None:
    proxy.answer("download", sending(QUERY_LIMIT, Content_Type=JSON), sending(DENIED, chunked=True, Content_Type=JSON))
    answer = await get(gateway, path, None)
    assert (answer.status, answer.json["code"], proxy.counts["download"]) == (403, "access_denied", 2)


@pytest.mark.parametrize("lie", [sending(LARGE[:-1], chunked=True), sending(LARGE + b"x" * 9, chunked=True)])
async def test_a_file_of_another_length_never_looks_complete(
    gateway: Gateway, sandbox: Sandbox, proxy: RecordingProxy, lie: Responder
) -> None:
    (line,) = await uploaded(gateway, root_of(sandbox), ("large.bin", LARGE))
    proxy.answer("download", lie)
    async with gateway.opened(str(line["url"])) as response:
        assert (response.status, response.headers["Content-Length"]) == (200, str(len(LARGE)))
        with pytest.raises(aiohttp.ClientPayloadError):
            await gateway.clock.until(response.read())


@pytest.mark.parametrize("lie", [sending(LARGE[:-1]), sending(LARGE + b"x")])
async def test_a_file_of_another_announced_length_is_refused_before_its_first_byte(
    gateway: Gateway, sandbox: Sandbox, proxy: RecordingProxy, lie: Responder
) -> None:
    (line,) = await uploaded(gateway, root_of(sandbox), ("large.bin", LARGE))
    proxy.answer("download", lie)
    answer = await get(gateway, str(line["url"]), None)
    assert (answer.status, answer.json["code"]) == (502, "portal_broken")


async def test_redirects_within_the_portal_are_followed(
    gateway: Gateway, proxy: RecordingProxy, path: str, record_path: str
) -> None:
    for method, address in (("download", path), (RECORD_METHOD, record_path)):
        proxy.answer(method, sending(b"", 302, Location=f"{proxy.origin}/cached/1?a=b"))
        proxy.answer("1", sending(b"", 307, Location="2"))
        proxy.answer("2", sending(CONTENT))
        answer = await get(gateway, address, None)
        assert (answer.status, answer.body) == (200, CONTENT)
    assert [sent.address for sent in proxy.sent if "cached" in sent.address] == ["/cached/1?a=b", "/cached/2"] * 2


@pytest.mark.parametrize("location", ["http://[::1", "mailto:x", "http://a:99999/", "", "{other}/file", "{user}/file"])
async def test_a_redirect_to_another_place_is_refused_and_concerns_the_file_alone(
    authorized: Gateway, sandbox: Sandbox, location: str
) -> None:
    async def answer(request: web.Request) -> web.Response:
        called.append(request.path)
        return web.Response(body=CONTENT)

    called: list[str] = []
    async with listening(answer) as other, recording_proxy(sandbox) as proxy:
        (line,) = await uploaded(authorized, root_of(sandbox), ("a.bin", CONTENT))
        await authorized.connect(proxy.webhook, account="webhook")
        where = location.format(other=other, user=proxy.origin.replace("//", "//user:pass@"))
        proxy.answer("download", *[sending(b"", 302, Location=where)] * MAX_ATTEMPTS)
        answered = await authorized.clock.until(authorized.get(str(line["url"]), account="webhook"))
        assert (answered.status, answered.json["code"]) == (502, "portal_broken")
        assert (called, proxy.counts["download"]) == ([], 1)
        proxy.answers.clear()
        assert (await authorized.get(str(line["url"]), account="webhook")).body == CONTENT


async def test_a_redirect_of_an_oauth_account_renews_no_token(authorized: Gateway, sandbox: Sandbox) -> None:
    (line,) = await uploaded(authorized, root_of(sandbox), ("a.bin", CONTENT))
    sandbox.portal.fault("download:redirect=http://127.0.0.2:9*")
    answer = await get(authorized, str(line["url"]), None)
    assert (answer.status, answer.json["code"]) == (502, "portal_broken")
    assert (sandbox.portal.calls["download"], len(sandbox.portal.token_requests)) == (1, 0)


@pytest.mark.parametrize("fault", ["loop=302", "nowhere=302", "loop=304", "nowhere=300"])
async def test_a_redirect_without_an_end_is_refused(connected: Gateway, sandbox: Sandbox, fault: str) -> None:
    (line,) = await uploaded(connected, root_of(sandbox), ("a.bin", CONTENT))
    sandbox.portal.fault(f"download:{fault}*")
    answer = await get(connected, str(line["url"]), None)
    assert (answer.status, answer.json["code"]) == (502, "portal_broken")
    assert sandbox.portal.calls["download"] <= MAX_ATTEMPTS * (MAX_REDIRECTS + 1)
