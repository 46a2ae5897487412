"""Checks the names and values that callers write to records, all at once, by what the portal says about the fields."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.bitrix.lists.list_fields import MULTIFIELD, Field
from gateway.bitrix.lists.suggestions import suggest_name
from gateway.crm.multifields import MultiValue, parse_values
from gateway.crm.values import MAX_SUGGESTIONS, KnownValues, portal_value
from gateway.errors import FieldError, InvalidInput, pointer_token
from gateway.mirror.row_json import OWN_NAMES

UNKNOWN_FIELD = "unknown_field"
IMMUTABLE = "can only be set when the record is created"


@dataclass(frozen=True)
class Written:
    """What a caller writes: values in the portal's form by name, and the wanted values of multifields."""

    values: dict[str, Any] = field(default_factory=dict)
    multifields: dict[str, list[MultiValue]] = field(default_factory=dict)


def check_written(
    body: Mapping[str, object], fields: Mapping[str, Field], values: KnownValues, *, creates: bool
) -> Written:
    """As `read_written`.

    Raises:
        InvalidInput: with all errors.
    """
    written, errors = read_written(body, fields, values, creates=creates)
    if errors:
        raise InvalidInput.of_errors(errors)
    return written


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
    return IMMUTABLE if known.immutable and not creates else None


def unknown_field(name: str, fields: Mapping[str, Field], *, suggest: bool, parent: str = "") -> FieldError:
    """The error of an unknown *name* in the object at the pointer *parent*."""
    nearest = suggest_name(name, fields) if suggest else None
    question = "" if nearest is None else f"; did you mean {nearest!r}?"
    pointer = f"{parent}/{pointer_token(name)}"
    return FieldError(UNKNOWN_FIELD, f"unknown field {name[:64]!r}{question}", pointer=pointer)
