"""Temporary failures of a webhook. Redirects are never followed; only their host is used."""

import re

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from gateway.bitrix.auth.credentials import WebhookTemporarilyRefused
from gateway.bitrix.client import PortalClient
from gateway.bitrix.errors import PortalMoved
from gateway.bitrix.protocol.v2 import Command
from gateway.bitrix.retry import MAX_ATTEMPTS
from gateway.bitrix.transport.egress import EgressPolicy
from gateway.bitrix.transport.session import PortalSession, redirect_host
from gateway.sandbox.portal import SandboxPortal
from tests.bitrix.conftest import client_of
from tests.clock import ManualClock
from tests.support.rogue import listening

WRITE = Command("profile", write=True)  # the client uses this flag, not the name of the method
UNUSABLE_LOCATIONS = [
    None,
    "http://[",
    "ftp://new.example/",
    "https://user:canary@new.example/",
    "https://new.example%00.evil/",
    "https://new.example\t.evil/",
    f"https://{'a' * 300}.example/",
    "https://new_.example",
    "javascript:canary",
    "https://xn--a",
]


@pytest.mark.parametrize("location", UNUSABLE_LOCATIONS)
async def test_a_redirect_without_a_usable_host_is_a_temporary_failure_of_a_webhook(
    session: PortalSession, clock: ManualClock, location: str | None
) -> None:
    requests = []

    async def moved(request: web.Request) -> web.Response:
        requests.append(request.path)
        return web.Response(status=301, headers={"Location": location} if location else {})

    async with listening(moved) as origin:
        with pytest.raises(WebhookTemporarilyRefused) as caught:
            await clock.until(client_of(session, clock, f"{origin}/rest/1/canary/").call(WRITE))
    assert isinstance(caught.value.cause, PortalMoved)
    assert str(caught.value) == ("the portal has moved to an unknown address, or one that may not be called")
    assert len(requests) == MAX_ATTEMPTS


@pytest.mark.parametrize("location", ["/rest/elsewhere", "{origin}/login", "?x=1", "//{host}/"])
async def test_a_redirect_to_the_same_host_is_retried_even_for_a_write(
    session: PortalSession, clock: ManualClock, location: str
) -> None:
    requests = []

    async def moved(request: web.Request) -> web.Response:
        requests.append(request.path)
        if len(requests) == 3:
            return web.json_response({"result": "ran"})
        target = location.format(origin=f"http://{request.host}", host=request.host)
        return web.Response(status=302, headers={"Location": target})

    async with listening(moved) as origin:
        answer = await clock.until(client_of(session, clock, f"{origin}/rest/1/canary/").call(WRITE))
    assert (answer.result, len(requests)) == ("ran", 3)


@pytest.mark.parametrize("fault", ["expired_token", "invalid_token"])
async def test_a_token_error_of_a_webhook_is_retried_even_for_a_write(
    client: PortalClient, portal: SandboxPortal, clock: ManualClock, fault: str
) -> None:
    portal.fault(f"profile:{fault}*2")
    assert isinstance((await clock.until(client.call(WRITE))).result, dict)
    assert portal.calls["profile"] == 3
    portal.fault(f"profile:{fault}*")
    with pytest.raises(WebhookTemporarilyRefused) as caught:
        await clock.until(client.call(WRITE))
    assert caught.value.portal_code == fault
    assert not caught.value.credential_dead


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("https://NEW.example:443/rest/1/canary/x?auth=canary", "new.example"),
        ("https://new.example:8443/", "new.example:8443"),
        ("//new.example", "new.example"),
        ("https://пример.рф/", "xn--e1afmkfd.xn--p1ai"),
        ("http://new.example/", None),
        ("https://10.0.0.1/", None),
        ("https://[::1]/", None),
        ("https://intranet/", None),
        ("https://crm.corp.example/", "crm.corp.example"),
        ("/login", "old.example"),
        (None, None),
    ],
)
def test_only_an_allowed_host_of_a_redirect_is_returned(location: str | None, host: str | None) -> None:
    requested = URL("https://old.example/rest/1/canary/scope")
    assert redirect_host(EgressPolicy(insecure=False), requested, location) == host


@given(st.text(max_size=60), st.booleans())
def test_the_host_of_any_redirect_is_short_and_plain(location: str, insecure: bool) -> None:
    for text in (location, f"https://{location}", f"//{location}/x"):
        host = redirect_host(EgressPolicy(insecure), URL("https://old.example/rest/"), text)
        assert host is None or re.fullmatch(r"[a-z0-9._:\[\]-]{1,261}", host)
