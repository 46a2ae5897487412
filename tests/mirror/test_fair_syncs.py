"""Accounts that sync large lists of one portal share its budget, and callers do not wait for them."""

from dataclasses import replace

import pytest

from gateway.sandbox.settings import SandboxSettings
from tests.gateway import Gateway, Sandbox
from tests.support.records import change_sync, sync_of

DEALS = 20_000
BATCH_ROWS = 2_500  # 50 pages of 50 rows
LONGEST_WAIT_S = 5


@pytest.fixture
def sandbox_settings(sandbox_settings: SandboxSettings) -> SandboxSettings:
    return replace(sandbox_settings, deals=DEALS)


async def test_two_large_syncs_advance_together_and_callers_are_answered(gateway: Gateway, sandbox: Sandbox) -> None:
    for account in ("acme", "other"):
        await gateway.connect(sandbox.webhook, account=account)
    await gateway.clock.advance(600)
    await gateway.restart(GATEWAY_BUCKET_CAPACITY="4", GATEWAY_BUCKET_LEAK_PER_S="0.5")
    for account in ("acme", "other"):
        await change_sync(gateway, "deals", account=account, enabled=True)
    compared = 0
    for _ in range(200):
        runs = [await sync_of(gateway, "deals", account=account) for account in ("acme", "other")]
        if all(run["state"] == "done" for run in runs):
            break
        if all(run["state"] == "running" for run in runs):
            compared += 1
            assert abs(runs[0]["rows"] - runs[1]["rows"]) <= 2 * BATCH_ROWS
        began = gateway.clock.monotonic()
        called = await gateway.clock.until(gateway.post("/bitrix/call/profile", json={}))
        assert called.status == 200
        assert gateway.clock.monotonic() - began <= LONGEST_WAIT_S
        await gateway.clock.advance(2)
    assert [run["rows"] for run in runs] == [DEALS, DEALS]
    assert compared >= 5
    assert sandbox.portal.refusals["QUERY_LIMIT_EXCEEDED"] == 0
