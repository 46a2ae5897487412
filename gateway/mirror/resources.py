"""What is mirrored: one declaration per resource. Paging, sync, shell and documentation all go through this table."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import orjson

from gateway.bitrix.lists.list_specs import Paging, Row
from gateway.bitrix.lists.page import ListCall
from gateway.bitrix.rows.dictionaries import (
    decode_pipeline,
    decode_step,
    decode_user,
    decode_userfield,
    decode_userfieldconfig,
)
from gateway.clock import format_time
from storage.records import MirrorRow


@dataclass(frozen=True)
class PortalList:
    """One list on a portal that a resource is read from.

    *part* tells the lists of one resource apart, *decode* gives the properties of a row with that id, None
    where the contract cannot show it, *wanted* says which of the rows belong to the resource at all.
    """

    part: int
    name: str
    call: ListCall
    decode: Callable[[Row, int], dict[str, object] | None]
    wanted: Callable[[Row], bool] = lambda _: True

    def render(self, rows: Sequence[Row]) -> list[MirrorRow]:
        """The portal's *rows* as they are stored and served, without those that the contract cannot show."""
        rendered = []
        for portal_row_id, row in zip(self.call.facts.ids(rows), rows, strict=True):
            properties = self.decode(row, portal_row_id)
            if properties is not None:
                rendered.append((portal_row_id, orjson.dumps(properties).replace(b"{", b",", 1)))
        return rendered


@dataclass(frozen=True)
class Resource:
    """A mirrored thing: its name in our addresses, the portal's lists it is read from, and how its rows begin.

    *lists* gives them for a language of labels, *head* the beginning of rows made at a Unix second, with %d for our id.
    *empty* is the 404 of an empty list, None where that is a 200.
    """

    name: str
    lists: Callable[[str], tuple[PortalList, ...]]
    head: Callable[[int], bytes]
    empty: str | None

    def resumes(self, language: str) -> bool:
        """Whether a run that was cut short goes on from a cursor; lists that are read whole are read again."""
        return all(one.call.facts.paging is Paging.KEYSET for one in self.lists(language))


def _user_head(created_at: int) -> bytes:
    return b'{"id":%%d,"createdAt":"%b","accountID":' % format_time(created_at).encode()


def _head(created_at: int) -> bytes:
    return b'{"ID":%%d,"createdAt":%d,"accountID":' % created_at


def _user_lists(_language: str) -> tuple[PortalList, ...]:
    return (PortalList(0, "user.get", ListCall("user.get"), decode_user),)


def _step_lists(_language: str) -> tuple[PortalList, ...]:
    return (PortalList(0, "crm.status.list", ListCall("crm.status.list"), decode_step),)


# The contract's IntegerEntityType. Portals refuse some of them: those are skipped by name.
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
            # Labels come only when a language is asked for. Source: b24restdocs crm-deal-userfield-list.md
            ListCall(method, {"filter": {"LANG": language}}),
            partial(decode_userfield, entity_id=entity_id),
        )
        for entity_type_id, (entity_id, method) in USERFIELDS.items()
    )
    universal = PortalList(
        SMART_INVOICE,
        f"userfieldconfig.list of {SMART_INVOICE_FIELDS}",
        # entityId is no documented filter: all fields of the module come, and we keep those of smart invoices.
        ListCall("userfieldconfig.list", {"moduleId": "crm", "select": {"0": "*", "language": language}}),
        partial(decode_userfieldconfig, entity_id=SMART_INVOICE_FIELDS, language=language),
        wanted=lambda row: row.get("entityId") == SMART_INVOICE_FIELDS,
    )
    return (*classic, universal)


RESOURCES = {
    resource.name: resource
    for resource in (
        Resource("users", _user_lists, _user_head, empty=None),
        Resource("steps", _step_lists, _head, empty="stages not found"),
        Resource("pipelines", _pipeline_lists, _head, empty="pipelines not found"),
        Resource("fields", _field_lists, _head, empty="fields not found"),
    )
}
