"""user.get, user.fields, user.current and profile."""

from gateway.sandbox.errors import CallError
from gateway.sandbox.php import Value, as_bool, entries_of, is_array
from gateway.sandbox.query.filters import WITH_NOT_LIKE, CustomTest, Kind, Schema, read_filter
from gateway.sandbox.query.listing import find, read_order, select_columns
from gateway.sandbox.rest2.method import Answer, Call, Method, Param, page_window
from gateway.sandbox.tables.table import Row, Test

_SCOPES = ("user", "user_brief", "user_basic")

_SEARCHED = ("NAME", "LAST_NAME", "SECOND_NAME", "EMAIL", "WORK_POSITION")


def _search(text: Value) -> Test | None:
    """The test that a word in a user's names begins with *text*; None for an invalid *text*."""
    wanted = str(text).casefold().strip()
    if is_array(text) or not wanted:
        return None
    return lambda row: any(
        word.startswith(wanted) for name in _SEARCHED for word in str(row.get(name) or "").casefold().split()
    )


_USERS = Schema(
    columns={
        "ID": Kind.NUMBER,
        "ACTIVE": Kind.BOOL,
        "LAST_LOGIN": Kind.DATE,
        "DATE_REGISTER": Kind.DATE,
        "PERSONAL_BIRTHDAY": Kind.DATE,
        "UF_EMPLOYMENT_DATE": Kind.DATE,
        "UF_DEPARTMENT": Kind.NUMBERS,
        **dict.fromkeys(
            (
                "NAME", "LAST_NAME", "SECOND_NAME", "EMAIL", "TIME_ZONE", "IS_ONLINE", "USER_TYPE", "PERSONAL_GENDER",
                "PERSONAL_WWW", "PERSONAL_MOBILE", "PERSONAL_CITY", "WORK_PHONE", "WORK_POSITION", "UF_PHONE_INNER",
                "XML_ID",
            ),
            Kind.TEXT,
        ),
    },
    key="ID",
    operators=WITH_NOT_LIKE,
    custom_tests={"NAME_SEARCH": CustomTest(frozenset(_SEARCHED), _search)},
)  # fmt: skip


def get_users(call: Call) -> Answer:
    """Return one page of users.

    Without ``FILTER`` the other parameters are the filter. Its keys are case-insensitive. The order applies only when
    both ``sort`` and ``order`` are set. An empty page has no ``total``.
    Source: [docs] api-reference/user/user-get.md; [srv] intranet/rest user methods
    """
    conditions = call.params.get("filter")
    if not is_array(conditions):
        conditions = {name: value for name, value in call.sent.items() if name.lower() not in _METHOD_PARAMS}
    conditions = {name.upper(): value for name, value in entries_of(conditions).items()}
    order = {}
    if "sort" in call.params and "order" in call.params:
        order[str(call.params["sort"]).upper()] = call.params["order"]
    window = page_window(call, whole_pages=True)
    page = find(call.data.users, read_filter(conditions, _USERS), read_order(order, _USERS), _USERS, window)
    if not page.rows:
        return Answer([], effort=page.effort)
    names = call.params.get("select")
    if is_array(names):
        return Answer.of_page(page, [select_columns(row, map(str, entries_of(names).values())) for row in page.rows])
    return Answer.of_page(page)


def describe_fields(_call: Call) -> Answer:
    """Return the fields of users, each with its title.

    Source: [docs] api-reference/user/user-fields.md
    """
    return Answer({name: name.replace("_", " ").capitalize() for name in _USERS.columns})


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

METHODS = (
    Method("user.get", get_users, _SCOPES, tuple(Param(name) for name in sorted(_METHOD_PARAMS))),
    Method("user.fields", describe_fields, _SCOPES),
    Method("user.current", current_user, _SCOPES),
    Method("profile", profile),
)
