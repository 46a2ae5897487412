"""Takes the bounds on the id out of a caller's filter, so that a walk only reads the ids between them."""

from dataclasses import dataclass

from gateway.bitrix.lists.field_rules import AMONG, LIKE, NOT_EQUAL, NOT_LIKE, split_operator
from gateway.bitrix.lists.list_specs import MAX_ID, MAX_ID_DIGITS
from gateway.bitrix.lists.page import ListCall
from gateway.errors import InvalidInput

BOUND_OPERATORS = (">", ">=", "<", "<=", "=", "@", "")  # "" is a condition without an operator: equality
OTHER_OPERATORS = {*NOT_EQUAL, *AMONG, *LIKE, *NOT_LIKE}


@dataclass(frozen=True)
class BoundedCall:
    """A *call* without bounds on the id in its filter, and these bounds: ``after < id <= upto`` (None: unbounded)."""

    call: ListCall
    after: int
    upto: int | None

    @classmethod
    def of(cls, call: ListCall, cursor: int) -> "BoundedCall":
        """*call* from after *cursor*, with the bounds moved out of its filter. Lists of ids also stay in the filter.

        A filter with its own `logic` stays unchanged: a bound on one of two alternatives does not bound the list.

        Raises:
            InvalidInput: the filter is not an object, compares the id with a value that is not a number, or uses an
                unknown operator for the id.
        """
        spec = call.spec
        conditions = call.params.get(spec.filter_key, {})
        if not isinstance(conditions, dict):
            raise _refused("must be a JSON object")
        if spec.has_logic(conditions):
            return cls(call, cursor, None)
        after, upto, remaining = cursor, MAX_ID, {}
        for name, value in conditions.items():
            operator, field = split_operator(name)
            if field.upper() != spec.filter_id_key.upper():
                remaining[name] = value
                continue
            if operator not in BOUND_OPERATORS:
                if operator not in OTHER_OPERATORS:
                    raise _refused(f"{name} begins with {operator!r}, which is not an operator")
                remaining[name] = value
                continue
            values = value if isinstance(value, list | tuple) else [value]
            ids = [_id(name, item) for item in values]
            lowest, highest = min(ids, default=MAX_ID), max(ids, default=0)
            if isinstance(value, list | tuple) or operator == "@":
                if operator not in ("=", "@", ""):
                    raise _refused(f"{name} takes one number")
                remaining[name] = value
            if operator in (">", ">=", "=", "@", ""):
                after = max(after, lowest - (operator != ">"))
            if operator in ("<", "<=", "=", "@", ""):
                upto = min(upto, highest - (operator == "<"))
        params = {**call.params, spec.filter_key: remaining} if spec.filter_key in call.params else call.params
        return cls(ListCall(call.method, params), after, upto if upto < MAX_ID else None)


def _id(name: str, value: object) -> int:
    """*value* of the condition *name* as an id; larger ones become MAX_ID.

    Raises:
        InvalidInput: it is not a number.
    """
    if type(value) is str and value.isascii() and value.isdigit():
        digits = value.lstrip("0") or "0"
        return min(int(digits), MAX_ID) if len(digits) <= MAX_ID_DIGITS else MAX_ID
    if type(value) is int:
        return min(value, MAX_ID)
    raise _refused(f"{name} takes a number")


def _refused(rule: str) -> InvalidInput:
    return InvalidInput.of_parameter("filter", "invalid_filter", rule)
