"""The settings of installations, encrypted in the database: they hold passwords."""

from collections.abc import Mapping
from typing import Any

import orjson

from gateway.crypto.vault import Vault
from gateway.widgets.manifests import decode_manifest
from gateway.widgets.templates import missing_settings


class SettingsVault:
    """Seals settings, each for the installation that has them."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def seal(self, account_key: str, widget_id: int, settings: Mapping[str, object]) -> bytes:
        """Return *settings* as they are stored."""
        return self._vault.seal(orjson.dumps(settings), _row(account_key, widget_id))

    def open(self, account_key: str, widget_id: int, sealed: bytes | None) -> dict[str, Any]:
        """Return the settings that were sealed; none if they were lost with the encryption key.

        Raises:
            SealBroken: they were sealed with another key or for another installation, or modified.
        """
        if sealed is None:
            return {}
        settings: dict[str, Any] = orjson.loads(self._vault.open(sealed, _row(account_key, widget_id)))
        return settings


def missing_after_loss(manifest: bytes) -> list[str]:
    """Return the keys whose values an installation misses of an encoded *manifest*, once its settings are lost."""
    return missing_settings(decode_manifest(manifest).settings_template, None)


def _row(account_key: str, widget_id: int) -> str:
    return f"widget_installations/{widget_id}/{account_key}"
