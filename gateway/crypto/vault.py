"""Encryption of stored credentials with AES-GCM. Each sealed value is bound to its key and its database row."""

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
KEY_CHECK = "encryption_key_check"  # metadata of a database: a value sealed with its key
NO_KEY = b""  # the check value once all sealed values are deleted
CHECK_ROW = "check"
CHECK_TEXT = b"bitrix-gateway"


class SealBroken(GatewayError):
    """a stored secret cannot be decrypted"""

    code = "seal_broken"


def decode_key(text: str) -> bytes:
    """The encryption key in base64url, with or without padding.

    Raises:
        ValueError: when *text* is not 32 bytes in base64url; the message does not contain it.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-]{43}=?", text, re.ASCII):
        raise ValueError(f"must be {KEY_BYTES} bytes in base64url (43 characters)")
    return urlsafe_b64decode(text.rstrip("=") + "=")


def key_needed(database: Path, secrets_file: Path, reason: str) -> SettingsError:
    """The error for a database whose encryption key is not available."""
    return SettingsError(
        f"{reason}: {database} needs the key that encrypted its tokens, in GATEWAY_ENCRYPTION_KEY or in "
        f"{secrets_file}. If that key is lost, run bitrix-gateway forget-credentials: it deletes those tokens and the "
        "settings of widgets, and every portal must be authorized again; the mirror stays"
    )


class Vault:
    """Encrypts and decrypts with one 32-byte key. A sealed value is the key id, a nonce, the ciphertext and its tag."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)
        self.key_id = hashlib.sha256(b"bitrix-gateway key id\0" + key).digest()[:KEY_ID_BYTES]

    def seal(self, plaintext: bytes, row: str) -> bytes:
        """Encrypt *plaintext*; it can be opened only with this key and for the same *row* (any stable name)."""
        nonce = os.urandom(NONCE_BYTES)
        return self.key_id + nonce + self._cipher.encrypt(nonce, plaintext, self.key_id + row.encode())

    def open(self, sealed: bytes, row: str) -> bytes:
        """The plaintext of a value that was sealed for *row*.

        Raises:
            SealBroken: when it was sealed with another key or for another row, or was modified.
        """
        key_id, nonce = sealed[:KEY_ID_BYTES], sealed[KEY_ID_BYTES : KEY_ID_BYTES + NONCE_BYTES]
        if key_id != self.key_id:
            raise SealBroken("a stored secret was encrypted with another key")
        try:
            return self._cipher.decrypt(nonce, sealed[KEY_ID_BYTES + NONCE_BYTES :], key_id + row.encode())
        except (InvalidTag, ValueError) as error:  # ValueError: a truncated nonce
            raise SealBroken from error

    def check_value(self) -> bytes:
        """A value to store in a new database, by which `fits` recognizes this key."""
        return self.seal(CHECK_TEXT, CHECK_ROW)

    def fits(self, check_value: bytes) -> bool:
        """Whether *check_value* was made with this key."""
        try:
            return self.open(check_value, CHECK_ROW) == CHECK_TEXT
        except SealBroken:
            return False
