"""Loads manifests of operators: all of them are checked before the first is stored."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from gateway.errors import GatewayError, InvalidInput, StateConflict
from gateway.widgets.catalogue import missing_in
from gateway.widgets.manifests import OPERATOR_MANIFEST, Manifest, decode_manifest, read_manifest
from gateway.widgets.sealed_settings import SettingsVault
from storage.widget_operators import OperatorStore, WidgetChange
from storage.widgets import Owner, StoredWidget

PUBLIC = Owner("public", None, None)


@dataclass(frozen=True)
class Document:
    """The JSON of a manifest, and the *place* where it stands, like a file."""

    place: str
    content: object

    @property
    def code(self) -> str | None:
        """The code in the document, if it is a text."""
        code = self._property("code")
        return code if isinstance(code, str) else None

    @property
    def id(self) -> int | None:
        """The id in the document, if it is an integer."""
        widget_id = self._property("id")
        return widget_id if isinstance(widget_id, int) and not isinstance(widget_id, bool) else None

    def _property(self, name: str) -> object:
        return self.content.get(name) if isinstance(self.content, dict) else None


@dataclass(frozen=True)
class Mistake:
    """A broken rule: the place of the document, the *path* of the property in it, "" for all of it, and the *rule*."""

    place: str
    path: str
    rule: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.place, self.path, self.rule) if part)


class ManifestsRefused(GatewayError):
    """Manifests have *mistakes*, so none was stored."""

    code = "manifests_refused"

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__(f"nothing was stored: {'; '.join(map(str, mistakes))}")
        self.mistakes = tuple(mistakes)


@dataclass(frozen=True)
class LoadedWidget:
    """What became of a manifest: *status* is added, updated or unchanged; *previous* is the version before, if any."""

    code: str
    status: str
    version: str
    previous: str | None


def read_manifests(documents: Sequence[Document]) -> tuple[list[Manifest], list[Mistake]]:
    """Return the manifests in *documents* that are valid, and the mistakes in all documents."""
    manifests: list[Manifest] = []
    mistakes: list[Mistake] = []
    for document in documents:
        place = document.place
        try:
            manifests.append(read_manifest(document.content, OPERATOR_MANIFEST))
        except InvalidInput as error:
            mistakes += [Mistake(place, each.path, each.detail) for each in error.errors]
            if error.left_out:
                mistakes.append(Mistake(place, "", f"mistakes left out: {error.left_out}"))
    return manifests, mistakes + _repeated(documents, "code") + _repeated(documents, "id")


def _repeated(documents: Iterable[Document], name: Literal["code", "id"]) -> list[Mistake]:
    """The documents with a code or an id that an earlier one has."""
    first: dict[object, str] = {}
    mistakes = []
    for each in documents:
        value = getattr(each, name)
        if value is not None and value in first:
            mistakes.append(Mistake(each.place, name, f"{value} is also that of {first[value]}"))
        first.setdefault(value, each.place)
    return mistakes


def find_conflicts(documents: Iterable[Document], stored: Iterable[StoredWidget]) -> list[Mistake]:
    """Return why *documents* cannot be loaded into a catalogue that has the widgets *stored*."""
    by_code = {widget.code: widget for widget in stored}
    code_of = {widget.widget_id: widget.code for widget in by_code.values()}
    mistakes = []
    for each in documents:
        widget = None if each.code is None else by_code.get(each.code)
        if widget is not None and widget.owner != PUBLIC:
            rule = f"{widget.code} is a widget of the account {widget.owner.account_key}: choose another code"
            mistakes.append(Mistake(each.place, "code", rule))
        elif widget is not None and each.id not in (None, widget.widget_id):
            mistakes.append(Mistake(each.place, "id", f"must be {widget.widget_id}, as that of the widget"))
        elif widget is None and each.id in code_of:
            mistakes.append(Mistake(each.place, "id", f"{each.id} is that of the widget {code_of[each.id]}"))
    return mistakes


async def store_manifests(
    store: OperatorStore,
    vault: SettingsVault,
    manifests: Iterable[Manifest],
    stored: Iterable[StoredWidget],
    *,
    now: int,
) -> list[LoadedWidget]:
    """Store all manifests, which have no conflicts with the widgets *stored*, as public widgets or new versions.

    A manifest that is the current version is not stored again. Returns what became of each.

    Raises:
        StateConflict: the catalogue was changed at the same time; nothing is stored.
    """
    by_code = {widget.code: widget for widget in stored}
    loaded: list[LoadedWidget] = []
    changes: list[WidgetChange] = []
    for given in manifests:
        code, widget = given.code, by_code.get(given.code)
        # The same whether a file says these or not.
        manifest = replace(given, visibility="public", id=None)
        encoded, head = manifest.encode(), manifest.head()
        previous = None if widget is None else decode_manifest(widget.manifest).version
        if widget is not None and widget.manifest == encoded:
            loaded.append(LoadedWidget(code, "unchanged", manifest.version, previous))
            continue
        missing_of = missing_in(manifest, vault)
        changes.append(WidgetChange(code, widget, given.id, PUBLIC, encoded, head, missing_of))
        loaded.append(LoadedWidget(code, "added" if widget is None else "updated", manifest.version, previous))
    if not await store.store(changes, now=now):
        raise StateConflict("the catalogue was changed at the same time: try again", code="catalogue_changed")
    return loaded
