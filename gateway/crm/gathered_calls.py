"""Calls for single records: sent alone while few come, and in batches under load."""

from collections.abc import Sequence

from gateway.accounts.allowed_methods import MethodAllowlist
from gateway.accounts.clients import PortalClients
from gateway.bitrix.protocol.v2 import Answer, Command, encode_command
from gateway.crm.gathering import Gatherer
from gateway.errors import GatewayError
from storage.records import Account

# A portal ends a request after 60 s, and the outcome of all its commands is unknown then. Half a batch ends in time.
# Source: protocol.md 7 (b24restdocs settings/performance/limits.md)
MAX_COMMANDS = 25
MAX_CHARACTERS = 250_000  # of the commands of one batch


class GatheredCalls:
    """Calls portals for callers. A call alone is sent as JSON, so that its values keep their types."""

    def __init__(self, clients: PortalClients, allowed: MethodAllowlist) -> None:
        self._clients = clients
        self._allowed = allowed
        self._gatherer: Gatherer[tuple[Account, bool], Command, Answer] = Gatherer(
            self._send, weigh=_weight, most=MAX_CHARACTERS
        )

    async def call(self, account: Account, command: Command) -> Answer:
        """The portal's answer to *command*. Reads and writes do not share a batch, whose loss would tell of both.

        Raises:
            MethodDenied: the settings do not allow a write by this method.
            PortalError: the portal refused or failed; OutcomeUnknown if a write may have been carried out.
            TooBusy: the portal's limits leave no room in time; nothing was sent.
        """
        self._check(command)
        return await self._gatherer.submit((account, command.write), command)

    async def call_alone(self, account: Account, command: Command) -> Answer:
        """As `call`, never in a batch: the values of *command* have no form there, as an empty list has none."""
        self._check(command)
        return await self._clients.client(account).call(command)

    def _check(self, command: Command) -> None:
        if command.write:
            self._allowed.check(command.method)

    async def close(self) -> None:
        """Cancel the calls that are on the way."""
        await self._gatherer.close()

    async def _send(self, key: tuple[Account, bool], commands: Sequence[Command]) -> Sequence[Answer | GatewayError]:
        account, _ = key
        client = self._clients.client(account)
        if len(commands) == 1:
            return [await client.call(commands[0])]
        return await client.batch(commands, wait_for_budget=False)


def _weight(command: Command) -> int:
    """The characters of a command, and at least those that leave room for MAX_COMMANDS in a batch."""
    return max(MAX_CHARACTERS // MAX_COMMANDS, len(encode_command(command.method, command.arguments)))
