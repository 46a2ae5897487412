"""Sync runs, in the API and in the requests to the portal."""

from typing import Any

from tests.gateway import Gateway, Sandbox


async def run_of(gateway: Gateway, resource: str, *, account: str = "acme") -> dict[str, Any]:
    """The latest run of *resource* in the API."""
    run: dict[str, Any] = (await gateway.get(f"/bitrix/sync/{resource}", account=account)).json
    return run


def first_bound(sandbox: Sandbox) -> int:
    """The id after which the first recorded user.get reads."""
    params = next(call.params for call in sandbox.portal.seen if call.method == "user.get")
    conditions = params["FILTER"]
    assert isinstance(conditions, dict)
    return int(str(conditions[">ID"]))
