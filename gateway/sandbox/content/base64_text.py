"""The contents of files that a client writes in base64, decoded in pieces so that they are never whole in memory."""

import binascii
import string
from collections.abc import Callable, Iterator

_SLICE_CHARS = 2**20
_ALPHABET = (string.ascii_letters + string.digits + "+/").encode()
_OTHERS = bytes(set(range(256)) - set(_ALPHABET))


def decode_leniently(text: str) -> Iterator[bytes]:
    """The content of *text* by the rules of PHP: what is no base64 is skipped, so it breaks the file."""
    for chars in _in_fours(text, lambda part: part.translate(None, _OTHERS)):
        if len(chars) > 1:
            yield binascii.a2b_base64(_padded(chars))


def decode_strictly(text: str) -> Iterator[bytes]:
    """The content of *text*. Line breaks and missing padding are fine.

    Raises:
        binascii.Error: it is not base64.
    """
    is_padded = False
    for chars in _in_fours(text, lambda part: b"".join(part.split())):
        if is_padded:
            raise binascii.Error("characters after the padding")
        is_padded = chars.endswith(b"=")
        yield binascii.a2b_base64(_padded(chars), strict_mode=True)


def _in_fours(text: str, cleaned: Callable[[bytes], bytes]) -> Iterator[bytes]:
    """The cleaned characters of *text* in pieces, of which all but the last have a multiple of four."""
    rest = b""
    for start in range(0, len(text), _SLICE_CHARS):
        chars = rest + cleaned(text[start : start + _SLICE_CHARS].encode("ascii", "replace"))
        whole = len(chars) - len(chars) % 4
        if whole:
            yield chars[:whole]
        rest = chars[whole:]
    if rest:
        yield rest


def _padded(chars: bytes) -> bytes:
    return chars + b"=" * (-len(chars) % 4)
