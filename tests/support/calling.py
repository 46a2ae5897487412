"""Calls of portal methods, and parts of their responses."""

from typing import Any

from tests.gateway import Answer, Gateway

WRITE = "crm.deal.update"


async def call(gateway: Gateway, method: str, params: object = None, **options: Any) -> Answer:
    """The response to a call; the clock advances while it waits."""
    json = {} if params is None else params
    return await gateway.clock.until(gateway.post(f"/bitrix/call/{method}", json=json, **options))


def refusal(answer: Answer) -> tuple[int, str]:
    """The status and code of a problem response."""
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert answer.json["status"] == answer.status
    return answer.status, answer.json["code"]


def place(answer: Answer) -> str:
    """The pointer or parameter of a problem with a single error."""
    (error,) = answer.json["errors"]
    return str(error.get("pointer", error.get("parameter")))
