"""The mirrored dictionaries: one declaration per resource, used by paging, sync, command line and documentation."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from gateway.bitrix.lists.list_specs import Paging, Row
from gateway.bitrix.lists.page import ListCall
from gateway.bitrix.rows.dictionaries import (
    decode_pipeline,
    decode_step,
    decode_user,
    decode_userfield,
    decode_userfieldconfig,
)
from gateway.mirror.row_json import Decode, dictionary_prefix, user_prefix


@dataclass(frozen=True)
class PortalList:
    """One list of a portal that a resource is read from.

    *sublist* is its number within the resource. *decode* gives the properties of a row. *belongs* filters out rows that
    are not part of the resource.
    """

    sublist: int
    name: str
    call: ListCall
    decode: Decode
    belongs: Callable[[Row], bool] = lambda _: True


@dataclass(frozen=True)
class Resource:
    """A mirrored dictionary: its name in our addresses, the portal's lists it is read from, and its JSON.

    *lists* gives the lists for a language of labels. *prefix* gives the prefix of rows created at a Unix second.
    *empty* is the message of the 404 for an empty list; None if an empty list is a 200.
    """

    name: str
    lists: Callable[[str], tuple[PortalList, ...]]
    prefix: Callable[[int], bytes]
    empty: str | None

    def resumes(self, language: str) -> bool:
        """Whether an interrupted run can continue from a cursor. Lists without keyset are read again from the start."""
        return all(portal_list.call.spec.paging is Paging.KEYSET for portal_list in self.lists(language))


def _user_lists(_language: str) -> tuple[PortalList, ...]:
    return (PortalList(0, "user.get", ListCall("user.get"), decode_user),)


def _step_lists(_language: str) -> tuple[PortalList, ...]:
    return (PortalList(0, "crm.status.list", ListCall("crm.status.list"), decode_step),)


# The contract's IntegerEntityType. Portals refuse some of them; a sync reports those as skipped.
# Source: b24restdocs api-reference/crm/universal/category/crm-category-list.md
PIPELINE_ENTITY_TYPES = {
    1: "lead",
    2: "deal",
    3: "contact",
    4: "company",
    5: "invoice",
    7: "quote",
    8: "requisite",
    31: "smart invoice",
}


def _pipeline_lists(_language: str) -> tuple[PortalList, ...]:
    return tuple(
        PortalList(
            entity_type_id,
            f"crm.category.list of {name} ({entity_type_id})",
            ListCall("crm.category.list", {"entityTypeId": entity_type_id}),
            partial(decode_pipeline, entity_type_id=entity_type_id),
        )
        for entity_type_id, name in PIPELINE_ENTITY_TYPES.items()
    )


# The contract's FieldsType by entity type id, with the method that lists each.
USERFIELDS = {
    1: ("CRM_LEAD", "crm.lead.userfield.list"),
    2: ("CRM_DEAL", "crm.deal.userfield.list"),
    3: ("CRM_CONTACT", "crm.contact.userfield.list"),
    4: ("CRM_COMPANY", "crm.company.userfield.list"),
    5: ("CRM_INVOICE", "crm.invoice.userfield.list"),
    7: ("CRM_QUOTE", "crm.quote.userfield.list"),
    8: ("CRM_REQUISITE", "crm.requisite.userfield.list"),
}
SMART_INVOICE = 31
SMART_INVOICE_FIELDS = "CRM_SMART_INVOICE"


def _field_lists(language: str) -> tuple[PortalList, ...]:
    classic = tuple(
        PortalList(
            entity_type_id,
            method,
            # Labels are returned only if a language is requested. Source: b24restdocs crm-deal-userfield-list.md
            ListCall(method, {"filter": {"LANG": language}}),
            partial(decode_userfield, entity_id=entity_id),
        )
        for entity_type_id, (entity_id, method) in USERFIELDS.items()
    )
    universal = PortalList(
        SMART_INVOICE,
        f"userfieldconfig.list of {SMART_INVOICE_FIELDS}",
        # entityId is not a documented filter: the list has all fields of the module, and `belongs` selects.
        ListCall("userfieldconfig.list", {"moduleId": "crm", "select": {"0": "*", "language": language}}),
        partial(decode_userfieldconfig, entity_id=SMART_INVOICE_FIELDS, language=language),
        belongs=lambda row: row.get("entityId") == SMART_INVOICE_FIELDS,
    )
    return (*classic, universal)


RESOURCES = {
    resource.name: resource
    for resource in (
        Resource("users", _user_lists, user_prefix, empty=None),
        Resource("steps", _step_lists, dictionary_prefix, empty="stages not found"),
        Resource("pipelines", _pipeline_lists, dictionary_prefix, empty="pipelines not found"),
        Resource("fields", _field_lists, dictionary_prefix, empty="fields not found"),
    )
}
