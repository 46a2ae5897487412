"""Rules of quizzes: stored as posted for one account on one portal."""

import asyncio
import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.bitrix.rules import RULES_BODY
from tests.clock import ManualClock
from tests.gateway import Gateway, Sandbox
from tests.support.stored import select

RULES = "/bitrix/rules/123"
AS_JSON = {"Content-Type": "application/json"}
BODY: dict[str, Any] = {
    "PerformerID": "1",
    "PipelineID": 12,
    "TypeID": "SALE",
    "StageID": "C12:NEW",
    "SourceID": "WEB",
    "FieldsRule": {
        "lead": {"QuestionID": {"1": "UF_CRM_LEAD"}},
        "deal": {"QuestionID": {"77": "UF_CRM_1", "78": ""}},
        "company": {"QuestionID": {}},
        "contact": {"ContactRuleMap": {"name": "NAME", "имя": "Имя 🌷"}, "QuestionID": {"5": "UF_CRM_2"}},
    },
    "TagsToAdd": {"deal": ["б", "a", "б"], "lead": [], "контакт": ["тег"]},
    "LeadFlag": True,
    "StatusID": "NEW",
}
OTHER: dict[str, Any] = {
    "PerformerID": "2",
    "PipelineID": 0,
    "TypeID": "",
    "StageID": "",
    "SourceID": "",
    "FieldsRule": {},
    "TagsToAdd": {},
    "LeadFlag": False,
    "StatusID": "",
}
TEXTS = ("PerformerID", "TypeID", "StageID", "SourceID", "StatusID")
NOT_TEXT: list[Any] = [7, True, ["x"], {"x": "y"}]
NOT_INT32: list[Any] = ["12", 1.5, 12.0, True, [], 2**31, -(2**31) - 1, 2**63, 2**64, 10**40]
NOT_BOOLEAN: list[Any] = ["true", 1, 0, "", []]
NOT_OBJECT: list[Any] = [[], "x", 1, True]
NOT_TEXT_MAP: list[Any] = [[], "x", 1, None, {"77": 1}, {"77": None}, {"77": ["x"]}, {"77": {}}]
NOT_LIST_MAP: list[Any] = [
    {"deal": "a"},
    {"deal": [1]},
    {"deal": None},
    {"deal": [None]},
    {"deal": {}},
    {"deal": [["a"]]},
]
NOT_QUIZ_ID = [
    "abc",
    "1.5",
    "9999999999999",
    "2147483648",
    "-2147483649",
    "+5",
    "1_000",
    "٣",
    "%20",
    "0x10",
    "--5",
    "1e3",
]
INVALID_VALUES: list[tuple[str, Any]] = [
    *((name, value) for name in TEXTS for value in NOT_TEXT),
    *(("PipelineID", value) for value in NOT_INT32),
    *(("LeadFlag", value) for value in NOT_BOOLEAN),
    *((name, value) for name in ("FieldsRule", "TagsToAdd") for value in NOT_OBJECT),
    *(("TagsToAdd", value) for value in NOT_LIST_MAP),
    *((f"FieldsRule/{of}", value) for of in ("lead", "deal", "company", "contact") for value in NOT_OBJECT),
    *(
        (f"FieldsRule/{of}/QuestionID", value)
        for of in ("lead", "deal", "company", "contact")
        for value in NOT_TEXT_MAP
    ),
    *(("FieldsRule/contact/ContactRuleMap", value) for value in NOT_TEXT_MAP),
]


def with_value(path: str, value: Any) -> dict[str, Any]:
    """Return BODY with *value* at *path*."""
    body = orjson.loads(orjson.dumps(BODY))
    *parents, last = path.split("/")
    inner = body
    for name in parents:
        inner = inner[name]
    inner[last] = value
    return dict(body)


async def shown(gateway: Gateway, path: str = RULES, *, account: str = "acme") -> dict[str, Any]:
    """Return the posted properties from the answer of GET."""
    rule = (await gateway.get(path, account=account)).json
    return {name: rule[name] for name in BODY}


async def test_rules_are_returned_as_posted(connected: Gateway, sandbox: Sandbox, clock: ManualClock) -> None:
    created = await connected.post(RULES, json=BODY)
    assert (created.status, created.body, created.headers["Content-Length"]) == (200, b"", "0")
    answer = await connected.get(RULES)
    assert answer.status == 200
    own = {"accountID": sandbox.host, "QuizID": 123, "Deleted": False, "CreatedAt": int(clock.now())}
    assert answer.json == BODY | own | {"ID": answer.json["ID"]}


@pytest.mark.parametrize("body", [BODY, OTHER])
async def test_lead_and_deal_rules_require_every_property(connected: Gateway, body: dict[str, Any]) -> None:
    for name in body:
        partial = {key: value for key, value in body.items() if key != name}
        for incomplete, rule in ((partial, "is required"), (partial | {name: None}, "must be ")):
            for method in ("POST", "PATCH"):
                answer = await connected.request(method, RULES, json=incomplete)
                assert answer.status == 400
                assert answer.json.startswith(f"{name}: {rule}")
    assert (await connected.get(RULES)).status == 404


async def test_types_are_strict(connected: Gateway) -> None:
    for path, value in INVALID_VALUES:
        sent = json.dumps(with_value(path, value))  # orjson cannot write integers beyond 64 bits
        for method in ("POST", "PATCH"):
            answer = await connected.request(method, RULES, data=sent, headers=AS_JSON)
            assert answer.status == 400, (path, value)
            assert answer.json.startswith(path.replace("/", ".")), (path, value, answer.json)
    assert (await connected.get(RULES)).status == 404


async def test_every_invalid_property_is_reported_with_its_path(connected: Gateway) -> None:
    body = with_value("FieldsRule/deal/QuestionID", {"77": 1}) | {"LeadFlag": 1}
    del body["TypeID"]
    problem = (await connected.post(RULES, json=body, headers={"Accept": "application/problem+json"})).json
    assert {(error["pointer"], error["code"]) for error in problem["errors"]} == {
        ("/TypeID", "required"),
        ("/LeadFlag", "invalid_value"),
        ("/FieldsRule/deal/QuestionID", "invalid_value"),
    }


@pytest.mark.parametrize("value", [0, -1, 2**31 - 1, -(2**31)])
async def test_a_pipeline_is_any_int32(connected: Gateway, value: int) -> None:
    assert (await connected.post(RULES, json=BODY | {"PipelineID": value})).status == 200
    assert (await shown(connected))["PipelineID"] == value


@pytest.mark.parametrize("of", [None, "lead", "deal", "company", "contact"])
async def test_field_rules_are_optional(connected: Gateway, of: str | None) -> None:
    for quiz, rule in enumerate(({}, {"QuestionID": {"77": "UF_CRM_1"}})):
        fields = {} if of is None else {of: rule}
        path = f"/bitrix/rules/{quiz}"
        assert (await connected.post(path, json=BODY | {"FieldsRule": fields})).status == 200
        assert (await shown(connected, path))["FieldsRule"] == fields


async def test_unknown_properties_are_ignored_at_every_depth(connected: Gateway) -> None:
    body = BODY | {"x": 1, "ID": 99, "accountID": "foreign", "QuizID": 5, "Deleted": True, "CreatedAt": 1}
    body["FieldsRule"] = {"deal": {"QuestionID": {"1": "a"}, "ContactRuleMap": {"a": 1}}, "invoice": 7}
    assert (await connected.post(RULES, json=body)).status == 200
    rule = (await connected.get(RULES)).json
    assert "x" not in rule
    assert rule["FieldsRule"] == {"deal": {"QuestionID": {"1": "a"}}}
    assert (rule["QuizID"], rule["Deleted"], rule["accountID"] != "foreign", rule["CreatedAt"] != 1) == (
        123,
        False,
        True,
        True,
    )


NO_JSON = [b"", b"{", b"[]", b"null", b'"x"', b"7", b"\xff\xfe", b"NaN", b'{"a": ' * 2000, b"[" * 100_000]


@pytest.mark.parametrize("method", ["POST", "PATCH"])
@pytest.mark.parametrize("body", NO_JSON, ids=range(len(NO_JSON)))
async def test_a_body_that_is_not_a_json_object_is_rejected(connected: Gateway, method: str, body: bytes) -> None:
    answer = await connected.request(method, RULES, data=body, headers=AS_JSON)
    assert answer.status == 400
    assert answer.json.startswith("body: must be ")


@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_other_content_types_are_rejected(connected: Gateway, method: str) -> None:
    for headers in ({"Content-Type": "text/plain"}, {"Content-Type": "application/x-www-form-urlencoded"}):
        answer = await connected.request(method, RULES, data=orjson.dumps(BODY), headers=headers)
        assert (answer.status, answer.json) == (400, "body: must be sent as application/json")


@pytest.mark.parametrize("quiz", NOT_QUIZ_ID)
async def test_quiz_id_must_be_an_int32(connected: Gateway, quiz: str) -> None:
    for method, body in (("GET", None), ("POST", BODY), ("PATCH", BODY)):
        answer = await connected.request(method, f"/bitrix/rules/{quiz}", json=body)
        assert (answer.status, answer.json) == (400, "quizID: must be a 32-bit integer")


@pytest.mark.parametrize("quiz", ["0", "-1", "2147483647", "-2147483648"])
async def test_any_int32_quiz_id_can_have_rules(connected: Gateway, quiz: str) -> None:
    path = f"/bitrix/rules/{quiz}"
    assert (await connected.get(path)).json == f"rules not found for quiz {quiz}"
    assert (await connected.post(path, json=BODY)).status == 200
    assert (await connected.get(path)).json["QuizID"] == int(quiz)


async def test_a_quiz_without_rules_returns_not_found(connected: Gateway) -> None:
    for method, body in (("GET", None), ("PATCH", BODY)):
        answer = await connected.request(method, RULES, json=body)
        assert (answer.status, answer.json) == (404, "rules not found for quiz 123")
    assert select(connected, "SELECT * FROM rules") == []


async def test_existing_rules_are_not_overwritten_and_have_their_own_error(connected: Gateway) -> None:
    await connected.post(RULES, json=BODY)
    before = (await connected.get(RULES)).json
    answer = await connected.post(RULES, json=OTHER)
    assert (answer.status, answer.json) == (500, "rules already exist for quiz 123")
    assert (await connected.get(RULES)).json == before
    problem = await connected.post(RULES, json=OTHER, headers={"Accept": "application/problem+json"})
    assert (problem.status, problem.json["code"]) == (500, "rules_already_exist")


async def test_replacing_keeps_the_identity_of_rules_and_merges_nothing(connected: Gateway, clock: ManualClock) -> None:
    await connected.post(RULES, json=BODY)
    before = (await connected.get(RULES)).json
    await clock.advance(100)
    answer = await connected.patch(RULES, json=OTHER)
    assert (answer.status, answer.body) == (200, b"")
    after = (await connected.get(RULES)).json
    assert {name: after[name] for name in OTHER} == OTHER
    for name in ("ID", "QuizID", "CreatedAt", "accountID", "Deleted"):
        assert after[name] == before[name]


NOBODY = [
    "",
    "0",
    "999999",
    "-1",
    "01",
    "1.0",
    " 1",
    "1 ",
    "１",
    "admin",
    "1; DROP TABLE rules",
    "9" * 5000,
    str(2**63),
]


@pytest.mark.parametrize("performer", NOBODY, ids=lambda text: repr(text[:20]))
async def test_an_unknown_performer_is_rejected(connected: Gateway, performer: str) -> None:
    created = await connected.post(RULES, json=BODY | {"PerformerID": performer})
    assert created.status == 404
    assert created.json.startswith("PerformerID: ")
    assert (await connected.get(RULES)).status == 404
    await connected.post(RULES, json=BODY)
    before = (await connected.get(RULES)).json
    replaced = await connected.patch(RULES, json=OTHER | {"PerformerID": performer})
    assert replaced.status == 400
    assert (await connected.get(RULES)).json == before


async def test_a_deleted_performer_is_rejected(connected: Gateway, sandbox: Sandbox) -> None:
    last = max(sandbox.portal.data.users)
    del sandbox.portal.data.users[last]
    await connected.sync("users")
    assert (await connected.post(RULES, json=BODY | {"PerformerID": str(last)})).status == 404


async def test_a_performer_of_the_previous_portal_is_rejected(
    connected: Gateway, sandbox: Sandbox, other: Sandbox
) -> None:
    theirs = max(set(sandbox.portal.data.users) - set(other.portal.data.users))
    assert (await connected.post(RULES, json=BODY | {"PerformerID": str(theirs)})).status == 200
    await connected.connect(other.webhook)
    assert (await connected.post(RULES, json=BODY | {"PerformerID": str(theirs)})).status == 404


async def test_rules_require_an_account(gateway: Gateway, sandbox: Sandbox) -> None:
    assert (await gateway.get(RULES)).status == 404
    assert (await gateway.patch(RULES, json=BODY)).status == 404
    created = await gateway.post(RULES, json=BODY)
    assert (created.status, created.json) == (404, "account not found")
    await gateway.post("/bitrix/account", json={"client_bitrix_url": sandbox.origin})
    assert (await gateway.post(RULES, json=BODY)).status == 404  # no account exists yet


async def test_the_body_is_checked_before_the_account_and_the_account_before_the_rule(
    connected: Gateway, gateway: Gateway
) -> None:
    await connected.post(RULES, json=BODY)
    assert (await gateway.post(RULES, json={}, account="nobody")).status == 400
    assert (await connected.post(RULES, json=BODY | {"PerformerID": "999999"})).status == 404
    assert (await connected.patch("/bitrix/rules/5", json=BODY | {"PerformerID": "999999"})).status == 404


async def test_accounts_have_separate_rules_for_the_same_quiz(connected: Gateway, sandbox: Sandbox) -> None:
    await connected.post(RULES, json=BODY)
    await connected.connect(sandbox.webhook, account="beta")
    assert (await connected.get(RULES, account="beta")).status == 404
    assert (await connected.patch(RULES, json=OTHER, account="beta")).status == 404
    assert (await connected.post(RULES, json=OTHER, account="beta")).status == 200
    assert await shown(connected) == BODY
    assert await shown(connected, account="beta") == OTHER
    assert (await connected.get(RULES)).json["ID"] != (await connected.get(RULES, account="beta")).json["ID"]


async def test_only_one_of_ten_concurrent_creations_succeeds(connected: Gateway) -> None:
    bodies = [BODY | {"TypeID": str(number)} for number in range(10)]
    answers = await asyncio.gather(*(connected.post(RULES, json=body) for body in bodies))
    assert sorted(answer.status for answer in answers) == [200] + [500] * 9
    winner = [answer.status for answer in answers].index(200)
    assert (await shown(connected))["TypeID"] == str(winner)
    assert select(connected, "SELECT count(*) FROM rules") == [(1,)]


async def test_concurrent_replacements_leave_one_complete_rule(connected: Gateway) -> None:
    await connected.post(RULES, json=BODY)
    bodies = [OTHER | {"TypeID": str(number), "StageID": str(number)} for number in range(10)]
    answers = await asyncio.gather(*(connected.patch(RULES, json=body) for body in bodies))
    assert {answer.status for answer in answers} == {200}
    assert await shown(connected) in bodies


async def test_a_deleted_account_has_no_rules_until_it_reconnects(connected: Gateway, sandbox: Sandbox) -> None:
    await connected.post(RULES, json=BODY)
    before = (await connected.get(RULES)).json
    await connected.delete("/bitrix/account")
    assert (await connected.get(RULES)).status == 404
    assert (await connected.post(RULES, json=BODY)).status == 404
    assert (await connected.patch(RULES, json=BODY)).status == 404
    await connected.connect(sandbox.webhook)
    assert (await connected.get(RULES)).json == before


async def test_rules_survive_a_restart(connected: Gateway) -> None:
    await connected.post(RULES, json=BODY)
    before = (await connected.get(RULES)).json
    await connected.restart()
    assert (await connected.get(RULES)).json == before


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
text_maps = st.dictionaries(texts, texts, max_size=4)


@given(
    body=st.fixed_dictionaries(
        {
            "PerformerID": st.just("1"),
            "PipelineID": st.integers(-(2**31), 2**31 - 1),
            "TypeID": texts,
            "StageID": texts,
            "SourceID": texts,
            "FieldsRule": st.fixed_dictionaries(
                {},
                optional={
                    **{of: st.fixed_dictionaries({}, optional={"QuestionID": text_maps}) for of in ("lead", "deal")},
                    "contact": st.fixed_dictionaries({}, optional={"ContactRuleMap": text_maps}),
                },
            ),
            "TagsToAdd": st.dictionaries(texts, st.lists(texts, max_size=4), max_size=4),
            "LeadFlag": st.booleans(),
            "StatusID": texts,
        }
    )
)
def test_any_valid_body_is_returned_unchanged(body: dict[str, Any]) -> None:
    loaded = RULES_BODY.load(orjson.loads(orjson.dumps(body)))
    assert orjson.loads(orjson.dumps(loaded)) == body
