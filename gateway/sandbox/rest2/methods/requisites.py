"""crm.requisite.*, crm.requisite.preset.* and crm.requisite.bankdetail.*."""

from operator import attrgetter

from gateway.sandbox.content.addresses import REQUISITE
from gateway.sandbox.content.catalog import COMPANY, CONTACT
from gateway.sandbox.content.portal_data import PortalData
from gateway.sandbox.content.requisite_removal import remove_requisite
from gateway.sandbox.content.requisites import BANK_DETAILS, COUNTRIES, PRESETS, REQUISITES
from gateway.sandbox.errors import CallError
from gateway.sandbox.rest2.method import Answer, Call, Method
from gateway.sandbox.rest2.methods.classic import Collection, positive, refuse, refuse_invalid
from gateway.sandbox.tables.table import Row

_OWNERS = (CONTACT, COMPANY)
_COUNTRY_IDS = {country_id for country_id, _, _ in COUNTRIES}


def check_owner(call: Call, requisite: Row) -> None:
    """Check the right to the contact or company of a requisite.

    Raises:
        CallError: "Access denied."
    """
    if int(requisite["ENTITY_TYPE_ID"]) in call.data.denied:
        refuse("Access denied.")


def _check_new_requisite(call: Call, columns: Row) -> None:
    owner_type, owner_id = positive(columns.get("ENTITY_TYPE_ID")), positive(columns.get("ENTITY_ID"))
    if owner_type not in _OWNERS:
        refuse_invalid("ENTITY_TYPE_ID")
    if not owner_id:
        refuse_invalid("ENTITY_ID")
    check_owner(call, columns)
    if owner_id not in call.data.records[owner_type]:
        refuse("Entity not found.")
    if positive(columns.get("PRESET_ID")) not in call.data.presets:
        refuse_invalid("PRESET_ID")
    _check_name(columns)


def _check_new_preset(call: Call, columns: Row) -> None:
    check_owners(call)
    # The page prints this text without a full stop. Source: [docs] requisites/presets/crm-requisite-preset-add.md
    if positive(columns.get("ENTITY_TYPE_ID")) != REQUISITE:
        refuse("ENTITY_TYPE_ID is not defined or invalid")
    if positive(columns.get("COUNTRY_ID")) not in _COUNTRY_IDS:
        refuse("COUNTRY_ID is not defined or invalid")
    _check_name(columns)


def _check_new_bank_detail(call: Call, columns: Row) -> None:
    requisite = call.data.requisites.get(positive(columns.get("ENTITY_ID")))
    if requisite is None:
        refuse_invalid("ENTITY_ID")
    check_owner(call, requisite)
    _check_name(columns)
    columns["COUNTRY_ID"] = call.data.presets.get(int(requisite["PRESET_ID"]), {}).get("COUNTRY_ID", "1")


def _check_name(columns: Row) -> None:
    if not columns.get("NAME"):
        refuse_invalid("NAME")


def check_owners(call: Call, _row: Row | None = None) -> None:
    """Check the right to contacts and companies, which presets need.

    Raises:
        CallError: "Access denied."
    """
    if not call.data.denied.isdisjoint(_OWNERS):
        refuse("Access denied.")


def _check_bank_detail(call: Call, row: Row) -> None:
    requisite = call.data.requisites.get(int(row["ENTITY_ID"]))
    if requisite is not None:
        check_owner(call, requisite)


def _check_requisite_list(call: Call) -> None:
    if call.data.denied.issuperset(_OWNERS):
        raise CallError(0, "Access denied.")


def _check_preset_list(call: Call) -> None:
    if not call.data.denied.isdisjoint(_OWNERS):
        raise CallError(0, "Access denied.")


def _check_bank_detail_list(call: Call) -> None:
    if call.data.denied.issuperset(_OWNERS):
        refuse("Access denied.")


def _unlink_bank_detail(data: PortalData, bank_detail_id: int) -> None:
    """Remove a bank detail from the links of objects. The links remain."""
    for link_id, row in data.requisite_links.items():
        unlinked = {name: "0" for name in ("BANK_DETAIL_ID", "MC_BANK_DETAIL_ID") if row[name] == str(bank_detail_id)}
        data.requisite_links[link_id] = {**row, **unlinked}


def _remove_preset(data: PortalData, preset_id: int) -> None:
    """Delete the fields of a preset, which must have no requisites.

    Source: [docs] api-reference/crm/requisites/presets/crm-requisite-preset-delete.md
    """
    if any(row["PRESET_ID"] == str(preset_id) for row in data.requisites.values()):
        refuse("Вы не можете удалить шаблон, так как по нему уже созданы реквизиты")
    data.preset_fields.pop(preset_id, None)


def list_countries(_call: Call) -> Answer:
    """Return the countries that presets may have.

    Source: [docs] api-reference/crm/requisites/presets/crm-requisite-preset-countries.md
    """
    return Answer([{"ID": country_id, "CODE": code, "TITLE": title} for country_id, code, title in COUNTRIES])


METHODS = (
    *Collection(
        "crm.requisite",
        "Requisite",
        REQUISITES,
        attrgetter("requisites"),
        check_new=_check_new_requisite,
        check_row=check_owner,
        check_list=_check_requisite_list,
        remove=remove_requisite,
    ).methods(),
    *Collection(
        "crm.requisite.preset",
        "Preset",
        PRESETS,
        attrgetter("presets"),
        check_new=_check_new_preset,
        check_row=check_owners,
        check_list=_check_preset_list,
        remove=_remove_preset,
    ).methods(),
    *Collection(
        "crm.requisite.bankdetail",
        "RequisiteBankDetail",
        BANK_DETAILS,
        attrgetter("bank_details"),
        check_new=_check_new_bank_detail,
        check_row=_check_bank_detail,
        check_list=_check_bank_detail_list,
        remove=_unlink_bank_detail,
    ).methods(),
    Method("crm.requisite.preset.countries", list_countries, ("crm",)),
)
