"""Opens a placement as a portal does: sends a user's tokens and the context to its handler, and returns the answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self
from uuid import uuid4

from aiohttp import ClientError, ClientSession, ClientTimeout, web
from yarl import URL

from gateway.sandbox.caller import ADMINISTRATOR_ID
from gateway.sandbox.content.placements import make_placements, page_of
from gateway.sandbox.content.portal_data import PortalData
from gateway.sandbox.php import as_bool, encode_json
from gateway.sandbox.portal import SandboxPortal

TIMEOUT_S = 30

_SENT = ("options", "lang", "fields")
_PROPERTIES = ("placement", "handler", "user", *_SENT)


@dataclass(frozen=True)
class Opening:
    """Which placement to open, and how.

    - *placement*: its code. *handler*: the bound address; None means the only one.
    - *user_id*: who opens it, by default the administrator.
    - *options*: the placement's own ``PLACEMENT_OPTIONS``. They get a ``URI`` unless they have one.
    - *lang*: the language of the user interface, by default ``en``.
    - *fields*: fields of the body to send instead of the true ones, as a stranger might; None leaves a field out.
    """

    placement: str
    handler: str | None
    user_id: int
    options: Mapping[str, Any]
    lang: str
    fields: Mapping[str, str | None]

    @classmethod
    def parse(cls, body: Mapping[str, Any], data: PortalData) -> Self:
        """Read an opening from a JSON object.

        Raises:
            ValueError: a property is unknown or invalid.
        """
        if unknown := sorted(body.keys() - set(_PROPERTIES)):
            raise ValueError(f"{unknown[0]}: unknown property; the properties are {', '.join(_PROPERTIES)}")
        code, handler, placements = body.get("placement"), body.get("handler"), make_placements(data.types)
        if not isinstance(code, str) or code not in placements:
            raise ValueError("placement: must be a code of placement.list")
        if "handler" in body and not isinstance(handler, str):
            raise ValueError("handler: must be a string")
        user_id = body.get("user", ADMINISTRATOR_ID)
        if not isinstance(user_id, int) or isinstance(user_id, bool) or not _is_active(user_id, data):
            raise ValueError("user: must be the id of an active user")
        options, lang, fields = body.get("options", {}), body.get("lang", "en"), body.get("fields", {})
        if not isinstance(options, dict):
            raise ValueError("options: must be an object")
        if not isinstance(lang, str) or not lang:
            raise ValueError("lang: must be a language, such as en")
        if not isinstance(fields, dict) or any(not isinstance(value, str | None) for value in fields.values()):
            raise ValueError("fields: must be an object whose values are strings or null")
        if not placements[code].sends_data and (given := [name for name in _SENT if name in body]):
            raise ValueError(f"{given[0]}: cannot be sent, because {code} is opened without data")
        return cls(code, handler, user_id, options, lang, fields)


async def open_placement(portal: SandboxPortal, opening: Opening, origin: str) -> dict[str, Any]:
    """Send to the handler what the portal at *origin* sends; return the request with its fields, and the response.

    Redirects are not followed. Values of a repeated header are joined with commas.

    Raises:
        HTTPBadRequest: the opening replaces a field that is not sent.
        HTTPNotFound: no such handler is bound.
        HTTPConflict: several are bound, or the application's installation is not finished.
        HTTPBadGateway: the handler does not answer.
    Source: [docs] api-reference/widgets/index.md, settings/oauth/simple-way.md; methods notes 10.3
    """
    handler = _find_handler(portal, opening)
    if not make_placements(portal.data.types)[opening.placement].sends_data:
        return await _send("GET", handler, {}, {})
    tokens = portal.oauth.issue_tokens(opening.user_id, origin)
    query = {
        "DOMAIN": tokens["domain"],
        "PROTOCOL": "1" if origin.startswith("https:") else "0",
        "LANG": opening.lang,
        "APP_SID": uuid4().hex,
    }
    return await _send("POST", handler, query, _fields(portal, opening, tokens))


async def _send(verb: str, handler: str, query: Mapping[str, str], fields: Mapping[str, str]) -> dict[str, Any]:
    """Send one request to a *handler*, with the *query* added to its own and *fields* in an urlencoded body."""
    try:
        url = URL(handler).extend_query(query)
        async with (
            ClientSession(timeout=ClientTimeout(total=TIMEOUT_S)) as session,
            session.request(verb, url, data=fields or None, allow_redirects=False) as response,
        ):
            answer = {
                "status": response.status,
                "headers": {str(name): ", ".join(response.headers.getall(name)) for name in response.headers},
                "body": await response.text(errors="replace"),
            }
    except (ClientError, TimeoutError, ValueError) as error:
        reason = str(error) or f"no answer within {TIMEOUT_S} s"
        raise web.HTTPBadGateway(text=f"The handler {handler} does not answer: {reason}") from None
    return {"request": {"url": str(url), "fields": fields}, "response": answer}


def _fields(portal: SandboxPortal, opening: Opening, tokens: Mapping[str, Any]) -> dict[str, str]:
    """The fields of the body, with those that the *opening* replaces or leaves out."""
    options = {**opening.options}
    options.setdefault("URI", page_of(opening.placement, options))
    fields: dict[str, str] = {
        "AUTH_ID": tokens["access_token"],
        "AUTH_EXPIRES": str(tokens["expires_in"]),
        "REFRESH_ID": tokens["refresh_token"],
        "SERVER_ENDPOINT": tokens["server_endpoint"],
        "APPLICATION_TOKEN": portal.oauth.application_token,
        "APPLICATION_SCOPE": tokens["scope"],
        "member_id": tokens["member_id"],
        "status": tokens["status"],
        "PLACEMENT": opening.placement,
        "PLACEMENT_OPTIONS": encode_json(options).decode(),
    }
    if unknown := sorted(opening.fields.keys() - fields.keys()):
        raise web.HTTPBadRequest(text=f"fields.{unknown[0]}: unknown field; the fields are {', '.join(fields)}")
    return {name: value for name, value in {**fields, **opening.fields}.items() if value is not None}


def _find_handler(portal: SandboxPortal, opening: Opening) -> str:
    """The address of the handler that the *opening* means, of those for its user."""
    client = portal.application.client_id
    if client in portal.data.unfinished:
        raise web.HTTPConflict(text="the installation of the application is not finished")
    bound = [
        row["HANDLER"]
        for row in portal.data.placement_handlers.values()
        if (row["APP_ID"], row["PLACEMENT"]) == (client, opening.placement)
        and row["USER_ID"] in (0, opening.user_id)
        and opening.handler in (None, row["HANDLER"])
    ]
    if not bound:
        text = f"no handler is bound to {opening.placement}" if opening.handler is None else "handler: is not bound"
        raise web.HTTPNotFound(text=text)
    if len(bound) > 1:
        raise web.HTTPConflict(text=f"handler: must be one of {', '.join(bound)}")
    return str(bound[0])


def _is_active(user_id: int, data: PortalData) -> bool:
    user = data.users.get(user_id)
    return user is not None and as_bool(user["ACTIVE"])
