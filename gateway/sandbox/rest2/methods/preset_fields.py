"""crm.requisite.preset.field.*: which fields of requisites a preset shows. Their ids are unique within the preset."""

from functools import partial

from gateway.sandbox.content.requisites import PRESET_FIELDS, REQUISITES
from gateway.sandbox.php import entries_of
from gateway.sandbox.rest2.method import Answer, Call, Method, Param
from gateway.sandbox.rest2.methods.classic import (
    FIELDS,
    describe_fields,
    positive,
    refuse,
    refuse_invalid,
    writable,
    written,
)
from gateway.sandbox.rest2.methods.requisites import check_owners
from gateway.sandbox.tables.table import Row, Table

_OTHERS = ("RQ_ADDR", "RQ_SIGNATURE", "RQ_STAMP")  # fields of presets that are not columns of requisites
_NUMBERS = ("ID", "SORT")


def add_field(call: Call) -> Answer:
    """Add a field to a preset and return its id.

    Source: [docs] api-reference/crm/requisites/presets/fields/crm-requisite-preset-field-add.md
    """
    table = _fields_of_preset(call)
    columns = written(call.params.get("fields", {}), writable(PRESET_FIELDS, call.data, hidden="r"))
    name = columns.get("FIELD_NAME") or ""
    if name not in _available(call, table):
        refuse(f"The field '{name}' can not be added.")
    row_id = table.next_id
    table[row_id] = {"ID": str(row_id), "FIELD_TITLE": "", "IN_SHORT_LIST": "N", "SORT": "500", **columns}
    return Answer(row_id)


def get_field(call: Call) -> Answer:
    """Return one field of a preset, with numbers.

    Source: [docs] api-reference/crm/requisites/presets/fields/crm-requisite-preset-field-get.md
    """
    table = _fields_of_preset(call)
    return Answer(_shown(table[_existing(call, table)]))


def list_fields(call: Call) -> Answer:
    """Return all fields of a preset.

    Source: [docs] api-reference/crm/requisites/presets/fields/crm-requisite-preset-field-list.md
    """
    return Answer([_shown(row) for _, row in sorted(_fields_of_preset(call).items())])


def update_field(call: Call) -> Answer:
    """Change a field of a preset.

    Source: [docs] api-reference/crm/requisites/presets/fields/crm-requisite-preset-field-update.md
    """
    table = _fields_of_preset(call)
    row_id = _existing(call, table)
    columns = written(call.params.get("fields", {}), writable(PRESET_FIELDS, call.data, hidden="r"))
    table[row_id] = {**table[row_id], **columns}
    return Answer(True)


def delete_field(call: Call) -> Answer:
    """Remove a field from a preset.

    Source: [docs] api-reference/crm/requisites/presets/fields/crm-requisite-preset-field-delete.md
    """
    table = _fields_of_preset(call)
    del table[_existing(call, table)]
    return Answer(True)


def list_available(call: Call) -> Answer:
    """Return the names of the fields that a preset does not have yet. All countries have the same fields.

    Source: [docs] api-reference/crm/requisites/presets/fields/crm-requisite-preset-field-available-to-add.md
    """
    if _preset_id(call) not in call.data.presets:
        refuse("Шаблон не найден.")
    return Answer(_available(call, _fields_of_preset(call)))


def _available(call: Call, table: Table) -> list[str]:
    used = {row["FIELD_NAME"] for row in table.values()}
    known = [field.name for field in REQUISITES.fields(call.data.userfields)]
    names = [name for name in known if name.startswith(("RQ_", "UF_"))]
    return [name for name in (*names, *_OTHERS) if name not in used]


def _preset_id(call: Call) -> int:
    return positive(entries_of(call.params.get("preset", {})).get("ID"))


def _fields_of_preset(call: Call) -> Table:
    preset_id = _preset_id(call)
    check_owners(call)
    if preset_id not in call.data.presets:
        refuse(f"The Preset with ID '{preset_id}' is not found")
    return call.data.preset_fields.setdefault(preset_id, Table())


def _existing(call: Call, table: Table) -> int:
    row_id = positive(call.params.get("id"))
    if not row_id:
        refuse_invalid("ID")
    if row_id not in table:
        refuse(f"The PresetField with ID '{row_id}' is not found")
    return row_id


def _shown(row: Row) -> Row:
    names = [field.name for field in PRESET_FIELDS.own_fields]
    return {name: int(row[name]) if name in _NUMBERS else row[name] for name in names}


_ID, _PRESET = Param("id"), Param("preset", "array")

METHODS = (
    Method("crm.requisite.preset.field.add", add_field, ("crm",), (_PRESET, FIELDS)),
    Method("crm.requisite.preset.field.get", get_field, ("crm",), (_ID, _PRESET)),
    Method("crm.requisite.preset.field.list", list_fields, ("crm",), (_PRESET,)),
    Method("crm.requisite.preset.field.update", update_field, ("crm",), (_ID, _PRESET, FIELDS)),
    Method("crm.requisite.preset.field.delete", delete_field, ("crm",), (_ID, _PRESET)),
    Method("crm.requisite.preset.field.fields", partial(describe_fields, PRESET_FIELDS), ("crm",)),
    Method("crm.requisite.preset.field.availabletoadd", list_available, ("crm",), (_PRESET,)),
)
