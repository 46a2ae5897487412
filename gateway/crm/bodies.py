"""Checks the names and values that callers write to records, all at once, by what the portal says about the fields."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.bitrix.lists.list_fields import MULTIFIELD, Field
from gateway.bitrix.lists.suggestions import suggest_name
from gateway.crm.multifields import MultiValue, parse_values
from gateway.crm.values import MAX_SUGGESTIONS, KnownValues, portal_value
from gateway.errors import FieldError, InvalidInput, pointer_token
from gateway.mirror.resources import RecordType
from gateway.mirror.row_json import OWN_NAMES

UNKNOWN_FIELD = "unknown_field"
CATEGORY = "crm_category"
IMMUTABLE = "can only be set when the record is created"
COMPANY, QUOTE = 4, 7
# The types whose descriptions can be relied on, and what a new record needs. Leads and deals need nothing. Of contacts,
# three names are described as required, of which one suffices; of items, a field that has a default; custom fields are
# required only if a setting of the portal says so. Source: methods.md 4.1 and 5.5, examples/crm.item.fields
REQUIRED = {COMPANY: ("TITLE",), QUOTE: ("TITLE",)}


@dataclass(frozen=True)
class Written:
    """What a caller writes: values in the portal's form by name, and the wanted values of multifields."""

    values: dict[str, Any] = field(default_factory=dict)
    multifields: dict[str, list[MultiValue]] = field(default_factory=dict)


def required_fields(record: RecordType) -> Sequence[str]:
    """The fields that a new record certainly needs, if the portal describes them so."""
    return () if record.is_item else REQUIRED.get(record.entity_type_id, ())


def check_written(
    body: Mapping[str, object],
    fields: Mapping[str, Field],
    values: KnownValues,
    *,
    creates: bool,
    required: Sequence[str] = (),
) -> Written:
    """As `read_written`; *required* fields must not be empty, nor left out of a new record, if the portal says so.

    Raises:
        InvalidInput: with all errors.
    """
    written, errors = read_written(body, fields, values, creates=creates)
    wanted = required if creates else [name for name in required if name in body]
    errors += missing_fields(body, fields, wanted)
    if errors:
        raise InvalidInput.of_errors(errors)
    return written


def missing_fields(
    values: Mapping[str, object], fields: Mapping[str, Field], required: Sequence[str]
) -> list[FieldError]:
    """An error for each of the *required* fields that the portal describes so, and that is empty in *values*."""
    described = [name for name in required if name in fields and fields[name].required]
    missing = [name for name in described if str(values.get(name) or "").strip() == ""]
    return [FieldError("required", "is required", pointer=f"/{name}") for name in missing]


def read_written(
    body: Mapping[str, object], fields: Mapping[str, Field], values: KnownValues, *, creates: bool
) -> tuple[Written, list[FieldError]]:
    """What the *body* of a request writes that *creates* a record, or changes one. *values* are those that it may name.

    There is an error for each name that is unknown or cannot be written, and for each wrong value.
    """
    written = Written()
    errors: list[FieldError] = []
    for name, value in body.items():
        known = fields.get(name)
        rule = None if known is None else _rule_against(known, creates=creates)
        pointer = f"/{pointer_token(name)}"
        if name in OWN_NAMES or rule is not None:
            errors.append(FieldError("read_only", rule or "is read-only", pointer=pointer))
        elif known is None:
            errors.append(unknown_field(name, fields, suggest=len(errors) < MAX_SUGGESTIONS))
        elif known.type == MULTIFIELD:
            wanted, broken = parse_values(name, value, creates=creates)
            written.multifields[name] = wanted
            errors += broken
        else:
            written.values[name] = portal_value(value, known, values, pointer, errors)
    return written, errors


def journal_body(written: Written) -> object:
    """What was *written*, for the journal."""
    wanted = {
        name: [[each.value, each.kind, each.value_id] for each in values]
        for name, values in written.multifields.items()
    }
    return [written.values, wanted]


def _rule_against(known: Field, *, creates: bool) -> str | None:
    """The rule that writing the field breaks; None if it can be written."""
    if known.read_only:
        return "is read-only"
    if creates or not known.immutable:
        return None
    return f"{IMMUTABLE}; `PUT …/stage` moves it to another pipeline" if known.type == CATEGORY else IMMUTABLE


def unknown_field(name: str, fields: Mapping[str, Field], *, suggest: bool, parent: str = "") -> FieldError:
    """The error of an unknown *name* in the object at the pointer *parent*."""
    nearest = suggest_name(name, fields) if suggest else None
    question = "" if nearest is None else f"; did you mean {nearest!r}?"
    pointer = f"{parent}/{pointer_token(name)}"
    return FieldError(UNKNOWN_FIELD, f"unknown field {name[:64]!r}{question}", pointer=pointer)
