"""The methods about the portal itself. They need no scope."""

from datetime import UTC, datetime

from gateway.sandbox.caller import APPLICATION_ID, KNOWN_SCOPES
from gateway.sandbox.errors import CallError, empty_argument
from gateway.sandbox.php import as_bool
from gateway.sandbox.rest2.method import Answer, Call, Method, Param

_LICENSE = "ru_ent250"
_FEATURES = ("rest_offline_extended",)


def app_info(call: Call) -> Answer:
    """Return facts about the application. A webhook gets only its scopes and the licence.

    Source: [docs] api-reference/common/system/app-info.md
    """
    if not call.caller.is_application:
        return Answer({"SCOPE": list(call.caller.scopes), "LICENSE": _LICENSE})
    return Answer(
        {
            "ID": APPLICATION_ID,
            "CODE": call.caller.client,
            "VERSION": 1,
            "STATUS": "L",
            "INSTALLED": call.caller.client not in call.data.unfinished,
            "PAYMENT_EXPIRED": "N",
            "DAYS": None,
            "LANGUAGE_ID": "ru",
            "LICENSE": _LICENSE,
            "LICENSE_TYPE": "ent250",
            "LICENSE_FAMILY": "ent",
        }
    )


def scope(call: Call) -> Answer:
    """Return the granted scopes, or with ``full`` all scopes of the portal.

    Source: [docs] api-reference/common/system/scope.md
    """
    return Answer(list(KNOWN_SCOPES if as_bool(call.params.get("full")) else call.caller.scopes))


def methods(call: Call) -> Answer:
    """Return the methods that the caller may call, those of one scope, or with ``full`` all of them.

    Source: [docs] api-reference/common/system/methods.md
    """
    names = [
        method.name
        for method in call.methods.values()
        if method.is_listed and (as_bool(call.params.get("full")) or call.caller.has_access(method.scopes))
    ]
    wanted = call.params.get("scope")
    if wanted is None:
        return Answer(names)
    return Answer([name for name in names if wanted in (call.methods[name].scopes or ("",))])


def method_get(call: Call) -> Answer:
    """Return whether a method exists and whether the caller may call it.

    Source: [docs] api-reference/common/system/method-get.md
    """
    name = str(call.params.get("name", "")).lower()
    if not name:
        raise empty_argument("name")
    method = call.methods.get(name)
    return Answer(
        {"isExisting": method is not None, "isAvailable": method is not None and call.caller.has_access(method.scopes)}
    )


def server_time(call: Call) -> Answer:
    """Return the portal's time.

    Source: [docs] api-reference/common/system/server-time.md
    """
    return Answer(datetime.fromtimestamp(int(call.now), UTC).isoformat())


def feature(call: Call) -> Answer:
    """Return whether the portal has a feature: the queue keeps reserved events, but has no source keys.

    Source: [docs] api-reference/common/system/feature-get.md
    """
    code = call.params.get("code")
    if not code:
        raise CallError("CODE_EMPTY", "CODE can't be empty")
    return Answer({"value": "Y" if code in _FEATURES else "N"})


METHODS = (
    Method("app.info", app_info),
    Method("scope", scope, params=(Param("full"),)),
    Method("methods", methods, params=(Param("scope"), Param("full"))),
    Method("method.get", method_get, params=(Param("name"),)),
    Method("server.time", server_time),
    Method("feature.get", feature, params=(Param("code"),)),
)
