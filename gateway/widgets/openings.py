"""Opens a widget: verifies the person with the portal, and tells the widget who it is."""

from gateway.accounts.clients import PortalClients
from gateway.accounts.directory import AccountDirectory
from gateway.bitrix.errors import PortalError
from gateway.bitrix.protocol.opened_placement import OpenedPlacement, record_id
from gateway.bitrix.protocol.v2 import Command
from gateway.clock import Clock
from gateway.errors import Forbidden, TooBusy
from gateway.widgets.context_keys import ContextKeys
from gateway.widgets.contexts import Context, address_with_context
from gateway.widgets.manifests import Manifest, decode_manifest
from storage.records import Account
from storage.widget_placements import InstalledPlacement, PlacementStore

PROFILE = Command("profile")  # needs no scope. Source: methods.md 2 (b24restdocs api-reference/common/users/profile.md)
UNCONFIRMED = "the portal has not confirmed the person"
REFUSED = "the widget cannot be opened: open it again in Bitrix24, or ask the administrator of the portal"


class OpeningRefused(Forbidden):
    """the widget cannot be opened

    The detail is always the same, because a stranger learns nothing. The *reason* is for the log, and *account* and
    *widget* too, once they are known.
    """

    def __init__(self, reason: str, *, account: str | None = None, widget: str | None = None) -> None:
        super().__init__(REFUSED)
        self.reason = reason
        self.account = account
        self.widget = widget


class OpeningService:
    """Opens widgets, in contexts that are signed in the name of *origin*. Nothing of an opening is remembered."""

    def __init__(
        self,
        placements: PlacementStore,
        directory: AccountDirectory,
        clients: PortalClients,
        keys: ContextKeys,
        clock: Clock,
        origin: str,
    ) -> None:
        self._placements = placements
        self._directory = directory
        self._clients = clients
        self._keys = keys
        self._clock = clock
        self._origin = origin

    async def open(self, placement_id: str, opened: OpenedPlacement) -> str:
        """Return the address of the widget that a person has *opened* on a portal, with a context.

        Raises:
            OpeningRefused: the portal's account has no such widget, or the portal does not confirm the person.
        """
        found = await self._placements.find_installed(placement_id)
        if found is None:
            raise OpeningRefused("there is no such handler")
        if found.manifest is None:
            raise OpeningRefused("the widget is removed", account=found.stored.account_key)
        manifest = decode_manifest(found.manifest)
        try:
            return await self._open(found, manifest, opened)
        except OpeningRefused as error:
            error.account, error.widget = found.stored.account_key, manifest.code
            raise

    async def _open(self, found: InstalledPlacement, manifest: Manifest, opened: OpenedPlacement) -> str:
        if manifest.address is None:
            raise OpeningRefused("the widget has no address")
        account = await self._account_of(found, opened)
        context = await self._identify(account, manifest, opened)
        key, now = await self._keys.current(), int(self._clock.now())
        return address_with_context(manifest.address, context, key, issuer=self._origin, now=now)

    async def _account_of(self, found: InstalledPlacement, opened: OpenedPlacement) -> Account:
        """Return the account in which the widget is installed, still connected to the portal that has opened it.

        A portal shows a placement as soon as it has bound it, which may be before we have stored that.
        """
        placement = found.stored
        if placement.state == "unbinding" or not found.active:
            raise OpeningRefused("the widget is not installed")
        if opened.placement != placement.placement:
            raise OpeningRefused("PLACEMENT is not that of the handler")
        account = await self._directory.find(placement.account_key)
        if account is None or account.kind != "oauth" or account.portal.portal_id != placement.portal_id:
            raise OpeningRefused("the account is not connected to that portal by OAuth")
        if account.stale:
            raise OpeningRefused("a person must authorize the portal again")
        if opened.member_id != account.portal.member_id:
            raise OpeningRefused("member_id is not that of the portal")
        return account

    async def _identify(self, account: Account, manifest: Manifest, opened: OpenedPlacement) -> Context:
        """Return the context of the person, who is asked for at the portal with their own token.

        An error of that token says nothing about the account's own. For a dismissed user the answer is an empty list.
        Source: methods.md 2
        """
        try:
            profile = (await self._clients.client_of_person(account, opened.access_token).call(PROFILE)).result
        except PortalError as error:
            raise OpeningRefused(f"{UNCONFIRMED}: {error.description or error.detail}") from error
        except TooBusy as error:
            raise OpeningRefused(f"{UNCONFIRMED}: {error.detail}") from error
        if not isinstance(profile, dict) or (user_id := record_id(profile.get("ID"))) is None:
            raise OpeningRefused(f"{UNCONFIRMED}: it shows no active user")
        return Context(
            member_id=opened.member_id,
            user_id=user_id,
            is_admin=profile.get("ADMIN") is True,
            widget=manifest.code,
            placement=opened.placement,
            entity_id=opened.entity_id,
        )
