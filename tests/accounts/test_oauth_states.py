"""The state of an authorization is valid once, for ten minutes, for the account and portal it was issued for."""

import asyncio
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from urllib.parse import quote, urlencode

import pytest

from tests.clock import ManualClock
from tests.gateway import NO_TOKEN, Gateway, Sandbox, callback_path
from tests.support.authorizing import ACCOUNT, CALLBACK, RETURN, come_back, decoded, encoded, is_untouched, way_back
from tests.support.stored import select

FORGERIES: list[Callable[[str], str]] = [
    lambda _: "%%%",
    lambda _: "state",
    lambda _: "привет",
    lambda _: encoded("acme"),
    lambda _: encoded(["acme"]),
    lambda _: encoded({"account": "acme", "redirectURL": RETURN}),
    lambda state: encoded({**decoded(state), "account": "beta"}),
    lambda state: encoded({**decoded(state), "redirectURL": "https://evil.example/"}),
    lambda state: encoded({**decoded(state), "exp": 2**40}),
    lambda state: encoded({**decoded(state), "signature": "0" * 64}),
    lambda state: encoded({name: value for name, value in decoded(state).items() if name != "signature"}),
    lambda state: state[:-8],
    lambda state: state * 2,
    lambda _: "A" * 1_000_000,
]


@pytest.mark.parametrize("forge", FORGERIES)
async def test_a_forged_state_is_refused(gateway: Gateway, sandbox: Sandbox, forge: Callable[[str], str]) -> None:
    query = await way_back(gateway, sandbox)
    await gateway.post(ACCOUNT, account="beta", json={"client_bitrix_url": sandbox.origin})
    answer = await come_back(gateway, query | {"state": forge(query["state"])})
    assert answer.status == 400
    assert "Location" not in answer.headers
    assert await is_untouched(gateway, sandbox)
    assert (await gateway.get(ACCOUNT, account="beta")).json["stale"] is True


@pytest.mark.parametrize("alphabet", [b64encode, urlsafe_b64encode])
@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("plus", ["%2B", "+"])
async def test_the_state_is_accepted_in_both_base64_alphabets_with_or_without_padding(
    gateway: Gateway, sandbox: Sandbox, alphabet: Callable[[bytes], bytes], padded: bool, plus: str
) -> None:
    # This return address contains characters that differ between the alphabets.
    query = await way_back(gateway, sandbox, redirectURL=RETURN + "?>?>~~~???>>>")
    state = query.pop("state")
    spelled = alphabet(urlsafe_b64decode(state + "=" * (-len(state) % 4))).decode()
    sent = quote(spelled if padded else spelled.rstrip("="), safe="").replace("%2B", plus)
    answer = await gateway.get(f"{CALLBACK}?{urlencode(query)}&state={sent}", token=NO_TOKEN)
    assert answer.status == 302


async def test_a_state_expires_after_ten_minutes(gateway: Gateway, sandbox: Sandbox, clock: ManualClock) -> None:
    query = await way_back(gateway, sandbox)
    await clock.advance(600)
    answer = await come_back(gateway, query)
    assert (answer.status, answer.json) == (400, "state: has expired: start the authorization again")
    assert await is_untouched(gateway, sandbox)


async def test_a_state_is_valid_until_just_before_it_expires(
    gateway: Gateway, sandbox: Sandbox, clock: ManualClock
) -> None:
    connecting = await gateway.post(ACCOUNT, json={"client_bitrix_url": sandbox.origin})
    await clock.advance(599)
    answer = await gateway.get(await callback_path(gateway, connecting.json["authorizeURL"]), token=NO_TOKEN)
    assert answer.status == 302


async def test_a_state_works_once(gateway: Gateway, sandbox: Sandbox) -> None:
    query = await way_back(gateway, sandbox)
    assert (await come_back(gateway, query)).status == 302
    again = await come_back(gateway, query)
    assert (again.status, again.json) == (400, "state: has already been used, or has expired")
    assert len(sandbox.portal.token_requests) == 1
    assert select(gateway, "SELECT count(*) FROM accounts") == [(1,)]
    assert [run["state"] for run in await gateway.synced()] == ["done"] * 4
    assert (await gateway.get(ACCOUNT)).json["stale"] is False


async def test_one_of_ten_concurrent_equal_callbacks_connects(gateway: Gateway, sandbox: Sandbox) -> None:
    query = await way_back(gateway, sandbox)
    answers = await asyncio.gather(*(come_back(gateway, query) for _ in range(10)))
    assert sorted(answer.status for answer in answers) == [302] + [400] * 9
    assert len(sandbox.portal.token_requests) == 1


async def test_a_state_works_once_across_restarts(gateway: Gateway, sandbox: Sandbox) -> None:
    query = await way_back(gateway, sandbox)
    await gateway.restart()
    assert (await come_back(gateway, query)).status == 302
    await gateway.restart()
    assert (await come_back(gateway, query)).status == 400


async def test_the_state_of_a_deleted_account_is_refused(gateway: Gateway, sandbox: Sandbox) -> None:
    query = await way_back(gateway, sandbox)
    await gateway.delete(ACCOUNT)
    assert (await come_back(gateway, query)).status == 400
    await gateway.post(ACCOUNT, json={"client_bitrix_url": sandbox.origin})
    assert (await come_back(gateway, query)).status == 400
    assert await is_untouched(gateway, sandbox)


async def test_the_state_of_another_portal_is_refused_after_a_move(
    gateway: Gateway, sandbox: Sandbox, other: Sandbox
) -> None:
    query = await way_back(gateway, sandbox)
    await gateway.post(ACCOUNT, json={"client_bitrix_url": other.origin})
    assert (await come_back(gateway, query)).status == 400
    assert await is_untouched(gateway, sandbox)
    assert (await gateway.get(ACCOUNT)).json["subdomain"] == other.host
