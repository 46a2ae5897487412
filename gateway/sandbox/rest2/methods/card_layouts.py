"""crm.{lead,deal,contact,company,item}.details.configuration.*: the sections and fields of the cards of records."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TypeAlias

from gateway.sandbox.content.catalog import COMPANY, CONTACT, DEAL, LEAD
from gateway.sandbox.content.entities import OLD_INVOICE
from gateway.sandbox.errors import access_denied, not_an_array
from gateway.sandbox.php import Value, as_array, as_number, entries_of, is_array
from gateway.sandbox.rest2.method import Answer, Call, Method, Param
from gateway.sandbox.rest2.methods.classic import positive, refuse
from gateway.sandbox.tables.table import Row

FindType: TypeAlias = Callable[[Call], int]

_CLASSIC = {"lead": LEAD, "deal": DEAL, "contact": CONTACT, "company": COMPANY}
# By entity type: the names in ``extras`` that tell its layouts apart, and the value by default.
_VARIANTS = {LEAD: (("leadCustomerType", "lead.customer.type"), 1), DEAL: (("dealCategoryId",), 0)}
_COMMON = 0  # the user of the layout for all


def get_layout(find_type: FindType, call: Call) -> Answer:
    """Return the sections of one layout; null if it was never set.

    Source: [docs] api-reference/crm/universal/item-details-configuration/crm-item-details-configuration-get.md
    """
    return Answer(call.data.card_layouts.get((*_variant(find_type, call), _user(call))))


def set_layout(find_type: FindType, call: Call) -> Answer:
    """Replace one layout.

    Source: [docs] api-reference/crm/universal/item-details-configuration/crm-item-details-configuration-set.md
    """
    key = (*_variant(find_type, call), _user(call))
    data = call.params.get("data")
    if not is_array(data):
        raise not_an_array("data")
    if not data:
        refuse("There are no data to write.")
    if not isinstance(as_array(entries_of(data)), list):
        refuse("The data must be indexed array.")
    call.data.card_layouts[key] = [_section(*numbered) for numbered in enumerate(entries_of(data).values())]
    return Answer(True)


def reset_layout(find_type: FindType, call: Call) -> Answer:
    """Remove one layout, so that the card has its default one.

    Source: [docs] api-reference/crm/universal/item-details-configuration/crm-item-details-configuration-reset.md
    """
    call.data.card_layouts.pop((*_variant(find_type, call), _user(call)), None)
    return Answer(True)


def force_common_layout(find_type: FindType, call: Call) -> Answer:
    """Remove all personal layouts, so that every user has the common one.

    Source: [docs] api-reference/crm/universal/item-details-configuration
    """
    variant = _variant(find_type, call)
    call.require_administrator(access_denied())
    for key in [key for key in call.data.card_layouts if key[:2] == variant and key[2] != _COMMON]:
        del call.data.card_layouts[key]
    return Answer(True)


def _fixed_type(type_id: int, _call: Call) -> int:
    return type_id


def _type_of_parameter(call: Call) -> int:
    type_id = positive(call.params.get("entityTypeId"))
    if not type_id:
        refuse("Parameter 'entityTypeId' is not defined")
    if type_id not in call.data.entities or type_id == OLD_INVOICE:
        refuse(f"The entity type '{type_id}' is not supported in current context.")
    return type_id


def _variant(find_type: FindType, call: Call) -> tuple[int, int]:
    """The entity type, and the pipeline or the kind of lead."""
    type_id = find_type(call)
    names, default = _VARIANTS.get(type_id, (("categoryId",), _default_category(call, type_id)))
    extras = entries_of(call.params.get("extras", {}))
    return type_id, next((int(as_number(extras[name])) for name in names if name in extras), default)


def _default_category(call: Call, type_id: int) -> int:
    rows: Mapping[int, Row] = call.data.categories.get(type_id, {})
    return next((category_id for category_id, row in rows.items() if row["isDefault"] == "Y"), 0)


def _user(call: Call) -> int:
    """The user whose layout the call names. Only the administrator may name the common one or another user's."""
    user_id = positive(call.params.get("userId")) or call.caller.user_id
    if str(call.params.get("scope", "P")).upper() == "C":
        user_id = _COMMON
    if user_id != call.caller.user_id:
        call.require_administrator(access_denied())
    return user_id


def _section(index: int, sent: Value) -> Row:
    """A section as it is returned.

    Raises:
        CallError: something that a section needs is missing.
    """
    section = entries_of(sent) if is_array(sent) else {}
    kind = section.get("type", "")
    if kind != "section":
        refuse(f"Section at index {index} has type {kind}. The expected type is 'section'.")
    for name in ("name", "title"):
        if not section.get(name):
            refuse(f"Section at index {index} does not have {name}.")
    elements = section.get("elements") if is_array(section.get("elements")) else []
    return {
        "name": str(section["name"]),
        "title": str(section["title"]),
        "type": kind,
        "elements": [_element(index, *numbered) for numbered in enumerate(entries_of(elements).values())],
    }


def _element(section_index: int, index: int, sent: Value) -> Row:
    element = entries_of(sent) if is_array(sent) else {}
    if not element.get("name"):
        refuse(f"Element at index {index} in section at index {section_index} does not have name.")
    row: Row = {"name": str(element["name"]), "optionFlags": str(int(as_number(element.get("optionFlags"))))}
    options = element.get("options")
    if is_array(options) and options:
        row["options"] = {name: _option(value) for name, value in entries_of(options).items()}
    return row


def _option(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


_PARAMS = (Param("scope"), Param("userId"), Param("extras", "array"), Param("entityTypeId"))
_RUNS = {
    "get": get_layout,
    "set": set_layout,
    "reset": reset_layout,
    "forcecommonscopeforall": force_common_layout,
}
_TYPES: dict[str, FindType] = {
    **{name: partial(_fixed_type, type_id) for name, type_id in _CLASSIC.items()},
    "item": _type_of_parameter,
}

METHODS = tuple(
    Method(
        f"crm.{name}.details.configuration.{verb}",
        partial(run, find_type),
        ("crm",),
        (*_PARAMS, Param("data")),
    )
    for name, find_type in _TYPES.items()
    for verb, run in _RUNS.items()
)
