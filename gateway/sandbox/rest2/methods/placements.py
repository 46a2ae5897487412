"""placement.bind, get, list and unbind: the handlers of an application in the portal's pages."""

from collections.abc import Mapping

from gateway.sandbox.content.currencies import LANGUAGE
from gateway.sandbox.content.placements import APPLICATION_NAME, Placement, make_placements
from gateway.sandbox.errors import CallError, empty_argument
from gateway.sandbox.php import Value, as_array, as_bool, as_id, entries_of, is_array
from gateway.sandbox.rest2.handler_urls import check_handler_url
from gateway.sandbox.rest2.method import Answer, Call, Method, administrator_params, application_params
from gateway.sandbox.tables.table import Row

_SCOPES = ("placement",)
_APPLICATION_PAGE = "DEFAULT"  # the placement of the application's own page, which nobody can bind
_TEXTS = ("TITLE", "DESCRIPTION", "GROUP_NAME")


def bind_handler(call: Call) -> Answer:
    """Bind a handler to a placement. The icon is ignored, because nothing shows it.

    Only a missing ``errorHandlerUrl`` is answered with status 200: the placement itself returns that error. An older
    page says 200 of other errors too, but the server raises them.
    Source: [docs] api-reference/widgets/placement-bind.md; [srv] rest/lib/api/placement.php, rest/lib/placement.php
    """
    params = administrator_params(call)
    code, url = _code(params), _text(params, "HANDLER")
    if code == _APPLICATION_PAGE:
        raise CallError("ERROR_ARGUMENT", "Wrong value", argument="PLACEMENT")
    if not url:
        raise empty_argument("HANDLER")
    check_handler_url(url)
    placement = make_placements(call.data.types).get(code)
    if placement is None or not _may_bind(call, placement):
        raise CallError("ERROR_PLACEMENT_NOT_FOUND", "Placement not found")
    user_id = max(as_id(params.get("user_id")), 0)
    if user_id and not placement.has_user_mode:
        raise CallError("ERROR_PLACEMENT_USER_MODE", "User mode is not available.")
    texts, options = _read_texts(params), placement.read_options(params.get("options"))
    bound = [row for row in _handlers(call).values() if row["PLACEMENT"] == code]
    _check_count(placement, bound, user_id)
    if options.get("errorHandlerUrl") == "":
        raise CallError("EMPTY_ERROR_HANDLER_URL", "Field errorHandlerUrl is empty.", 200)
    if any(row["HANDLER"] == url for row in bound):
        raise CallError("ERROR_CORE", "Unable to set placement handler: Handler already binded")
    table = call.data.placement_handlers
    table[table.next_id] = {
        "APP_ID": call.caller.client,
        "PLACEMENT": code,
        "USER_ID": user_id,
        "HANDLER": url,
        "OPTIONS": options,
        "LANG_ALL": texts,
    }
    return Answer(True)


def list_handlers(call: Call) -> Answer:
    """Return all handlers of the application, except those of smart processes that no longer exist.

    Source: [docs] api-reference/widgets/placement-get.md; [srv] rest/lib/api/placement.php
    """
    administrator_params(call)
    placements = make_placements(call.data.types)
    return Answer([_shown(row) for row in _handlers(call).values() if row["PLACEMENT"] in placements])


def list_placements(call: Call) -> Answer:
    """Return the codes that the application may bind, those of one scope, or with ``full`` all of them.

    An empty ``scope`` stands for the placements without one.
    Source: [docs] api-reference/widgets/placement-list.md; [srv] rest/lib/api/placement.php
    """
    params, placements = application_params(call), make_placements(call.data.types)
    scope = params.get("scope")
    if scope is not None:
        return Answer([code for code, placement in placements.items() if placement.scope == scope])
    if as_bool(params.get("full")):
        return Answer(list(placements))
    return Answer([code for code, placement in placements.items() if _may_bind(call, placement)])


def unbind_handler(call: Call) -> Answer:
    """Unbind the handlers of a placement: all, or those with an address or of a user. Each counts twice.

    Source: [docs] api-reference/widgets/placement-unbind.md; [srv] rest/lib/api/placement.php
    """
    params = administrator_params(call)
    code, url = _code(params), _text(params, "HANDLER")
    if code not in make_placements(call.data.types):
        return Answer({"count": 0})
    removed = [
        row_id
        for row_id, row in _handlers(call).items()
        if row["PLACEMENT"] == code
        and url in ("", row["HANDLER"])
        and ("user_id" not in params or as_id(params["user_id"]) == row["USER_ID"])
    ]
    for row_id in removed:
        del call.data.placement_handlers[row_id]
    return Answer({"count": 2 * len(removed)})


def _code(params: Mapping[str, Value]) -> str:
    code = _text(params, "PLACEMENT").upper()
    if not code:
        raise empty_argument("PLACEMENT")
    return code


def _text(params: Mapping[str, Value], name: str) -> str:
    """The text of a parameter, "" if it is missing. Only of PLACEMENT and TITLE is the refusal documented."""
    value = params.get(name.lower())
    if value is None:
        return ""
    if not isinstance(value, str):
        text = f"The value of an argument '{name}' must be of type string"
        raise CallError("ERROR_ARGUMENT", text, argument=name)
    return value


def _read_texts(params: Mapping[str, Value]) -> dict[str, Row]:
    """The texts of a handler by language: those of LANG_ALL, or its own in the portal's language."""
    given = params.get("lang_all")
    if is_array(given) and given:
        return {language: _texts_of(texts) for language, texts in entries_of(given).items()}
    own = {name: _text(params, name).strip() for name in _TEXTS}
    return {LANGUAGE: own if any(own.values()) else {**own, "TITLE": APPLICATION_NAME}}


def _texts_of(value: Value) -> Row:
    given = entries_of(value) if is_array(value) else {}
    texts = {name: given.get(name) for name in _TEXTS}
    return {name: "" if text is None or is_array(text) else str(text).strip() for name, text in texts.items()}


def _check_count(placement: Placement, bound: list[Row], user_id: int) -> None:
    """Check that one more handler may be bound. A user has also the handlers of all users.

    Source: [srv] rest/lib/api/placement.php
    """
    counted = [row for row in bound if not placement.has_user_mode or row["USER_ID"] in (0, user_id)]
    if placement.max_count and len(counted) >= placement.max_count:
        raise CallError("ERROR_PLACEMENT_MAX_COUNT", f"Placement max count: {placement.max_count}")


def _may_bind(call: Call, placement: Placement) -> bool:
    return call.caller.has_access((placement.scope,) if placement.scope else ())


def _handlers(call: Call) -> dict[int, Row]:
    """The application's handlers by id."""
    rows = call.data.placement_handlers
    return {row_id: row for row_id in sorted(rows) if (row := rows[row_id])["APP_ID"] == call.caller.client}


def _shown(row: Row) -> Row:
    """A row in the form of placement.get, with the texts of the portal's language or the first one.

    Source: [docs] api-reference/widgets/placement-get.md; [srv] rest/lib/lang.php
    """
    by_language = row["LANG_ALL"]
    texts = by_language.get(LANGUAGE) or next(iter(by_language.values()))
    return {
        "placement": row["PLACEMENT"],
        "userId": row["USER_ID"],
        "handler": row["HANDLER"],
        "options": as_array(row["OPTIONS"]),
        "title": texts["TITLE"],
        "description": texts["DESCRIPTION"],
        "langAll": as_array(by_language),
    }


METHODS = (
    Method("placement.bind", bind_handler, _SCOPES),
    Method("placement.get", list_handlers, _SCOPES),
    Method("placement.list", list_placements, _SCOPES),
    Method("placement.unbind", unbind_handler, _SCOPES),
)
