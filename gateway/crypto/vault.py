"""Secrets of others at rest: sealed with AES-GCM, each bound to its key and to the row it belongs to."""

import hashlib
import os
import re
from base64 import urlsafe_b64decode
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.errors import GatewayError, SettingsError

KEY_BYTES = 32
KEY_ID_BYTES = 4
NONCE_BYTES = 12  # NIST SP 800-38D, section 8.2
KEY_CHECK = "encryption_key_check"  # the fact of a database that tells which key it needs
NO_KEY = b""  # its value where nothing is sealed any more
CHECK_ROW = "check"
CHECK_TEXT = b"bitrix-gateway"


class SealBroken(GatewayError):
    """a stored secret cannot be opened"""

    code = "seal_broken"


def decode_key(text: str) -> bytes:
    """The encryption key written in base64url, with or without its padding.

    Raises:
        ValueError: when *text* is anything but 32 bytes in base64url; it says so, without the text.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]{43}=?", text, re.ASCII):
        raise ValueError(f"must be {KEY_BYTES} bytes in base64url (43 characters)")
    return urlsafe_b64decode(text.rstrip("=") + "=")


def key_needed(database: Path, secrets_file: Path, why: str) -> SettingsError:
    """The refusal to start on a database whose key is not here."""
    return SettingsError(
        f"{why}: {database} needs the key that its tokens were sealed with, in GATEWAY_ENCRYPTION_KEY or in "
        f"{secrets_file}. If that key is lost, bitrix-gateway forget-credentials wipes those tokens: every portal has "
        "to be authorized again; what was mirrored stays"
    )


class Vault:
    """Seals and opens with one 32-byte key. A sealed value is its key's id, a nonce and the ciphertext with its tag."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)
        self.key_id = hashlib.sha256(b"bitrix-gateway key id\0" + key).digest()[:KEY_ID_BYTES]

    def seal(self, plaintext: bytes, row: str) -> bytes:
        """*plaintext* so that only this key opens it, and only as a part of *row* (any name that stays)."""
        nonce = os.urandom(NONCE_BYTES)
        return self.key_id + nonce + self._cipher.encrypt(nonce, plaintext, self.key_id + row.encode())

    def open(self, sealed: bytes, row: str) -> bytes:
        """What was sealed for *row*.

        Raises:
            SealBroken: when it was sealed with another key or for another row, or has been changed since.
        """
        key_id, nonce = sealed[:KEY_ID_BYTES], sealed[KEY_ID_BYTES : KEY_ID_BYTES + NONCE_BYTES]
        if key_id != self.key_id:
            raise SealBroken("a stored secret was sealed with another key")
        try:
            return self._cipher.decrypt(nonce, sealed[KEY_ID_BYTES + NONCE_BYTES :], key_id + row.encode())
        except (InvalidTag, ValueError) as error:  # ValueError: a nonce cut short
            raise SealBroken from error

    def check_value(self) -> bytes:
        """What a new database keeps, so that `fits` can tell this key from others."""
        return self.seal(CHECK_TEXT, CHECK_ROW)

    def fits(self, check_value: bytes) -> bool:
        """Whether *check_value* was made with this key."""
        try:
            return self.open(check_value, CHECK_ROW) == CHECK_TEXT
        except SealBroken:
            return False
