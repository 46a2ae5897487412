"""Links to contents: signed tokens of uploads and downloads, and public links.

Source: methods.md, sections 8.3 and 8.4; the parts of a token are decoded from the samples there
"""

import base64
import binascii
import hashlib
import hmac
import itertools
from urllib.parse import urlencode

from gateway.sandbox.php import Value, encode_json, parse_query

_KEY = b"sandbox"
_NONCE_CHARS = 32
_CODE_CHARS = 5


class Links:
    """Makes and checks the tokens of links, each with a nonce of its own, and keeps the public links."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._objects: dict[str, int] = {}  # by code of a public link

    def token(self, scope: str, method: str, query: dict[str, Value], credential: str) -> str:
        """A token for a technical *method*, such as ``upload``, that works only with this credential.

        It has three parts, joined by pipes: the scope, the query in base64, and all that is signed with its signature.
        """
        nonce = hashlib.sha256(b"%s/%d" % (_KEY, next(self._numbers))).hexdigest()[:_NONCE_CHARS]
        encoded = _base64(urlencode({**query, "_": nonce}).encode())
        return f"{scope}|{encoded}|{_signed(scope, method, encoded, credential)}"

    def read_token(self, scope: str, method: str, token: Value, credential: str) -> dict[str, Value] | None:
        """The query of a token; None if it was not made for this *scope*, *method* and *credential*."""
        sent, _, rest = (token if isinstance(token, str) else "").partition("|")
        encoded, _, signed = rest.partition("|")
        expected = _signed(scope, method, encoded, credential)
        if sent != scope or not hmac.compare_digest(signed.encode(), expected.encode()):
            return None
        try:
            return parse_query(base64.b64decode(encoded, validate=True).decode())
        except (binascii.Error, UnicodeDecodeError):
            return None

    def public_code(self, object_id: int) -> str:
        """The code of the public link to an object, the same at every call."""
        code = hashlib.sha256(b"%s/public/%d" % (_KEY, object_id)).hexdigest()[:_CODE_CHARS]
        while self._objects.setdefault(code, object_id) != object_id:
            code = f"{code}{_CODE_CHARS}"
        return code

    def public_object(self, code: str) -> int | None:
        """The id of the object that a public link leads to."""
        return self._objects.get(code)


def _signed(scope: str, method: str, encoded: str, credential: str) -> str:
    body = _base64(encode_json("|".join((method, scope, encoded, credential))))
    return f"{body}.{_base64(hmac.new(_KEY, body.encode(), hashlib.sha256).digest())}"


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()
