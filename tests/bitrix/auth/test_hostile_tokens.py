"""Malicious token responses: each results in a usable pair of tokens or an error."""

from typing import Any

import orjson
import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.bitrix.auth.oauth import MAX_ANSWER_BYTES, AuthorizationServers, Tokens
from gateway.bitrix.errors import AddressRefused, AnswerTooLarge, PortalBroken, PortalError
from gateway.bitrix.transport.egress import EgressPolicy
from gateway.bitrix.transport.session import HttpAnswer, PortalSession
from gateway.redaction import printable
from gateway.sandbox.behaviour.row_faults import ESCAPES
from tests.clock import ManualClock
from tests.support.rogue import listening

PAIR: dict[str, Any] = {
    "access_token": "a" * 32,
    "refresh_token": "r" * 32,
    "expires_in": 3600,
    "client_endpoint": "http://portal.example/rest/",
    "member_id": "m" * 32,
}
INVALID_TEXTS = [
    "",
    " ",
    ESCAPES,
    "two words",
    "line\r\nHost: evil.example",
    "é",
    "\x00",
    "x" * 5000,
    7,
    None,
    True,
    [],
    {},
]
INVALID_LIFETIMES = [0, -1, 3600.0, 3600.5, "3600", True, None, [], 1e308, 2**63, 10**9]


async def refresh(session: PortalSession, clock: ManualClock, body: bytes) -> Tokens:
    """Return the tokens of a server that responds with *body*."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    async with listening(answer) as origin:
        host = origin.removeprefix("http://")
        servers = AuthorizationServers(session, clock, "app", "secret", frozenset({host}), insecure=True)
        return await clock.until(servers.refresh(Tokens("old", "old", 0.0, PAIR["client_endpoint"], "m" * 32, host)))


async def test_a_valid_pair_is_accepted(session: PortalSession, clock: ManualClock) -> None:
    tokens = await refresh(session, clock, orjson.dumps(PAIR))
    assert tokens.access_token == "a" * 32
    assert tokens.expires_at == pytest.approx(clock.now() + 3600, abs=10)


@pytest.mark.parametrize("value", INVALID_TEXTS, ids=lambda value: repr(value)[:20])
@pytest.mark.parametrize("name", ["access_token", "refresh_token", "member_id", "client_endpoint"])
async def test_the_error_for_an_unprintable_text_names_its_field(
    session: PortalSession, clock: ManualClock, name: str, value: object
) -> None:
    with pytest.raises(PortalBroken, match=f"{name} is missing, or not printable ASCII without spaces$") as caught:
        await refresh(session, clock, orjson.dumps({**PAIR, name: value}))
    assert caught.value.detail.isprintable()


@pytest.mark.parametrize("value", INVALID_LIFETIMES, ids=repr)
async def test_the_error_for_an_invalid_lifetime_names_its_field(
    session: PortalSession, clock: ManualClock, value: object
) -> None:
    with pytest.raises(PortalBroken, match="expires_in is missing, or not an integer between 1 and"):
        await refresh(session, clock, orjson.dumps({**PAIR, "expires_in": value}))


@pytest.mark.parametrize("endpoint", ["portal.example/rest/", "ftp://portal.example/", "http://a:b@portal.example/"])
async def test_an_invalid_endpoint_is_refused(session: PortalSession, clock: ManualClock, endpoint: str) -> None:
    with pytest.raises(AddressRefused):
        await refresh(session, clock, orjson.dumps({**PAIR, "client_endpoint": endpoint}))


async def test_a_response_that_is_too_large_is_not_read(session: PortalSession, clock: ManualClock) -> None:
    padded = orjson.dumps({**PAIR, "scope": "x" * MAX_ANSWER_BYTES})
    with pytest.raises(AnswerTooLarge, match=f"more than {MAX_ANSWER_BYTES} bytes$"):
        await refresh(session, clock, padded)


VALUES: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False)
)
ANSWERS = st.binary() | st.dictionaries(
    st.sampled_from([*PAIR, "error", "error_description"]) | st.text(), VALUES | st.sampled_from(list(PAIR.values()))
).map(orjson.dumps)


class FixedResponse(PortalSession):
    """A session without a network: every request returns the same response."""

    def __init__(self, answer: HttpAnswer) -> None:
        self.policy = EgressPolicy(insecure=True)
        self._answer = answer

    async def get(self, *_: object, **__: object) -> HttpAnswer:
        return self._answer


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(status=st.integers(200, 599), body=ANSWERS)
async def test_any_response_results_in_a_pair_or_an_error(clock: ManualClock, status: int, body: bytes) -> None:
    session = FixedResponse(HttpAnswer(status, body))
    servers = AuthorizationServers(session, clock, "app", "secret", frozenset({"x"}), insecure=True)
    try:
        tokens = await clock.until(servers.exchange("x", "code"), step_s=30)
    except PortalError as error:
        text = error.detail
    else:
        text = tokens.access_token + tokens.refresh_token + tokens.member_id + tokens.client_endpoint
    assert printable(text) == text
