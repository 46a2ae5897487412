"""The catalogue of widgets: who sees which, and who may change them."""

from collections.abc import Callable, Sequence
from hashlib import blake2b

from gateway.auth.caller import Caller
from gateway.clock import Clock
from gateway.errors import AlreadyTaken, FieldError, Forbidden, InvalidInput, NotFound, StateConflict
from gateway.memory import LruCache
from gateway.page_cache import PageCache, PageKey, ServedPage
from gateway.widgets.manifests import Manifest, decode_manifest
from gateway.widgets.rendering import render_page, render_widget
from gateway.widgets.sealed_settings import SettingsVault
from gateway.widgets.templates import missing_settings
from storage.widgets import (
    FoundWidget,
    Installation,
    ListedWidget,
    MissingOf,
    Owner,
    StoredWidget,
    Viewer,
    VisibleWidgets,
    WidgetStore,
)

SOURCE = "widgets"  # what all pages of the catalogue are made of, for the page cache
CHECK_INTERVAL_S = 1.0  # between two looks for what a command beside the gateway has changed
VISIBLE_CACHE_BYTES = 16 * 1024 * 1024
ID_BYTES, VISIBLE_BYTES = 40, 1024  # estimated size of an id, and of a list of them
CALLER_DIGEST_BYTES = 8

UNKNOWN = "widget not found"
OPERATORS_ONLY = "only an operator adds or changes public widgets, with `bitrix-gateway widgets load`"
ADMINISTRATORS_ONLY = "only an administrator adds or changes widgets of the account"
USERS_ONLY = "widgets of one's own need a token that names a user"
OWNERS_ONLY = "only the user who has added the widget changes it"


class Catalogue:
    """Shows widgets at *origin*, and keeps the pages in memory until anything of the catalogue changes.

    *on_change* is called then, also if another process has changed it.
    """

    def __init__(
        self,
        store: WidgetStore,
        pages: PageCache,
        vault: SettingsVault,
        clock: Clock,
        origin: str,
        *,
        on_change: Callable[[], None],
    ) -> None:
        self._store = store
        self._pages = pages
        self._vault = vault
        self._clock = clock
        self._origin = origin
        self._on_change = on_change
        self._visible: LruCache[Viewer, VisibleWidgets] = LruCache(VISIBLE_CACHE_BYTES, _weigh)
        self._next_check_at = clock.monotonic()

    async def page(self, caller: Caller, *, page: int, limit: int) -> ServedPage:
        """Return page *page* (from 1) of *limit* widgets that *caller* may see."""
        if self._clock.monotonic() >= self._next_check_at:
            await self.refresh()
        key = (SOURCE, page, limit, (caller.account_key, caller.user_id))
        if (cached := self._pages.find(key)) is not None:
            return cached
        viewer, invalidations = viewer_of(caller), self._pages.invalidations
        found = await self._store.page(viewer, page=page, limit=limit, known=self._visible.get(viewer))
        self._visible.remember(viewer, found.visible)
        more = page * limit < len(found.visible.widget_ids)
        body = render_page(self._origin, found.items, page=page, limit=limit, more=more)
        return self._serve(key, caller, found.visible.generation, body, invalidations)

    async def widget(self, caller: Caller, code: str) -> ServedPage:
        """Return the widget *code* as *caller* may see it, with its settings if the caller is its integration.

        Raises:
            NotFound: there is none that the caller may see.
        """
        if self._clock.monotonic() >= self._next_check_at:
            await self.refresh()
        key = (SOURCE, code, (caller.account_key, caller.user_id, caller.client_uuid))
        if (cached := self._pages.find(key)) is not None:
            return cached
        invalidations = self._pages.invalidations
        found = await self.find(caller, code)
        client_uuid = decode_manifest(found.widget.manifest).client_uuid
        if client_uuid is None or client_uuid != caller.client_uuid:
            body = render_widget(self._origin, listed(found))
            return self._serve(key, caller, found.generation, body, invalidations)
        body = render_widget(self._origin, listed(found), self.settings(found.installation))
        return self._serve(None, caller, found.generation, body, invalidations)

    async def find(self, caller: Caller, code: str) -> FoundWidget:
        """Return the widget *code*.

        Raises:
            NotFound: there is none that *caller* may see.
        """
        found = await self._store.find(viewer_of(caller), code)
        if found is None:
            raise NotFound(UNKNOWN, code="widget_not_found")
        return found

    async def show(self, caller: Caller, code: str, *, with_settings: bool = False) -> bytes:
        """Return the widget *code* as it is after a change of *caller*, also if another caller's change hides it now.

        Raises:
            NotFound: there is none that *caller* may see.
        """
        found = await self.find(caller, code)
        self._pages.changed(SOURCE, found.generation)
        settings = self.settings(found.installation) if with_settings else None
        return render_widget(self._origin, listed(found), settings)

    def settings(self, installation: Installation | None) -> dict[str, object]:
        """Return the settings of an installation; none without one."""
        if installation is None or not installation.active:
            return {}
        return self._vault.open(installation.account_key, installation.widget_id, installation.settings)

    async def add(self, caller: Caller, manifest: Manifest) -> None:
        """Add the widget that *manifest* describes.

        Raises:
            Forbidden: *caller* may not add widgets of that visibility.
            AlreadyTaken: another widget has the code.
        """
        owner = new_owner(caller, manifest)
        await add_widget(self._store, owner, manifest, now=int(self._clock.now()))
        await self.refresh()

    async def replace(self, caller: Caller, code: str, manifest: Manifest) -> None:
        """Store a new version of the widget *code*. Installations follow it that miss nothing of its template.

        Raises:
            NotFound: there is no such widget that *caller* may see.
            Forbidden: it is not the caller's to change, or not to change so.
            InvalidInput: the manifest has another code.
        """
        widget = await self.own(caller, code)
        owner = changed_owner(caller, widget.owner, manifest)
        await replace_widget(self._store, self._vault, widget, owner, manifest, now=int(self._clock.now()))
        await self.refresh()

    async def own(self, caller: Caller, code: str) -> StoredWidget:
        """Return the widget *code*, which is the caller's to change.

        Raises:
            NotFound: there is none that *caller* may see.
            Forbidden: it is somebody else's.
        """
        widget = (await self.find(caller, code)).widget
        check_owner(caller, widget.owner)
        return widget

    async def delete(self, caller: Caller, code: str, *, uninstall: bool) -> None:
        """Delete the widget *code*; with *uninstall*, its installations too.

        Raises:
            NotFound: there is none that *caller* may see.
            Forbidden: it is somebody else's.
            StateConflict: it is installed, and *uninstall* is not set.
        """
        await self.own(caller, code)
        if not await self._store.delete(code, uninstall=uninstall):
            raise StateConflict(
                "the widget is installed: uninstall=1 removes its installations", code="widget_installed"
            )
        await self.refresh()

    async def refresh(self) -> None:
        """Make pages of the catalogue again if it has changed, also by another process."""
        self._next_check_at = self._clock.monotonic() + CHECK_INTERVAL_S
        generation = await self._store.generation()
        if generation != self._pages.version(SOURCE):
            self._pages.changed(SOURCE, generation)
            self._on_change()

    def _serve(
        self, key: PageKey | None, caller: Caller, generation: int, body: bytes, invalidations: int
    ) -> ServedPage:
        """The page with a tag of its own for each caller, because what they see differs."""
        identity = f"{caller.account_key}\0{caller.user_id}\0{caller.client_uuid}"
        digest = blake2b(identity.encode(), digest_size=CALLER_DIGEST_BYTES).hexdigest()
        served = ServedPage(body, f'"{self._pages.epoch}.widgets.{generation}.{digest}"')
        self._pages.remember(key, ((SOURCE, generation),), served, invalidations)
        return served


async def add_widget(store: WidgetStore, owner: Owner, manifest: Manifest, *, now: int) -> None:
    """Add the widget of *manifest*.

    Raises:
        AlreadyTaken: another widget has the code, or the id.
    """
    added = await store.add(manifest.code, owner, manifest.encode(), manifest.head(), now=now, widget_id=manifest.id)
    if added is None:
        raise AlreadyTaken(f"another widget has the code {manifest.code}, or the id", code="code_taken")


async def replace_widget(
    store: WidgetStore, vault: SettingsVault, widget: StoredWidget, owner: Owner, manifest: Manifest, *, now: int
) -> None:
    """Store *manifest* as a new version of *widget*, unless nothing of it is new.

    Raises:
        InvalidInput: it has another code, or another id.
        StateConflict: the widget was changed at the same time.
    """
    errors = [
        FieldError("invalid_value", f"must be {mine}, as that of the widget", pointer=f"/{name}")
        for name, mine, given in (("code", widget.code, manifest.code), ("id", widget.widget_id, manifest.id))
        if given not in (None, mine)
    ]
    if errors:
        raise InvalidInput.of_errors(errors)
    if owner == widget.owner and manifest.encode() == widget.manifest:
        return
    missing_of = missing_in(manifest, vault)
    if not await store.replace(widget, owner, manifest.encode(), manifest.head(), missing_of, now=now):
        raise StateConflict("the widget was changed at the same time: try again", code="widget_changed")


def missing_in(manifest: Manifest, vault: SettingsVault) -> MissingOf:
    """Return what tells the keys of the manifest's template whose values an installation misses."""

    def missing_of(installation: Installation) -> Sequence[str]:
        settings = vault.open(installation.account_key, installation.widget_id, installation.settings)
        return missing_settings(manifest.settings_template, settings)

    return missing_of


def viewer_of(caller: Caller) -> Viewer:
    """Return who looks at the catalogue."""
    return Viewer(caller.account_key, caller.user_id)


def listed(found: FoundWidget) -> ListedWidget:
    """Return what is shown of a widget."""
    return ListedWidget(found.widget.widget_id, found.widget.code, found.widget.head, found.installation)


def new_owner(caller: Caller, manifest: Manifest) -> Owner:
    """Return who is to see a widget that *caller* adds: by default the account's users, or only a user who is no
    administrator.

    Raises:
        Forbidden: the caller may not add widgets of that visibility.
    """
    visibility = manifest.visibility or ("account" if caller.is_admin else "own")
    if visibility == "public":
        raise Forbidden(OPERATORS_ONLY)
    if visibility == "account":
        if not caller.is_admin:
            raise Forbidden(ADMINISTRATORS_ONLY)
        return Owner("account", caller.account_key, None)
    if caller.user_id is None:
        raise Forbidden(USERS_ONLY)
    return Owner("own", caller.account_key, caller.user_id)


def changed_owner(caller: Caller, owner: Owner, manifest: Manifest) -> Owner:
    """Return who is to see a widget of *owner* after *caller* has changed it; the same if the manifest does not say.

    Raises:
        Forbidden: the caller may not give it that visibility.
    """
    return owner if manifest.visibility in (None, owner.visibility) else new_owner(caller, manifest)


def check_owner(caller: Caller, owner: Owner) -> None:
    """Check that a widget of *owner* is the caller's to change.

    Raises:
        Forbidden: it is not.
    """
    if owner.visibility == "public":
        raise Forbidden(OPERATORS_ONLY)
    if owner.visibility == "account" and not (caller.is_admin and owner.account_key == caller.account_key):
        raise Forbidden(ADMINISTRATORS_ONLY)
    if owner.visibility == "own" and viewer_of(caller) != Viewer(owner.account_key or "", owner.user_id):
        raise Forbidden(OWNERS_ONLY)


def _weigh(_viewer: Viewer, visible: VisibleWidgets) -> int:
    return VISIBLE_BYTES + ID_BYTES * len(visible.widget_ids)
