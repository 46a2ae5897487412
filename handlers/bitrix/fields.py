"""The fields of CRM records: what the portal says about each."""

from collections.abc import Mapping
from functools import partial

from aiohttp import web

from gateway.bitrix.lists.list_fields import Field
from gateway.bitrix.lists.suggestions import suggest_name
from gateway.bitrix.protocol.v2 import Command
from gateway.errors import NotFound
from gateway.fields.service import KnownFields
from gateway.mirror.field_access import FieldAccess
from gateway.mirror.resources import Resource, find_resource, record_type
from handlers.app_keys import ACCOUNTS, CLIENTS, DIRECTORY, FIELDS
from handlers.bitrix.account_loading import load_account
from handlers.http.keys import CLOCK
from handlers.http.responses import json_response
from storage.records import Account


async def list_fields(request: web.Request) -> web.Response:
    """GET /bitrix/{resource}/fields"""
    source = record_type(requested_resource(request)).fields
    known = await load_fields(request, await load_account(request), source)
    return json_response({"items": [render_field(field) for field in known.fields.values()]})


async def get_field(request: web.Request) -> web.Response:
    """GET /bitrix/{resource}/fields/{name}"""
    name = request.match_info["name"]
    source = record_type(requested_resource(request)).fields
    account = await load_account(request)
    known = await load_fields(request, account, source)
    field = find_field(known.fields, name)
    if field is None and known.may_be_refreshed(request.app[CLOCK].now()):
        known = await fetch_fields(request, account, source)
        field = find_field(known.fields, name)
    if field is None:
        suggestion = suggest_name(name, known.fields)
        question = "" if suggestion is None else f"; did you mean {suggestion!r}?"
        raise NotFound(f"name: unknown field {name[:64]!r}{question}", code="field_not_found")
    return json_response(render_field(field))


def requested_resource(request: web.Request) -> Resource:
    """Return the resource that the path names.

    Raises:
        NotFound: There is none of this name.
    """
    entity_type_id = request.match_info.get("entityTypeId")
    return find_resource(request.match_info["resource"] if entity_type_id is None else f"items/{entity_type_id}")


async def load_fields(request: web.Request, account: Account, source: Command) -> KnownFields:
    """Return the fields that *source* describes, from the portal if they are not known here.

    What other accounts have read of the portal is not shown to an account that it has not authorized.

    Raises:
        AuthorizationRequired: they are not known, and the portal must be authorized again.
        PortalError: they are not known, and the portal does not have the records or refuses to describe them.
    """
    known = None if account.kind == "pending" else await request.app[FIELDS].find(account, source)
    return known or await fetch_fields(request, account, source)


async def fetch_fields(request: web.Request, account: Account, source: Command) -> KnownFields:
    """As `load_fields`, always from the portal."""
    await request.app[ACCOUNTS].ensure_authorized(account)
    async with request.app[DIRECTORY].mark_stale_on_auth_failure(account):
        return await request.app[FIELDS].fetch(account, request.app[CLIENTS].client(account), source)


async def access_fields(request: web.Request, account: Account, resource: Resource) -> FieldAccess:
    """Return the fields of *resource*, and how to fetch them again."""
    source = record_type(resource).fields
    known = await load_fields(request, account, source)
    return FieldAccess(known, partial(fetch_fields, request, account, source))


def find_field(fields: Mapping[str, Field], name: str) -> Field | None:
    """Return the field of this name, in any case; None if there is none."""
    if name in fields:
        return fields[name]
    wanted = name.upper()
    return next((field for field in fields.values() if wanted in (field.name.upper(), field.other_name)), None)


def render_field(field: Field) -> dict[str, object]:
    """Return the JSON of *field*."""
    rendered: dict[str, object] = {
        "name": field.name,
        "type": field.type,
        "title": field.title,
        "multiple": field.multiple,
        "required": field.required,
        "readOnly": field.read_only,
    }
    if field.choices:
        rendered["items"] = [{"id": choice_id, "value": text} for choice_id, text in field.choices]
    return rendered
