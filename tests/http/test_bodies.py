"""A body is accepted exactly if openapi.yaml allows it; each error names a pointer and a rule."""

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import Schema, ValidationError
from openapi_schema_validator import OAS30WriteValidator, oas30_format_checker

from gateway.schemas import broken_rules
from handlers.bitrix.account import ACCOUNT_BODY
from handlers.bitrix.rules import RULES_BODY
from tests.contract import inline
from tests.support.documents import OPENAPI_YAML, load_yaml

DOCUMENT = load_yaml(OPENAPI_YAML)
DOCUMENTED_RULES = OAS30WriteValidator(
    inline(DOCUMENT, DOCUMENT["components"]["schemas"]["BitrixRulesReq"]), format_checker=oas30_format_checker
)
RULES: dict[str, Any] = {
    "PerformerID": "7",
    "PipelineID": 0,
    "TypeID": "SALE",
    "StageID": "NEW",
    "SourceID": "CALL",
    "FieldsRule": {
        "lead": {"QuestionID": {"1": "UF_CRM_1"}},
        "contact": {"ContactRuleMap": {"name": "NAME"}, "QuestionID": {}},
    },
    "TagsToAdd": {"lead": ["quiz", ""]},
    "LeadFlag": False,
    "StatusID": "",
}

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.sampled_from([-(2**31) - 1, -(2**31), 2**31 - 1, 2**31, 0, 1, 1.0, 0.5, "", "1", "true", "on"])
    | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["QuestionID", "ContactRuleMap", "lead", "contact", "1", ""]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


def refusal(schema: Schema, body: dict[str, Any]) -> dict[str, str]:
    """Return the broken rule at each pointer of *body*; empty if the body is valid."""
    try:
        schema.load(body)
    except ValidationError as error:
        return dict(broken_rules(cast("dict[str, Any]", error.messages)))
    return {}


def test_a_complete_body_is_accepted_unchanged() -> None:
    assert RULES_BODY.load(RULES) == RULES


def test_unknown_properties_are_ignored_at_every_depth() -> None:
    more = {**RULES, "more": 1, "FieldsRule": {"quote": 5, "lead": {"QuestionID": {}, "ContactRuleMap": 9}}}
    assert RULES_BODY.load(more) == {**RULES, "FieldsRule": {"lead": {"QuestionID": {}}}}


@given(
    changes=st.dictionaries(st.sampled_from([*RULES, "more"]), JSON, max_size=3),
    left_out=st.sets(st.sampled_from(list(RULES)), max_size=1),
)
def test_a_body_is_accepted_exactly_if_the_document_allows_it(changes: dict[str, Any], left_out: set[str]) -> None:
    body = {name: value for name, value in (RULES | changes).items() if name not in left_out}
    documented = [error.json_path for error in DOCUMENTED_RULES.iter_errors(body)]
    refused = refusal(RULES_BODY, body)
    assert bool(refused) is bool(documented), (refused, documented)
    assert {place.split("/")[1] for place in refused} <= {*changes, *left_out}


@pytest.mark.parametrize("name", RULES)
def test_every_property_is_required_and_must_not_be_null(name: str) -> None:
    body = {key: value for key, value in RULES.items() if key != name}
    assert refusal(RULES_BODY, body) == {f"/{name}": "is required"}
    ((place, rule),) = refusal(RULES_BODY, {**RULES, name: None}).items()
    assert place == f"/{name}"
    assert rule.endswith("and not null")


@pytest.mark.parametrize(
    ("name", "values", "rule"),
    [
        ("PerformerID", [7, True, ["7"], {}], "must be a string"),
        ("PipelineID", ["0", 1.0, 0.5, True, False, 2**31, -(2**31) - 1, [0], 2**63], "must be a 32-bit integer"),
        ("LeadFlag", [0, 1, "true", "yes", "on", [], {}], "must be true or false"),
        (
            "TagsToAdd",
            [[], "x", {"lead": "x"}, {"lead": [1]}, {"lead": None}],
            "must be an object of lists of strings",
        ),
        ("FieldsRule", [[], "x", 5, True], "must be an object"),
    ],
)
def test_a_value_of_another_json_type_is_refused(name: str, values: list[object], rule: str) -> None:
    for value in values:
        assert refusal(RULES_BODY, {**RULES, name: value}) == {f"/{name}": rule}, value


@pytest.mark.parametrize(
    ("fields_rule", "place", "rule"),
    [
        ({"lead": 5}, "/FieldsRule/lead", "must be an object"),
        ({"lead": None}, "/FieldsRule/lead", "must be an object, and not null"),
        ({"deal": {"QuestionID": []}}, "/FieldsRule/deal/QuestionID", "must be an object of strings"),
        ({"deal": {"QuestionID": {"1": 2}}}, "/FieldsRule/deal/QuestionID", "must be an object of strings"),
        ({"contact": {"ContactRuleMap": "x"}}, "/FieldsRule/contact/ContactRuleMap", "must be an object of strings"),
    ],
)
def test_an_error_in_a_nested_object_has_its_pointer(fields_rule: object, place: str, rule: str) -> None:
    assert refusal(RULES_BODY, {**RULES, "FieldsRule": fields_rule}) == {place: rule}


def test_all_errors_are_reported_at_once() -> None:
    body = {**RULES, "PipelineID": "0", "LeadFlag": 1, "FieldsRule": {"lead": {"QuestionID": 5}}}
    del body["TypeID"]
    assert refusal(RULES_BODY, body).keys() == {"/PipelineID", "/LeadFlag", "/TypeID", "/FieldsRule/lead/QuestionID"}


def test_the_account_body_has_an_address_and_an_optional_redirect() -> None:
    assert ACCOUNT_BODY.load({"client_bitrix_url": "x", "more": 1}) == {"client_bitrix_url": "x"}
    assert ACCOUNT_BODY.load({"client_bitrix_url": "x", "redirectURL": "y"})["redirect_url"] == "y"
    assert refusal(ACCOUNT_BODY, {}) == {"/client_bitrix_url": "is required"}
    assert refusal(ACCOUNT_BODY, {"client_bitrix_url": "x", "redirectURL": 5}) == {"/redirectURL": "must be a string"}
    assert "redirect_url" not in ACCOUNT_BODY.load({"client_bitrix_url": "x", "redirect_url": "z"})
