"""The rules of a quiz."""

import orjson
from aiohttp import web

from handlers.app_keys import ACCOUNT_KEY, RULES
from handlers.http.bodies import RULES_BODY, load_body
from handlers.http.query import quiz_id
from handlers.http.responses import json_response


async def get_rules(request: web.Request) -> web.Response:
    """GET /bitrix/rules/{quizID}"""
    account, rule = await request.app[RULES].load(request[ACCOUNT_KEY], quiz_id(request))
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
    await request.app[RULES].create(request[ACCOUNT_KEY], quiz, body)
    return web.Response()


async def replace_rules(request: web.Request) -> web.Response:
    """PATCH /bitrix/rules/{quizID}"""
    quiz = quiz_id(request)
    body = await load_body(request, RULES_BODY)
    await request.app[RULES].replace(request[ACCOUNT_KEY], quiz, body)
    return web.Response()
