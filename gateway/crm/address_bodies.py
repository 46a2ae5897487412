"""Checks the type, names and values that callers write to an address, all at once."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from gateway.bitrix.lists.list_fields import Field
from gateway.crm.bodies import read_written
from gateway.crm.values import KnownValues
from gateway.errors import FieldError, InvalidInput

TYPE = "type"
KEY_FIELDS = ("TYPE_ID", "ENTITY_TYPE_ID", "ENTITY_ID")  # identify an address, and are given by the request's address
NUMBER = re.compile(r"0|[1-9][0-9]{0,9}", re.ASCII)  # of a type
SHOWN_NAMES = ("requisite", "source")  # what we add to an address, besides its type


@dataclass(frozen=True)
class AddressTypes:
    """The types of addresses on one portal: their *names*, in lower case and the portal's language, by number."""

    names: Mapping[int, str]

    def name_of(self, type_id: int) -> str:
        """The name of a type; its number if the portal does not name it."""
        return self.names.get(type_id, str(type_id))

    def find(self, text: str) -> int:
        """The number of the type that *text* names, in any case. A plain number stands for itself, named or not.

        Raises:
            ValueError: with the rule that the name breaks.
        """
        name = text.lower()
        found = [type_id for type_id, known in self.names.items() if known == name]
        if len(found) == 1:
            return found[0]
        if found:
            raise ValueError(f"is the name of several types: use one of the numbers {', '.join(map(str, found))}")
        if NUMBER.fullmatch(text):
            return int(text)
        raise ValueError(self.rule)

    @property
    def rule(self) -> str:
        """What names a type."""
        listed = ", ".join(f"{type_id} ({name})" for type_id, name in self.names.items())
        return f"must be the number or the name of a type: {listed}"


def check_type(named: str, types: AddressTypes) -> int:
    """The number of the type that the path names.

    Raises:
        InvalidInput: there is none of this name.
    """
    try:
        return types.find(named)
    except ValueError as error:
        raise InvalidInput.of_parameter(TYPE, "unknown_type", str(error)) from None


def check_address(
    body: Mapping[str, object], named: str | None, types: AddressTypes, fields: Mapping[str, Field]
) -> tuple[int, dict[str, Any]]:
    """The number of the type and the values, in the portal's form, of a request that creates or changes an address.

    The type of a change is *named* by the path. That of a new address is in the body; *named* is None.

    Raises:
        InvalidInput: with an error for each mistake.
    """
    type_id = _type_of(body, named, types)
    errors = [type_id] if isinstance(type_id, FieldError) else []
    known = {name: replace(field, read_only=name in KEY_FIELDS or field.read_only) for name, field in fields.items()}
    known |= {name: Field(name, read_only=True) for name in SHOWN_NAMES}
    sent = {name: value for name, value in body.items() if name != TYPE}
    written, mistakes = read_written(sent, known, KnownValues(), creates=True)
    errors += mistakes
    values = {name: value for name, value in written.values.items() if named is not None or value != ""}
    if not (mistakes or values):
        errors.append(FieldError("empty", "must name a field of the address", pointer=""))
    if errors or isinstance(type_id, FieldError):
        raise InvalidInput.of_errors(errors)
    return type_id, values


def _type_of(body: Mapping[str, object], named: str | None, types: AddressTypes) -> int | FieldError:
    """The number of the type, or the mistake in its name."""
    pointer = f"/{TYPE}"
    if named is None and TYPE not in body:
        return FieldError("required", "is required", pointer=pointer)
    try:
        of_path = None if named is None else types.find(named)
    except ValueError as error:
        return FieldError("unknown_type", str(error), parameter=TYPE)
    if of_path is not None and TYPE not in body:
        return of_path
    named_by = body[TYPE]
    if not isinstance(named_by, str | int) or isinstance(named_by, bool):
        return FieldError("invalid_value", types.rule, pointer=pointer)
    try:
        type_id = types.find(str(named_by))
    except ValueError as error:
        return FieldError("unknown_type", str(error), pointer=pointer)
    if of_path is None and type_id not in types.names:
        return FieldError("unknown_type", types.rule, pointer=pointer)
    if of_path not in (None, type_id):
        return FieldError("invalid_value", "must be the type that the path names", pointer=pointer)
    return type_id
