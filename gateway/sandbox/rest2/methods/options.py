"""user.admin, user.access and the options that an application keeps: user.option.* and app.option.*."""

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from gateway.sandbox.errors import CallError, empty_argument
from gateway.sandbox.php import Value, as_array, entries_of, is_array
from gateway.sandbox.rest2.method import Answer, Call, Method, Param

_Owner: TypeAlias = Callable[[Call], tuple[str, int]]


def is_administrator(call: Call) -> Answer:
    """Return whether the caller may manage the settings of applications.

    Source: [docs] api-reference/common/users/user-admin.md
    """
    return Answer(call.caller.is_administrator)


def has_access(call: Call) -> Answer:
    """Return whether the caller has one of the access codes. An administrator has all of them.

    Group 1 are the administrators, group 2 all users.
    Source: [docs] api-reference/common/users/user-access.md
    """
    value = call.params.get("access")
    if value in (None, "", [], {}):
        raise empty_argument("ACCESS")
    codes = {str(code) for code in (entries_of(value).values() if is_array(value) else [value])}
    own = {f"U{call.caller.user_id}", "AU", "G2"}
    return Answer(call.caller.is_administrator or not codes.isdisjoint(own))


def get_options(owner: _Owner, call: Call) -> Answer:
    """Return one option, null if it is not set, or without ``option`` all of them.

    Source: [docs] api-reference/common/settings/user-option-get.md, app-option-get.md
    """
    options = _options(owner, call)
    name = call.params.get("option")
    if name is None or name == "":
        return Answer(as_array(dict(options)))
    return Answer(None if is_array(name) else options.get(str(name)))


def set_options(owner: _Owner, call: Call) -> Answer:
    """Set the given options. Others stay as they are.

    Source: [docs] api-reference/common/settings/user-option-set.md, app-option-set.md
    """
    options = _options(owner, call)
    given = call.params.get("options")
    if not is_array(given) or not given:
        raise CallError("ArgumentNullException", "options is empty")
    options |= entries_of(given)
    return Answer(True)


def _options(owner: _Owner, call: Call) -> dict[str, Value]:
    if not call.caller.is_application:
        raise CallError("AccessException", "Application context required")
    return call.data.options.setdefault(owner(call), {})


def _application(call: Call) -> tuple[str, int]:
    return call.caller.client, 0


def _user(call: Call) -> tuple[str, int]:
    return call.caller.client, call.caller.user_id


METHODS = (
    Method("user.admin", is_administrator),
    Method("user.access", has_access, params=(Param("access"),)),
    *(
        method
        for name, owner in (("user.option", _user), ("app.option", _application))
        for method in (
            Method(f"{name}.get", partial(get_options, owner), params=(Param("option"),)),
            Method(f"{name}.set", partial(set_options, owner), params=(Param("options"),)),
        )
    ),
)
