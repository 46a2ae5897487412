"""What the services that write records, and what belongs to them, have in common."""

from dataclasses import dataclass
from functools import partial

from gateway.accounts.clients import PortalClients
from gateway.accounts.directory import AccountDirectory
from gateway.clock import Clock
from gateway.crm.gathered_calls import GatheredCalls
from gateway.crm.journaled import JournaledWrites
from gateway.crm.writes import Call
from gateway.crm.written_records import WrittenRecords
from storage.records import Account


@dataclass(frozen=True)
class WriteContext:
    """What a service writes with: each write is *journaled*, sent by *calls*, and shown in the *mirror*."""

    journaled: JournaledWrites
    mirror: WrittenRecords
    directory: AccountDirectory
    clients: PortalClients
    calls: GatheredCalls
    clock: Clock

    def call(self, account: Account) -> Call:
        """What calls the portal of *account*, in batches under load."""
        return partial(self.calls.call, account)
