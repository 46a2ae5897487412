"""The CRM entities and their fields, with the names of the documented ``*.fields`` answers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from gateway.sandbox.content.catalog import COMPANY, CONTACT, DEAL, LEAD, QUOTE, SMART_INVOICE
from gateway.sandbox.query.filters import Kind
from gateway.sandbox.tables.table import Row, Table

OLD_INVOICE = 5

MULTIFIELDS = ("PHONE", "EMAIL", "WEB", "IM", "LINK")

REFERENCES = {"crm_lead": LEAD, "crm_deal": DEAL, "crm_contact": CONTACT, "crm_company": COMPANY, "crm_quote": QUOTE}
NUMERIC = {
    *REFERENCES,
    *("integer", "double", "user", "crm_category", "crm_entity", "location", "employee", "enumeration"),
    *("iblock_section", "iblock_element"),
}
DATES = {"date", "datetime"}

_ACTIVITY = "LAST_ACTIVITY_TIME datetime/r; LAST_ACTIVITY_BY user/r"
_WHEN_AND_WHO = f"""ASSIGNED_BY_ID user; CREATED_BY_ID user/r; MODIFY_BY_ID user/r; DATE_CREATE datetime/r;
    DATE_MODIFY datetime/r; {_ACTIVITY}"""
_MOVED = "MOVED_BY_ID user/r; MOVED_TIME datetime/r"
_UTM = "UTM_SOURCE string; UTM_MEDIUM string; UTM_CAMPAIGN string; UTM_CONTENT string; UTM_TERM string"
_ORIGIN = "ORIGINATOR_ID string; ORIGIN_ID string"
_ADDRESS = """ADDRESS string; ADDRESS_2 string; ADDRESS_CITY string; ADDRESS_POSTAL_CODE string; ADDRESS_REGION string;
    ADDRESS_PROVINCE string; ADDRESS_COUNTRY string; ADDRESS_COUNTRY_CODE string; ADDRESS_LOC_ADDR_ID integer"""
_HAS = "HAS_PHONE char/r; HAS_EMAIL char/r; HAS_IMOL char/r"
_MULTI = "; ".join(f"{name} crm_multifield/m" for name in MULTIFIELDS)
_SOURCE = "SOURCE_ID crm_status:SOURCE; SOURCE_DESCRIPTION string"
_MONEY = "CURRENCY_ID crm_currency; OPPORTUNITY double; IS_MANUAL_OPPORTUNITY char"

# Source: [docs] api-reference/crm/leads/crm-lead-fields.md, its siblings, and universal/crm-item-fields.md. Old
# invoices are not documented by a sample: their names are our choice. /x marks fields that only crm.item shows.
_LEAD = f"""ID integer/r; TITLE string; HONORIFIC crm_status:HONORIFIC; NAME string; SECOND_NAME string;
    LAST_NAME string; BIRTHDATE date; COMPANY_TITLE string; {_SOURCE}; STATUS_ID crm_status:STATUS;
    STATUS_DESCRIPTION string; STATUS_SEMANTIC_ID string/r; POST string; {_ADDRESS}; {_MONEY}; OPENED char;
    COMMENTS string; {_HAS}; {_WHEN_AND_WHO}; {_MOVED}; COMPANY_ID crm_company; CONTACT_ID crm_contact/d;
    CONTACT_IDS crm_contact/m; OBSERVERS user/mx; IS_RETURN_CUSTOMER char/r; DATE_CLOSED datetime/r; {_ORIGIN}; {_UTM};
    {_MULTI}"""
_DEAL = f"""ID integer/r; TITLE string; TYPE_ID crm_status:DEAL_TYPE; CATEGORY_ID crm_category/i;
    STAGE_ID crm_status:DEAL_STAGE; STAGE_SEMANTIC_ID string/r; IS_NEW char/r; IS_RECURRING char;
    IS_RETURN_CUSTOMER char; IS_REPEATED_APPROACH char; PROBABILITY integer; {_MONEY}; TAX_VALUE double;
    COMPANY_ID crm_company; CONTACT_ID crm_contact/d; CONTACT_IDS crm_contact/m; QUOTE_ID crm_quote/r; BEGINDATE date;
    CLOSEDATE date; OPENED char; CLOSED char; COMMENTS string; {_WHEN_AND_WHO}; {_MOVED}; {_SOURCE};
    LEAD_ID crm_lead/r; ADDITIONAL_INFO string; LOCATION_ID location; OBSERVERS user/mx; {_ORIGIN}; {_UTM}"""
_CONTACT = f"""ID integer/r; HONORIFIC crm_status:HONORIFIC; NAME string/*; SECOND_NAME string/*; LAST_NAME string/*;
    PHOTO file; BIRTHDATE date; TYPE_ID crm_status:CONTACT_TYPE; {_SOURCE}; POST string; {_ADDRESS}; COMMENTS string;
    OPENED char; EXPORT char; {_HAS}; {_WHEN_AND_WHO}; COMPANY_ID crm_company/d; COMPANY_IDS crm_company/m;
    LEAD_ID crm_lead/r; {_ORIGIN}; ORIGIN_VERSION string; {_UTM}; {_MULTI}"""
_COMPANY = f"""ID integer/r; TITLE string/*; COMPANY_TYPE crm_status:COMPANY_TYPE; LOGO file; {_ADDRESS};
    ADDRESS_LEGAL string; {_ADDRESS.replace("ADDRESS", "REG_ADDRESS")};
    BANKING_DETAILS string; INDUSTRY crm_status:INDUSTRY; EMPLOYEES crm_status:EMPLOYEES; CURRENCY_ID crm_currency;
    REVENUE double; OPENED char; COMMENTS string; {_HAS}; IS_MY_COMPANY char;
    {_WHEN_AND_WHO.replace(_ACTIVITY, _ACTIVITY.replace("/r", ""))}; CONTACT_ID crm_contact/m;
    LEAD_ID crm_lead/r; {_ORIGIN}; ORIGIN_VERSION string; {_UTM}; PARENT_ID_156 crm_entity;
    LAST_COMMUNICATION_TIME string/r; {_MULTI}"""
_QUOTE = f"""ID integer/r; TITLE string/*; QUOTE_NUMBER string/r; STATUS_ID crm_status:QUOTE_STATUS;
    CURRENCY_ID crm_currency; OPPORTUNITY double; TAX_VALUE double; COMPANY_ID crm_company/n;
    MYCOMPANY_ID crm_company/n; CONTACT_ID crm_contact/d; CONTACT_IDS crm_contact/m; LEAD_ID crm_lead/n;
    DEAL_ID crm_deal/n; BEGINDATE date; CLOSEDATE date; ACTUAL_DATE date; OPENED char; CLOSED char; COMMENTS string;
    CONTENT string; TERMS string; CLIENT_TITLE string; CLIENT_ADDR string; CLIENT_CONTACT string; CLIENT_EMAIL string;
    CLIENT_PHONE string; CLIENT_TP_ID string; CLIENT_TPA_ID string; PERSON_TYPE_ID integer; LOCATION_ID location;
    {_WHEN_AND_WHO}; LAST_COMMUNICATION_TIME string/r; {_UTM}"""
_OLD_INVOICE = """ID integer/r; ACCOUNT_NUMBER string; ORDER_TOPIC string/*; STATUS_ID string; PRICE double/r;
    CURRENCY string; TAX_VALUE double/r; DATE_BILL date; DATE_PAY_BEFORE date; DATE_INSERT datetime;
    DATE_UPDATE datetime/r; RESPONSIBLE_ID user; UF_COMPANY_ID crm_company; UF_CONTACT_ID crm_contact;
    USER_DESCRIPTION string; COMMENTS string; RECURRING_ID integer"""
_ITEM = f"""ID integer/r; TITLE string; XML_ID string; CREATED_TIME datetime/r; UPDATED_TIME datetime/r;
    CREATED_BY user/r; UPDATED_BY user/r; ASSIGNED_BY_ID user; OPENED boolean/*; WEBFORM_ID integer; BEGINDATE date;
    CLOSEDATE date; COMPANY_ID crm_company; CONTACT_ID crm_contact/d; CONTACT_IDS crm_contact/m; CONTACTS crm_contact/m;
    OBSERVERS user/m; CATEGORY_ID crm_category; MOVED_TIME datetime/r; MOVED_BY user/r; STAGE_ID crm_status:STAGES;
    PREVIOUS_STAGE_ID crm_status:STAGES/r; {_SOURCE.replace("DESCRIPTION string", "DESCRIPTION text")};
    CURRENCY_ID crm_currency; IS_MANUAL_OPPORTUNITY boolean; OPPORTUNITY double; TAX_VALUE double;
    MYCOMPANY_ID crm_company; LAST_ACTIVITY_BY user/r; LAST_ACTIVITY_TIME datetime/r; PARENT_ID_2 crm_entity"""
_SMART_PROCESS = f"{_ITEM}; PARENT_ID_1 crm_entity"
# Source: [docs] api-reference/crm/universal/invoice.md
_INVOICE = f"{_ITEM}; ACCOUNT_NUMBER string/r; COMMENTS string; LOCATION_ID location; PARENT_ID_7 crm_entity"

# The fields of a smart process that exist only if a switch of its type is on.
# Source: [docs] api-reference/crm/universal/object-fields.md
_SWITCHED = {
    "isBeginCloseDatesEnabled": ("BEGINDATE", "CLOSEDATE"),
    "isStagesEnabled": ("STAGE_ID", "PREVIOUS_STAGE_ID", "MOVED_BY", "MOVED_TIME"),
    "isClientEnabled": ("COMPANY_ID", "CONTACT_ID", "CONTACT_IDS", "CONTACTS"),
    "isLinkWithProductsEnabled": ("CURRENCY_ID", "IS_MANUAL_OPPORTUNITY", "OPPORTUNITY", "TAX_VALUE"),
    "isMycompanyEnabled": ("MYCOMPANY_ID",),
    "isSourceEnabled": ("SOURCE_ID", "SOURCE_DESCRIPTION"),
    "isObserversEnabled": ("OBSERVERS",),
}


@dataclass(frozen=True)
class Field:
    """A field of an entity. *values* is the ENTITY_ID of the statuses that a ``crm_status`` may have."""

    name: str
    type: str
    values: str = ""
    flags: str = ""  # r: read-only, i: immutable, m: multiple, *: required, d: deprecated, n: described without
    # the type that it refers to, x: only crm.item shows it
    label: str | None = None  # of a custom field
    is_custom: bool = False

    @classmethod
    def parse(cls, text: str) -> "Field":
        """Parse a field such as ``"STAGE_ID crm_status:DEAL_STAGE/r"``."""
        name, _, rest = text.strip().partition(" ")
        described, _, flags = rest.partition("/")
        kind, _, values = described.partition(":")
        return cls(name, kind, values, flags)

    @property
    def is_multiple(self) -> bool:
        return "m" in self.flags

    @property
    def kind(self) -> Kind:
        """How the values of the field compare."""
        if self.name in MULTIFIELDS:
            return Kind.MULTIFIELD
        if self.type in DATES:
            return Kind.DATE
        if self.type in NUMERIC:
            return Kind.NUMBERS if self.is_multiple else Kind.NUMBER
        return Kind.BOOL if self.is_custom and self.type == "boolean" else Kind.TEXT


@dataclass(frozen=True, eq=False)
class Fields:
    """All fields of an entity, custom ones last. Compared by identity, so derived values can be cached."""

    all: tuple[Field, ...]

    def __iter__(self) -> Iterator[Field]:
        return iter(self.all)


@dataclass(frozen=True, eq=False)
class Entity:
    """A kind of CRM record. *table* names the table of its records, *userfields* that of its custom fields."""

    type_id: int
    table: str
    own_fields: tuple[Field, ...]
    userfields: str

    @property
    def is_smart_process(self) -> bool:
        """Whether the entity is one of crm.type.list, which may be deleted."""
        return self.table.startswith("items/")

    def fields(self, userfields: Mapping[str, Table]) -> Fields:
        """The fields with the portal's current custom fields; the same object while they do not change."""
        return _fields(self, tuple(custom_field(row) for row in userfields[self.userfields].values()))


@lru_cache(64)
def _fields(entity: Entity, custom: tuple[Field, ...]) -> Fields:
    return Fields((*entity.own_fields, *custom))


def custom_field(row: Row) -> Field:
    """The field described by a row of ``*.userfield.list``."""
    labels = row["EDIT_FORM_LABEL"]
    label = labels.get("ru") if labels else None
    return _custom_field(row["FIELD_NAME"], row["USER_TYPE_ID"], row["MULTIPLE"], row["MANDATORY"], label)


@lru_cache(4096)
def _custom_field(name: str, kind: str, multiple: str, mandatory: str, label: str | None) -> Field:
    flags = ("m" if multiple == "Y" else "") + ("*" if mandatory == "Y" else "")
    return Field(name, kind, "", flags, label, is_custom=True)


def make_entities(types: Table, categories: Mapping[int, Table]) -> dict[int, Entity]:
    """Make the entities of a portal by entityTypeId, smart processes included."""
    invoice_stages = f"SMART_INVOICE_STAGE_{min(categories[SMART_INVOICE])}"
    invoices = _entity(
        SMART_INVOICE, "invoices", _INVOICE.replace(":STAGES", f":{invoice_stages}"), "CRM_SMART_INVOICE"
    )
    smart_processes = (make_smart_process(row, categories[row["entityTypeId"]]) for row in types.values())
    return {entity.type_id: entity for entity in (*_FIXED, invoices, *smart_processes)}


def make_smart_process(row: Row, categories: Table) -> Entity:
    """Make the entity of a row of crm.type.list, with the fields whose switches are on."""
    type_id = row["entityTypeId"]
    fields = _SMART_PROCESS.replace(":STAGES", f":DYNAMIC_{type_id}_STAGE_{min(categories)}")
    entity = _entity(type_id, f"items/{type_id}", fields, f"CRM_{row['id']}")
    off = {name for switch, names in _SWITCHED.items() if row[switch] != "Y" for name in names}
    return replace(entity, own_fields=tuple(field for field in entity.own_fields if field.name not in off))


def _entity(type_id: int, table: str, fields: str, userfields: str) -> Entity:
    return Entity(type_id, table, tuple(map(Field.parse, fields.split(";"))), userfields)


_FIXED = (
    _entity(LEAD, "leads", _LEAD, "CRM_LEAD"),
    _entity(DEAL, "deals", _DEAL, "CRM_DEAL"),
    _entity(CONTACT, "contacts", _CONTACT, "CRM_CONTACT"),
    _entity(COMPANY, "companies", _COMPANY, "CRM_COMPANY"),
    _entity(QUOTE, "quotes", _QUOTE, "CRM_QUOTE"),
    _entity(OLD_INVOICE, "old_invoices", _OLD_INVOICE, "CRM_INVOICE"),
)
