"""user.get, user.search, user.fields, user.current and profile."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from gateway.sandbox.content.portal_data import PortalData
from gateway.sandbox.content.user_fields import DATES, TITLES
from gateway.sandbox.errors import CallError
from gateway.sandbox.php import Value, as_bool, entries_of, is_array
from gateway.sandbox.query.filters import WITH_NOT_LIKE, CustomTest, Kind, Schema, read_filter
from gateway.sandbox.query.listing import find, read_order, select_columns
from gateway.sandbox.rest2.method import Answer, Call, Method, Param, page_window
from gateway.sandbox.tables.table import Row, Test

_SCOPES = ("user", "user_brief", "user_basic")

_SEARCHED = ("NAME", "LAST_NAME", "SECOND_NAME", "EMAIL", "WORK_POSITION")


def _search(columns: tuple[str, ...], text: Value) -> Test | None:
    """The test that each word of *text* begins a word of these columns; None for an invalid *text*."""
    wanted = [] if is_array(text) else str(text).casefold().split()
    if not wanted:
        return None

    def matches(row: Mapping[str, Value]) -> bool:
        words = " ".join(str(row.get(name) or "") for name in columns).casefold().split()
        return all(any(word.startswith(part) for word in words) for part in wanted)

    return matches


def _search_in(*columns: str) -> CustomTest:
    return CustomTest(frozenset(columns), partial(_search, columns))


_USERS = Schema(
    columns={
        **dict.fromkeys(TITLES, Kind.TEXT),
        **dict.fromkeys(("LAST_LOGIN", "DATE_REGISTER", *DATES), Kind.DATE),
        "ID": Kind.NUMBER,
        "ACTIVE": Kind.BOOL,
        "UF_DEPARTMENT": Kind.NUMBERS,
    },
    key="ID",
    operators=WITH_NOT_LIKE,
    custom_tests={"NAME_SEARCH": _search_in(*_SEARCHED)},
)
_NUMERIC = ("integer", "double", "enumeration", "employee")


def get_users(call: Call) -> Answer:
    """Return one page of users.

    Without ``FILTER`` the other parameters are the filter. Its keys are case-insensitive. The order applies only when
    both ``sort`` and ``order`` are set. An empty page has no ``total``.
    Source: [docs] api-reference/user/user-get.md; [srv] intranet/rest user methods
    """
    return _page(call, _conditions(call), _schema(call.data))


def search_users(call: Call) -> Answer:
    """Return one page of users like user.get, where conditions on names and positions match the beginnings of words.

    ``FIND`` searches in all of them, and the others are then ignored.
    Source: [docs] api-reference/user/user-search.md
    """
    schema, conditions = _schema(call.data), _conditions(call)
    names = ("NAME", "LAST_NAME", "SECOND_NAME", "WORK_POSITION")
    departments = frozenset({"UF_DEPARTMENT"})
    tests = {
        **{name: _search_in(name) for name in names},
        "UF_DEPARTMENT_NAME": CustomTest(departments, lambda text: _in_departments(call.data, text)),
        "FIND": CustomTest(departments.union(names), lambda text: _search_anywhere(call.data, names, text)),
    }
    if conditions.get("FIND"):
        conditions = {name: value for name, value in conditions.items() if name not in tests or name == "FIND"}
    return _page(call, conditions, replace(schema, custom_tests={**schema.custom_tests, **tests}))


def _in_departments(data: PortalData, text: Value) -> Test | None:
    """The test that a user is in a department with a matching name."""
    matches = _search(("NAME",), text)
    if matches is None:
        return None
    found = {number for number, row in data.departments.items() if matches(row)}
    return lambda row: not found.isdisjoint(row["UF_DEPARTMENT"])


def _search_anywhere(data: PortalData, names: tuple[str, ...], text: Value) -> Test | None:
    in_names, in_departments = _search(names, text), _in_departments(data, text)
    if in_names is None or in_departments is None:
        return None
    return lambda row: in_names(row) or in_departments(row)


def _conditions(call: Call) -> dict[str, Value]:
    """The filter of a request: ``FILTER``, otherwise all parameters that do not control the list."""
    conditions = call.params.get("filter")
    if not is_array(conditions):
        conditions = {name: value for name, value in call.sent.items() if name.lower() not in _METHOD_PARAMS}
    return {name.upper(): value for name, value in entries_of(conditions).items()}


def _schema(data: PortalData) -> Schema:
    """The columns of users with the custom fields of the portal."""
    if not data.user_fields:
        return _USERS
    custom = {
        row["FIELD_NAME"]: Kind.NUMBER if row["USER_TYPE_ID"] in _NUMERIC and row["MULTIPLE"] == "N" else Kind.TEXT
        for row in data.user_fields.values()
    }
    return replace(_USERS, columns={**_USERS.columns, **custom})


def _page(call: Call, conditions: dict[str, Value], schema: Schema) -> Answer:
    order = {}
    if "sort" in call.params and "order" in call.params:
        order[str(call.params["sort"]).upper()] = call.params["order"]
    window = page_window(call, whole_pages=True)
    page = find(call.data.users, read_filter(conditions, schema), read_order(order, schema), schema, window)
    if not page.rows:
        return Answer([], effort=page.effort)
    names = call.params.get("select")
    if is_array(names):
        return Answer.of_page(page, [select_columns(row, map(str, entries_of(names).values())) for row in page.rows])
    return Answer.of_page(page)


def describe_fields(call: Call) -> Answer:
    """Return the fields of users, each with its title.

    Source: [docs] api-reference/user/user-fields.md
    """
    custom = {
        row["FIELD_NAME"]: next(iter((row["EDIT_FORM_LABEL"] or {}).values()), row["FIELD_NAME"])
        for row in call.data.user_fields.values()
    }
    return Answer({**TITLES, **custom})


def current_user(call: Call) -> Answer:
    """Return the calling user. Unlike in lists, the last activity is a string.

    Source: [docs] api-reference/user/user-current.md
    """
    row = _caller(call)
    hidden = ("TIMESTAMP_X", "USER_TYPE")
    activity = str(row.get("LAST_LOGIN", ""))[:19].replace("T", " ")
    return Answer(
        {**{name: value for name, value in row.items() if name not in hidden}, "LAST_ACTIVITY_DATE": activity}
    )


def profile(call: Call) -> Answer:
    """Return a short form of the calling user, or an empty list for a dismissed one.

    Source: [docs] api-reference/common/users/profile.md
    """
    row = _caller(call)
    if not as_bool(row["ACTIVE"]):
        return Answer([])
    names = ("NAME", "LAST_NAME", "PERSONAL_GENDER", "TIME_ZONE")
    return Answer({"ID": row["ID"], "ADMIN": row["ID"] == "1", **{name: row.get(name, "") for name in names}})


def _caller(call: Call) -> Row:
    row = call.data.users.get(call.caller.user_id)
    if row is None:
        raise CallError("authorization_error", "Unable to authorize user", 401)
    return row


_METHOD_PARAMS = {"sort", "order", "filter", "admin_mode", "select", "image_resize", "start"}

_LIST_PARAMS = tuple(Param(name) for name in sorted(_METHOD_PARAMS))

METHODS = (
    Method("user.get", get_users, _SCOPES, _LIST_PARAMS),
    Method("user.search", search_users, _SCOPES, _LIST_PARAMS),
    Method("user.fields", describe_fields, _SCOPES),
    Method("user.current", current_user, _SCOPES),
    Method("profile", profile),
)
