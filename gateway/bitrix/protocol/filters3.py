"""The filter grammar of REST 3.0, checked before anything is sent.

Source: protocol.md 9.4; contract/rest3.md 7 and T2-T5 (b24restdocs api-reference/rest-v3.md)
"""

from collections.abc import Mapping

from gateway.errors import InvalidInput

OPERATORS = ("=", "!=", ">", ">=", "<", "<=", "in", "between")
LOGICS = ("and", "or")
REFERENCES = {"$ref", "$refArray"}  # Source: protocol.md 9.9
DEEPEST = 32  # groups in groups; no person writes more


def check_filter(value: object, pointer: str, *, references: bool = False) -> None:
    """See that *value*, which lies at *pointer* of the body, is a filter.

    With *references*, as in a batch, ``$ref`` and ``$refArray`` to earlier answers may stand where values do.

    Raises:
        InvalidInput: with a pointer to the part that breaks a rule of the grammar.
    """
    if not isinstance(value, list):
        raise _broken(pointer, "must be a list of conditions")
    if value and isinstance(value[0], str):  # one condition may stand alone
        _check_condition(value, pointer, references)
    else:
        _check_elements(value, pointer, 1, references)


def check_filter_parameter(value: object, parameter: str) -> None:
    """See that *value*, which a query *parameter* holds, is a filter.

    Raises:
        InvalidInput: naming the parameter, with the path of the part that breaks a rule of the grammar.
    """
    try:
        check_filter(value, "")
    except InvalidInput as error:
        (broken,) = error.errors
        rule = f"{broken.pointer} {broken.detail}".lstrip()
        raise InvalidInput.of_parameter(parameter, broken.code, rule) from error


def _check_elements(elements: list[object], pointer: str, depth: int, references: bool) -> None:
    for index, element in enumerate(elements):
        place = f"{pointer}/{index}"
        if isinstance(element, list):
            _check_condition(element, place, references)
        elif isinstance(element, dict):
            _check_group(element, place, depth, references)
        else:
            raise _broken(place, "must be a condition (a list) or a group (an object)")


def _check_group(group: Mapping[str, object], pointer: str, depth: int, references: bool) -> None:
    if "leftOperand" in group:  # the long form of a condition, whose operands may be expressions: the portal judges it
        _check_operator(group.get("operator"), f"{pointer}/operator")
        return
    if depth > DEEPEST:
        raise _broken(pointer, f"lies deeper than {DEEPEST} groups")
    if group.get("logic", "and") not in LOGICS:
        raise _broken(f"{pointer}/logic", "must be and, or")
    if not isinstance(group.get("negative", False), bool):
        raise _broken(f"{pointer}/negative", "must be true or false")
    conditions = group.get("conditions")
    if not isinstance(conditions, list):
        raise _broken(f"{pointer}/conditions", "must be a list of conditions")
    _check_elements(conditions, f"{pointer}/conditions", depth + 1, references)


def _check_condition(condition: list[object], pointer: str, references: bool) -> None:
    if len(condition) not in (2, 3):
        raise _broken(pointer, "must be [field, operator, value], or [field, value]")
    if not isinstance(condition[0], str) or not condition[0]:
        raise _broken(f"{pointer}/0", "must be the name of a field")
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
            raise _broken(place, "must be a list after in")
    elif operator == "between":
        if not isinstance(value, list) or len(value) != 2:
            raise _broken(place, "must be a list of two values after between")
    elif isinstance(value, list | dict):
        raise _broken(place, f"must be a single value after {operator}")


def _check_operator(operator: object, pointer: str) -> None:
    if operator not in OPERATORS:
        raise _broken(pointer, f"must be one of {' '.join(OPERATORS)}")


def _broken(pointer: str, rule: str) -> InvalidInput:
    return InvalidInput.of_field(pointer, "invalid_filter", rule)
