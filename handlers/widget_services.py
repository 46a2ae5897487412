"""The services of widgets, and all that belongs to them."""

from aiohttp import web

from gateway.crypto.vault import Vault
from gateway.widgets.catalogue import Catalogue
from gateway.widgets.context_keys import ContextKeys
from gateway.widgets.installations import InstallationService
from gateway.widgets.openings import OpeningService
from gateway.widgets.placements import PlacementService
from gateway.widgets.sealed_settings import SettingsVault
from handlers.app_keys import (
    ACCOUNTS,
    CATALOGUE,
    CLIENTS,
    CONTEXT_KEYS,
    DATABASE,
    DIRECTORY,
    INSTALLATIONS,
    OPENINGS,
    PAGES,
)
from handlers.http.keys import CLOCK, CONFIG
from storage.metadata import MetadataStore
from storage.mirror_dictionaries import DictionaryStore
from storage.widget_installations import InstallationStore
from storage.widget_placements import PlacementStore
from storage.widgets import WidgetStore


def placement_service(app: web.Application) -> PlacementService:
    """Create the service that binds placements. It follows the accounts, so it comes before their service."""
    return PlacementService(
        PlacementStore(app[DATABASE]),
        app[DIRECTORY],
        app[CLIENTS],
        app[CLOCK],
        app[CONFIG].own_origin,
        max_wait_s=app[CONFIG].max_wait_s,
    )


def widget_services(app: web.Application, vault: Vault, placements: PlacementService) -> None:
    """Create the services of the catalogue, which bind *placements*."""
    settings, origin = SettingsVault(vault), app[CONFIG].own_origin
    catalogue = app[CATALOGUE] = Catalogue(
        WidgetStore(app[DATABASE]), app[PAGES], settings, app[CLOCK], origin, on_change=placements.wake
    )
    app[INSTALLATIONS] = InstallationService(
        InstallationStore(app[DATABASE]),
        catalogue,
        settings,
        DictionaryStore(app[DATABASE]),
        app[DIRECTORY],
        app[ACCOUNTS],
        placements,
        app[CLOCK],
    )
    app[CONTEXT_KEYS] = ContextKeys(MetadataStore(app[DATABASE]), vault)
    app[OPENINGS] = OpeningService(
        PlacementStore(app[DATABASE]),
        app[DIRECTORY],
        app[CLIENTS],
        app[CONTEXT_KEYS],
        app[CLOCK],
        origin,
    )
