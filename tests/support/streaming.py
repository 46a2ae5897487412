"""Streams that are resumed."""

from tests.gateway import Gateway, Streamed


async def resumed_ids(gateway: Gateway, first: Streamed, resource: str = "deals") -> list[int]:
    """The ids of *first*, which ended early, and of a second stream that starts at its cursor."""
    rest = await gateway.stream(resource, cursor=first.end["cursor"])
    assert rest.end["complete"] is True
    assert all(row_id <= first.end["cursor"] for row_id in first.ids)
    return first.ids + rest.ids
