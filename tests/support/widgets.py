"""Callers of the widgets' addresses, and manifests."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson
from jose import jwt

from tests.canaries import WATCH
from tests.gateway import JWT_SECRET, Answer, Gateway, HttpVerbs

WIDGETS = "/api/v4/widgets"
EXAMPLES = Path(__file__).parents[1] / "data" / "contract" / "examples"
TEXT_FIELD = {"key": "login", "name": "Логин", "type": "text", "is_required": True}


@dataclass(frozen=True)
class Person(HttpVerbs):
    """A caller: a user of *account*, perhaps an administrator, by the integration *client_uuid* if that is given."""

    gateway: Gateway
    user: object = 5
    admin: object = False
    client_uuid: str | None = None
    account: str = "acme"

    @cached_property
    def token(self) -> str:
        claims = {
            "account_id": self.account,
            "user_id": self.user,
            "admin": self.admin,
            "client_uuid": self.client_uuid,
        }
        token = jwt.encode({name: value for name, value in claims.items() if value is not None}, JWT_SECRET)
        WATCH.secret("a caller's token", token.rpartition(".")[2])
        return token

    async def request(self, method: str, path: str, **options: Any) -> Answer:
        return await self.gateway.request(method, path, token=self.token, **options)

    async def put(self, path: str, **options: Any) -> Answer:
        return await self.request("PUT", path, **options)

    async def add(self, code: str, **properties: Any) -> Any:
        """Add a widget, and return it."""
        answer = await self.post(WIDGETS, json=manifest(code, **properties))
        assert answer.status == 201, answer.body
        return answer.json

    async def install(self, code: str, settings: object = None) -> Any:
        """Install a widget, and return it."""
        answer = await self.post(f"{WIDGETS}/{code}", json={} if settings is None else settings)
        assert answer.status == 200, answer.body
        return answer.json

    async def widget(self, code: str) -> Any:
        """Return a widget that the person may see."""
        answer = await self.get(f"{WIDGETS}/{code}")
        assert answer.status == 200, answer.body
        return answer.json

    async def codes(self, query: str = "limit=250") -> list[str]:
        """Return the codes of a page."""
        answer = await self.get(f"{WIDGETS}?{query}")
        assert answer.status == 200, answer.body
        return [each["code"] for each in answer.json["_embedded"]["widgets"]]

    def but(self, **changes: Any) -> "Person":
        """Return another person who differs in *changes*."""
        return replace(self, **changes)


def manifest(code: str = "asterisk", **properties: Any) -> dict[str, Any]:
    """Return a manifest; the properties that every manifest needs have some value."""
    return {"code": code, "version": "1.0.0", "name": "Телефония", **properties}


def example(name: str) -> Any:
    """Return a documented example of the contract."""
    return orjson.loads((EXAMPLES / f"amocrm-{name}.json").read_bytes())


def manifest_of(widget: dict[str, Any], **properties: Any) -> dict[str, Any]:
    """Return the manifest of a documented widget."""
    shown = {name: value for name, value in widget.items() if name not in NOT_IN_MANIFESTS}
    return {**shown, "name": widget["code"], **properties}


NOT_IN_MANIFESTS = ("id", "is_active_in_account", "pipeline_id", "settings", "_links")


def broken_rules(answer: Answer) -> list[tuple[str, str]]:
    """Return the paths and codes of the rules that a request breaks."""
    assert answer.status == 400, answer.body
    (request,) = answer.json["validation-errors"]
    assert request["request_id"] == "0"
    return [(error["path"], error["code"]) for error in request["errors"]]
