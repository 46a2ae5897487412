"""Accounts that sync large lists of one portal share its budget, and callers do not wait for them."""

from dataclasses import replace

import pytest

from gateway.sandbox.settings import SandboxSettings
from tests.gateway import Gateway, Sandbox
from tests.support.records import change_sync, sync_of

DEALS = 12_000


@pytest.fixture
def sandbox_settings(sandbox_settings: SandboxSettings) -> SandboxSettings:
    return replace(sandbox_settings, deals=DEALS)


async def test_two_large_syncs_advance_together_and_callers_are_answered(gateway: Gateway, sandbox: Sandbox) -> None:
    for account in ("acme", "other"):
        await gateway.connect(sandbox.webhook, account=account)
    await gateway.clock.advance(600)
    await gateway.restart(GATEWAY_BUCKET_CAPACITY="4")
    for account in ("acme", "other"):
        await change_sync(gateway, "deals", account=account, enabled=True)
    shared = []  # the rows that both have read, while both read
    for _ in range(200):
        runs = [await sync_of(gateway, "deals", account=account) for account in ("acme", "other")]
        if all(run["state"] == "running" and run["rows"] for run in runs):
            shared.append([run["rows"] for run in runs])
        elif all(run["state"] == "done" for run in runs):
            break
        called = await gateway.clock.until(gateway.post("/bitrix/call/profile", json={}))
        assert called.status == 200  # within GATEWAY_MAX_WAIT_S
        await gateway.clock.advance(2)
    assert [run["rows"] for run in runs] == [DEALS, DEALS]
    first, other = (last - begin for begin, last in zip(shared[0], shared[-1], strict=True))
    assert first > DEALS / 4
    assert 0.5 <= first / other <= 2
    assert sandbox.portal.refusals["QUERY_LIMIT_EXCEEDED"] == 0
