"""What a caller's own filter says of the id, as bounds that a walk can keep to."""

from dataclasses import dataclass

from gateway.bitrix.lists.field_rules import AMONG, LIKE, NOT_EQUAL, NOT_LIKE, split_operator
from gateway.bitrix.lists.list_specs import HIGHEST_ID, ID_DIGITS
from gateway.bitrix.lists.page import ListCall
from gateway.errors import InvalidInput

OPERATORS = (">", ">=", "<", "<=", "=", "@", "")  # that bound the id; "" is the name alone
OTHER_OPERATORS = {*NOT_EQUAL, *AMONG, *LIKE, *NOT_LIKE}


@dataclass(frozen=True)
class Bounded:
    """A *call* whose filter has no bounds on the id, and those: ``after < id``, ``id <= upto`` where that is one."""

    call: ListCall
    after: int
    upto: int | None

    @classmethod
    def of(cls, call: ListCall, cursor: int) -> "Bounded":
        """The ids of *call* beyond *cursor*, with the bounds taken out of its filter; lists of ids stay there as well.

        A filter with a `logic` of its own stays as it is: what bounds one of two alternatives does not bound the list.

        Raises:
            InvalidInput: the filter is no object, bounds the id by what is no number, or compares it by an operator
                that no list knows.
        """
        facts = call.facts
        given = call.params.get(facts.filter_key, {})
        if not isinstance(given, dict):
            raise _refused("must be a JSON object")
        if facts.has_logic(given):
            return cls(call, cursor, None)
        after, upto, kept = cursor, HIGHEST_ID, {}
        for name, value in given.items():
            operator, field = split_operator(name)
            if field.upper() != facts.bound_key.upper():
                kept[name] = value
                continue
            if operator not in OPERATORS:
                if operator not in OTHER_OPERATORS:
                    raise _refused(f"{name} begins with {operator!r}, which is not an operator")
                kept[name] = value
                continue
            ids = [_id(name, one) for one in (value if isinstance(value, list | tuple) else [value])]
            lowest, highest = min(ids, default=HIGHEST_ID), max(ids, default=0)
            if isinstance(value, list | tuple) or operator == "@":
                if operator not in ("=", "@", ""):
                    raise _refused(f"{name} takes one number")
                kept[name] = value
            if operator in (">", ">=", "=", "@", ""):
                after = max(after, lowest - (operator != ">"))
            if operator in ("<", "<=", "=", "@", ""):
                upto = min(upto, highest - (operator == "<"))
        params = {**call.params, facts.filter_key: kept} if facts.filter_key in call.params else call.params
        return cls(ListCall(call.method, params), after, upto if upto < HIGHEST_ID else None)


def _id(name: str, value: object) -> int:
    if type(value) is str and value.isascii() and value.isdigit():
        digits = value.lstrip("0") or "0"
        return min(int(digits), HIGHEST_ID) if len(digits) <= ID_DIGITS else HIGHEST_ID
    if type(value) is int:
        return min(value, HIGHEST_ID)
    raise _refused(f"{name} takes a number")


def _refused(rule: str) -> InvalidInput:
    return InvalidInput.of_parameter("filter", "invalid_filter", rule)
