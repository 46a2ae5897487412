"""Finds the users whom callers name by their e-mails."""

from collections.abc import Mapping, Set

from gateway.accounts.clients import PortalClients
from gateway.accounts.directory import AccountDirectory
from gateway.bitrix.errors import PortalBroken
from gateway.bitrix.protocol.v2 import Command
from gateway.bitrix.rows.records import decode_integer
from gateway.mirror.names import NameService
from storage.records import Account

EMAILS_A_CALL = 20  # a page of 50 users has room for several users of each

UserIds = Mapping[str, tuple[int, ...]]
"""The ids of users by their e-mail in lower case."""


class UserFinder:
    """Finds users in the mirror, and those that it does not know on the portal."""

    def __init__(self, names: NameService, directory: AccountDirectory, clients: PortalClients) -> None:
        self._names = names
        self._directory = directory
        self._clients = clients

    async def find(self, account: Account, emails: Set[str]) -> UserIds:
        """The users with these *emails*, which are in lower case. Unknown e-mails are left out.

        Raises:
            PortalError: some are not in the mirror, and the portal cannot be asked.
        Source: methods.md 1 (b24restdocs api-reference/user/user-get.md)
        """
        if not emails:
            return {}
        mirrored = await self._names.users_by_email(account)
        found = {email: mirrored[email] for email in emails if email in mirrored}
        missing = sorted(emails - found.keys())
        client = self._clients.client(account)
        for start in range(0, len(missing), EMAILS_A_CALL):
            some = missing[start : start + EMAILS_A_CALL]
            command = Command("user.get", {"filter": {"EMAIL": some}})
            async with self._directory.mark_stale_on_auth_failure(account):
                rows = (await client.call(command)).result
            if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
                raise PortalBroken("a list of users is not a list")
            for row in rows:
                email = str(row.get("EMAIL")).lower()
                user_id = decode_integer(row.get("ID"))
                if email in some and user_id is not None:
                    found[email] = (*found.get(email, ()), user_id)
        return found
