"""Portals that echo requests: the gateway does not pass on the secrets in them."""

import logging
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from aiohttp import web

from tests.gateway import Gateway, Sandbox, authorize
from tests.support.rogue import listening
from tests.support.stored import every_byte

ACCOUNT = "/bitrix/account"
CODE = "c4n4ryc0de"

Echo = Callable[[str, str], dict[str, object]]  # takes the request's body and its secret

ECHOES: dict[str, Echo] = {
    "the body": lambda body, _: {"error": "BAD", "error_description": f"you sent {body}"},
    "the body, cut through": lambda body, secret: {
        "error": "BAD",
        "error_description": "x" * (495 - body.index(secret) if secret in body else 495) + body + secret,
    },
    "the bare secret": lambda _, secret: {"error": "BAD", "error_description": f"not {secret}, surely"},
    "the secret as code": lambda _, secret: {"error": secret, "error_description": "no"},
    "the secret in a longer code": lambda _, secret: {"error": f"BAD_{secret}_{secret}", "error_description": ""},
}


@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES.keys())
@pytest.mark.parametrize("status", [200, 400, 500])
@pytest.mark.parametrize("in_batch", [True, False], ids=["command", "request"])
async def test_a_token_echoed_by_a_portal_is_not_returned_logged_or_stored(
    gateway: Gateway, sandbox: Sandbox, caplog: pytest.LogCaptureFixture, echo: Echo, status: int, in_batch: bool
) -> None:
    caplog.set_level(logging.DEBUG)
    seen: set[str] = set()

    async def repeat(request: web.Request) -> web.Response:
        body = await request.text()
        sent = orjson.loads(body)
        seen.add(sent["auth"])
        error = echo(body, sent["auth"])
        if in_batch and "cmd" in sent:
            error = {"result": {"result": [], "result_error": dict.fromkeys(sent["cmd"], error)}}
        return web.json_response(error, status=status)

    async with listening(repeat) as origin:
        sandbox.portal.fault(f"oauth.token:client_endpoint={origin}/rest/*")
        answers = [await authorize(gateway, sandbox)]
        runs = await gateway.synced()
        answers += [await gateway.get(path) for path in (ACCOUNT, "/bitrix/sync", "/bitrix/users")]
    assert [run["state"] for run in runs] == ["failed"] * 4
    assert seen
    responses = b"".join(answer.body + repr(answer.headers).encode() for answer in answers)
    for secret in seen:
        assert secret.encode() not in responses
        assert secret not in caplog.text
        assert secret.encode() not in every_byte(gateway)
        assert secret[:8].encode() not in responses


@pytest.mark.parametrize("echo", ECHOES.values(), ids=ECHOES.keys())
async def test_a_webhook_code_echoed_by_a_portal_is_not_returned(gateway: Gateway, echo: Echo) -> None:
    async def repeat(request: web.Request) -> web.Response:
        return web.json_response(echo(str(request.url), CODE), status=400)

    async with listening(repeat) as origin:
        answer = await gateway.post(ACCOUNT, json={"client_bitrix_url": f"{origin}/rest/1/{CODE}/"})
    assert answer.status == 400
    assert CODE not in answer.json


async def test_a_secret_in_the_host_name_of_a_moved_portal_is_not_returned(gateway: Gateway) -> None:
    async def moved(_request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": f"https://{CODE}x.example.com/"})

    async with listening(moved) as origin:
        answer = await gateway.post(ACCOUNT, json={"client_bitrix_url": f"{origin}/rest/1/{CODE.upper()}/"})
    assert "moved to ***x.example.com" in answer.json


@pytest.mark.parametrize("error", [{"error": "E" * 2**21}, {"error": "ODD", "error_description": "e" * 2**21}])
async def test_a_long_error_of_a_portal_is_truncated(gateway: Gateway, error: dict[str, Any]) -> None:
    async def endless(_request: web.Request) -> web.Response:
        return web.json_response(error, status=400)

    async with listening(endless) as origin:
        answer = await gateway.post(
            ACCOUNT,
            json={"client_bitrix_url": f"{origin}/rest/1/{CODE}/"},
            headers={"Accept": "application/problem+json"},
        )
    assert len(answer.body) < 2500
