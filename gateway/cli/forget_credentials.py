"""The command `forget-credentials`: deletes what is encrypted with a lost key, so that a new key can be used."""

from collections.abc import Callable
from dataclasses import dataclass

from gateway.clock import Clock
from gateway.crypto.vault import KEY_CHECK, NO_KEY
from gateway.settings.config import Config
from gateway.settings.database_place import database_refusals, require_database
from gateway.widgets.context_keys import CONTEXT_KEY
from gateway.widgets.sealed_settings import missing_after_loss
from storage.credentials import CredentialStore
from storage.database import Database

NEXT_STEPS = (
    "Start the gateway again: it generates a new encryption key unless one is set. Then connect every account again "
    "with POST /bitrix/account and the address of its portal or inbound webhook. Until then, mirrored lists are served "
    "as before. The settings of installed widgets are deleted too: install those that had settings again (they show "
    "missing_settings if any is required). The key that signs the contexts of widgets is replaced: see /widgets/keys."
)


@dataclass(frozen=True)
class CredentialCount:
    """How many *accounts* have credentials in a database, and on how many *portals*."""

    accounts: int
    portals: int

    def __str__(self) -> str:
        accounts = "1 account" if self.accounts == 1 else f"{self.accounts:,} accounts"
        return f"{accounts} on {'1 portal' if self.portals == 1 else f'{self.portals:,} portals'}"


async def forget_credentials(
    config: Config, clock: Clock, confirm: Callable[[CredentialCount], bool]
) -> CredentialCount | None:
    """Delete all sealed credentials if *confirm* returns true; the number deleted, or None without confirmation.

    The settings of widgets, and the key that signs their contexts, are sealed and deleted too. The mirror and
    rules stay. The next start generates a new encryption key, or uses the one that is set.

    Raises:
        SettingsError: when there is no database, it is in use by a running gateway, or it cannot be opened.
    """
    require_database(config.database)
    with database_refusals(config.database):
        async with Database.open(config.database) as database:
            store = CredentialStore(database)
            found = CredentialCount(*await store.count())
            if not confirm(found):
                return None
            await store.delete_all(
                KEY_CHECK,
                NO_KEY,
                sealed_fact=CONTEXT_KEY,
                missing_of=missing_after_loss,
                now=int(clock.now()),
            )
            return found
