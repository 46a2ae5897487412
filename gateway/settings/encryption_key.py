"""The check that a database and the encryption key belong together."""

from gateway.crypto.vault import KEY_CHECK, NO_KEY, Vault, key_needed
from gateway.settings.config import Config
from storage.database import Database
from storage.metadata import MetadataStore


async def check_key(database: Database, vault: Vault, config: Config) -> None:
    """Check that *vault* has the key of *database*. If the database has no key yet, that of *vault* becomes its key.

    Raises:
        SettingsError: the database has another key; the text says what to do.
    """
    metadata = MetadataStore(database)
    check_value = await metadata.load(KEY_CHECK)
    if check_value is None or check_value == NO_KEY:
        await metadata.save(KEY_CHECK, vault.check_value())
    elif not vault.fits(check_value):
        raise key_needed(config.database, config.secrets_file, "the encryption key is different")
