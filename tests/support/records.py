"""Helpers for tests of mirrored CRM records."""

import re
from collections.abc import Mapping
from typing import Any

from gateway.sandbox.content.changes import Change
from tests.gateway import Answer, Gateway, Sandbox
from tests.support.stored import select

ALL_RECORDS = ("leads", "deals", "contacts", "companies", "quotes", "invoices", "items/128")
MODIFIED = {"invoices": "UPDATED_TIME", "items/128": "UPDATED_TIME"}  # in the sandbox's tables; else DATE_MODIFY


async def enable(gateway: Gateway, *resources: str, account: str = "acme") -> None:
    """Mirror *resources*, and wait for the end of their first sync."""
    for resource in resources:
        await change_sync(gateway, resource, account=account, enabled=True)
    for run in await gateway.synced(*resources, account=account):
        assert (run["state"], run["error"]) == ("done", None), run


async def change_sync(
    gateway: Gateway, resource: str, *, account: str = "acme", status: int = 200, **settings: object
) -> dict[str, Any]:
    """Change the settings of a sync; return the answer's JSON."""
    names = {"interval_s": "intervalSeconds"}
    body = {names.get(name, name): value for name, value in settings.items()}
    answer = await gateway.clock.until(gateway.request("PUT", f"/bitrix/sync/{resource}", account=account, json=body))
    assert answer.status == status, answer.body
    found: dict[str, Any] = answer.json
    return found


async def sync_of(gateway: Gateway, resource: str, *, account: str = "acme") -> dict[str, Any]:
    """The state of a sync."""
    found: dict[str, Any] = (await gateway.get(f"/bitrix/sync/{resource}", account=account)).json
    return found


async def sync_again(gateway: Gateway, resource: str, mode: str = "", *, account: str = "acme") -> dict[str, Any]:
    """Run one sync of *resource* to its end; return its run, which has succeeded."""
    answer = await gateway.patch(f"/bitrix/{resource}{mode and f'?mode={mode}'}", account=account)
    assert answer.status == 200, answer.body
    (run,) = await gateway.synced(resource, account=account)
    assert (run["state"], run["error"]) == ("done", None), run
    return run


def resource_of(template: str) -> str:
    """The name of records that have the address *template* of the API."""
    return "contacts" if re.search(r"/\{id\}/(companies|deals|addresses)", template) else "deals"


def change(sandbox: Sandbox, table: str, edited: Mapping[int, Mapping[str, Any]] = {}, *, removed: Any = ()) -> None:
    """Change rows of the portal as a person would: the rows are modified now."""
    sandbox.portal.change(Change(table, {row_id: dict(row) for row_id, row in edited.items()}, tuple(removed)))


def portal_ids(sandbox: Sandbox, table: str) -> list[int]:
    """The ids of all rows of a table of the portal."""
    return list(sandbox.portal.data.tables[table])


async def page(gateway: Gateway, path: str, *, account: str = "acme") -> Answer:
    """A page that is served."""
    answer = await gateway.get(path, account=account)
    assert answer.status == 200, answer.body
    return answer


async def purged(gateway: Gateway) -> None:
    """Wait until no records are stored."""
    while select(gateway, "SELECT count(*) FROM mirror_rows WHERE changed IS NOT NULL") != [(0,)]:
        await gateway.clock.sleep(0.1)


async def held(gateway: Gateway, sandbox: Sandbox, method: str) -> None:
    """Wait until the portal holds a call of *method*."""
    calls = sandbox.portal.seen
    while not any(call.method == method for call in calls):
        await gateway.clock.sleep(0.1)
