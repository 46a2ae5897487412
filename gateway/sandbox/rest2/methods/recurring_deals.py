"""crm.deal.recurring.*: the settings of recurring deals."""

from gateway.sandbox.content.catalog import DEAL
from gateway.sandbox.content.entities import Field
from gateway.sandbox.content.record_writer import RecordWriter
from gateway.sandbox.content.recurring_deals import (
    BLANK_PARAMS,
    make_deal,
    make_template,
    next_execution,
    read_params,
)
from gateway.sandbox.content.written_values import NotValid, classic_value
from gateway.sandbox.errors import not_an_array
from gateway.sandbox.php import Value, entries_of
from gateway.sandbox.query.filters import Schema, read_filter
from gateway.sandbox.query.listing import find, read_order
from gateway.sandbox.rest2.descriptions import describe
from gateway.sandbox.rest2.method import Answer, Call, Method, Param, page_window
from gateway.sandbox.rest2.methods.classic import positive, refuse
from gateway.sandbox.rest2.methods.records import check_access
from gateway.sandbox.tables.table import Row

_FIELDS = """ID integer/r; DEAL_ID integer/*i; BASED_ID integer/r; ACTIVE char; NEXT_EXECUTION datetime/r;
    LAST_EXECUTION datetime/r; COUNTER_REPEAT integer/r; START_DATE date; CATEGORY_ID char; IS_LIMIT char;
    LIMIT_REPEAT integer; LIMIT_DATE date; PARAMS recurring_params"""
_PARAMS = """MODE string; SINGLE_BEFORE_START_DATE_VALUE integer; SINGLE_BEFORE_START_DATE_TYPE string;
    MULTIPLE_TYPE string; MULTIPLE_INTERVAL integer; OFFSET_BEGINDATE_TYPE string; OFFSET_BEGINDATE_VALUE integer;
    OFFSET_CLOSEDATE_TYPE string; OFFSET_CLOSEDATE_VALUE integer"""
_BY_NAME = {field.name: field for field in map(Field.parse, _FIELDS.split(";"))}
_LISTED = Schema({name: field.kind for name, field in _BY_NAME.items() if name != "PARAMS"}, key="ID")
_LOWER = ("ID", "DEAL_ID", "BASED_ID", "CATEGORY_ID")  # these are in lower case in lists
_BLANK: Row = {
    "ACTIVE": "Y",
    "CATEGORY_ID": "0",
    "IS_LIMIT": "N",
    "COUNTER_REPEAT": None,
    "LIMIT_REPEAT": None,
    "LIMIT_DATE": "",
    "START_DATE": "",
    "NEXT_EXECUTION": "",
    "LAST_EXECUTION": "",
    "PARAMS": BLANK_PARAMS,
}


def add_settings(call: Call) -> Answer:
    """Make a copy of a deal the template of recurring ones. A deal that is a template already is not copied.

    Source: [docs] api-reference/crm/deals/recurring-deals/crm-deal-recurring-add.md
    """
    fields = _sent(call)
    check_access(DEAL, call)
    deal_id = positive(fields.get("DEAL_ID"))
    if not deal_id:
        refuse("Deal id is empty")
    deal = call.data.records[DEAL].get(deal_id)
    if deal is None:
        refuse("Deal is not found.")
    is_template = deal["IS_RECURRING"] == "Y"
    if is_template and any(row["DEAL_ID"] == str(deal_id) for row in call.data.recurring_deals.values()):
        refuse("Deal already has recurring settings.")
    template = deal_id if is_template else make_template(call.data, _writer(call), deal_id)
    row_id = call.data.recurring_deals.next_id
    row = {"ID": str(row_id), "DEAL_ID": str(template), "BASED_ID": None if is_template else str(deal_id), **_BLANK}
    row["CATEGORY_ID"] = deal["CATEGORY_ID"]
    _save(call, row, fields)
    _record(call, "ADD", row_id, template)
    return Answer(row_id)


def get_settings(call: Call) -> Answer:
    """Return the settings of one recurring deal.

    Source: [docs] api-reference/crm/deals/recurring-deals/crm-deal-recurring-get.md
    """
    return Answer(_found(call))


def list_settings(call: Call) -> Answer:
    """Return one page of settings. Conditions on PARAMS and unknown fields are ignored.

    Source: [docs] api-reference/crm/deals/recurring-deals/crm-deal-recurring-list.md
    """
    check_access(DEAL, call)
    page = find(
        call.data.recurring_deals,
        read_filter(call.params.get("filter", {}), _LISTED),
        read_order(call.params.get("order", {}), _LISTED),
        _LISTED,
        page_window(call, whole_pages=True),
    )
    rows = [{name.lower() if name in _LOWER else name: value for name, value in row.items()} for row in page.rows]
    return Answer.of_page(page, rows)


def update_settings(call: Call) -> Answer:
    """Change settings. The deal stays.

    Source: [docs] api-reference/crm/deals/recurring-deals/crm-deal-recurring-update.md
    """
    row = _found(call)
    _save(call, row, _sent(call))
    _record(call, "UPDATE", int(row["ID"]), int(row["DEAL_ID"]))
    return Answer(True)


def delete_settings(call: Call) -> Answer:
    """Delete settings whose template was deleted before.

    Source: [docs] api-reference/crm/deals/recurring-deals/crm-deal-recurring-delete.md
    """
    row = _found(call)
    if int(row["DEAL_ID"]) in call.data.records[DEAL]:
        refuse("Deleting is impossible. Connected recurring deal exists.")
    del call.data.recurring_deals[int(row["ID"])]
    _record(call, "DELETE", int(row["ID"]))
    return Answer(True)


def expose_deal(call: Call) -> Answer:
    """Make a deal from the template now.

    Source: [docs] api-reference/crm/deals/recurring-deals/crm-deal-recurring-expose.md
    """
    row = _found(call)
    template = int(row["DEAL_ID"])
    if template not in call.data.records[DEAL]:
        refuse("Recurring deal is not found.")
    deal_id = make_deal(call.data, _writer(call), row)
    _record(call, "EXPOSE", int(row["ID"]), template, DEAL_ID=str(deal_id))
    return Answer({"DEAL_ID": deal_id})


def describe_fields(call: Call) -> Answer:
    """Return the fields of the settings.

    Source: [docs] api-reference/crm/deals/recurring-deals/crm-deal-recurring-fields.md
    """
    check_access(DEAL, call)
    fields = describe(_FIELDS)
    return Answer({**fields, "PARAMS": {**fields["PARAMS"], "definition": describe(_PARAMS)}})


def _sent(call: Call) -> dict[str, Value]:
    if "fields" not in call.params:
        raise not_an_array("fields")
    return entries_of(call.params["fields"])


def _found(call: Call) -> Row:
    row_id = positive(call.params.get("id"))
    if not row_id:
        refuse("id is not defined or invalid.")
    check_access(DEAL, call)
    row = call.data.recurring_deals.get(row_id)
    if row is None:
        refuse("Recurring deal is not found.")
    return row


def _writer(call: Call) -> RecordWriter:
    return RecordWriter(call.data, call.data.entities[DEAL], call.caller.user_id, call.now)


def _save(call: Call, row: Row, fields: dict[str, Value]) -> None:
    """Store *row* with the *fields* that may be written, and with its next date."""
    new = {**row, "PARAMS": read_params(fields.get("PARAMS"), row["PARAMS"])}
    for name in ("ACTIVE", "START_DATE", "LIMIT_DATE", "LIMIT_REPEAT", "CATEGORY_ID", "IS_LIMIT"):
        if name in fields:
            new[name] = _value(_BY_NAME[name], fields[name], row[name])
    call.data.recurring_deals[int(row["ID"])] = {**new, "NEXT_EXECUTION": next_execution(new, call.now)}


def _value(field: Field, value: Value, known: Value) -> Value:
    """The stored value of a field, the *known* one if *value* is not valid."""
    if field.name == "IS_LIMIT":
        return value if value in ("D", "T") else "N"
    if field.name == "CATEGORY_ID":
        return str(positive(value))
    try:
        return classic_value(field, value)
    except NotValid:
        return known


def _record(call: Call, action: str, row_id: int, template: int | None = None, **further: str) -> None:
    """Source: [docs] api-reference/crm/deals/recurring-deals/events/index.md"""
    fields = {"ID": str(row_id), **({} if template is None else {"RECURRING_DEAL_ID": str(template)}), **further}
    call.data.events.record(f"ONCRMDEALRECURRING{action}", {"FIELDS": fields}, call.now, call.caller.user_id)


_ID, _SENT = Param("id"), Param("fields", "array")
_DECLARED = (
    ("add", add_settings, (_SENT,)),
    ("get", get_settings, (_ID,)),
    ("list", list_settings, (Param("order", "array"), Param("filter", "array"), Param("start"))),
    ("update", update_settings, (_ID, _SENT)),
    ("delete", delete_settings, (_ID,)),
    ("expose", expose_deal, (_ID,)),
    ("fields", describe_fields, ()),
)

METHODS = tuple(Method(f"crm.deal.recurring.{name}", run, ("crm",), params) for name, run, params in _DECLARED)
