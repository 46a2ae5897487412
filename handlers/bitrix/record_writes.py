"""Records of the CRM created, changed and deleted by callers."""

from typing import Any

from aiohttp import web

from gateway.crm.bodies import required_fields
from gateway.crm.deletes import LINKED
from gateway.crm.journaled import Served
from gateway.crm.matches import parse_match
from gateway.crm.upserts import Upsert
from gateway.crm.values import MAX_VALUES, TOO_MANY_VALUES
from gateway.errors import FieldError, InvalidInput, pointer_token
from gateway.mirror.resources import Resource, list_fields, record_type
from gateway.schemas import MAX_DEPTH, TOO_DEEP, ClosedBody, Int32, String, exceeds_depth, require_object
from handlers.app_keys import RECORD_DELETES, RECORD_WRITES, UPSERTS
from handlers.bitrix.account_loading import load_authorized_account
from handlers.bitrix.fields import access_fields, requested_resource
from handlers.bitrix.records import record_id
from handlers.http.bodies import load_body, load_json
from handlers.http.idempotency import REPLAYED, idempotency_key
from handlers.http.query import one_value


async def load_values(request: web.Request) -> dict[str, Any]:
    """Return the JSON body: an object of the values of fields, which are checked further by their types.

    Raises:
        InvalidInput: It is none, a field has too many values, or they are nested too deeply.
    """
    body = require_object(await load_json(request))
    errors: list[FieldError] = []
    for name, value in body.items():
        pointer = f"/{pointer_token(name)}"
        if isinstance(value, list) and len(value) > MAX_VALUES:
            errors.append(FieldError(TOO_MANY_VALUES, f"must have at most {MAX_VALUES} values", pointer=pointer))
        elif exceeds_depth(value, MAX_DEPTH):
            errors.append(FieldError("too_deep", TOO_DEEP, pointer=pointer))
    if errors:
        raise InvalidInput.of_errors(errors)
    return body


async def create_record(request: web.Request) -> web.Response:
    """POST /bitrix/{resource}"""
    resource, key = requested_resource(request), idempotency_key(request)
    body = await load_values(request)
    account = await load_authorized_account(request)
    service, access = request.app[RECORD_WRITES], await access_fields(request, account, resource)
    required = required_fields(record_type(resource))
    written, known = await service.check(account, resource, body, access, creates=True, required=required)
    return respond(await service.create(account, resource, written, known, key))


async def upsert_record(request: web.Request) -> web.Response:
    """PUT /bitrix/{resource}"""
    resource, key = requested_resource(request), idempotency_key(request)
    names = one_value(request.query, "match")
    if not names:
        raise InvalidInput.of_parameter("match", "required", "must name the fields to find the record by")
    body = await load_values(request)
    account = await load_authorized_account(request)
    access = await access_fields(request, account, resource)
    written, known = await request.app[RECORD_WRITES].check(account, resource, body, access, creates=True)
    matches = parse_match(names, written, list_fields(resource, known.fields))
    return respond(await request.app[UPSERTS].upsert(Upsert(account, resource, written, known, matches), key))


async def change_record(request: web.Request) -> web.Response:
    """PATCH /bitrix/{resource}/{id}"""
    resource, row_id, key = requested_resource(request), record_id(request), idempotency_key(request)
    body = await load_values(request)
    if not body:
        raise InvalidInput.of_field("", "empty", "must name a field to change")
    account = await load_authorized_account(request)
    service, access = request.app[RECORD_WRITES], await access_fields(request, account, resource)
    required = required_fields(record_type(resource))
    written, known = await service.check(account, resource, body, access, creates=False, required=required)
    return respond(await service.change(account, resource, row_id, written, known, key))


class StageBody(ClosedBody):
    """Where a record moves to: a stage, a pipeline or both."""

    stage = String(required=False)
    pipeline = Int32(required=False)


STAGE_BODY = StageBody()


async def move_record(request: web.Request) -> web.Response:
    """PUT /bitrix/{resource}/{id}/stage"""
    resource, row_id, key = requested_resource(request), record_id(request), idempotency_key(request)
    body = await load_body(request, STAGE_BODY)
    if not body:
        raise InvalidInput.of_field("", "empty", "must name a stage or a pipeline")
    account = await load_authorized_account(request)
    stage, pipeline = body.get("stage"), body.get("pipeline")
    return respond(await request.app[RECORD_WRITES].move(account, resource, row_id, stage, pipeline, key))


async def delete_record(request: web.Request) -> web.Response:
    """DELETE /bitrix/{resource}/{id}"""
    resource, row_id, key = requested_resource(request), record_id(request), idempotency_key(request)
    cascade = one_value(request.query, "cascade")
    linked = () if cascade is None else parse_cascade(cascade, resource)
    account = await load_authorized_account(request)
    deletes = request.app[RECORD_DELETES]
    if linked:
        return respond(await deletes.delete_with(account, resource, row_id, linked, key))
    return respond(await deletes.delete(account, resource, row_id, key))


def parse_cascade(text: str, resource: Resource) -> tuple[str, ...]:
    """Return the names in *text*, separated by commas, of what is deleted with a record.

    Raises:
        InvalidInput: There is an unknown name, or the records have neither contact nor company.
    """
    if record_type(resource).names.contact is None:
        rule = f"is not valid for {resource.name}, whose records are not linked to one contact and one company"
        raise InvalidInput.of_parameter("cascade", "invalid_value", rule)
    names = tuple(dict.fromkeys(text.split(",")))
    if not all(name in LINKED for name in names):
        rule = f"must be {' or '.join(LINKED)}, or both separated by a comma"
        raise InvalidInput.of_parameter("cascade", "invalid_value", rule)
    return names


def respond(served: Served) -> web.Response:
    """Return the response to a write."""
    headers = dict(REPLAYED) if served.replayed else {}
    if served.answer.location is not None:
        headers["Location"] = served.answer.location
    if not served.answer.body:
        return web.Response(status=served.answer.status, headers=headers)
    return web.Response(
        status=served.answer.status, body=served.answer.body, content_type="application/json", headers=headers
    )
