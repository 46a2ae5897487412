"""The identity of portals: by member_id if it is known, else by host. Accounts, rows and rules follow it."""

import pytest

from tests.clock import ManualClock
from tests.gateway import RESOURCES, Gateway, Sandbox, authorize, serve_sandbox
from tests.support.stored import select

ACCOUNT = "/bitrix/account"
RULES = {
    "PerformerID": "1",
    "PipelineID": 0,
    "TypeID": "",
    "StageID": "C1:NEW",
    "SourceID": "",
    "FieldsRule": {},
    "TagsToAdd": {},
    "LeadFlag": False,
    "StatusID": "",
}


async def own_ids(gateway: Gateway, resource: str = "users", *, account: str = "acme") -> list[int]:
    return [row["id" if "id" in row else "ID"] for row in await gateway.rows(resource, account=account)]


async def account_ids(gateway: Gateway, *, account: str = "acme") -> set[str]:
    """Return every accountID in the account's lists."""
    return {row["accountID"] for name in RESOURCES for row in await gateway.rows(name, account=account)}


async def test_rows_show_the_host_until_the_member_id_is_known(connected: Gateway, sandbox: Sandbox) -> None:
    assert await account_ids(connected) == {sandbox.host}
    assert (await connected.get(ACCOUNT)).json["bitrixID"] == sandbox.host


@pytest.mark.parametrize("learner", ["acme", "beta"])
async def test_learning_the_member_id_changes_all_responses_but_no_row_id(
    connected: Gateway, sandbox: Sandbox, learner: str
) -> None:
    await connected.post("/bitrix/rules/7", json=RULES)
    ids = {name: await own_ids(connected, name) for name in RESOURCES}
    tags = {name: (await connected.get(f"/bitrix/{name}")).headers["ETag"] for name in RESOURCES}
    assert (await authorize(connected, sandbox, account=learner)).status == 302
    assert await account_ids(connected) == {sandbox.portal.member_id}
    for name in RESOURCES:
        answer = await connected.get(f"/bitrix/{name}", headers={"If-None-Match": tags[name]})
        assert answer.status == 200
        assert answer.headers["ETag"] != tags[name]
        assert await own_ids(connected, name) == ids[name]
    assert (await connected.get("/bitrix/rules/7")).json["accountID"] == sandbox.portal.member_id
    assert (await connected.get(ACCOUNT)).json["bitrixID"] == sandbox.portal.member_id
    await connected.synced(account=learner)


async def test_the_member_id_survives_a_restart(connected: Gateway, sandbox: Sandbox) -> None:
    await authorize(connected, sandbox, account="beta")
    await connected.synced(account="beta")
    await connected.restart()
    assert await account_ids(connected) == {sandbox.portal.member_id}


async def test_a_webhook_works_after_another_account_connects_its_portal(connected: Gateway, sandbox: Sandbox) -> None:
    await authorize(connected, sandbox, account="beta")
    await connected.synced(account="beta")
    assert [run["state"] for run in await connected.sync(*RESOURCES)] == ["done"] * 4
    assert select(connected, "SELECT count(*) FROM portals") == [(1,)]


async def test_a_host_learned_by_oauth_merges_the_row_of_a_webhook(gateway: Gateway, sandbox: Sandbox) -> None:
    """The portal is known by its first address. A webhook, then an authorization, uses the second one."""
    await authorize(gateway, sandbox, account="first")
    await gateway.synced(account="first")
    async with serve_sandbox(sandbox.portal) as renamed:
        await gateway.restart(GATEWAY_OAUTH_SERVERS=f"{sandbox.host},{renamed.host}")
        await gateway.connect(renamed.webhook)
        ids = await own_ids(gateway)
        assert await account_ids(gateway) == {renamed.host}
        assert (await authorize(gateway, renamed, account="beta")).status == 302
        await gateway.synced(account="beta")
        assert await account_ids(gateway) == {sandbox.portal.member_id}
        assert await own_ids(gateway) == ids
        assert select(gateway, "SELECT host, member_id FROM portals") == [(renamed.host, sandbox.portal.member_id)]
        for account in ("acme", "beta", "first"):
            shown = (await gateway.get(ACCOUNT, account=account)).json
            assert (shown["subdomain"], shown["bitrixID"]) == (renamed.host, sandbox.portal.member_id)


async def test_rows_that_a_running_sync_stores_after_a_merge_are_served(
    gateway: Gateway, sandbox: Sandbox, clock: ManualClock
) -> None:
    await authorize(gateway, sandbox, account="first")
    await gateway.synced(account="first")
    async with serve_sandbox(sandbox.portal) as renamed:
        await gateway.restart(GATEWAY_OAUTH_SERVERS=f"{sandbox.host},{renamed.host}")
        await gateway.connect(renamed.webhook)
        assert (await gateway.get("/bitrix/users?size=100")).json["count"] == 60
        del sandbox.portal.data.users[max(sandbox.portal.data.users)]
        sandbox.portal.hold("user.get")
        await gateway.patch("/bitrix/users")
        await clock.advance(1)
        await authorize(gateway, renamed, account="beta")
        assert (await gateway.get("/bitrix/users?size=100")).json["count"] == 60
        sandbox.portal.release("user.get")
        assert [run["state"] for run in await gateway.synced("users")] == ["done"]
        assert (await gateway.get("/bitrix/users?size=100")).json["count"] == 59
        await gateway.synced(account="beta")


async def test_a_renamed_portal_is_the_same_portal(gateway: Gateway, sandbox: Sandbox) -> None:
    await authorize(gateway, sandbox)
    await gateway.synced()
    await gateway.post("/bitrix/rules/7", json=RULES)
    ids, rule = await own_ids(gateway), (await gateway.get("/bitrix/rules/7")).json
    async with serve_sandbox(sandbox.portal) as renamed:
        await gateway.restart(GATEWAY_OAUTH_SERVERS=f"{sandbox.host},{renamed.host}")
        assert (await authorize(gateway, renamed)).status == 302
        await gateway.synced()
        assert await own_ids(gateway) == ids
        assert (await gateway.get("/bitrix/rules/7")).json == rule
        account = (await gateway.get(ACCOUNT)).json
        assert (account["subdomain"], account["bitrixID"]) == (renamed.host, sandbox.portal.member_id)
        again = await gateway.post(ACCOUNT, json={"client_bitrix_url": renamed.origin})
        assert (again.json["stale"], "authorizeURL" in again.json) == (False, False)
    assert select(gateway, "SELECT count(*) FROM portals") == [(1,)]


async def test_a_refresh_updates_the_portals_address(gateway: Gateway, sandbox: Sandbox, clock: ManualClock) -> None:
    await authorize(gateway, sandbox)
    await gateway.synced()
    async with serve_sandbox(sandbox.portal) as renamed:
        sandbox.portal.fault(f"oauth.token:client_endpoint={renamed.origin}/rest/*")
        await clock.advance(3600)
        assert [run["error"] for run in await gateway.sync("users")] == [None]
        assert (await gateway.get(ACCOUNT)).json["subdomain"] == renamed.host
        sandbox.portal.oauth.revoke_refresh_tokens()
        sandbox.portal.oauth.expire_access_tokens()
        await gateway.sync("users")
        refused = await gateway.patch("/bitrix/users")
        assert refused.json.startswith(f"authorize again: {renamed.origin}/oauth/authorize/")


async def test_an_address_reused_by_another_portal_does_not_affect_the_first(
    gateway: Gateway, sandbox: Sandbox, other: Sandbox
) -> None:
    await authorize(gateway, sandbox)
    await gateway.synced()
    ids = await own_ids(gateway)
    other.portal.fault(f"oauth.token:client_endpoint={sandbox.origin}/rest/")
    assert (await authorize(gateway, other, account="beta")).status == 302
    await gateway.synced(account="beta")
    assert await own_ids(gateway) == ids
    assert await account_ids(gateway) == {sandbox.portal.member_id}
    assert (await gateway.get(ACCOUNT, account="beta")).json["bitrixID"] == other.portal.member_id
    assert [run["error"] for run in await gateway.sync("users")] == [None]


@pytest.mark.parametrize("way", ["webhook", "oauth"])
async def test_an_account_that_moves_back_has_its_rows_and_rules_again(
    gateway: Gateway, sandbox: Sandbox, other: Sandbox, way: str
) -> None:
    async def move(to: Sandbox) -> None:
        if way == "webhook":
            await gateway.connect(to.webhook)
        else:
            assert (await authorize(gateway, to)).status == 302
            await gateway.synced()

    await move(sandbox)
    account = (await gateway.get(ACCOUNT)).json["id"]
    await gateway.post("/bitrix/rules/7", json=RULES)
    ids, rule = {name: await own_ids(gateway, name) for name in RESOURCES}, (await gateway.get("/bitrix/rules/7")).json

    await move(other)
    assert (await gateway.get(ACCOUNT)).json["id"] == account
    assert {row["bitrixUserID"] for row in await gateway.rows("users")} == {
        row["ID"] for row in other.portal.data.users.values()
    }
    assert set(await own_ids(gateway)).isdisjoint(ids["users"])
    assert (await gateway.get("/bitrix/rules/7")).status == 404
    assert (await gateway.post("/bitrix/rules/7", json=RULES)).status == 200

    await move(sandbox)
    assert {name: await own_ids(gateway, name) for name in RESOURCES} == ids
    assert (await gateway.get("/bitrix/rules/7")).json == rule


async def test_a_move_hides_everything_of_the_previous_portal(connected: Gateway, other: Sandbox) -> None:
    tag = (await connected.get("/bitrix/users")).headers["ETag"]
    other.portal.hold("batch")
    assert (await authorize(connected, other)).status == 302
    page = await connected.get("/bitrix/users", headers={"If-None-Match": tag})
    assert (page.status, page.json) == (200, {"count": 0, "items": []})
    assert (await connected.get("/bitrix/steps")).status == 404
    assert {run["rows"] for run in (await connected.get("/bitrix/sync")).json["items"]} == {0}


async def test_a_move_erases_the_credential_and_ends_the_running_sync(
    gateway: Gateway, sandbox: Sandbox, other: Sandbox, clock: ManualClock
) -> None:
    sandbox.portal.hold("user.get")
    await gateway.post(ACCOUNT, json={"client_bitrix_url": sandbox.webhook})
    await clock.advance(1)
    (before,) = select(gateway, "SELECT sealed FROM accounts")
    assert (await authorize(gateway, other)).status == 302
    sandbox.portal.release("user.get")
    requests = sandbox.portal.http_requests
    await gateway.synced()
    await clock.advance(300)
    assert sandbox.portal.http_requests == requests
    (after,) = select(gateway, "SELECT kind, sealed, stale FROM accounts")
    assert (after[0], after[1] != before[0], after[2]) == ("oauth", True, 0)


async def test_two_accounts_on_one_portal_share_its_limit(gateway: Gateway, sandbox: Sandbox) -> None:
    await gateway.connect(sandbox.webhook)
    await authorize(gateway, sandbox, account="beta")
    await gateway.synced(account="beta")
    for _ in range(5):
        await gateway.sync(*RESOURCES)
        await gateway.sync(*RESOURCES, account="beta")
    assert sandbox.portal.refusals["QUERY_LIMIT_EXCEEDED"] == 0


async def test_accounts_on_two_portals_with_equal_ids_are_separate(
    gateway: Gateway, sandbox: Sandbox, other: Sandbox
) -> None:
    await gateway.connect(sandbox.webhook)
    await gateway.connect(other.webhook, account="beta")
    assert await account_ids(gateway) == {sandbox.host}
    assert await account_ids(gateway, account="beta") == {other.host}
    await gateway.delete(ACCOUNT)
    assert len(await own_ids(gateway, account="beta")) == len(other.portal.data.users)
