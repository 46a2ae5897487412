"""Public widgets, as an operator loads them."""

from typing import Any

from gateway.widgets.catalogue import add_widget
from gateway.widgets.manifests import OPERATOR_MANIFEST, read_manifest
from handlers.app_keys import CATALOGUE, DATABASE
from storage.widgets import Owner, WidgetStore
from tests.gateway import Gateway
from tests.support.widgets import manifest, manifest_of


async def add_public(gateway: Gateway, widget: dict[str, Any]) -> None:
    """Add a public widget: a documented one with its id, or a manifest with *widget*'s properties."""
    document = {"id": widget["id"], **manifest_of(widget)} if "id" in widget else manifest(**widget)
    store = WidgetStore(gateway.app[DATABASE])
    loaded = read_manifest({**document, "visibility": "public"}, OPERATOR_MANIFEST)
    await add_widget(store, Owner("public", None, None), loaded, now=int(gateway.clock.now()))
    await gateway.app[CATALOGUE].refresh()
