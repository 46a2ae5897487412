"""What can be mirrored: one declaration per resource, used by paging, sync, queries and documentation.

Dictionaries are always mirrored. Records of the CRM are mirrored once an account enables them.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial

from gateway.bitrix.lists.field_rules import FIELD_RULES
from gateway.bitrix.lists.list_fields import Field, ListFields
from gateway.bitrix.lists.list_specs import Paging, Row
from gateway.bitrix.lists.page import ListCall, Page
from gateway.bitrix.protocol.v2 import Command, Params
from gateway.bitrix.rows.dictionaries import (
    decode_pipeline,
    decode_step,
    decode_user,
    decode_userfield,
    decode_userfieldconfig,
)
from gateway.bitrix.rows.records import RecordNames
from gateway.errors import NotFound, StateConflict
from gateway.mirror.row_json import (
    Decode,
    dictionary_prefix,
    record_head,
    render_records,
    render_rows,
    render_users,
    user_prefix,
)
from storage.json_values import Column
from storage.records import RowPage


def drop(_row: Row, _row_id: int) -> None:
    """The `Decode` of lists that are no dictionary."""


@dataclass(frozen=True)
class PortalList:
    """One list of a portal that a resource is read from.

    *sublist* is its number within the resource. *decode* gives the properties of a dictionary's row. *belongs* filters
    out rows that are not part of the resource.
    """

    sublist: int
    name: str
    call: ListCall
    decode: Decode = drop
    belongs: Callable[[Row], bool] = lambda _: True


ITEMS = "crm.item"


@dataclass(frozen=True)
class RecordType:
    """What a resource of CRM records has besides.

    *entity_type_id* is the portal's number of the type, *names* are those of the columns. All methods for these records
    begin with *prefix*, and take the parameters *params* besides their own.
    """

    entity_type_id: int
    names: RecordNames
    prefix: str
    params: Params = field(default_factory=dict)

    @cached_property
    def fields(self) -> Command:
        """The command that describes the fields of the records."""
        return self.command("fields")

    @cached_property
    def pipelines(self) -> Command | None:
        """The command that lists their pipelines; None if they have none, or the dictionary of pipelines has them."""
        if self.names.pipeline is None or self.entity_type_id in PIPELINE_ENTITY_TYPES:
            return None
        return Command("crm.category.list", {"entityTypeId": self.entity_type_id})

    @property
    def descriptions(self) -> tuple[Command, ...]:
        """The commands that tell what a sync keeps besides the records: their fields, and their own pipelines."""
        return (self.fields,) if self.pipelines is None else (self.fields, self.pipelines)

    def command(self, action: str, *, write: bool = False, **params: object) -> Command:
        """The command that does *action*, such as ``get`` or ``add``, with the method's own *params*."""
        return Command(f"{self.prefix}.{action}", {**self.params, **params}, write=write)

    @property
    def is_item(self) -> bool:
        """Whether the records are read and written by crm.item.*, whose names and values have another form."""
        return self.prefix == ITEMS

    @property
    def columns(self) -> dict[str, Column]:
        """The typed columns by the names of the fields that they hold."""
        names: dict[Column, str | None] = {
            "category": self.names.pipeline,
            "stage": self.names.stage,
            "person": self.names.person,
            "contact": self.names.contact,
            "company": self.names.company,
            "modified": self.names.modified,
            "portal_row_id": self.names.id,
        }
        return {name: column for column, name in names.items() if name is not None}


@dataclass(frozen=True)
class Resource:
    """What is mirrored: its name in our addresses, the portal's lists it is read from, and its JSON.

    *lists* gives the lists for a language of labels. *prefix* gives the prefix of a dictionary's rows created at a Unix
    second. *empty* is the message of the 404 for an empty list; None if an empty list is a 200. *record* is None in
    dictionaries. *of_users*: its rows are users, whose whole rows are kept too.
    """

    name: str
    lists: Callable[[str], tuple[PortalList, ...]]
    prefix: Callable[[int], bytes] = record_head
    empty: str | None = None
    record: RecordType | None = None
    of_users: bool = False

    def resumes(self, language: str) -> bool:
        """Whether an interrupted run can continue from a cursor. Lists without keyset are read again from the start."""
        return all(portal_list.call.spec.paging is Paging.KEYSET for portal_list in self.lists(language))

    def render(self, portal_list: PortalList, page: Page[list[Row]], now: int) -> RowPage:
        """The rows of *page*, which is read from *portal_list*, ready to store at the Unix second *now*."""
        columns = None
        users = render_users(page.ids, page.rows) if self.of_users else {}
        if self.record is None:
            rows = render_rows(page.ids, page.rows, portal_list.decode)
        else:
            rows, columns = render_records(page.ids, page.rows, self.record.names)
        return RowPage(portal_list.sublist, rows, page.after, page.upto, self.prefix(now), columns, page.mark, users)

    def tombstone(self, now: int) -> bytes | None:
        """What we add to a record that is found deleted at the Unix second *now*; None in dictionaries."""
        return None if self.record is None else record_head(now, deleted=True)


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


DICTIONARIES = {
    resource.name: resource
    for resource in (
        Resource("users", _user_lists, user_prefix, empty=None, of_users=True),
        Resource("steps", _step_lists, dictionary_prefix, empty="stages not found"),
        Resource("pipelines", _pipeline_lists, dictionary_prefix, empty="pipelines not found"),
        Resource("fields", _field_lists, dictionary_prefix, empty="fields not found"),
    )
}

# Multifields are part of a row only if they are named. Source: protocol.md 6.2, methods.md 4
# (b24restdocs settings/how-to-call-rest-api/list-methods-pecularities.md)
MULTIFIELDS = ("PHONE", "EMAIL", "WEB", "IM", "LINK")


def _classic(
    name: str,
    entity: str,
    entity_type_id: int,
    *,
    pipeline: str | None = None,
    stage: str | None = None,
    contact: str | None = None,
    multifields: tuple[str, ...] = (),
) -> Resource:
    """The records of a classic list. Source: methods.md 4 (b24restdocs api-reference/crm/{leads,deals,…})"""
    method = f"crm.{entity}.list"
    call = ListCall(method, {"select": ["*", "UF_*", *multifields]})
    company = None if entity == "company" else "COMPANY_ID"
    names = RecordNames("ID", "DATE_MODIFY", pipeline, stage, "ASSIGNED_BY_ID", contact, company)
    record = RecordType(entity_type_id, names, f"crm.{entity}")
    return Resource(name, lambda _: (PortalList(0, method, call),), record=record)


def _items(name: str, entity_type_id: int) -> Resource:
    """The records of one type of items. Source: methods.md 5 (b24restdocs api-reference/crm/universal/)"""
    call = ListCall("crm.item.list", {"entityTypeId": entity_type_id, "select": ["*"]})
    names = RecordNames("id", "updatedTime", "categoryId", "stageId", "assignedById", "contactId", "companyId")
    of_type = {"entityTypeId": entity_type_id}
    record = RecordType(entity_type_id, names, ITEMS, of_type)
    lists = (PortalList(0, f"crm.item.list of type {entity_type_id}", call),)
    return Resource(name, lambda _: lists, record=record)


RECORDS = {
    resource.name: resource
    for resource in (
        _classic("leads", "lead", 1, stage="STATUS_ID", contact="CONTACT_ID", multifields=MULTIFIELDS),
        _classic("deals", "deal", 2, pipeline="CATEGORY_ID", stage="STAGE_ID", contact="CONTACT_ID"),
        _classic("contacts", "contact", 3, multifields=MULTIFIELDS),
        _classic("companies", "company", 4, multifields=MULTIFIELDS),
        _classic("quotes", "quote", 7, stage="STATUS_ID", contact="CONTACT_ID"),
        _items("invoices", SMART_INVOICE),
    )
}
ITEMS_NAME = re.compile(r"items/([1-9][0-9]{0,9})", re.ASCII)
MAX_ENTITY_TYPE_ID = 2**31 - 1


def find_resource(name: str) -> Resource:
    """The resource of this name, such as ``deals`` or ``items/128``.

    Raises:
        NotFound: there is none. Types with a name of their own are not items.
    """
    known = DICTIONARIES.get(name) or RECORDS.get(name)
    if known is not None:
        return known
    if (items := ITEMS_NAME.fullmatch(name)) and int(items[1]) <= MAX_ENTITY_TYPE_ID:
        entity_type_id = int(items[1])
        for resource in RECORDS.values():
            if resource.record is not None and resource.record.entity_type_id == entity_type_id:
                detail = f"resource: the type {entity_type_id} is the list {resource.name!r}"
                raise NotFound(detail, code="resource_not_found")
        return _items(name, entity_type_id)
    expected = ", ".join((*DICTIONARIES, *RECORDS, "items/{entityTypeId}"))
    raise NotFound(f"resource: unknown list {name[:64]!r}, expected one of {expected}", code="resource_not_found")


def record_type(resource: Resource) -> RecordType:
    """What *resource* has because it holds records of the CRM, as all but the dictionaries do."""
    assert resource.record is not None
    return resource.record


def list_fields(resource: Resource, fields: Mapping[str, Field]) -> ListFields:
    """The *fields* that the portal describes for records of *resource*, as the list from which these are read has them.

    Lists leave some of them out, such as CONTACT_IDS of deals.
    """
    (portal_list,) = resource.lists("")
    return ListFields(FIELD_RULES[portal_list.call.method], fields)


def not_mirrored(resource: Resource) -> StateConflict:
    """The error for a list of records that the account has not enabled."""
    return StateConflict(
        f"{resource.name} are not mirrored: enable them with {enabling(resource)}", code="not_mirrored"
    )


def enabling(resource: Resource) -> str:
    """The request that enables the mirror of *resource*."""
    return f'PUT /bitrix/sync/{resource.name} with {{"enabled": true}}'
