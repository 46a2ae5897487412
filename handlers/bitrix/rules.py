"""The rules of a quiz."""

import orjson
from aiohttp import web

from gateway.errors import InvalidInput
from gateway.quizzes.rules import no_rules
from gateway.schemas import INT32, Body, Boolean, Int32, Object, String, StringListMap, StringMap
from handlers.app_keys import RULES
from handlers.bitrix.account_loading import find_account, load_account
from handlers.http.bodies import load_body
from handlers.http.query import is_digits
from handlers.http.responses import json_response


class FieldRule(Body):
    QuestionID = StringMap(required=False)


class ContactRules(Body):
    ContactRuleMap = StringMap(required=False)
    QuestionID = StringMap(required=False)


class FieldRules(Body):
    lead = Object(FieldRule)
    deal = Object(FieldRule)
    company = Object(FieldRule)
    contact = Object(ContactRules)


class RulesBody(Body):
    PerformerID = String()
    PipelineID = Int32()
    TypeID = String()
    StageID = String()
    SourceID = String()
    FieldsRule = Object(FieldRules, required=True)
    TagsToAdd = StringListMap()
    LeadFlag = Boolean()
    StatusID = String()


RULES_BODY = RulesBody()


async def get_rules(request: web.Request) -> web.Response:
    """GET /bitrix/rules/{quizID}"""
    quiz = quiz_id(request)
    account = await find_account(request)
    if account is None:
        raise no_rules(quiz)
    rule = await request.app[RULES].load(account, quiz)
    return json_response(
        {
            "ID": rule.rule_id,
            "accountID": account.portal.bitrix_id,
            "QuizID": rule.quiz_id,
            **orjson.loads(rule.body),
            "Deleted": False,
            "CreatedAt": rule.created_at,
        }
    )


async def create_rules(request: web.Request) -> web.Response:
    """POST /bitrix/rules/{quizID}"""
    quiz = quiz_id(request)  # checked before the body is read
    body = await load_body(request, RULES_BODY)
    await request.app[RULES].create(await load_account(request), quiz, body)
    return web.Response()


async def replace_rules(request: web.Request) -> web.Response:
    """PATCH /bitrix/rules/{quizID}"""
    quiz = quiz_id(request)  # checked before the body is read
    body = await load_body(request, RULES_BODY)
    account = await find_account(request)
    if account is None:
        raise no_rules(quiz)
    await request.app[RULES].replace(account, quiz, body)
    return web.Response()


def quiz_id(request: web.Request) -> int:
    """Return the quiz that the path names.

    Raises:
        InvalidInput: It is not a 32-bit integer.
    """
    value = request.match_info["quizID"]
    if not (is_digits(value.removeprefix("-")) and int(value) in INT32):
        raise InvalidInput.of_parameter("quizID", "invalid_value", "must be a 32-bit integer")
    return int(value)
