"""Giving up credentials whose encryption key is lost, so that the gateway can start with another key."""

from collections.abc import Callable
from dataclasses import dataclass

from gateway.clock import Clock
from gateway.crypto.vault import KEY_CHECK, NO_KEY
from gateway.errors import SettingsError
from gateway.settings.config import Config
from gateway.settings.database_place import SETTING, database_refusals
from storage.credentials import CredentialStore
from storage.database import Database

WHAT_NEXT = (
    "Start the gateway again: it makes a new encryption key, unless it is given one. Then connect every account again "
    "by POST /bitrix/account, with the address of its portal or inbound webhook; what was mirrored is listed meanwhile."
)


@dataclass(frozen=True)
class Credentials:
    """How many *accounts* have a credential in a database, and on how many *portals*."""

    accounts: int
    portals: int

    def __str__(self) -> str:
        accounts = "1 account" if self.accounts == 1 else f"{self.accounts:,} accounts"
        return f"{accounts} on {'1 portal' if self.portals == 1 else f'{self.portals:,} portals'}"


async def forget_credentials(config: Config, clock: Clock, agrees: Callable[[Credentials], bool]) -> Credentials | None:
    """Wipe all sealed credentials once whoever is asked *agrees*; what was wiped, None where nobody agreed.

    Mirror and rules stay. The next start makes a new key, or takes the one that it is given.

    Raises:
        SettingsError: when there is no database, a gateway is serving on it, or it cannot be opened.
    """
    if not config.database.exists():
        raise SettingsError(f"{SETTING}: there is no database {config.database}")
    with database_refusals(config.database):
        async with Database.open(config.database) as database:
            store = CredentialStore(database)
            found = Credentials(*await store.count())
            if not agrees(found):
                return None
            await store.forget_all(KEY_CHECK, NO_KEY, now=int(clock.now()))
            return found
