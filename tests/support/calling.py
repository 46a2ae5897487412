"""Calls of a portal's methods, and what is read from their answers."""

from typing import Any

from tests.gateway import Answer, Gateway

WRITE = "crm.deal.update"


async def call(gateway: Gateway, method: str, params: object = None, **options: Any) -> Answer:
    """What a call brings, with our clock moved on for as long as it waits."""
    json = {} if params is None else params
    return await gateway.clock.until(gateway.post(f"/bitrix/call/{method}", json=json, **options))


def refusal(answer: Answer) -> tuple[int, str]:
    """The status and the code of a problem."""
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert answer.json["status"] == answer.status
    return answer.status, answer.json["code"]


def place(answer: Answer) -> str:
    """Where the one broken rule was broken."""
    (error,) = answer.json["errors"]
    return str(error.get("pointer", error.get("parameter")))
