"""Placements of installed widgets, opened as a portal does."""

from base64 import urlsafe_b64decode
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import orjson
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from tests.gateway import NO_TOKEN, Answer, Gateway, Sandbox
from tests.support.stored import select

KEYS = "/widgets/keys"
TAB = "CRM_DEAL_DETAIL_TAB"
FORM = "application/x-www-form-urlencoded"
QUERY = "DOMAIN=portal.example&PROTOCOL=1&LANG=ru&APP_SID=5552d735db7b7b4d5c16dd9c272bfe7d"


def handler_of(gateway: Gateway, code: str) -> str:
    """Return the path of the handler of an installed widget that has one placement."""
    ((handler,),) = select(
        gateway,
        f"""SELECT p.handler FROM widget_placements AS p JOIN widget_installations AS i USING (installation_id)
        JOIN widgets AS w USING (widget_id) WHERE w.code = '{code}'""",
    )
    return str(handler).removeprefix(gateway.origin)


def posted(
    sandbox: Sandbox, fields: Mapping[str, str | None] = MappingProxyType({}), *, user: int = 1
) -> dict[str, str]:
    """What a portal posts if *user* opens the tab; *fields* replaces fields, None leaves one out."""
    tokens = sandbox.portal.oauth.issue_tokens(user, sandbox.origin)
    form: dict[str, str | None] = {
        "AUTH_ID": tokens["access_token"],
        "AUTH_EXPIRES": "3600",
        "REFRESH_ID": tokens["refresh_token"],
        "SERVER_ENDPOINT": tokens["server_endpoint"],
        "APPLICATION_TOKEN": sandbox.portal.oauth.application_token,
        "APPLICATION_SCOPE": tokens["scope"],
        "member_id": tokens["member_id"],
        "status": "L",
        "PLACEMENT": TAB,
        "PLACEMENT_OPTIONS": '{"ID":"8061","URI":"\\/crm\\/deal\\/details\\/8061\\/"}',
        **fields,
    }
    return {name: value for name, value in form.items() if value is not None}


async def post_form(gateway: Gateway, path: str, form: Mapping[str, str]) -> Answer:
    """Post a form as a portal does, while the clock advances."""
    body = urlencode(form).encode()
    return await gateway.clock.until(
        gateway.post(f"{path}?{QUERY}", token=NO_TOKEN, data=body, headers={"Content-Type": FORM})
    )


def context_in(answer: Answer) -> str:
    """The context in the address to which a browser is redirected."""
    assert answer.status == 303, answer.body
    return dict(parse_qsl(urlsplit(answer.headers["Location"]).query))["context"]


async def verified(gateway: Gateway, context: str) -> dict[str, Any]:
    """The claims of a *context*, if the key that the gateway publishes has signed it, and it is still valid."""
    head, claims, signature = context.split(".")
    header = orjson.loads(decoded(head))
    (key,) = [each for each in (await gateway.get(KEYS, token=NO_TOKEN)).json["keys"] if each["kid"] == header["kid"]]
    assert (header["alg"], key["alg"]) == ("ES256", "ES256")
    x, y, r, s = (
        int.from_bytes(number)
        for number in (decoded(key["x"]), decoded(key["y"]), decoded(signature)[:32], decoded(signature)[32:])
    )
    public = EllipticCurvePublicNumbers(x, y, SECP256R1()).public_key()
    public.verify(encode_dss_signature(r, s), f"{head}.{claims}".encode(), ECDSA(SHA256()))
    content: dict[str, Any] = orjson.loads(decoded(claims))
    if gateway.clock.now() >= content["exp"]:
        raise Expired
    return content


class Expired(Exception):
    """The context is not valid any more."""


def decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
