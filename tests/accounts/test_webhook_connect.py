"""Connecting an inbound webhook: it is checked, connected and synced at once, or nothing is stored."""

import logging

import pytest
from aiohttp import web

from tests.gateway import Gateway, Sandbox
from tests.support.rogue import listening, page
from tests.support.stored import every_byte, select

ACCOUNT = "/bitrix/account"
CODE = "canarywebhookcode0123456789"


async def test_a_webhook_is_checked_by_one_call_and_needs_no_authorization(gateway: Gateway, sandbox: Sandbox) -> None:
    sandbox.portal.hold("batch")
    answer = await gateway.post(ACCOUNT, json={"client_bitrix_url": sandbox.webhook})
    assert answer.status == 200
    assert "authorizeURL" not in answer.json
    assert (answer.json["stale"], answer.json["bitrixID"]) == (False, sandbox.host)
    assert answer.json["subdomain"] == sandbox.host
    assert sandbox.portal.calls["scope"] == 1


@pytest.mark.parametrize("form", ["{}", "{}user.get.json", "{}profile", "{}?x=1", "{}#x"])
async def test_a_webhook_is_accepted_in_the_forms_that_a_portal_shows(
    gateway: Gateway, sandbox: Sandbox, form: str
) -> None:
    await gateway.connect(form.format(sandbox.webhook))
    assert len(await gateway.rows("users")) == len(sandbox.portal.data.users)


async def test_the_trailing_slash_of_a_webhook_is_optional(gateway: Gateway, sandbox: Sandbox) -> None:
    await gateway.connect(sandbox.webhook.rstrip("/"))
    assert {call.credential for call in sandbox.portal.seen} == {sandbox.portal.settings.webhook_code}


@pytest.mark.parametrize("path", ["/rest/1/wrong/", "/rest/2/sandbox/"])
async def test_a_refused_webhook_is_not_stored(gateway: Gateway, sandbox: Sandbox, path: str) -> None:
    answer = await gateway.post(ACCOUNT, json={"client_bitrix_url": sandbox.origin + path})
    assert answer.status == 400
    assert answer.json.startswith("client_bitrix_url: the portal refused the webhook: INVALID_CREDENTIALS")
    assert (await gateway.get(ACCOUNT)).status == 404
    assert select(gateway, "SELECT * FROM portals") == []


@pytest.mark.parametrize(
    "fault", ["drop", "cut", "truncated", "html500", "502", "json500", "delay=100"], ids=lambda fault: fault[:5]
)
async def test_a_webhook_that_does_not_answer_is_not_stored(gateway: Gateway, sandbox: Sandbox, fault: str) -> None:
    sandbox.portal.fault(f"scope:{fault}*")
    answer = await gateway.clock.until(gateway.post(ACCOUNT, json={"client_bitrix_url": sandbox.webhook}))
    assert answer.status == 502
    assert sandbox.webhook not in answer.json
    assert (await gateway.get(ACCOUNT)).status == 404
    assert select(gateway, "SELECT * FROM accounts") == []


async def test_a_webhook_that_fails_temporarily_is_connected(gateway: Gateway, sandbox: Sandbox) -> None:
    sandbox.portal.fault("scope:502*2")
    answer = await gateway.clock.until(gateway.post(ACCOUNT, json={"client_bitrix_url": sandbox.webhook}))
    assert answer.status == 200


async def test_the_error_says_that_no_server_listens(gateway: Gateway) -> None:
    url = "http://127.0.0.1:1/rest/1/code/"
    answer = await gateway.clock.until(gateway.post(ACCOUNT, json={"client_bitrix_url": url}))
    assert answer.status == 502
    assert answer.json.startswith("the portal does not answer: no connection")


async def test_a_refused_webhook_keeps_the_current_connection(connected: Gateway, sandbox: Sandbox) -> None:
    before, rows = (await connected.get(ACCOUNT)).json, await connected.rows("users")
    refused = await connected.post(ACCOUNT, json={"client_bitrix_url": f"{sandbox.origin}/rest/1/wrong/"})
    assert refused.status == 400
    assert (await connected.get(ACCOUNT)).json == before
    assert await connected.rows("users") == rows
    await connected.sync("users")


async def test_a_webhook_replaces_an_application(gateway: Gateway, sandbox: Sandbox) -> None:
    pending = await gateway.post(ACCOUNT, json={"client_bitrix_url": sandbox.origin})
    answer = await gateway.connect(sandbox.webhook)
    assert (answer.json["id"], answer.json["stale"]) == (pending.json["id"], False)


async def test_a_redirect_is_not_followed(gateway: Gateway) -> None:
    requested: list[str] = []

    async def moved(request: web.Request) -> web.Response:
        requested.append(request.path)
        return web.Response(status=302, headers={"Location": "http://127.0.0.1:9/rest/1/stolen/scope"})

    async with listening(moved) as origin:
        answer = await gateway.post(ACCOUNT, json={"client_bitrix_url": f"{origin}/rest/1/{CODE}/"})
    assert answer.status == 400
    assert "moved to 127.0.0.1:9" in answer.json
    assert "stolen" not in answer.json
    assert requested == [f"/rest/1/{CODE}/scope"]
    assert (await gateway.get(ACCOUNT)).status == 404


async def test_a_redirect_to_the_same_host_is_retried_as_a_temporary_failure(gateway: Gateway) -> None:
    async with listening(page(302, location="/login")) as origin:
        answer = await gateway.clock.until(
            gateway.post(ACCOUNT, json={"client_bitrix_url": f"{origin}/rest/1/{CODE}/"})
        )
    assert (answer.status, answer.json) == (502, "the portal redirects the call to its own address (HTTP 302)")
    assert (await gateway.get(ACCOUNT)).status == 404


@pytest.mark.parametrize("status", [200, 400, 401, 500])
async def test_a_secret_in_a_portals_error_is_masked(gateway: Gateway, status: int) -> None:
    async def repeating(request: web.Request) -> web.Response:
        return web.json_response(
            {"error": "OOPS", "error_description": f"wrong: {request.url}?auth={CODE}"}, status=status
        )

    async with listening(repeating) as origin:
        answer = await gateway.clock.until(
            gateway.post(ACCOUNT, json={"client_bitrix_url": f"{origin}/rest/1/{CODE}/"})
        )
    assert answer.status == (502 if status == 500 else 400)
    assert "OOPS" in answer.json
    assert CODE not in answer.json


@pytest.mark.parametrize(
    "answer", [b"", b"[]", b"7", b"null", b"<html>", b"{}", b'{"result": ', b'{"error": {"a": [1]}}', b"\xff" * 100]
)
async def test_a_portal_with_an_invalid_response_is_not_connected(gateway: Gateway, answer: bytes) -> None:
    async def nonsense(_request: web.Request) -> web.Response:
        return web.Response(body=answer, content_type="application/json")

    async with listening(nonsense) as origin:
        refused = await gateway.clock.until(
            gateway.post(ACCOUNT, json={"client_bitrix_url": f"{origin}/rest/1/{CODE}/"})
        )
    assert refused.status in (400, 502)
    assert (await gateway.get(ACCOUNT)).status == 404


async def test_the_code_of_a_webhook_is_never_shown_logged_or_stored_in_plain_text(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    async def answering(request: web.Request) -> web.Response:
        if request.path.endswith("/scope"):
            return web.json_response({"result": ["crm"], "time": {"operating": 0}})
        return web.Response(status=400, text=f"no: {request.url}")

    caplog.set_level(logging.DEBUG)
    async with listening(answering) as origin:
        url = f"{origin}/rest/1/{CODE}/"
        answers = [await gateway.connect(url)]
    answers += [await gateway.get(path) for path in (ACCOUNT, "/bitrix/sync", "/bitrix/users")]
    assert all(CODE.encode() not in answer.body + repr(answer.headers).encode() for answer in answers)
    assert all(run["state"] == "failed" for run in answers[2].json["items"])
    assert CODE not in caplog.text
    await gateway.stop()
    assert CODE.encode() not in every_byte(gateway)
    await gateway.start()
