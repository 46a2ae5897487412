"""The placements of a sandbox portal: the places in its pages where an application may show its own."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.sandbox.php import Value, entries_of, is_array
from gateway.sandbox.tables.table import Table

APPLICATION_NAME = "Sandbox application"  # the title of a handler that is bound without texts

_DYNAMIC = "DYNAMIC"  # stands for all smart processes
_CLIENTS = ("DEAL", "LEAD", "CONTACT", "COMPANY")
_NEW = (_DYNAMIC, "SMART_INVOICE")
# The places in the pages of the CRM with the types that have them, in the order of placement.list.
# Source: [docs] api-reference/widgets/crm/*.md; the list of codes in placement-list.md
_CRM: dict[str, tuple[str, ...]] = {
    "LIST_TOOLBAR": (*_CLIENTS, "INVOICE", "QUOTE", "ORDER", *_NEW),
    "DETAIL_TOOLBAR": (*_CLIENTS, "INVOICE", "QUOTE", *_NEW),
    "ACTIVITY_TIMELINE_MENU": ("DEAL", "LEAD", "QUOTE", *_NEW),
    "LIST_MENU": (*_CLIENTS, "INVOICE", "QUOTE", "ACTIVITY", *_NEW),
    "DETAIL_TAB": (*_CLIENTS, "QUOTE", "ORDER", *_NEW),
    "DETAIL_ACTIVITY": (*_CLIENTS, "QUOTE", "ORDER", *_NEW),
    "DOCUMENTGENERATOR_BUTTON": (*_CLIENTS, "QUOTE", *_NEW),
    "ROBOT_DESIGNER_TOOLBAR": ("DEAL", "LEAD", *_NEW),
    "FUNNELS_TOOLBAR": ("", *_NEW),  # deals have no name in the code
}


@dataclass(frozen=True)
class Placement:
    """One place. Binding a handler to it requires its *scope*, "" for none, besides the scope ``placement``.

    *options* are the options that it keeps with their defaults. An application may bind *max_count* handlers, 0 for
    any number. With *has_user_mode* a handler may be for one user alone, and the handlers of each user are counted.
    A placement without *sends_data* opens its handler by GET, without a user or a context.
    """

    scope: str
    options: Mapping[str, str] = field(default_factory=dict)
    max_count: int = 0
    has_user_mode: bool = False
    sends_data: bool = True

    def read_options(self, sent: Value) -> dict[str, str]:
        """The options that the placement keeps of those *sent*, as strings; the defaults of those not sent.

        Source: [docs] api-reference/widgets/placement-bind.md; [srv] rest/lib/api/placement.php
        """
        given = {
            name: str(value)
            for name, value in (entries_of(sent) if is_array(sent) else {}).items()
            if value is not None and not is_array(value)
        }
        return {name: given.get(name, default) for name, default in self.options.items()}


# Source: [docs] api-reference/widgets/crm/detail-activity-area.md, crm/requisites-autocomplete. That an option without
# a documented default is "" if it is not sent: [srv] rest/lib/api/placement.php
_ACTIVITY = {"useBuiltInInterface": "N", "newUserNotificationTitle": "", "newUserNotificationText": ""}
_AUTOCOMPLETE = {"countries": ""}

# Source: [docs] api-reference/widgets/placements.md; that messengers need no further scope: index.md. Of messengers
# there is only the placement in the documented answer of placement.get, with the options shown there; their defaults
# are (inferred).
_OTHERS = {
    "CRM_ANALYTICS_MENU": Placement("crm"),
    "CRM_ANALYTICS_TOOLBAR": Placement("crm"),
    "CRM_DETAIL_SEARCH": Placement("crm"),
    "CRM_REQUISITE_AUTOCOMPLETE": Placement("crm", _AUTOCOMPLETE),
    "CRM_BANK_DETAIL_AUTOCOMPLETE": Placement("crm", _AUTOCOMPLETE),
    "BI_ANALYTICS_MENU": Placement("", sends_data=False),
    "LEFT_MENU": Placement(""),
    "PAGE_BACKGROUND_WORKER": Placement("", {"errorHandlerUrl": ""}, max_count=1, has_user_mode=True),
    "REST_APP_URI": Placement("", max_count=1),
    "IM_CONTEXT_MENU": Placement("", {"extranet": "N", "context": "ALL", "role": "USER"}),
    "CALL_CARD": Placement("telephony"),
    "TELEPHONY_ANALYTICS_MENU": Placement("telephony"),
    "CALENDAR_GRIDVIEW": Placement("calendar"),
    "CONTACT_CENTER": Placement("contact_center"),
    "TASK_LIST_CONTEXT_MENU": Placement("task"),
    "TASK_VIEW_TAB": Placement("task"),
    "TASK_VIEW_SIDEBAR": Placement("task"),
    "TASK_VIEW_TOP_PANEL": Placement("task"),
    "TASK_USER_LIST_TOOLBAR": Placement("task"),
    "TASK_GROUP_LIST_TOOLBAR": Placement("task"),
    "TASK_ROBOT_DESIGNER_TOOLBAR": Placement("task"),
    "SONET_GROUP_DETAIL_TAB": Placement("sonet_group"),
    "SONET_GROUP_ROBOT_DESIGNER_TOOLBAR": Placement("sonet_group"),
    "SONET_GROUP_TOOLBAR": Placement("sonet_group"),
    "USER_PROFILE_MENU": Placement("user"),
    "USER_PROFILE_TOOLBAR": Placement("user"),
}


def make_placements(types: Table) -> dict[str, Placement]:
    """Make all placements of a portal by code. *types* are its smart processes, each of which has its own.

    Source: [docs] api-reference/widgets/placements.md
    """
    dynamic = [f"{_DYNAMIC}_{row['entityTypeId']}" for row in types.values()]
    crm = {
        "_".join(filter(None, ("CRM", name, place))): Placement("crm", _ACTIVITY if place == "DETAIL_ACTIVITY" else {})
        for place, names in _CRM.items()
        for listed in names
        for name in (dynamic if listed == _DYNAMIC else (listed,))
    }
    return crm | _OTHERS


def page_of(code: str, options: Mapping[str, Value]) -> str:
    """The path of the page that shows a placement, which is the ``URI`` of its ``PLACEMENT_OPTIONS``.

    *options* are its own, with the id of the record in ``ID`` or ``ENTITY_ID``.
    Source: [docs] api-reference/widgets/crm/*.md; the pages of all others than deals are (inferred).
    """
    if not code.startswith("CRM_"):
        return "/"
    name = next((name for name in (*_CLIENTS, "QUOTE", "ORDER") if code.startswith(f"CRM_{name}_")), "DEAL").lower()
    if dynamic := re.match(r"CRM_DYNAMIC_(\d+)_", code):
        name = f"type/{dynamic[1]}"
    elif code.startswith("CRM_SMART_INVOICE_"):
        name = "type/31"
    record_id = options.get("ID", options.get("ENTITY_ID"))
    if record_id is None or "_LIST_" in code:
        return f"/crm/{name}/list/"
    frame = "&IFRAME=Y&IFRAME_TYPE=SIDE_SLIDER" if code.endswith("_DETAIL_TAB") else ""
    return f"/crm/{name}/details/{record_id}/?any=details%2F{record_id}%2F{frame}"
