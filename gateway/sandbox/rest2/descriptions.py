"""The descriptors of ``*.fields`` methods whose fields are the same in all portals."""

from gateway.sandbox.content.entities import Field
from gateway.sandbox.rest2.views import item_name
from gateway.sandbox.tables.table import Row


def describe(fields: str) -> dict[str, Row]:
    """The descriptors by name of fields in the form ``"ID integer/r; NAME string/*"``; see `Field.flags`."""
    return {field.name: _descriptor(field) for field in map(Field.parse, fields.split(";"))}


def describe_camel(fields: str) -> dict[str, Row]:
    """The descriptors of *fields* as controllers return them: camel case names, the other name as ``upperName``."""
    return {item_name(name): {**row, "upperName": name} for name, row in describe(fields).items()}


def upper_name(name: str) -> str:
    """``fieldName`` as ``FIELD_NAME``."""
    return "".join(f"_{letter}" if letter.isupper() else letter for letter in name).upper()


def _descriptor(field: Field) -> Row:
    return {
        "type": field.type,
        "isRequired": "*" in field.flags,
        "isReadOnly": "r" in field.flags,
        "isImmutable": "i" in field.flags,
        "isMultiple": field.is_multiple,
        "isDynamic": False,
        "title": field.name.replace("_", " ").capitalize(),
    }
