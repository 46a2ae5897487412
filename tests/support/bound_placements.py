"""Widgets with placements, and where they are bound."""

from typing import Any

from tests.gateway import Gateway, Sandbox
from tests.support.stored import select

TAB, MENU, TOOLBAR = "CRM_DEAL_DETAIL_TAB", "LEFT_MENU", "CRM_LEAD_LIST_TOOLBAR"
WORKER = "PAGE_BACKGROUND_WORKER"  # an application has one handler of it at most
ROWS = "SELECT placement, handler, state, installation_id FROM widget_placements ORDER BY rowid"


def placed(*placements: str | dict[str, Any], **properties: Any) -> dict[str, Any]:
    """Return the properties of a manifest with *placements*, given by their codes or in full."""
    listed = [{"placement": each} if isinstance(each, str) else each for each in placements]
    return {"placements": listed, "address": "https://widget.example.com/page", **properties}


def bound(sandbox: Sandbox) -> list[dict[str, Any]]:
    """Return the handlers that the portal has."""
    return list(sandbox.portal.data.placement_handlers.values())


def bound_codes(sandbox: Sandbox) -> list[str]:
    """Return the codes of the placements that the portal has handlers for, in alphabetical order."""
    return sorted(row["PLACEMENT"] for row in bound(sandbox))


def is_settled(gateway: Gateway, sandbox: Sandbox) -> bool:
    """Return whether the portal has exactly the handlers that are stored, and none is still to be changed."""
    rows = select(gateway, ROWS)
    on_portal = sorted((row["PLACEMENT"], row["HANDLER"]) for row in bound(sandbox))
    return sorted((row[0], row[1]) for row in rows) == on_portal and {row[2] for row in rows} <= {"bound"}


def nothing_stored(gateway: Gateway) -> bool:
    """Return whether there is neither an installation nor a handler."""
    return not select(gateway, ROWS) and not select(gateway, "SELECT 1 FROM widget_installations")
