"""The comments in the timelines of records."""

from typing import Any

from aiohttp import web

from gateway.schemas import ClosedBody, StrictField, String
from handlers.app_keys import COMMENTS
from handlers.bitrix.account_loading import load_authorized_account
from handlers.bitrix.fields import requested_resource
from handlers.bitrix.lists import respond_items
from handlers.bitrix.record_writes import respond
from handlers.bitrix.records import record_id
from handlers.http.bodies import load_body
from handlers.http.idempotency import idempotency_key


class Text(String):
    rule = "must be a string that is not blank"

    def accepts(self, value: Any) -> bool:
        return super().accepts(value) and bool(value.strip())


class NoFiles(StrictField):
    rule = "must be left out: files cannot be attached to a comment here"

    def __init__(self) -> None:
        super().__init__(required=False)
        self.error_messages["null"] = self.rule

    def accepts(self, _value: Any) -> bool:
        return False


class CommentBody(ClosedBody):
    """A comment without files."""

    text = Text()
    files = NoFiles()
    FILES = NoFiles()


COMMENT_BODY = CommentBody()


async def list_comments(request: web.Request) -> web.Response:
    """GET /bitrix/{resource}/{id}/comments"""
    resource, row_id = requested_resource(request), record_id(request)
    account = await load_authorized_account(request)
    return respond_items(await request.app[COMMENTS].list(account, resource, row_id))


async def add_comment(request: web.Request) -> web.Response:
    """POST /bitrix/{resource}/{id}/comments"""
    resource, row_id, key = requested_resource(request), record_id(request), idempotency_key(request)
    body = await load_body(request, COMMENT_BODY)
    account = await load_authorized_account(request)
    return respond(await request.app[COMMENTS].add(account, resource, row_id, body["text"], key))
