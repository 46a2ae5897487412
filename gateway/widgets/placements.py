"""Binds the placements of installed widgets on the portals of their accounts, and unbinds them.

A handler's address has a random part, so a portal binds it at most once, and repeating a call does no harm. What is to
be done is stored before each call, so that after a crash the portal can be made as the catalogue says.
Source: methods.md, section 10 (b24restdocs api-reference/widgets/)
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from weakref import WeakValueDictionary

import orjson

from gateway.accounts.clients import PortalClients
from gateway.accounts.directory import AccountDirectory
from gateway.bitrix.errors import PortalBroken, PortalError, PortalUnreachable
from gateway.bitrix.protocol.v2 import BATCH_COMMANDS, Command
from gateway.clock import Clock
from gateway.errors import GatewayError, StateConflict
from gateway.widgets.manifests import Manifest, decode_manifest
from storage.errors import StorageError
from storage.records import Account
from storage.widget_placements import BegunInstallation, PlacementStore, StoredPlacement, WantedPlacement
from storage.widgets import StoredWidget

logger = logging.getLogger(__name__)

BIND, UNBIND, GET = "placement.bind", "placement.unbind", "placement.get"
OPEN_PATH = "/widgets/open/"
ID_BYTES = 16
ALREADY_BOUND = "already binded"  # in the description of ERROR_CORE
SETTLED_S = 60  # a portal may work on a request for this long; protocol.md 7
LOOK_S = 60  # between two looks for what a command beside the gateway has changed
FIRST_RETRY_S, MAX_RETRY_S = 60, 3600
NO_PORTAL = "the widget has placements: connect the account to a portal first"
WEBHOOK = "the widget has placements: connect the account to its portal by OAuth, a webhook cannot bind them"
CHANGED = "the widget was changed at the same time: try again"


class PlacementService:
    """Binds handlers at the gateway's *origin*. Changes of one account run one after another."""

    def __init__(
        self,
        store: PlacementStore,
        directory: AccountDirectory,
        clients: PortalClients,
        clock: Clock,
        origin: str,
        *,
        max_wait_s: float,
    ) -> None:
        self._store = store
        self._directory = directory
        self._clients = clients
        self._clock = clock
        self._origin = f"{origin}{OPEN_PATH}"
        self._max_wait_s = max_wait_s
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._unverified: set[str] = set()  # accounts whose portal may not be as stored
        self._verify_at: dict[str, float] = {}  # monotonic, by account
        self._late: set[str] = set()  # of the unverified: those that are looked at again after a crash
        self._retry_at: dict[str, tuple[float, float]] = {}  # monotonic, and the pause before it, by account
        self._woken = asyncio.Event()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Make all portals as the catalogue says, in the background, until the block ends."""
        self._unverified.update(await self._store.list_accounts())
        task = asyncio.create_task(self._keep(), name="widget placements")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    @asynccontextmanager
    async def suspended(self, account: Account, _reason: str) -> AsyncIterator[None]:
        """Let nothing of *account* be bound or unbound until the block ends."""
        async with self.changing(account.account_key):
            yield

    async def connected(self, account: Account) -> None:
        """Make the portal of *account* as the catalogue says, in the background."""
        self._retry_at.pop(account.account_key, None)
        self._unverified.add(account.account_key)
        self.wake()

    def wake(self) -> None:
        """Look now for what is to be bound and unbound."""
        self._woken.set()

    def changing(self, account_key: str) -> asyncio.Lock:
        """Return the lock that whoever changes the placements of an account holds."""
        return self._locks.setdefault(account_key, asyncio.Lock())

    async def portal_account(self, account_key: str) -> Account:
        """Return the account, on whose portal placements can be bound as far as is known.

        Raises:
            StateConflict: it is not connected, or by a webhook.
        """
        account = await self._directory.find(account_key)
        if account is None or account.sealed is None:
            raise StateConflict(NO_PORTAL, code="no_portal")
        if account.kind == "webhook":
            raise StateConflict(WEBHOOK, code="webhook_account")
        return account

    async def install(
        self, account: Account, widget: StoredWidget, manifest: Manifest, settings: bytes, *, now: int
    ) -> None:
        """Bind the placements of *widget* and install it with sealed *settings*, all or nothing.

        The caller holds `changing`.

        Raises:
            PortalError: the portal refuses a placement, or does not answer.
            TooBusy: the portal's limits would delay it for too long.
            StateConflict: the widget was changed at the same time.
        """
        wanted, key = wanted_placements(manifest), account.account_key
        begun = await self._store.begin(key, account.portal.portal_id, widget, wanted, self._new_handler, now=now)
        if begun is None:
            raise StateConflict(CHANGED, code="widget_changed")
        try:
            try:
                async with self._clock.timeout(self._max_wait_s):
                    await self._bind(account, begun)
            except TimeoutError:
                raise PortalUnreachable(f"not all was bound within {self._max_wait_s:.0f} s", sent=True) from None
            if not await self._store.finish(key, widget, wanted, settings, now=now):
                raise StateConflict(CHANGED, code="widget_changed")
        finally:  # what a failed installation has begun is undone, and what it has no more is unbound
            await self.unbind(key, verify=not begun.to_bind)

    async def unbind(self, account_key: str, *, verify: bool = False) -> None:
        """Make the portal as the catalogue says, as in `_settle`; if it cannot be reached in time, later.

        The caller holds `changing`.
        """
        try:
            async with self._clock.timeout(self._max_wait_s):
                await self._settle(account_key, verify=verify)
        except (GatewayError, StorageError, TimeoutError) as error:
            self._postpone(account_key, error)

    def _new_handler(self) -> tuple[str, str]:
        placement_id = secrets.token_hex(ID_BYTES)
        return placement_id, self._origin + placement_id

    async def _bind(self, account: Account, begun: BegunInstallation) -> None:
        """Change on the portal what an installation has begun.

        Raises:
            PortalError: something is refused, or the portal does not answer.
        """
        commands = [
            *(unbind_command(*_place(each)) for each in begun.displaced),
            *(bind_command(each) for each in begun.to_bind),
        ]
        for outcome in (await self._call(account, commands)).values():
            if outcome is not None:
                raise outcome

    async def _call(self, account: Account, commands: Sequence[Command]) -> dict[int, PortalError | None]:
        """Send *commands*. Return the error of each by its number; None: it has succeeded, now or before."""
        outcomes: dict[int, PortalError | None] = {}
        client = self._clients.client(account)
        async with self._directory.mark_stale_on_auth_failure(account):
            for start in range(0, len(commands), BATCH_COMMANDS):
                part = commands[start : start + BATCH_COMMANDS]
                for number, outcome in enumerate(await client.batch(part, wait_for_budget=False), start):
                    failed = isinstance(outcome, PortalError) and ALREADY_BOUND not in outcome.description
                    outcomes[number] = outcome if isinstance(outcome, PortalError) and failed else None
        return outcomes

    async def _keep(self) -> None:
        """Settle what is due, until cancelled."""
        while True:
            self._woken.clear()
            try:
                await self._settle_due()
            except StorageError as error:
                logger.warning("the placements of widgets cannot be read", extra={"reason": str(error)})
            if not await self._has_work():
                await self._woken.wait()
                continue
            with suppress(TimeoutError):
                async with self._clock.timeout(LOOK_S):
                    await self._woken.wait()

    async def _has_work(self) -> bool:
        """Whether there is anything to look at again, other than what wakes this service itself."""
        if self._verify_at or self._retry_at or self._unverified:
            return True
        try:
            return bool(await self._store.list_accounts())
        except StorageError:
            return True

    async def _settle_due(self) -> None:
        now = self._clock.monotonic()
        due = {account_key for account_key, at in self._verify_at.items() if at <= now}
        self._unverified |= due
        self._late |= due
        for account_key in due:
            del self._verify_at[account_key]
        for account_key in sorted(self._unverified | set(await self._store.list_pending())):
            retry_at, _ = self._retry_at.get(account_key, (now, 0.0))
            if retry_at > now:
                continue
            async with self.changing(account_key):
                try:
                    await self._settle(account_key, verify=account_key in self._unverified)
                    self._unverified.discard(account_key)
                    self._late.discard(account_key)
                    self._retry_at.pop(account_key, None)
                except (GatewayError, StorageError) as error:
                    self._postpone(account_key, error)

    def _postpone(self, account_key: str, error: Exception) -> None:
        """Try again later, and later each time."""
        _, pause_s = self._retry_at.get(account_key, (0.0, FIRST_RETRY_S / 2))
        pause_s = min(pause_s * 2, MAX_RETRY_S)
        self._retry_at[account_key] = (self._clock.monotonic() + pause_s, pause_s)
        fields = {"account": account_key, "reason": str(error) or type(error).__name__, "again_in_s": pause_s}
        logger.warning("placements of widgets are not as they should be", extra=fields)
        self.wake()

    async def _settle(self, account_key: str, *, verify: bool) -> None:
        """Make the portal as the catalogue says. With *verify*, ask it first what is bound.

        An account that is not connected by OAuth, or must be authorized again, waits until it is.

        Raises:
            PortalError: the portal refuses something, or does not answer.
            TooBusy: the portal's limits would delay it for too long.
        """
        account = await self._directory.find(account_key)
        if account is None or account.sealed is None or account.stale or account.kind == "webhook":
            return
        portal_id = account.portal.portal_id
        handlers = await self._store.plan(account_key, portal_id, placements_of, self._new_handler, self._origin)
        if not handlers and account_key not in self._late:
            return
        known = {(each.placement, each.handler) for each in handlers}
        present = (
            await self._read_bound(account) if verify else {_place(each) for each in handlers if each.state == "bound"}
        )
        others = await self._store.list_handlers(portal_id) - {handler for _, handler in known}
        orphans = [place for place in present - known if place[1].startswith(self._origin) and place[1] not in others]
        missing = [each for each in handlers if each.state != "unbinding" and _place(each) not in present]
        unwanted = [each for each in handlers if each.state == "unbinding"]
        commands = [  # a portal may allow one handler of a placement only
            *(unbind_command(*_place(each)) for each in unwanted),
            *(unbind_command(*place) for place in orphans),
            *(bind_command(each) for each in missing),
        ]
        outcomes = await self._call(account, commands) if commands else {}
        unbound = [each for number, each in enumerate(unwanted) if outcomes[number] is None]
        kept = [each for each in handlers if each.state == "binding" and _place(each) in present]
        first = len(unwanted) + len(orphans)
        bound = [each for number, each in enumerate(missing, first) if outcomes[number] is None]
        if verify and any(each.state != "bound" for each in handlers):
            # What was sent before a crash may be carried out later than it was looked for.
            self._verify_at[account_key] = self._clock.monotonic() + SETTLED_S
        await self._store.settled(_ids([*bound, *kept]), _ids(unbound))
        for error in outcomes.values():
            if error is not None:
                raise error

    async def _read_bound(self, account: Account) -> set[tuple[str, str]]:
        """The placements and handlers that the application has on the portal."""
        async with self._directory.mark_stale_on_auth_failure(account):
            answer = await self._clients.client(account).call(Command(GET))
        if not isinstance(answer.result, list):
            raise PortalBroken("the placements are not a list")
        return {
            (str(each.get("placement")), str(each.get("handler")))
            for each in answer.result
            if isinstance(each, Mapping)
        }


def bind_command(stored: StoredPlacement) -> Command:
    """The call that binds a handler. It may be repeated."""
    definition = orjson.loads(stored.definition)
    return Command(BIND, {"PLACEMENT": stored.placement, "HANDLER": stored.handler, **definition})


def unbind_command(placement: str, handler: str) -> Command:
    """The call that unbinds a handler. It may be repeated."""
    return Command(UNBIND, {"PLACEMENT": placement, "HANDLER": handler})


def wanted_placements(manifest: Manifest) -> list[WantedPlacement]:
    """Return the placements of a widget, with the parameters of `placement.bind` as their definition."""
    wanted: list[WantedPlacement] = []
    for each in manifest.placements:
        titles: Mapping[str, object] = (
            {"LANG_ALL": {language: {"TITLE": title} for language, title in each.title.items()}}
            if each.title
            else {"TITLE": manifest.name}
        )
        definition = {**titles, **({"OPTIONS": each.options} if each.options else {})}
        wanted.append(WantedPlacement(each.placement, orjson.dumps(definition, option=orjson.OPT_SORT_KEYS).decode()))
    return wanted


def placements_of(manifest: bytes) -> list[WantedPlacement]:
    """Return the placements of an encoded manifest."""
    return wanted_placements(decode_manifest(manifest))


def _place(stored: StoredPlacement) -> tuple[str, str]:
    return stored.placement, stored.handler


def _ids(handlers: Iterable[StoredPlacement]) -> list[str]:
    return [each.placement_id for each in handlers]
