"""Which filters and selects each list accepts, how they are sent, and which errors and suggestions others get."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.bitrix.lists.field_check import MAX_SUGGESTIONS, CheckedFields, check_columns, check_fields
from gateway.bitrix.lists.field_rules import FIELD_RULES, FIELD_RULES3
from gateway.bitrix.lists.list_fields import ListFields, decode_fields
from gateway.errors import MAX_ERRORS, InvalidInput
from gateway.sandbox.content.catalog import DEAL
from gateway.sandbox.content.portal_data import PortalData
from gateway.sandbox.content.task_columns import FIELDS as TASK_FIELDS
from gateway.sandbox.query.filters import read_filter
from gateway.sandbox.rest2.methods.records import _schema as classic_schema
from gateway.sandbox.rest2.methods.records import described
from gateway.sandbox.rest2.methods.tasks import FILTERS as TASK_FILTERS

DATA = PortalData.generate(users=3, holes=0, seed=1)
DEALS = DATA.entities[DEAL].fields(DATA.userfields)
MULTIFIELDS = ("PHONE", "EMAIL")
CRM: dict[str, object] = {
    **{
        field.name: row
        for field, row in described(DATA.entities[DEAL], DATA.userfields).items()
        if "x" not in field.flags
    },
    **{name: {"type": "crm_multifield", "isMultiple": True} for name in MULTIFIELDS},
}
NAMES: dict[str, dict[str, object]] = {
    "crm.deal.list": CRM,
    "user.get": dict.fromkeys(("ID", "NAME", "LAST_NAME", "EMAIL"), "title"),
    "tasks.task.list": {column.name: {"type": column.type} for column in TASK_FIELDS},
    "crm.item.list": {
        "id": {"type": "integer", "upperName": "ID"},
        "title": {"type": "string", "upperName": "TITLE"},
        "contactIds": {"type": "crm_contact", "isMultiple": True, "upperName": "CONTACT_IDS"},
        "phone": {"type": "crm_multifield", "isMultiple": True, "upperName": "PHONE"},
        "ufCrm_1": {"type": "string", "upperName": "UF_CRM_1"},
    },
}
USERS, TASKS, ITEMS, DEAL_LIST = "user.get", "tasks.task.list", "crm.item.list", "crm.deal.list"


def check(method: str, conditions: Mapping[str, object] | None = None, *selected: str) -> CheckedFields:
    return check_fields(ListFields(FIELD_RULES[method], decode_fields(NAMES[method])), conditions or {}, selected)


def refusals(method: str, conditions: Mapping[str, object] | None = None, *selected: str) -> list[tuple[str, str]]:
    """The code and the detail of each error."""
    with pytest.raises(InvalidInput) as refused:
        check(method, conditions, *selected)
    return [(error.code, error.detail) for error in refused.value.errors]


@pytest.mark.parametrize(
    ("method", "condition", "suggestion"),
    [
        (DEAL_LIST, "title", "TITLE"),
        (DEAL_LIST, "Stage_Id", "STAGE_ID"),
        (DEAL_LIST, ">=opportunity", ">=OPPORTUNITY"),
        (DEAL_LIST, "stageId", "STAGE_ID"),
        (DEAL_LIST, "!TITEL", "!TITLE"),
        (DEAL_LIST, "id", "ID"),
        (TASKS, "createdDate", "CREATED_DATE"),
        (TASKS, ">RESPONSABLE_ID", ">RESPONSIBLE_ID"),
        (USERS, "lastName", "LAST_NAME"),
    ],
)
def test_a_misspelled_name_is_refused_with_the_right_one(method: str, condition: str, suggestion: str) -> None:
    sentence = f"unknown field {condition!r}, which the list would ignore; did you mean {suggestion!r}?"
    assert refusals(method, {condition: "x"}) == [("unknown_field", sentence)]


@pytest.mark.parametrize(
    ("method", "condition", "suggestion"),
    [
        (DEAL_LIST, "=>OPPORTUNITY", ">=OPPORTUNITY"),
        (DEAL_LIST, "=<OPPORTUNITY", "<=OPPORTUNITY"),
        (DEAL_LIST, "=>opportunity", ">=OPPORTUNITY"),
        (DEAL_LIST, "<>TITLE", "!=TITLE"),
        (DEAL_LIST, "=!TITLE", "!=TITLE"),
        (DEAL_LIST, "~TITLE", "%TITLE"),
        (DEAL_LIST, "==TITLE", "=TITLE"),
        (DEAL_LIST, "> ID", ">ID"),
        (DEAL_LIST, "=>ID", ">=ID"),
        (TASKS, "!=STATUS", "!STATUS"),
        (TASKS, "<>STATUS", "!STATUS"),
        (TASKS, "@STATUS", "=STATUS"),
        (TASKS, "%TITLE", "=TITLE"),
        (USERS, "=>id", ">=ID"),
        (ITEMS, "=>opportunity", ">=opportunity"),
        (ITEMS, "~title", "%title"),
    ],
)
def test_an_unknown_operator_is_refused_with_a_suggestion(method: str, condition: str, suggestion: str) -> None:
    ((code, sentence),) = refusals(method, {condition: 1})
    assert code == "unknown_operator"
    assert sentence.startswith("unknown operator ")
    assert f" in {condition!r}, which the list would ignore" in sentence
    assert sentence.endswith(f"; did you mean {suggestion!r}?")


@pytest.mark.parametrize("operator", ["!%", "!=%", "!%=", ">!", "><", "^", "!!", "#"])
def test_an_operator_that_resembles_no_other_is_refused_with_the_supported_ones(operator: str) -> None:
    ((code, sentence),) = refusals(DEAL_LIST, {f"{operator}OPPORTUNITY": 1})
    known = "= ! != > >= < <= @ !@ % =% %="
    assert code == "unknown_operator"
    assert (
        f"unknown operator {operator!r} in '{operator}OPPORTUNITY', which the list would ignore (it supports {known})"
        in sentence
    )


@pytest.mark.parametrize(
    ("method", "condition", "value", "sentence"),
    [
        (
            DEAL_LIST,
            "CONTACT_IDS",
            [1],
            "the list cannot be filtered by 'CONTACT_IDS' (use /bitrix/stream/items/{entityTypeId})",
        ),
        (
            TASKS,
            "ACCOMPLICES",
            1,
            "the list cannot be filtered by 'ACCOMPLICES'; did you mean 'ACCOMPLICE'?",
        ),
        (TASKS, "description", "x", "the list cannot be filtered by 'description'"),
        (TASKS, "TAGS", "x", "unknown field 'TAGS', which the list would ignore; did you mean 'TAG'?"),
        (TASKS, "::LOGIC", "OR", "unknown field '::LOGIC', which the list would ignore"),
        (TASKS, "0", {"ID": 1}, "unknown field '0', which the list would ignore"),
        (DEAL_LIST, "logic", "OR", "unknown field 'logic', which the list would ignore"),
        (DEAL_LIST, "", 1, "unknown field '', which the list would ignore"),
    ],
)
def test_a_name_that_does_not_filter_is_refused(method: str, condition: str, value: object, sentence: str) -> None:
    assert refusals(method, {condition: value}) == [("unknown_field", sentence)]


@pytest.mark.parametrize(
    ("method", "condition", "rule"),
    [
        (DEAL_LIST, "%PHONE", "PHONE takes the operators (none) =; did you mean '=PHONE'?"),
        (DEAL_LIST, "!EMAIL", "EMAIL takes the operators (none) ="),
        (
            DEAL_LIST,
            "%STAGE_ID",
            "STAGE_ID takes the operators (none) = ! != > >= < <= @ !@; did you mean '=STAGE_ID'?",
        ),
        (
            DEAL_LIST,
            "=%COMPANY_ID",
            "COMPANY_ID takes the operators (none) = ! != > >= < <= @ !@; did you mean '=COMPANY_ID'?",
        ),
        (TASKS, "!TAG", "TAG takes the operators (none) ="),
        (TASKS, ">AUDITOR", "AUDITOR takes the operators (none) = !"),
        (USERS, "%name_search", "NAME_SEARCH takes the operators (none)"),
    ],
)
def test_an_operator_that_a_field_does_not_support_is_refused(method: str, condition: str, rule: str) -> None:
    sentence = f"unsupported operator in {condition!r}: {rule}"
    assert refusals(method, {condition: "x"}) == [("unknown_operator", sentence)]


@pytest.mark.parametrize(
    ("method", "condition", "value", "sentence"),
    [
        (DEAL_LIST, "STAGE_ID", [], "STAGE_ID takes at least one value"),
        (DEAL_LIST, "@STAGE_ID", [], "@STAGE_ID takes at least one value"),
        (DEAL_LIST, ">OPPORTUNITY", [1, 2], ">OPPORTUNITY takes one value"),
        (DEAL_LIST, "%TITLE", ["a"], "%TITLE takes one value"),
        (DEAL_LIST, "TITLE", {"a": 1}, "TITLE takes a value, or a list of values"),
        (DEAL_LIST, "@TITLE", [["a"]], "@TITLE takes a value, or a list of values"),
        (DEAL_LIST, ">OPPORTUNITY", None, ">OPPORTUNITY takes a value; an empty one would be ignored"),
        (DEAL_LIST, "PHONE", "", "PHONE takes a value; an empty one would be ignored"),
        (DEAL_LIST, "PHONE", ["1", "2"], "PHONE takes one value"),
        (TASKS, "TITLE", "", "TITLE takes a value; an empty one would be ignored"),
        (TASKS, "RESPONSIBLE_ID", None, "RESPONSIBLE_ID takes a value; an empty one would be ignored"),
        (TASKS, "TAG", ["a", ""], "TAG takes a value; an empty one would be ignored"),
        (TASKS, "ONLY_ROOT_TASKS", True, "ONLY_ROOT_TASKS takes Y or N"),
        (TASKS, "::SUBFILTER-PARAMS", "FAVORITE", "::SUBFILTER-PARAMS takes an object of conditions"),
        (TASKS, "::SUBFILTER-PARAMS", {}, "::SUBFILTER-PARAMS takes an object of conditions"),
        (TASKS, "::SUBFILTER-A", {"::LOGIC": "XOR", "ID": 1}, "::LOGIC takes AND or OR"),
        (TASKS, "::SUBFILTER-A", {"ID": []}, "ID takes at least one value"),
        (ITEMS, "@title", [], "@title takes at least one value"),
        (ITEMS, "0", {"logic": "OR", "0": {"title": []}}, "title takes at least one value"),
        (ITEMS, "0", {"logic": "NOT", "title": "x"}, "logic takes AND or OR"),
    ],
)
def test_a_value_that_would_be_dropped_or_misinterpreted_is_refused(
    method: str, condition: str, value: object, sentence: str
) -> None:
    assert refusals(method, {condition: value}) == [("invalid_value", sentence)]


@pytest.mark.parametrize(
    ("method", "conditions", "sent"),
    [
        (DEAL_LIST, {"TITLE": "", "!COMPANY_ID": None}, {"TITLE": "", "!COMPANY_ID": None}),
        (DEAL_LIST, {"@STAGE_ID": ["NEW"], "STAGE_ID": ["C7:NEW"]}, {"@STAGE_ID": ["NEW"], "STAGE_ID": ["C7:NEW"]}),
        (DEAL_LIST, {"=PHONE": "1", "EMAIL": ["a@b.c"]}, {"PHONE": "1", "EMAIL": ["a@b.c"]}),
        (DEAL_LIST, {"@ID": [], ">ID": "x"}, {"@ID": [], ">ID": "x"}),  # the walk checks the bounds on the id
        (
            USERS,
            {">=id": 5, "name_search": "a", "!%Last_Name": "x"},
            {">=ID": 5, "NAME_SEARCH": "a", "!%LAST_NAME": "x"},
        ),
        (TASKS, {"tag": "a", "=accomplice": 1, "!Auditor": [2]}, {"TAG": "a", "=ACCOMPLICE": 1, "!AUDITOR": [2]}),
        (TASKS, {"only_root_tasks": "Y", "Depends_On": 7}, {"ONLY_ROOT_TASKS": "Y", "DEPENDS_ON": 7}),
        (TASKS, {"::SUBFILTER-PARAMS": {"favorite": "Y"}}, {"::SUBFILTER-PARAMS": {"FAVORITE": "Y"}}),
        (
            TASKS,
            {"::subfilter-a": {"::logic": "or", "id": 1, "::SUBFILTER-b": {"status": 2}}},
            {"::SUBFILTER-a": {"::LOGIC": "OR", "ID": 1, "::SUBFILTER-b": {"STATUS": 2}}},
        ),
        (TASKS, {"DEADLINE": "", "!uf_crm_task": None}, {"DEADLINE": "", "!UF_CRM_TASK": None}),
        (
            ITEMS,
            {"logic": "or", "0": {"anything": 1}, "TITLE": "x", "1": {"0": {"!%title": "y"}}},
            {"logic": "or", "0": {"anything": 1}, "TITLE": "x", "1": {"0": {"!%title": "y"}}},
        ),
    ],
)
def test_accepted_conditions_are_sent_in_the_portals_spelling(
    method: str, conditions: dict[str, object], sent: dict[str, object]
) -> None:
    assert check(method, conditions).filter == sent


@pytest.mark.parametrize(
    ("method", "selected", "sent"),
    [
        (DEAL_LIST, ["*", "UF_*", "TITLE", "PHONE"], ["*", "UF_*", "TITLE", "PHONE"]),
        (USERS, ["name", "NAME", "uf_department"], ["NAME", "UF_DEPARTMENT"]),
        (TASKS, ["title", "tags", "Counters"], ["TITLE", "TAGS", "COUNTERS"]),
        (TASKS, ["subStatus"], ["subStatus", "STATUS"]),
        (TASKS, ["STATUS", "SUBSTATUS"], ["STATUS", "subStatus"]),
        (TASKS, ["creator", "*"], ["creator", "CREATED_BY", "*"]),
        (ITEMS, ["*", "title", "TITLE", "contactIds", "UF_CRM_1"], ["*", "title", "TITLE", "contactIds", "UF_CRM_1"]),
    ],
)
def test_names_are_selected_in_the_portals_spelling(method: str, selected: list[str], sent: list[str]) -> None:
    assert list(check(method, None, *selected).select) == sent


@pytest.mark.parametrize(
    ("method", "name", "rule"),
    [
        (DEAL_LIST, "title", "unknown field 'title', which the list would ignore; did you mean 'TITLE'?"),
        (
            DEAL_LIST,
            "CONTACT_IDS",
            "'CONTACT_IDS' is not a column of the list (use /bitrix/stream/items/{entityTypeId})",
        ),
        (DEAL_LIST, "TITLE*", "unknown field 'TITLE*', which the list would ignore; did you mean 'TITLE'?"),
        (USERS, "NAME_SEARCH", "unknown field 'NAME_SEARCH', which the list would ignore"),
        (TASKS, "REAL_STATUS", "unknown field 'REAL_STATUS', which the list would ignore"),
        (
            TASKS,
            "createdDate",
            "unknown field 'createdDate', which the list would ignore; did you mean 'CREATED_DATE'?",
        ),
        (TASKS, "UF_*", "unknown field 'UF_*', which the list would ignore"),
        (ITEMS, "Title", "unknown field 'Title', which the list would ignore; did you mean 'TITLE'?"),
        (ITEMS, "phone", "'phone' is not a column of the list"),
        (ITEMS, "fm", "unknown field 'fm', which the list would ignore"),
        (ITEMS, "UF_*", "unknown field 'UF_*', which the list would ignore"),
    ],
)
def test_a_selected_name_that_is_not_a_column_is_refused(method: str, name: str, rule: str) -> None:
    assert refusals(method, None, name) == [("unknown_field", rule)]


def test_all_mistakes_are_reported_at_once() -> None:
    with pytest.raises(InvalidInput) as refused:
        check(DEAL_LIST, {"title": 1, "=>OPPORTUNITY": 2, "STAGE_ID": [], "ID": 5}, "Title", "ID")
    assert [(error.parameter, error.code) for error in refused.value.errors] == [
        ("filter", "unknown_field"),
        ("filter", "unknown_operator"),
        ("filter", "invalid_value"),
        ("select", "unknown_field"),
    ]
    assert refused.value.detail == "; ".join(f"{error.parameter}: {error.detail}" for error in refused.value.errors)


def test_suggestions_are_limited_in_a_filter_of_thousands_of_mistakes() -> None:
    errors = refusals(DEAL_LIST, {f"TITLE{number}": 1 for number in range(5000)})
    assert len(errors) == MAX_ERRORS
    assert sum("did you mean" in sentence for _, sentence in errors) == MAX_SUGGESTIONS


def test_two_spellings_of_one_condition_are_refused() -> None:
    assert refusals(TASKS, {"title": "a", "TITLE": "b"}) == [
        ("invalid_filter", "'title' and 'TITLE' are the same condition")
    ]


SIGNS = st.text("!<>=%@~?*^ ", max_size=3)
LETTERS = st.sampled_from(["TITLE", "Title", "ID", "id", "STAGE_ID", "CONTACT_IDS", "UF_CRM_1713790201", "NOPE", "TAG"])


@given(SIGNS, st.one_of(LETTERS, st.sampled_from([*CRM, *NAMES[TASKS]])))
def test_the_portal_applies_every_accepted_condition(signs: str, name: str) -> None:
    for method, schema in ((DEAL_LIST, classic_schema(DEALS)), (TASKS, TASK_FILTERS)):
        try:
            sent = check(method, {signs + name: "Y"}).filter
        except InvalidInput:
            continue
        if not set(MULTIFIELDS) & set(sent):  # deals of this portal have none
            found = read_filter(sent, schema)
            unbounded = (found.above, found.below, found.among) == (float("-inf"), float("inf"), None)
            assert found.tests or not unbounded, sent


def select3(*selected: str, described: bool = True) -> CheckedFields:
    """Check a select of the 3.0 list of tasks on a portal whose description of fields includes a custom one."""
    fields = decode_fields(
        {name: {"name": name, "type": "int"} for name in ("id", "title", "responsible", "UF_LISTED")}
    )
    rules = FIELD_RULES3["tasks.task.list"]
    return check_fields(ListFields(rules, fields if described else {}, described=described), {}, selected)


@pytest.mark.parametrize(
    ("selected", "described", "unverified"),
    [
        (("id", "title", "UF_LISTED", "responsible.name", "responsible"), True, ()),
        (("title", "UF_OTHER", "UF_OTHER.name"), True, ("UF_OTHER",)),
        (("title", "responsible.name", "UF_LISTED"), False, ("title", "UF_LISTED")),
    ],
)
def test_rest3_names_that_the_portal_does_not_describe_are_left_to_the_rows(
    selected: tuple[str, ...], described: bool, unverified: tuple[str, ...]
) -> None:
    checked = select3(*selected, described=described)
    assert (checked.select, checked.unverified) == (selected, unverified)


def test_rest3_names_are_checked_up_to_the_dot_and_v2_names_have_none() -> None:
    with pytest.raises(InvalidInput, match=r"unknown field 'responsibl.a.b', .*; did you mean 'responsible.a.b'\?$"):
        select3("responsibl.a.b")
    assert refusals(DEAL_LIST, None, "TITLE.x")[0][0] == "unknown_field"


def test_a_column_is_verified_by_any_of_the_first_rows_whatever_its_value() -> None:
    rows: list[dict[str, object]] = [{"id": 1}, {"id": 2, "title": None}]
    check_columns(["id", "title"], rows)
    with pytest.raises(InvalidInput, match=r"^select: unknown field 'a': .*; select: unknown field 'b': "):
        check_columns(["a", "title", "b"], rows)
