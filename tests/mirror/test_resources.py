"""Which lists are mirrored after an account is connected."""

from tests.gateway import RESOURCES, Gateway, Sandbox, authorize


async def test_an_account_connected_by_webhook_is_mirrored_at_once(gateway: Gateway, sandbox: Sandbox) -> None:
    await gateway.connect(sandbox.webhook)
    runs = await gateway.synced()
    assert {run["resource"]: run["state"] for run in runs} == dict.fromkeys(RESOURCES, "done")
    assert {row["bitrixUserID"] for row in await gateway.rows("users")} == {
        row["ID"] for row in sandbox.portal.data.users.values()
    }


async def test_an_account_connected_by_oauth_is_mirrored_at_once(gateway: Gateway, sandbox: Sandbox) -> None:
    answer = await authorize(gateway, sandbox)
    assert (answer.status, answer.headers["Location"]) == (302, "/connected")
    runs = await gateway.synced()
    assert [run["error"] for run in runs] == [None] * 4
    assert len(await gateway.rows("users")) == len(sandbox.portal.data.users)
