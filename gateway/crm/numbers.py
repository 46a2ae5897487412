"""Numbers that callers write to records. Each function returns the portal's form, or raises ValueError with the rule.

Source: methods.md 4.3 (b24restdocs api-reference/crm/data-types.md)
"""

import math
import re
from decimal import Decimal

INTEGER = re.compile(r"-?[0-9]{1,19}", re.ASCII)
INT64 = range(-(2**63), 2**63)
INTEGER_RULE = f"must be an integer from {INT64[0]} to {INT64[-1]}"
NUMBER = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?", re.ASCII)
# Portals show amounts with two decimals. The documentation gives no range, so ours is what a floating-point number
# keeps for certain on its way: 15 digits.
MAX_DIGITS = 15
AMOUNT_RULE = f"must have at most {MAX_DIGITS} digits before the point"


def parse_integer(value: object) -> int:
    """An integer of 64 bits, given as a number or a text."""
    number = int(value) if isinstance(value, str) and INTEGER.fullmatch(value) else value
    if isinstance(number, bool) or not isinstance(number, int) or number not in INT64:
        raise ValueError(INTEGER_RULE)
    return number


def parse_number(value: object) -> int | float | str:
    """A number, or a text that is one."""
    if isinstance(value, str) and NUMBER.fullmatch(value):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("must be a number")
    return value


def parse_amount(value: object) -> int | float | str:
    """A number of a size that an amount can have."""
    number = parse_number(value)
    if abs(Decimal(str(number))) >= 10**MAX_DIGITS:
        raise ValueError(AMOUNT_RULE)
    return number
