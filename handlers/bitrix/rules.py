"""The rules of a quiz."""

import orjson
from aiohttp import web

from gateway.quizzes.rules import no_rules
from handlers.app_keys import RULES
from handlers.bitrix.account_loading import find_account, load_account
from handlers.http.bodies import RULES_BODY, load_body
from handlers.http.query import quiz_id
from handlers.http.responses import json_response


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
    quiz = quiz_id(request)
    body = await load_body(request, RULES_BODY)
    await request.app[RULES].create(await load_account(request), quiz, body)
    return web.Response()


async def replace_rules(request: web.Request) -> web.Response:
    """PATCH /bitrix/rules/{quizID}"""
    quiz = quiz_id(request)
    body = await load_body(request, RULES_BODY)
    account = await find_account(request)
    if account is None:
        raise no_rules(quiz)
    await request.app[RULES].replace(account, quiz, body)
    return web.Response()
