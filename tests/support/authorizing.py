"""Authorizes an account on the portal's page, as a person does."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.gateway import NO_TOKEN, Answer, Gateway, Sandbox, callback_path
from tests.support.stored import credentials

ACCOUNT = "/bitrix/account"
CALLBACK = "/webhook/create"
RETURN = "https://app.example.com/done?from=bitrix#top"


async def way_back(gateway: Gateway, sandbox: Sandbox, *, account: str = "acme", **body: str) -> dict[str, str]:
    """Connect *account*, allow the access, and return the parameters of the portal's redirect to the gateway."""
    answer = await gateway.post(ACCOUNT, account=account, json={"client_bitrix_url": sandbox.origin, **body})
    return dict(parse_qsl(urlsplit(await callback_path(gateway, answer.json["authorizeURL"])).query))


async def come_back(gateway: Gateway, query: dict[str, str]) -> Answer:
    return await gateway.get(f"{CALLBACK}?{urlencode(query)}", token=NO_TOKEN)


def decoded(state: str) -> dict[str, object]:
    body: dict[str, object] = json.loads(urlsafe_b64decode(state + "=" * (-len(state) % 4)))
    return body


def encoded(body: object) -> str:
    return urlsafe_b64encode(json.dumps(body).encode()).decode()


async def is_untouched(gateway: Gateway, sandbox: Sandbox) -> bool:
    """Whether the gateway stored no credential and called no portal."""
    account = (await gateway.get(ACCOUNT)).json
    quiet = not sandbox.portal.token_requests and not sandbox.portal.http_requests
    return account["stale"] and account["bitrixID"] == "" and credentials(gateway) == 0 and quiet
