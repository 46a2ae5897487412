"""Calls of portal methods, and parts of their responses."""

from typing import Any

from tests.gateway import Answer, Gateway

WRITE = "crm.deal.update"


async def post(gateway: Gateway, path: str, body: object = None, **options: Any) -> Answer:
    """POST *body*, by default an empty object, to `/bitrix/` + *path*; the clock advances while the request waits."""
    json = {} if body is None else body
    return await gateway.clock.until(gateway.post(f"/bitrix/{path}", json=json, **options))


async def call(gateway: Gateway, method: str, params: object = None, **options: Any) -> Answer:
    """Call a method of REST 2 through the gateway."""
    return await post(gateway, f"call/{method}", params, **options)


async def call3(gateway: Gateway, method: str, body: object = None, **options: Any) -> Answer:
    """Call a method of REST 3.0 through the gateway."""
    return await post(gateway, f"v3/{method}", body, **options)


async def batch(gateway: Gateway, commands: object, **options: Any) -> Answer:
    """Run a batch through the gateway."""
    return await post(gateway, "batch", {"commands": commands, **options})


def refusal(answer: Answer) -> tuple[int, str]:
    """The status and code of a problem response."""
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert answer.json["status"] == answer.status
    return answer.status, answer.json["code"]


def place(answer: Answer) -> str:
    """The pointer or parameter of a problem with a single error."""
    (error,) = answer.json["errors"]
    return str(error.get("pointer", error.get("parameter")))
