"""Cursors of lists of records: opaque to callers, signed, and bound to the list and the question they belong to."""

import hashlib
import hmac
import math
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from dataclasses import dataclass

import orjson
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.errors import InvalidInput
from storage.mirror_queries import Position

DIGEST_BYTES = 12  # of the question; a chance match is no attack, the signature protects the cursor
SIGNATURE_BYTES = 16
MAX_CURSOR_CHARACTERS = 16_384  # longer than any that is issued


@dataclass(frozen=True)
class Cursor:
    """A *position* in an ordered list; *backward* leads to the rows before it."""

    position: Position
    backward: bool


class CursorSigner:
    """Issues and reads cursors, with a key derived from the encryption key."""

    def __init__(self, encryption_key: bytes) -> None:
        self._key = HKDF(SHA256(), 32, salt=None, info=b"bitrix-gateway cursor").derive(encryption_key)

    def issue(self, question: object, cursor: Cursor) -> str:
        """Return *cursor* as text. *question*, a JSON value, is what it belongs to."""
        value, row_id = cursor.position
        if isinstance(value, float) and not math.isfinite(value):
            value = None
        body = orjson.dumps([_digest(question), value, row_id, int(cursor.backward)])
        return urlsafe_b64encode(self._sign(body) + body).rstrip(b"=").decode()

    def read(self, question: object, text: str) -> Cursor:
        """Return the cursor that *text* is.

        Raises:
            InvalidInput: it was not issued here, or belongs to another question.
        """
        try:
            if len(text) > MAX_CURSOR_CHARACTERS:
                raise Error
            data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except (Error, ValueError):
            data = b""
        signature, body = data[:SIGNATURE_BYTES], data[SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, self._sign(body)):
            raise InvalidInput.of_parameter("cursor", "invalid_cursor", "must be a `next` that this list has returned")
        digest, value, row_id, backward = orjson.loads(body)
        if digest != _digest(question):
            rule = "belongs to another list, account, filter or order"
            raise InvalidInput.of_parameter("cursor", "cursor_mismatch", rule)
        return Cursor((value, row_id), bool(backward))

    def _sign(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, hashlib.sha256)[:SIGNATURE_BYTES]


def _digest(question: object) -> str:
    body = orjson.dumps(question, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(body).hexdigest()[: 2 * DIGEST_BYTES]
