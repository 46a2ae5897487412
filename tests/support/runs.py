"""Sync runs, as they are shown and as the portal sees them."""

from typing import Any

from tests.gateway import Gateway, Sandbox


async def run_of(gateway: Gateway, resource: str, *, account: str = "acme") -> dict[str, Any]:
    """The latest run of *resource*, as it is shown."""
    run: dict[str, Any] = (await gateway.get(f"/bitrix/sync/{resource}", account=account)).json
    return run


def first_bound(sandbox: Sandbox) -> int:
    """The id beyond which the first user.get of those seen asks."""
    params = next(call.params for call in sandbox.portal.seen if call.method == "user.get")
    conditions = params["FILTER"]
    assert isinstance(conditions, dict)
    return int(str(conditions[">ID"]))
