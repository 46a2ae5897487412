"""Uploads of files to Disk: each exactly once, in the order sent, one failure not stopping the others."""

import errno
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from handlers.app_keys import SPOOL
from tests.gateway import Gateway, Sandbox
from tests.support.disk import FILES, facts, files_in, form_of, root_of, spooled_files, upload, uploaded

MIB = 1024 * 1024
LARGE = bytes(range(256)) * (5 * MIB // 256)  # sent in two steps


@pytest.fixture
def folder(connected: Gateway, sandbox: Sandbox) -> int:
    """A folder of an account that is connected by webhook."""
    assert connected.origin
    sandbox.portal.calls.clear()
    return root_of(sandbox)


@pytest.mark.parametrize(
    "content", [b"x", b"text", bytes(range(256)) * 100, b"\0", b"a" * 192 * 1024, b"b" * (192 * 1024 + 1)]
)
async def test_a_file_reaches_the_portal_unchanged(
    connected: Gateway, sandbox: Sandbox, folder: int, content: bytes
) -> None:
    (line,) = await uploaded(connected, folder, ("фото 🌷.jpg", content))
    assert files_in(sandbox, folder) == {"фото 🌷.jpg": facts(content)}
    assert (line["name"], line["size"], line["url"]) == ("фото 🌷.jpg", len(content), f"{FILES}/{line['id']}/content")
    assert sandbox.portal.calls == {"disk.folder.uploadfile": 1}


@pytest.mark.parametrize("content", [b"", LARGE, LARGE[: 4 * MIB + 1]])
async def test_empty_and_large_files_are_sent_in_two_steps(
    connected: Gateway, sandbox: Sandbox, folder: int, content: bytes
) -> None:
    await uploaded(connected, folder, ("видео.mp4", content))
    assert files_in(sandbox, folder) == {"видео.mp4": facts(content)}
    assert sandbox.portal.calls == {"disk.folder.uploadfile": 1, "upload": 1}


async def test_oauth_accounts_upload_too(authorized: Gateway, sandbox: Sandbox) -> None:
    folder = root_of(sandbox)
    await uploaded(authorized, folder, ("a.txt", b"inline"), ("b.bin", LARGE))
    assert files_in(sandbox, folder) == {"a.txt": facts(b"inline"), "b.bin": facts(LARGE)}


async def test_lines_come_in_the_order_sent(connected: Gateway, sandbox: Sandbox, folder: int) -> None:
    files = [(f"{number}.txt", b"x" * (number + 1)) for number in range(30)]
    lines = await uploaded(connected, folder, *files)
    assert [line["name"] for line in lines] == [name for name, _ in files]
    assert [line["size"] for line in lines] == [len(content) for _, content in files]
    assert sandbox.portal.calls == {"disk.folder.uploadfile": 30}


async def test_a_hundred_files_cost_a_hundred_requests(connected: Gateway, sandbox: Sandbox, folder: int) -> None:
    before = sandbox.portal.http_requests
    await uploaded(connected, folder, *[(f"{number}", b"x") for number in range(100)])
    assert sandbox.portal.http_requests - before == 100


async def test_a_taken_name_gets_a_number(connected: Gateway, sandbox: Sandbox, folder: int) -> None:
    lines = await uploaded(connected, folder, ("a.txt", b"1"), ("a.txt", b"2"), ("a.txt", b"3"))
    assert len({line["id"] for line in lines}) == 3
    assert files_in(sandbox, folder).keys() == {"a.txt", "a (1).txt", "a (2).txt"}


async def test_a_taken_name_is_refused_if_asked_so(connected: Gateway, folder: int) -> None:
    await uploaded(connected, folder, ("a.txt", b"1"))
    answer = await upload(connected, folder, [("b.txt", b"2"), ("a.txt", b"3"), ("c.txt", b"4")], unique=0)
    assert (answer.status, answer.json["failed"]) == (200, 1)
    _, refused, _ = answer.json["files"]
    assert (refused["name"], refused["error"]["code"]) == ("a.txt", "DISK_OBJ_22000")


async def test_a_folder_that_does_not_exist_is_told_for_each_file(connected: Gateway, folder: int) -> None:
    answer = await upload(connected, folder + 999, [("a.txt", b"1"), ("b.txt", b"2")])
    assert (answer.status, answer.json["failed"]) == (200, 2)
    assert {line["error"]["code"] for line in answer.json["files"]} == {"ERROR_NOT_FOUND"}


@pytest.mark.parametrize(
    "fault",
    [
        *("disk.folder.uploadfile:drop", "disk.folder.uploadfile:cut", "disk.folder.uploadfile:qle"),
        *(
            "disk.folder.uploadfile:502",
            "upload:drop",
            "upload:cut",
            "upload:lost",
            "upload:body_cut=1000",
            "upload:502",
        ),
    ],
)
async def test_a_lost_answer_neither_loses_nor_doubles_a_file(
    connected: Gateway, sandbox: Sandbox, folder: int, fault: str
) -> None:
    sandbox.portal.fault(fault)
    await uploaded(connected, folder, ("small.txt", b"small"), ("large.bin", LARGE), ("other.txt", b"other"))
    assert files_in(sandbox, folder) == {
        "small.txt": facts(b"small"),
        "large.bin": facts(LARGE),
        "other.txt": facts(b"other"),
    }


@pytest.mark.parametrize(("content", "method"), [(b"small", "disk.folder.uploadfile"), (LARGE, "upload")])
async def test_an_answer_that_cannot_be_read_neither_loses_nor_doubles_a_file(
    connected: Gateway, sandbox: Sandbox, folder: int, content: bytes, method: str
) -> None:
    sandbox.portal.fault(f"{method}:unreadable")
    await uploaded(connected, folder, ("a.bin", content))
    assert files_in(sandbox, folder) == {"a.bin": facts(content)}
    assert sandbox.portal.calls[method] == 1


async def test_a_file_whose_outcome_stays_unknown_is_told_so(connected: Gateway, sandbox: Sandbox, folder: int) -> None:
    sandbox.portal.fault("disk.folder.uploadfile:cut*")
    sandbox.portal.fault("disk.folder.getchildren:502*")
    answer = await upload(connected, folder, [("a.txt", b"1")])
    (line,) = answer.json["files"]
    assert (answer.status, answer.json["failed"], line["error"]["code"]) == (200, 1, "outcome_unknown")


async def test_lost_files_of_one_name_are_told_from_each_other(
    connected: Gateway, sandbox: Sandbox, folder: int
) -> None:
    sandbox.portal.fault("disk.folder.uploadfile:cut*3")
    lines = await uploaded(connected, folder, *[("a.txt", b"same")] * 6)
    assert len({line["id"] for line in lines}) == 6
    assert len(files_in(sandbox, folder)) == 6


async def test_an_address_at_another_host_gets_no_file(connected: Gateway, sandbox: Sandbox, other: Sandbox) -> None:
    await connected.connect(sandbox.webhook)
    folder = root_of(sandbox)
    sandbox.portal.fault(f"disk.folder.uploadfile:link_origin={other.origin}")
    answer = await upload(connected, folder, [("large.bin", LARGE)])
    (line,) = answer.json["files"]
    assert line["error"]["code"] == "portal_broken"
    assert other.portal.calls["upload"] == 0


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("", "folder"),
        ("folder=", "folder"),
        ("folder=0", "folder"),
        ("folder=x", "folder"),
        ("folder=1&unique=2", "unique"),
        ("storage=0", "storage"),
        ("folder=1&storage=1", "storage"),
        ("folder=1&path=", "path"),
        ("folder=1&path=a//b", "path"),
        ("folder=1&path=/a", "path"),
        ("folder=1&path=a/../b", "path"),
        ("folder=1&path=a%00b", "path"),
        ("folder=1&path=a%5Cb", "path"),
        ("folder=1&path=a/%20b", "path"),
        ("folder=1&path=caf%E9", "path"),
        ("folder=1&path=%ED%A0%80", "path"),
        (f"folder=1&path={'a' * 256}", "path"),
        (f"folder=1&path={'/'.join('a' * 33)}", "path"),
    ],
)
async def test_invalid_parameters_are_refused(connected: Gateway, query: str, parameter: str) -> None:
    answer = await connected.post(f"{FILES}?{query}", data=form_of([("a", b"x")]))
    assert answer.status == 400
    assert [error["parameter"] for error in answer.json["errors"]] == [parameter]


@pytest.mark.filterwarnings("ignore::aiohttp.BadContentDispositionParam")
async def test_an_encoded_name_that_is_not_utf8_is_none(connected: Gateway, sandbox: Sandbox, folder: int) -> None:
    body = HEAD.replace(b'filename="a.txt"', b"filename*=UTF-8''caf%e9.txt") + b"x\r\n--b--\r\n"
    answer = await connected.post(f"{FILES}?folder={folder}", data=body, headers=FORM)
    assert (answer.status, [error["code"] for error in answer.json["errors"]]) == (400, ["no_file_name"])
    assert sandbox.portal.calls.total() == 0


async def test_a_name_that_is_not_utf8_is_told_at_its_file(connected: Gateway, sandbox: Sandbox, folder: int) -> None:
    body = HEAD + b"1\r\n" + HEAD.replace(b"a.txt", b"caf\xe9.txt") + b"2\r\n--b--\r\n"
    answer = await connected.post(f"{FILES}?folder={folder}", data=body, headers=FORM)
    rule = "must have a name in UTF-8"
    assert (answer.status, answer.json["errors"]) == (400, [{"pointer": "/1", "code": "invalid_name", "detail": rule}])
    assert sandbox.portal.calls.total() == 0


async def test_settings_may_deny_uploads(connected: Gateway, folder: int) -> None:
    await connected.restart(GATEWAY_METHODS_DENY="disk.*")
    answer = await upload(connected, folder, [("a", b"x")])
    assert (answer.status, answer.json["code"]) == (403, "method_denied")


async def test_the_first_file_waits_no_longer_than_a_caller_may(
    connected: Gateway, sandbox: Sandbox, folder: int
) -> None:
    limits = {"GATEWAY_BUCKET_CAPACITY": "10", "GATEWAY_BUCKET_LEAK_PER_S": "0.1"}
    await connected.restart(GATEWAY_MAX_WAIT_S="1", **limits)
    lines = await uploaded(connected, folder, *[(f"{number}", b"x") for number in range(12)])
    assert len(lines) == 12  # the others wait as long as it takes
    for files in ([("late", b"x")], [("late", b"x"), ("later", b"x")]):
        answer = await upload(connected, folder, files)
        assert (answer.status, int(answer.headers["Retry-After"]) > 0) == (429, True)
    assert files_in(sandbox, folder).keys() == {str(number) for number in range(12)}


@pytest.mark.parametrize("first", [b"x", LARGE])
async def test_a_request_with_a_file_that_was_sent_is_finished(
    connected: Gateway, sandbox: Sandbox, folder: int, first: bytes
) -> None:
    limits = {"GATEWAY_BUCKET_CAPACITY": "10", "GATEWAY_BUCKET_LEAK_PER_S": "0.1"}
    await connected.restart(GATEWAY_MAX_WAIT_S="1", **limits)
    sandbox.portal.fault("disk.folder.uploadfile:qle")  # the next room is 10 s away
    await uploaded(connected, folder, ("first", first), *[(f"{number}", b"x") for number in range(12)])
    assert len(files_in(sandbox, folder)) == 13


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def spooled(gateway: Gateway) -> Any:
    return gateway.app[SPOOL].held_bytes


FORM = {"Content-Type": "multipart/form-data; boundary=b"}
HEAD = b'--b\r\nContent-Disposition: form-data; name="f"; filename="a.txt"\r\n\r\n'
INVALID: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "not_a_form"),
    "no boundary": (b"text", "not_a_form"),
    "no end": (HEAD + b"content", "not_a_form"),
    "no parts": (b"--b--\r\n", "required"),
    "no name": (b'--b\r\nContent-Disposition: form-data; name="f"\r\n\r\nx\r\n--b--\r\n', "no_file_name"),
    "no disposition": (b"--b\r\n\r\nx\r\n--b--\r\n", "no_file_name"),
    "dots": (HEAD.replace(b"a.txt", b"..") + b"x\r\n--b--\r\n", "no_file_name"),
    "only a path": (HEAD.replace(b"a.txt", b"a/b/") + b"x\r\n--b--\r\n", "no_file_name"),
    "long name": (HEAD.replace(b"a.txt", b"n" * 256) + b"x\r\n--b--\r\n", "invalid_name"),
    "nul": (HEAD.replace(b"a.txt", b"a\x00b") + b"x\r\n--b--\r\n", "not_a_form"),
    "not utf-8": (HEAD.replace(b"a.txt", b"caf\xe9.txt") + b"x\r\n--b--\r\n", "invalid_name"),
    "surrogate": (
        HEAD.replace(b'filename="a.txt"', b"filename*=unicode_escape''%5cud800.txt") + b"x\r\n--b--\r\n",
        "invalid_name",
    ),
    "charset": (b'--b\r\nContent-Disposition: form-data; name="_charset_"\r\n\r\n' + b"x" * 99, "not_a_form"),
    "nested": (b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c--\r\n--b--\r\n", "nested"),
    "encoded": (
        HEAD.replace(b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: base64\r\n\r\n") + b"eA==\r\n--b--\r\n",
        "encoded",
    ),
}


@pytest.mark.parametrize("name", INVALID)
async def test_an_invalid_form_is_refused_and_nothing_is_sent_on(
    connected: Gateway, sandbox: Sandbox, folder: int, name: str
) -> None:
    body, code = INVALID[name]
    answer = await connected.post(f"{FILES}?folder={folder}", data=body, headers=FORM)
    assert (answer.status, [error["code"] for error in answer.json["errors"]]) == (400, [code])
    assert (sandbox.portal.calls.total(), spooled(connected)) == (0, 0)


async def test_an_odd_disposition_is_not_quoted_in_warnings(
    recwarn: pytest.WarningsRecorder, connected: Gateway
) -> None:
    for head in (HEAD.replace(b'"a.txt"', b'"zzz'), HEAD.replace(b'"f"', b"f;;=")):
        await connected.post(f"{FILES}?folder=1", data=head + b"x\r\n--b--\r\n", headers=FORM)
    assert [str(warning.message) for warning in recwarn] == []


async def test_other_content_types_are_refused(connected: Gateway, folder: int) -> None:
    for content_type in ("application/json", "multipart/mixed; boundary=b", "multipart/form-data", "text/plain"):
        answer = await connected.post(f"{FILES}?folder={folder}", data=b"x", headers={"Content-Type": content_type})
        assert answer.status == 400


async def test_a_path_before_a_name_is_dropped(connected: Gateway, folder: int) -> None:
    for sent in ("../../etc/passwd", "C:\\Users\\x\\passwd", "/passwd"):
        (line,) = await uploaded(connected, folder, (sent, b"x"))
        assert line["name"].startswith("passwd")


async def test_more_than_a_hundred_files_are_refused_before_one_is_sent(
    connected: Gateway, sandbox: Sandbox, folder: int
) -> None:
    answer = await upload(connected, folder, [(f"{number}", b"x") for number in range(101)])
    assert (answer.status, answer.json["errors"][0]["code"]) == (400, "too_many")
    assert (sandbox.portal.calls.total(), spooled(connected)) == (0, 0)


async def test_a_file_of_50_mib_is_taken_and_one_of_a_byte_more_is_not(
    connected: Gateway, sandbox: Sandbox, folder: int
) -> None:
    largest = b"x" * (50 * MIB)

    async def sent(content: bytes) -> int:
        body = chunks(HEAD, content, b"\r\n--b--\r\n")
        answer = await connected.clock.until(
            connected.post(f"{FILES}?folder={folder}", data=body, headers=FORM), step_s=0.1
        )
        return answer.status

    assert await sent(largest + b"x") == 413
    assert (sandbox.portal.calls.total(), spooled(connected)) == (0, 0)
    assert await sent(largest) == 200
    assert files_in(sandbox, folder) == {"a.txt": facts(largest)}


LINE = b"x" * 999 + b"\n"
AROUND = {
    "before the first file": 3000 * LINE + HEAD + b"x\r\n--b--\r\n",
    "heads": 100 * HEAD.replace(b"\r\n\r\n", b"\r\n" + 5 * (b"X: " + 8 * LINE.strip() + b"\r\n") + b"\r\nx\r\n")
    + b"--b--\r\n",
}


@pytest.mark.parametrize("place", AROUND)
async def test_a_form_with_too_much_around_its_files_is_413(
    connected: Gateway, sandbox: Sandbox, folder: int, place: str
) -> None:
    answer = await connected.post(f"{FILES}?folder={folder}", data=chunks(AROUND[place]), headers=FORM)
    assert answer.status == 413
    assert answer.json["detail"] == f"body: has more than {2 * MIB:,} bytes outside of its files"
    assert (sandbox.portal.calls.total(), spooled(connected)) == (0, 0)


async def test_a_file_that_cannot_be_closed_does_not_keep_the_others(
    connected: Gateway, folder: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = os.close
    failed: list[int] = []

    def fail_once(descriptor: int) -> None:
        is_spooled = os.readlink(f"/proc/self/fd/{descriptor}").startswith(f"{tmp_path}/")
        close(descriptor)
        if is_spooled and not failed:
            failed.append(descriptor)
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "close", fail_once)
    answer = await upload(connected, folder, [(f"{number}", b"x") for number in range(5)])
    assert (answer.status, len(failed)) == (503, 1)
    assert (spooled(connected), spooled_files(os.getpid(), tmp_path)) == (0, 0)


async def test_a_full_spool_is_503_and_a_request_that_never_fits_413(
    connected: Gateway, sandbox: Sandbox, folder: int
) -> None:
    await connected.restart(GATEWAY_SPOOL_BYTES="1000")
    answer = await upload(connected, folder, [("a", b"x" * 2000)])
    assert (answer.status, spooled(connected)) == (413, 0)
    held = chunks(HEAD, b"x" * 1500, b"\r\n--b--\r\n")
    answer = await connected.post(f"{FILES}?folder={folder}", data=held, headers=FORM)
    assert (answer.status, answer.json["code"], answer.headers["Retry-After"]) == (503, "spool_full", "10")
    assert (sandbox.portal.calls.total(), spooled(connected)) == (0, 0)
    await uploaded(connected, folder, ("b", b"x" * 500))


async def test_no_files_stay_behind(connected: Gateway, folder: int, tmp_path: Any) -> None:
    before = set(tmp_path.iterdir())
    await uploaded(connected, folder, ("a", LARGE))
    assert set(tmp_path.iterdir()) == before
    assert spooled(connected) == 0
