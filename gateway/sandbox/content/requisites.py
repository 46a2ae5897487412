"""Requisites of contacts and companies, with their presets, bank details, links and addresses."""

from gateway.sandbox.content.addresses import KINDS, REQUISITE
from gateway.sandbox.content.catalog import CONTACT
from gateway.sandbox.content.entities import Entity
from gateway.sandbox.content.other_entities import other_entity
from gateway.sandbox.content.records import iso_time
from gateway.sandbox.tables.table import Row, Table

# ID, code and title. Source: [docs] api-reference/crm/requisites/presets/crm-requisite-preset-countries.md
COUNTRIES = (
    (1, "RU", "Россия"), (4, "BY", "Беларусь"), (6, "KZ", "Казахстан"), (14, "UA", "Украина"), (34, "BR", "Бразилия"),
    (46, "DE", "Германия"), (77, "CO", "Колумбия"), (110, "PL", "Польша"), (122, "US", "США"), (132, "FR", "Франция"),
)  # fmt: skip

_STAMPS = "DATE_CREATE datetime/r; DATE_MODIFY datetime/r; CREATED_BY_ID user/r; MODIFY_BY_ID user/r"
_NAMED = "NAME string; CODE string; XML_ID string; ORIGINATOR_ID string; ACTIVE char"
_REQUISITE_STRINGS = """NAME FIRST_NAME LAST_NAME SECOND_NAME COMPANY_ID COMPANY_NAME COMPANY_FULL_NAME
    COMPANY_REG_DATE DIRECTOR ACCOUNTANT CEO_NAME CEO_WORK_POS CONTACT EMAIL PHONE FAX IDENT_TYPE IDENT_DOC
    IDENT_DOC_SER IDENT_DOC_NUM IDENT_DOC_PERS_NUM IDENT_DOC_DATE IDENT_DOC_ISSUED_BY IDENT_DOC_DEP_CODE INN KPP USRLE
    IFNS OGRN OGRNIP OKPO OKTMO OKVED EDRPOU DRFO KBE IIN BIN ST_CERT_SER ST_CERT_NUM ST_CERT_DATE VAT_PAYER VAT_ID
    VAT_CERT_SER VAT_CERT_NUM VAT_CERT_DATE RESIDENCE_COUNTRY BASE_DOC REGON KRS PESEL LEGAL_FORM SIRET SIREN CAPITAL
    RCS CNPJ STATE_REG MNPL_REG CPF"""
_BANK_STRINGS = """BANK_NAME BANK_CODE BANK_ADDR BANK_ROUTE_NUM BIK MFO ACC_NAME ACC_NUM ACC_TYPE IIK ACC_CURRENCY
    COR_ACC_NUM IBAN SWIFT BIC CODEB CODEG RIB AGENCY_NAME"""
_RQ_TYPES = {"IDENT_TYPE": "crm_status:RQ_IDENT_TYPE_CO", "VAT_PAYER": "char"}


def _rq_fields(names: str) -> str:
    return "; ".join(f"RQ_{name} {_RQ_TYPES.get(name, 'string')}" for name in names.split())


# Source: [docs] api-reference/crm/requisites/universal/crm-requisite-fields.md, and in the folders beside it
# presets/crm-requisite-preset-fields.md, bank-detail/crm-requisite-bank-detail-fields.md,
# links/crm-requisite-link-fields.md, addresses/crm-address-fields.md,
# presets/fields/crm-requisite-preset-field-fields.md
REQUISITES = other_entity(
    "requisites",
    f"""ID integer/r; ENTITY_TYPE_ID integer/*i; ENTITY_ID integer/*i; PRESET_ID integer/*i; {_STAMPS};
    {_NAMED}; ADDRESS_ONLY char; SORT integer; {_rq_fields(_REQUISITE_STRINGS)}""",
    "CRM_REQUISITE",
)
PRESETS = other_entity(
    "presets",
    f"""ID integer/r; ENTITY_TYPE_ID integer/*i; COUNTRY_ID integer/*i; NAME string/*; {_STAMPS}; ACTIVE char;
    SORT integer; XML_ID string""",
)
PRESET_FIELDS = other_entity(
    "preset_fields",
    "ID integer/r; FIELD_NAME string/*; FIELD_TITLE string; SORT integer; IN_SHORT_LIST char",
)
BANK_DETAILS = other_entity(
    "bank_details",
    f"""ID integer/r; ENTITY_ID integer/*i; COUNTRY_ID integer; {_STAMPS}; {_NAMED}; SORT integer;
    {_rq_fields(_BANK_STRINGS)}; COMMENTS string""",
)
LINKS = other_entity(
    "requisite_links",
    """ENTITY_TYPE_ID integer/*i; ENTITY_ID integer/*i; REQUISITE_ID integer/*; BANK_DETAIL_ID integer/*;
    MC_REQUISITE_ID integer/*; MC_BANK_DETAIL_ID integer/*""",
)
ADDRESSES = other_entity(
    "addresses",
    """TYPE_ID integer/*i; ENTITY_TYPE_ID integer/*i; ENTITY_ID integer/*i; ADDRESS_1 string; ADDRESS_2 string;
    CITY string; POSTAL_CODE string; REGION string; PROVINCE string; COUNTRY string; COUNTRY_CODE string;
    LOC_ADDR_ID integer; ANCHOR_TYPE_ID integer/r; ANCHOR_ID integer/r""",
)

# The kinds of addresses in the order of crm.enum.addresstype.
# Source: [docs] api-reference/crm/auxiliary/enum/crm-enum-address-type.md
PHYSICAL, LEGAL = KINDS
ADDRESS_KINDS = {
    11: "Адрес доставки",
    PHYSICAL: "Фактический адрес",
    LEGAL: "Юридический адрес",
    4: "Адрес регистрации",
    8: "Почтовый адрес",
    9: "Адрес бенефициара",
}

_FIRST_CREATED = 1_700_000_000
_PRESETS = (("Организация", "COMPANY"), ("ИП", "INDIVIDUAL"), ("Физ. лицо", "PERSON"), ("Организация (доп.)", "LEGAL"))


def make_presets() -> Table:
    """Make the presets of a new portal, in the form of crm.requisite.preset.list.

    Source: [docs] api-reference/crm/requisites/presets/crm-requisite-preset-list.md
    """
    return Table(
        {
            preset_id: {
                **blank_row(PRESETS, preset_id),
                "ENTITY_TYPE_ID": str(REQUISITE),
                "COUNTRY_ID": "1",
                "NAME": name,
                "XML_ID": f"#CRM_REQUISITE_PRESET_DEF_RU_{code}#",
            }
            for preset_id, (name, code) in enumerate(_PRESETS, start=1)
        }
    )


def make_preset_fields() -> dict[int, Table]:
    """Make the fields of each preset, which have ids of their own.

    Source: [docs] api-reference/crm/requisites/presets/fields/crm-requisite-preset-field-list.md
    """
    names = ("RQ_INN", "RQ_COMPANY_NAME", "RQ_COMPANY_FULL_NAME", "RQ_OGRN", "RQ_KPP", "RQ_ADDR")
    rows: dict[int, Row] = {
        place: {
            "ID": str(place),
            "FIELD_NAME": name,
            "FIELD_TITLE": "",
            "IN_SHORT_LIST": "N",
            "SORT": str(500 + 10 * place),
        }
        for place, name in enumerate(names, start=1)
    }
    return {preset_id: Table(rows) for preset_id, _ in enumerate(_PRESETS, start=1)}


def make_requisites(addresses: Table) -> Table:
    """Make the requisites that the *addresses* name, in the form of crm.requisite.list: one for each contact.

    Source: [docs] api-reference/crm/requisites/universal/crm-requisite-list.md
    """
    owners = {int(row["ENTITY_ID"]): row["ANCHOR_ID"] for row in addresses.values()}
    return Table(
        {
            requisite_id: {
                **blank_row(REQUISITES, requisite_id),
                "ENTITY_TYPE_ID": str(CONTACT),
                "ENTITY_ID": contact_id,
                "PRESET_ID": "3",
                "NAME": f"Реквизиты {requisite_id}",
                "RQ_INN": f"{770_000_000_000 + requisite_id}",
            }
            for requisite_id, contact_id in owners.items()
        }
    )


def blank_row(entity: Entity, row_id: int, created: float = _FIRST_CREATED, user_id: int = 1) -> Row:
    """The initial columns of a row of *entity*, created by a user at a Unix time."""
    defaults: Row = {
        "ID": str(row_id),
        "DATE_CREATE": iso_time(int(created)),
        "DATE_MODIFY": "",
        "CREATED_BY_ID": str(user_id),
        "ACTIVE": "Y",
        "ADDRESS_ONLY": "N",
        "SORT": "500",
        "RQ_VAT_PAYER": "N",
    }
    return {field.name: defaults.get(field.name) for field in entity.own_fields}
