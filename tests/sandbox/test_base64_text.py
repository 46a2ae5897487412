"""Contents in base64, decoded in pieces."""

import base64
import binascii

import pytest

from gateway.sandbox.content.base64_text import decode_leniently, decode_strictly

CONTENT = bytes(range(256)) * 10_000
WRAPPED = base64.encodebytes(CONTENT).decode()  # lines of 76 characters, in slices that split groups of four


def test_large_contents_come_in_pieces() -> None:
    for decode in (decode_leniently, decode_strictly):
        pieces = list(decode(WRAPPED))
        assert b"".join(pieces) == CONTENT
        assert len(pieces) > 3


@pytest.mark.parametrize(
    ("text", "content"),
    [("", b""), ("M Q=\n=", b"1"), ("MQ", b"1"), ("MTI", b"12"), ("MTIz", b"123"), (" \n", b"")],
)
def test_spaces_and_missing_padding_are_fine(text: str, content: bytes) -> None:
    assert b"".join(decode_strictly(text)) == b"".join(decode_leniently(text)) == content


@pytest.mark.parametrize(
    ("text", "content"),
    [("M", b""), ("MTIzN", b"123"), ("MQ==MQ==", b"1\x03\x10"), ("=MQ", b"1"), ("M?Qж", b"1"), ("data:,", b"u\xabZ")],
)
def test_what_is_no_base64_breaks_a_file_or_is_refused(text: str, content: bytes) -> None:
    assert b"".join(decode_leniently(text)) == content
    with pytest.raises(binascii.Error):
        list(decode_strictly(text))


def test_nothing_may_follow_the_padding_of_an_earlier_piece() -> None:
    padded = base64.b64encode(bytes(2**20 // 4 * 3 - 1)).decode()
    assert padded.endswith("=")
    with pytest.raises(binascii.Error):
        list(decode_strictly(padded + "MTIz"))
