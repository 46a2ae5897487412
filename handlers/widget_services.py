"""The services of widgets, and all that belongs to them."""

from aiohttp import web

from gateway.crypto.vault import Vault
from gateway.widgets.catalogue import Catalogue
from gateway.widgets.installations import InstallationService
from gateway.widgets.sealed_settings import SettingsVault
from handlers.app_keys import CATALOGUE, DATABASE, DIRECTORY, INSTALLATIONS, PAGES
from handlers.http.keys import CLOCK, CONFIG
from storage.mirror_dictionaries import DictionaryStore
from storage.widget_installations import InstallationStore
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
