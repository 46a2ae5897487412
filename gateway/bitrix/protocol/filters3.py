"""The filter grammar of REST 3.0. Filters are checked before a request is sent.

Source: protocol.md 9.4; contract/rest3.md 7 and T2-T5 (b24restdocs api-reference/rest-v3.md)
"""

from collections.abc import Mapping

from gateway.errors import InvalidInput

OPERATORS = ("=", "!=", ">", ">=", "<", "<=", "in", "between")
LOGICS = ("and", "or")
REFERENCES = {"$ref", "$refArray"}  # Source: protocol.md 9.9
MAX_DEPTH = 32  # of nested groups


def check_filter(value: object, pointer: str, *, references: bool = False) -> None:
    """Check that *value*, at *pointer* of the body, is a filter.

    With *references*, as in a batch, ``$ref`` and ``$refArray`` to earlier answers are allowed as values.

    Raises:
        InvalidInput: with a pointer to the part that is not valid.
    """
    if not isinstance(value, list):
        raise _invalid(pointer, "must be a list of conditions")
    if value and isinstance(value[0], str):  # a single condition needs no list around it
        _check_condition(value, pointer, references)
    else:
        _check_elements(value, pointer, 1, references)


def check_filter_parameter(value: object, parameter: str) -> None:
    """Check that *value*, from a query *parameter*, is a filter.

    Raises:
        InvalidInput: with the parameter, and the path of the part that is not valid.
    """
    try:
        check_filter(value, "")
    except InvalidInput as error:
        (field,) = error.errors
        rule = f"{field.pointer} {field.detail}".lstrip()
        raise InvalidInput.of_parameter(parameter, field.code, rule) from error


def _check_elements(elements: list[object], pointer: str, depth: int, references: bool) -> None:
    for index, element in enumerate(elements):
        place = f"{pointer}/{index}"
        if isinstance(element, list):
            _check_condition(element, place, references)
        elif isinstance(element, dict):
            _check_group(element, place, depth, references)
        else:
            raise _invalid(place, "must be a condition (a list) or a group (an object)")


def _check_group(group: Mapping[str, object], pointer: str, depth: int, references: bool) -> None:
    if "leftOperand" in group:  # the long form of a condition; the portal checks its operands, which may be expressions
        _check_operator(group.get("operator"), f"{pointer}/operator")
        return
    if depth > MAX_DEPTH:
        raise _invalid(pointer, f"must not be nested deeper than {MAX_DEPTH} groups")
    if group.get("logic", "and") not in LOGICS:
        raise _invalid(f"{pointer}/logic", "must be and, or")
    if not isinstance(group.get("negative", False), bool):
        raise _invalid(f"{pointer}/negative", "must be true or false")
    conditions = group.get("conditions")
    if not isinstance(conditions, list):
        raise _invalid(f"{pointer}/conditions", "must be a list of conditions")
    _check_elements(conditions, f"{pointer}/conditions", depth + 1, references)


def _check_condition(condition: list[object], pointer: str, references: bool) -> None:
    if len(condition) not in (2, 3):
        raise _invalid(pointer, "must be [field, operator, value], or [field, value]")
    if not isinstance(condition[0], str) or not condition[0]:
        raise _invalid(f"{pointer}/0", "must be the name of a field")
    if len(condition) == 2:
        operator: object = "in" if isinstance(condition[1], list) else "="
    else:
        operator = condition[1]
        _check_operator(operator, f"{pointer}/1")
    value, place = condition[-1], f"{pointer}/{len(condition) - 1}"
    if references and isinstance(value, dict) and value.keys() & REFERENCES:
        return
    if operator == "in":
        if not isinstance(value, list):
            raise _invalid(place, "must be a list after in")
    elif operator == "between":
        if not isinstance(value, list) or len(value) != 2:
            raise _invalid(place, "must be a list of two values after between")
    elif isinstance(value, list | dict):
        raise _invalid(place, f"must be a single value after {operator}")


def _check_operator(operator: object, pointer: str) -> None:
    if operator not in OPERATORS:
        raise _invalid(pointer, f"must be one of {' '.join(OPERATORS)}")


def _invalid(pointer: str, rule: str) -> InvalidInput:
    return InvalidInput.of_field(pointer, "invalid_filter", rule)
