"""Checks of method names and parameters that callers send; pure."""

import re
from collections.abc import Mapping

from gateway.bitrix.protocol.method_kind import takes_arguments_by_position
from gateway.bitrix.protocol.v2 import Arguments
from gateway.errors import InvalidInput
from gateway.schemas import MAX_DEPTH, TOO_DEEP, exceeds_depth

BATCH = "batch"
MAX_METHOD_CHARACTERS = 255  # far longer than the name of any method
METHOD_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*")
INVALID_METHOD = "must be the name of a method other than batch, like crm.deal.list"
NOT_AN_OBJECT = "must be an object: this method takes parameters by name, not a list of arguments"
RESERVED_PARAMETERS = ("auth", "access_token")  # the gateway adds the token itself
FORMATS = (".json", ".xml")  # a portal accepts these after a method name and removes them


def is_method_name(method: str) -> bool:
    """Whether *method* may be called. ``batch`` may not: the commands inside it would not be checked."""
    name = method.lower()
    return (
        len(method) <= MAX_METHOD_CHARACTERS
        and METHOD_NAME.fullmatch(method) is not None
        and not name.endswith(FORMATS)
        and name != BATCH
    )


def check_arguments(method: str, arguments: Arguments, pointer: str) -> None:
    """Check the parameters of *method*, by name or by position; *pointer* is their place in the caller's body.

    Raises:
        InvalidInput: they are a list although the method takes names, or a rule of `check_parameters` is broken.
    """
    if isinstance(arguments, list) and not takes_arguments_by_position(method):
        raise InvalidInput.of_field(pointer, "not_an_object", NOT_AN_OBJECT)
    check_parameters(arguments, pointer)


def check_parameters(params: Arguments, pointer: str) -> None:
    """Check parameters for reserved names and for their depth.

    Raises:
        InvalidInput: a name is reserved for the gateway, or the values are nested too deeply.
    """
    for name in params if isinstance(params, Mapping) else ():
        if name.lower() in RESERVED_PARAMETERS:
            raise InvalidInput.of_field(f"{pointer}/{name}", "own_parameter", "must not be sent: the gateway sets it")
    if exceeds_depth(params, MAX_DEPTH):
        raise InvalidInput.of_field(pointer, "too_deep", TOO_DEEP)
