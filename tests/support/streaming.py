"""Streams that are resumed or refused."""

from typing import Any

from tests.gateway import Gateway, Streamed


async def resumed_ids(gateway: Gateway, first: Streamed, resource: str = "deals") -> list[int]:
    """The ids of *first*, which ended early, and of a second stream that starts at its cursor."""
    rest = await gateway.stream(resource, cursor=first.end["cursor"])
    assert rest.end["complete"] is True
    assert all(row_id <= first.end["cursor"] for row_id in first.ids)
    return first.ids + rest.ids


async def refused_stream(gateway: Gateway, path: str, status: int) -> dict[str, Any]:
    """The problem with which the gateway refuses `/bitrix/stream/` + *path*."""
    answer = await gateway.clock.until(gateway.get(f"/bitrix/stream/{path}"))
    assert answer.status == status, answer.body
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json
    return problem
