"""The caller's account: connect, show, move, delete."""

from io import BytesIO
from typing import Any

import pytest

from tests.gateway import RESOURCES, Gateway, Sandbox, authorize
from tests.support.stored import credentials, select

ACCOUNT = "/bitrix/account"
NOT_CONNECTED = "account not found"
CLOUD = "https://example.bitrix24.ru"
PROPERTIES = {"id", "accountID", "bitrixID", "deleted", "createdAt", "subdomain", "stale"}
PROPERTIES |= {"state", "since", "reason", "reasonCode"}

NO_URL = [
    "not a url",
    "",
    "example.bitrix24.ru",
    "//example.bitrix24.ru",
    "javascript:alert(1)",
    "file:///etc/passwd",
    "ftp://example.bitrix24.ru",
    "https://",
    "https:///crm/",
    "https://example.bitrix24.ru:99999",
    "https://example.bitrix24.ru:port",
    "https://user@example.bitrix24.ru",
    "https://user:password@example.bitrix24.ru",
    "https://exa mple.bitrix24.ru",
    "https://example.bitrix24.ru\n",
    "https://example.bitrix24.ru\\@evil.example",
    "https://[::1",
    "https://" + "a" * 300 + ".ru",
    "https://" + "a." * 200_000 + "ru",
]
PRIVATE = [
    "http://example.bitrix24.ru",
    "https://127.0.0.1",
    "https://10.0.0.5/",
    "https://192.168.1.1/rest/1/abcdef/",
    "https://169.254.169.254/rest/1/abcdef/",
    "https://[::1]",
    "https://[::ffff:10.0.0.1]",
    "https://localhost",
    "https://2130706433",
    "https://0x7f.1",
    "https://127.1",
    "https://intranet",
]
NO_WEBHOOK = ["/rest/", "/rest/1/", "/rest/one/code/", "/rest/1/co-de/", "/rest/1/code/a/b", "/rest/1/code//x/y"]
NO_WEBHOOK += ["/portal/rest/1/code/", "/portal/rest/1/code", "/REST/1/code/", "/rest/api/1/code/", "/#/rest/1/code/"]
NO_OBJECT = [b"", b"{", b"null", b"[]", b'"https://example.bitrix24.ru"', b"7", b"\xff", b'{"client_bitrix_url": NaN}']


async def post(gateway: Gateway, url: Any, **body: Any) -> Any:
    return await gateway.post(ACCOUNT, json={"client_bitrix_url": url, **body})


async def test_a_new_account_is_not_found(gateway: Gateway) -> None:
    answer = await gateway.get(ACCOUNT)
    assert (answer.status, answer.json) == (404, NOT_CONNECTED)


async def test_a_connected_account_is_pending_until_it_is_authorized(gateway: Gateway) -> None:
    connected = await post(gateway, CLOUD)
    assert connected.status == 200
    assert set(connected.json) == PROPERTIES | {"authorizeURL"}
    assert connected.json["authorizeURL"].startswith(f"{CLOUD}/oauth/authorize/?client_id=app.sandbox&state=")
    shown = (await gateway.get(ACCOUNT)).json
    assert shown == {name: connected.json[name] for name in PROPERTIES}
    assert shown["accountID"] == "acme"
    assert shown["subdomain"] == "example"
    assert (shown["bitrixID"], shown["deleted"], shown["stale"]) == ("", False, True)
    assert shown["createdAt"] == "2027-01-15T08:00:00Z"


@pytest.mark.parametrize(
    "url",
    [
        f"{CLOUD}/",
        f"{CLOUD}/crm/deal/list/?a=b#c",
        f"{CLOUD}:443",
        "https://EXAMPLE.Bitrix24.ru",
        "HTTPS://example.bitrix24.ru/restaurant/",
    ],
)
async def test_all_addresses_of_a_portal_connect_the_same_portal(gateway: Gateway, url: str) -> None:
    assert (await post(gateway, url)).json["subdomain"] == "example"
    assert select(gateway, "SELECT host FROM portals") == [("example.bitrix24.ru",)]


@pytest.mark.parametrize(
    ("url", "subdomain"),
    [
        ("https://acme-north.bitrix24.com", "acme-north"),
        ("https://shop.bitrix24.com.br", "shop"),
        ("https://crm.example.com", "crm.example.com"),
        ("https://a.b.bitrix24.ru", "a.b.bitrix24.ru"),
        ("https://bitrix24.ru", "bitrix24.ru"),
        ("https://crm.example.com:8443", "crm.example.com:8443"),
    ],
)
async def test_the_subdomain_of_a_cloud_portal_is_its_name(gateway: Gateway, url: str, subdomain: str) -> None:
    assert (await post(gateway, url)).json["subdomain"] == subdomain


@pytest.mark.parametrize("url", [None, 7, 1.5, True, [CLOUD], {"url": CLOUD}])
async def test_an_address_of_another_json_type_is_refused(gateway: Gateway, url: object) -> None:
    answer = await post(gateway, url)
    assert answer.status == 400
    assert answer.json.startswith("client_bitrix_url: must be a string")
    assert (await gateway.get(ACCOUNT)).status == 404


@pytest.mark.parametrize("url", NO_URL, ids=lambda url: repr(url[:40]))
async def test_an_invalid_address_is_refused(gateway: Gateway, url: str) -> None:
    answer = await post(gateway, url)
    assert answer.status == 400
    assert answer.json.startswith("client_bitrix_url: ")
    assert len(answer.json) < 300
    assert (await gateway.get(ACCOUNT)).status == 404


async def test_by_default_only_public_https_addresses_are_connected(gateway: Gateway) -> None:
    await gateway.restart(GATEWAY_INSECURE_PORTALS="0", GATEWAY_OAUTH_SERVERS="oauth.bitrix.info")
    for url in PRIVATE:
        answer = await post(gateway, url)
        assert (answer.status, answer.json[:18]) == (400, "client_bitrix_url:"), url
    assert (await gateway.get(ACCOUNT)).status == 404
    assert (await post(gateway, CLOUD)).status == 200


@pytest.mark.parametrize("path", NO_WEBHOOK)
async def test_a_malformed_webhook_is_refused(gateway: Gateway, sandbox: Sandbox, path: str) -> None:
    answer = await post(gateway, sandbox.origin + path)
    assert answer.status == 400
    assert "https://PORTAL/rest/USER/CODE/" in answer.json
    assert (await gateway.get(ACCOUNT)).status == 404
    assert sandbox.portal.http_requests == 0


@pytest.mark.parametrize("body", NO_OBJECT)
async def test_a_body_that_is_not_a_json_object_is_refused(gateway: Gateway, body: bytes) -> None:
    answer = await gateway.post(ACCOUNT, data=body, headers={"Content-Type": "application/json"})
    assert answer.status == 400
    assert answer.json.startswith("body: must be ")
    assert (await gateway.get(ACCOUNT)).status == 404


async def test_the_address_is_required(gateway: Gateway) -> None:
    answer = await gateway.post(ACCOUNT, json={})
    assert (answer.status, answer.json) == (400, "client_bitrix_url: is required")
    assert (await gateway.get(ACCOUNT)).status == 404


async def test_a_form_and_a_missing_body_are_refused(gateway: Gateway) -> None:
    form, nothing = await gateway.post(ACCOUNT, data={"client_bitrix_url": CLOUD}), await gateway.post(ACCOUNT)
    assert (form.status, nothing.status) == (400, 400)
    assert form.json == nothing.json == "body: must be sent as application/json"


async def test_a_body_that_is_too_large_is_refused(gateway: Gateway) -> None:
    body = BytesIO(b'{"client_bitrix_url": "%b", "x": "%b"}' % (CLOUD.encode(), b"x" * 1_048_576))
    answer = await gateway.post(ACCOUNT, data=body, headers={"Content-Type": "application/json"})
    assert (answer.status, answer.json) == (413, "body: is larger than 1,048,576 bytes (GATEWAY_MAX_BODY_BYTES)")
    assert (await gateway.get(ACCOUNT)).status == 404


async def test_unknown_properties_are_ignored(gateway: Gateway) -> None:
    assert (await post(gateway, CLOUD, x=1, accountID="foreign", stale=False)).status == 200
    account = (await gateway.get(ACCOUNT)).json
    assert (account["accountID"], account["stale"]) == ("acme", True)


async def test_connecting_twice_keeps_the_account(gateway: Gateway) -> None:
    first, second = await post(gateway, CLOUD), await post(gateway, CLOUD)
    assert {name: first.json[name] for name in PROPERTIES} == {name: second.json[name] for name in PROPERTIES}
    assert first.json["authorizeURL"] != second.json["authorizeURL"]
    assert select(gateway, "SELECT count(*) FROM accounts") == [(1,)]


async def test_another_address_replaces_the_first(gateway: Gateway) -> None:
    first = await post(gateway, CLOUD)
    second = await post(gateway, "https://second.bitrix24.ru")
    account = (await gateway.get(ACCOUNT)).json
    assert account["id"] == first.json["id"] == second.json["id"]
    assert (account["subdomain"], account["stale"]) == ("second", True)


async def test_connecting_to_the_same_portal_again_keeps_the_authorization(gateway: Gateway, sandbox: Sandbox) -> None:
    await authorize(gateway, sandbox)
    await gateway.synced()
    again = await post(gateway, f"{sandbox.origin}/crm/")
    assert "authorizeURL" not in again.json
    assert again.json["stale"] is False
    assert again.json["bitrixID"] == sandbox.portal.member_id
    assert len(await gateway.rows("users")) == len(sandbox.portal.data.users)


async def test_without_an_application_only_webhooks_can_be_connected(gateway: Gateway, sandbox: Sandbox) -> None:
    del gateway.environ["GATEWAY_BITRIX_CLIENT_ID"], gateway.environ["GATEWAY_BITRIX_CLIENT_SECRET"]
    await gateway.restart()
    answer = await post(gateway, sandbox.origin)
    assert answer.status == 400
    assert "GATEWAY_BITRIX_CLIENT_ID" in answer.json
    assert "inbound webhook" in answer.json
    assert (await gateway.get(ACCOUNT)).status == 404
    assert (await gateway.connect(sandbox.webhook)).json["stale"] is False


async def test_a_deleted_account_is_not_found_but_keeps_its_row(connected: Gateway) -> None:
    answer = await connected.delete(ACCOUNT)
    assert (answer.status, answer.body, answer.headers["Content-Length"]) == (200, b"", "0")
    gone = await connected.get(ACCOUNT)
    assert (gone.status, gone.json) == (404, NOT_CONNECTED)
    assert select(connected, "SELECT deleted, sealed FROM accounts") == [(1, None)]


async def test_deleting_an_account_that_does_not_exist_is_not_an_error(gateway: Gateway) -> None:
    assert [(await gateway.delete(ACCOUNT)).status for _ in range(2)] == [200, 200]
    await post(gateway, CLOUD)
    assert [(await gateway.delete(ACCOUNT)).status for _ in range(2)] == [200, 200]


@pytest.mark.parametrize("resource", RESOURCES)
async def test_a_deleted_account_lists_nothing_and_starts_no_sync(
    connected: Gateway, sandbox: Sandbox, resource: str
) -> None:
    await connected.delete(ACCOUNT)
    requests = sandbox.portal.http_requests
    page = await connected.get(f"/bitrix/{resource}")
    if resource == "users":
        assert (page.status, page.json) == (200, {"count": 0, "items": []})
    else:
        assert page.status == 404
    refused = await connected.patch(f"/bitrix/{resource}")
    assert (refused.status, refused.json) == (404, NOT_CONNECTED)
    await connected.clock.advance(60)
    assert sandbox.portal.http_requests == requests


async def test_deleting_ends_a_running_sync(gateway: Gateway, sandbox: Sandbox) -> None:
    sandbox.portal.hold("user.get")
    assert (await post(gateway, sandbox.webhook)).status == 200
    await gateway.clock.advance(1)
    await gateway.delete(ACCOUNT)
    sandbox.portal.release("user.get")
    requests = sandbox.portal.http_requests
    await gateway.clock.advance(600)
    assert sandbox.portal.http_requests == requests
    assert select(gateway, "SELECT count(*) FROM sync_runs WHERE state = 'running'") == [(0,)]


async def test_a_deleted_account_that_connects_again_has_its_id_and_rows(connected: Gateway, sandbox: Sandbox) -> None:
    before, rows = (await connected.get(ACCOUNT)).json, await connected.rows("users")
    await connected.delete(ACCOUNT)
    again = await connected.connect(sandbox.webhook)
    assert {**again.json, "since": before["since"]} == before
    assert await connected.rows("users") == rows


async def test_a_deleted_account_must_be_authorized_again(gateway: Gateway, sandbox: Sandbox) -> None:
    await authorize(gateway, sandbox)
    await gateway.synced()
    await gateway.delete(ACCOUNT)
    again = await post(gateway, sandbox.origin)
    assert again.json["stale"] is True
    assert "authorizeURL" in again.json
    assert credentials(gateway) == 0


async def test_accounts_are_separate(connected: Gateway, sandbox: Sandbox) -> None:
    assert (await connected.get(ACCOUNT, account="beta")).status == 404
    assert (await connected.get("/bitrix/users", account="beta")).json["count"] == 0
    await connected.connect(sandbox.webhook, account="beta")
    rows = await connected.rows("users")
    assert {row["id"] for row in rows}.isdisjoint(row["id"] for row in await connected.rows("users", account="beta"))
    await connected.delete(ACCOUNT, account="beta")
    assert (await connected.get(ACCOUNT)).status == 200
    assert await connected.rows("users") == rows


@pytest.mark.parametrize("key", ["Пётр", "a/b?c#d", "' OR 1=1 --", " acme", "ACME"])
async def test_an_account_key_may_contain_any_characters(gateway: Gateway, sandbox: Sandbox, key: str) -> None:
    await post(gateway, CLOUD)
    assert (await gateway.get(ACCOUNT, account=key)).status == 404
    assert (await authorize(gateway, sandbox, account=key)).status == 302
    await gateway.synced(account=key)
    shown = (await gateway.get(ACCOUNT, account=key)).json
    assert (shown["accountID"], shown["stale"]) == (key, False)


async def test_an_account_survives_a_restart(connected: Gateway) -> None:
    before = (await connected.get(ACCOUNT)).json
    await connected.restart()
    assert (await connected.get(ACCOUNT)).json == before
    await connected.delete(ACCOUNT)
    await connected.restart()
    assert (await connected.get(ACCOUNT)).status == 404
