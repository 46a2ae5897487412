"""The services of widgets, and all that belongs to them."""

from aiohttp import web

from gateway.crypto.vault import Vault
from gateway.widgets.catalogue import Catalogue
from gateway.widgets.context_keys import ContextKeys
from gateway.widgets.installations import InstallationService
from gateway.widgets.openings import OpeningService
from gateway.widgets.sealed_settings import SettingsVault
from handlers.app_keys import CATALOGUE, CLIENTS, CONTEXT_KEYS, DATABASE, DIRECTORY, INSTALLATIONS, OPENINGS, PAGES
from handlers.http.keys import CLOCK, CONFIG
from storage.metadata import MetadataStore
from storage.mirror_dictionaries import DictionaryStore
from storage.widget_installations import InstallationStore
from storage.widget_placements import PlacementStore
from storage.widgets import WidgetStore


def widget_services(app: web.Application, vault: Vault) -> None:
    """Create the services."""
    settings = SettingsVault(vault)
    catalogue = Catalogue(WidgetStore(app[DATABASE]), app[PAGES], settings, app[CLOCK], app[CONFIG].own_origin)
    app[CATALOGUE] = catalogue
    app[INSTALLATIONS] = InstallationService(
        InstallationStore(app[DATABASE]),
        catalogue,
        settings,
        DictionaryStore(app[DATABASE]),
        app[DIRECTORY],
        app[CLOCK],
    )
    app[CONTEXT_KEYS] = ContextKeys(MetadataStore(app[DATABASE]), vault)
    app[OPENINGS] = OpeningService(
        PlacementStore(app[DATABASE]),
        app[DIRECTORY],
        app[CLIENTS],
        app[CONTEXT_KEYS],
        app[CLOCK],
        app[CONFIG].own_origin,
    )
