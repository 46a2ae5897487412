"""Opening a widget from a portal: who is verified, what the widget gets, and what is refused."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest

from gateway.sandbox.php import as_bool
from gateway.sandbox.settings import SandboxSettings
from gateway.widgets.openings import REFUSED
from tests.gateway import NO_TOKEN, Answer, Gateway, Sandbox, authorize
from tests.support.placements import (
    FORM,
    TAB,
    Expired,
    context_in,
    handler_of,
    post_form,
    posted,
    verified,
)
from tests.support.raw import send_raw
from tests.support.stored import run_sql, unwritable
from tests.support.widgets import Person

ADDRESS = "https://widget.example.com/deal?tab=1&context=own&q=%D1%8F+1"
WIDGET = {"address": ADDRESS, "placements": [{"placement": TAB}]}


@pytest.fixture
async def path(gateway: Gateway, sandbox: Sandbox, admin: Person) -> str:
    """The handler of a widget in account "acme", which is connected by OAuth."""
    await authorize(gateway, sandbox)
    await gateway.synced()
    await admin.add("tab", **WIDGET)
    await admin.install("tab")
    sandbox.portal.calls.clear()
    return handler_of(gateway, "tab")


def reasons(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The reasons in the log of the openings that were refused."""
    return [vars(record)["reason"] for record in caplog.records if record.message == "a widget was not opened"]


def assert_refused(answer: Answer) -> None:
    assert answer.status == 403, answer.body
    assert (answer.json["code"], answer.json["detail"]) == ("forbidden", REFUSED)
    assert "Location" not in answer.headers


async def test_the_person_is_sent_to_the_widget_with_a_signed_context(
    gateway: Gateway, sandbox: Sandbox, path: str
) -> None:
    answer = await post_form(gateway, path, posted(sandbox))
    context = context_in(answer)
    assert answer.headers["Location"] == (f"https://widget.example.com/deal?tab=1&q=%D1%8F+1&context={context}")
    assert answer.body == b""
    assert answer.headers.keys().isdisjoint({"X-Frame-Options", "Content-Security-Policy"})  # the page is in a frame
    claims, now = await verified(gateway, context), int(gateway.clock.now())
    assert len(claims.pop("jti")) == 32
    assert claims == {
        "iss": gateway.origin,
        "aud": "https://widget.example.com",
        "iat": now,
        "exp": now + 60,
        "member_id": sandbox.portal.member_id,
        "user_id": "1",
        "is_admin": True,
        "widget": "tab",
        "placement": TAB,
        "entity_id": "8061",
    }
    assert sandbox.portal.calls == {"profile": 1}


async def test_each_context_is_another_and_ends_after_a_minute(gateway: Gateway, sandbox: Sandbox, path: str) -> None:
    first, second = [context_in(await post_form(gateway, path, posted(sandbox))) for _ in range(2)]
    assert (await verified(gateway, first))["jti"] != (await verified(gateway, second))["jti"]
    await gateway.clock.advance(59)
    await verified(gateway, second)
    await gateway.clock.advance(1)
    with pytest.raises(Expired):
        await verified(gateway, second)


async def test_a_user_who_is_no_administrator_is_told_so(gateway: Gateway, sandbox: Sandbox, path: str) -> None:
    user = next(id_ for id_, row in sandbox.portal.data.users.items() if as_bool(row["ACTIVE"]) and id_ != 1)
    claims = await verified(gateway, context_in(await post_form(gateway, path, posted(sandbox, user=user))))
    assert (claims["user_id"], claims["is_admin"]) == (str(user), False)


@pytest.mark.parametrize(
    ("options", "entity_id"),
    [
        ('{"ENTITY_ID":"5","URI":"\\/crm\\/"}', "5"),
        ('{"ID":31}', "31"),
        ('{"URI":"\\/crm\\/"}', None),
        ("[]", None),  # PHP's empty array
        ("", None),
        (None, None),
        ('{"ID":"0"}', None),
        ('{"ID":true}', None),
        ('{"ID":["1"]}', None),
        (f'{{"ID":"{"1" * 5000}"}}', None),
        ('{"ID":"1"', None),
        ('"1"', None),
    ],
)
async def test_the_entity_is_that_of_the_options(
    gateway: Gateway, sandbox: Sandbox, path: str, options: str | None, entity_id: str | None
) -> None:
    answer = await post_form(gateway, path, posted(sandbox, {"PLACEMENT_OPTIONS": options}))
    assert (await verified(gateway, context_in(answer)))["entity_id"] == entity_id


async def test_the_address_is_that_of_the_version_which_the_installation_follows(
    gateway: Gateway, sandbox: Sandbox, admin: Person, path: str
) -> None:
    newer = {"code": "tab", "name": "Телефония", "version": "2", **WIDGET, "address": "https://new.example.com"}
    stays = {**newer, "settings_template": [{"key": "k", "name": "k", "type": "text", "is_required": True}]}
    for manifest, start in ((stays, "https://widget.example.com/"), (newer, "https://new.example.com?context=ey")):
        assert (await admin.put("/api/v4/widgets/tab/manifest", json=manifest)).status == 200
        answer = await post_form(gateway, path, posted(sandbox))
        assert answer.headers["Location"].startswith(start)


async def test_a_placement_that_is_being_bound_opens(gateway: Gateway, sandbox: Sandbox, path: str) -> None:
    run_sql(gateway, "UPDATE widget_placements SET state = 'binding'")
    context_in(await post_form(gateway, path, posted(sandbox)))


FIELDS: dict[str, tuple[dict[str, str | None], str]] = {
    "no AUTH_ID": ({"AUTH_ID": None}, "AUTH_ID is missing"),
    "an empty AUTH_ID": ({"AUTH_ID": ""}, "AUTH_ID is missing"),
    "no member_id": ({"member_id": None}, "member_id is missing"),
    "another member_id": ({"member_id": "a" * 32}, "member_id is not that of the portal"),
    "no PLACEMENT": ({"PLACEMENT": None}, "PLACEMENT is missing"),
    "another PLACEMENT": ({"PLACEMENT": "CRM_LEAD_DETAIL_TAB"}, "PLACEMENT is not that of the handler"),
    "the application itself": ({"PLACEMENT": "DEFAULT"}, "PLACEMENT is not that of the handler"),
}


@pytest.mark.parametrize("name", FIELDS)
async def test_a_wrong_field_is_refused_without_a_call(
    gateway: Gateway, sandbox: Sandbox, path: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    fields, reason = FIELDS[name]
    assert_refused(await post_form(gateway, path, posted(sandbox, fields)))
    assert reasons(caplog) == [reason]
    assert not sandbox.portal.calls


STATES: dict[str, tuple[str, str]] = {
    "being unbound": ("UPDATE widget_placements SET state = 'unbinding'", "the widget is not installed"),
    "not active yet": ("UPDATE widget_installations SET active = 0", "the widget is not installed"),
    "of another portal": (
        "INSERT INTO portals VALUES (77, 'x.example', 'b', 0); UPDATE widget_placements SET portal_id = 77",
        "the account is not connected to that portal by OAuth",
    ),
    "without an address": (
        "UPDATE widget_versions SET manifest = CAST(json_remove(manifest, '$.address') AS BLOB)",
        "the widget has no address",
    ),
}


@pytest.mark.parametrize("name", STATES)
async def test_a_widget_in_another_state_is_refused(
    gateway: Gateway, sandbox: Sandbox, path: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    statements, reason = STATES[name]
    for statement in statements.split(";"):
        run_sql(gateway, statement)
    assert_refused(await post_form(gateway, path, posted(sandbox)))
    assert reasons(caplog) == [reason]
    (record,) = [each for each in caplog.records if each.message == "a widget was not opened"]
    assert (vars(record)["account"], vars(record)["widget"], bool(vars(record)["request_id"])) == ("acme", "tab", True)
    assert not sandbox.portal.calls


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize(
    "handler", ["0" * 32, "fields", "7C1F4E0A9B2D4C6E8F10A3B5C7D9E1F2", "%ff", "%00", "x" * 5000, "..%2fkeys"]
)
async def test_an_unknown_handler_is_refused(
    gateway: Gateway, sandbox: Sandbox, handler: str, caplog: pytest.LogCaptureFixture
) -> None:
    body = urlencode(posted(sandbox)).encode()
    answer = await send_raw(
        gateway, "POST", f"/widgets/open/{handler}", f"Content-Type: {FORM}", body=body, seen_as="/widgets/open/x"
    )
    assert_refused(answer)
    assert reasons(caplog) == ["there is no such handler"]


async def test_a_removed_widget_is_refused(
    gateway: Gateway, sandbox: Sandbox, admin: Person, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert (await admin.delete("/api/v4/widgets/tab")).status == 204
    assert_refused(await post_form(gateway, path, posted(sandbox)))
    assert reasons(caplog) == ["there is no such handler"]


async def test_a_webhook_account_is_refused(gateway: Gateway, sandbox: Sandbox, path: str) -> None:
    await gateway.connect(sandbox.webhook)
    sandbox.portal.calls.clear()
    assert_refused(await post_form(gateway, path, posted(sandbox)))
    assert not sandbox.portal.calls


async def test_a_disconnected_account_is_refused(gateway: Gateway, sandbox: Sandbox, path: str) -> None:
    assert (await gateway.delete("/bitrix/account")).status == 200
    assert_refused(await post_form(gateway, path, posted(sandbox)))
    assert not sandbox.portal.calls


async def test_a_stale_account_is_refused(
    gateway: Gateway, sandbox: Sandbox, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.portal.oauth.revoke_tokens()
    await gateway.clock.until(gateway.post("/bitrix/call/profile", json={}))
    sandbox.portal.calls.clear()
    assert (await gateway.get("/bitrix/account")).json["state"] == "stale"
    assert_refused(await post_form(gateway, path, posted(sandbox)))
    assert reasons(caplog) == ["a person must authorize the portal again"]
    assert not sandbox.portal.calls


async def test_a_token_that_the_portal_refuses_says_nothing_about_the_account(
    gateway: Gateway, sandbox: Sandbox, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    expired, revoked = posted(sandbox), posted(sandbox, {"AUTH_ID": "f" * 32})
    await gateway.clock.advance(3600)
    started = gateway.clock.now()
    for form in (expired, revoked):
        assert_refused(await post_form(gateway, path, form))
    assert gateway.clock.now() == started  # neither is tried again
    assert reasons(caplog) == [
        "the portal has not confirmed the person: The access token provided has expired.",
        "the portal has not confirmed the person: Unable to get application by token",
    ]
    assert (sandbox.portal.calls["profile"], len(sandbox.portal.token_requests)) == (2, 1)
    assert (await gateway.get("/bitrix/account")).json["state"] == "ok"


async def test_a_token_of_another_portal_is_refused_and_only_our_portal_is_called(
    gateway: Gateway, sandbox: Sandbox, other: Sandbox, path: str
) -> None:
    theirs = posted(other)
    assert_refused(await post_form(gateway, path, theirs))
    assert_refused(await post_form(gateway, path, {**theirs, "member_id": sandbox.portal.member_id}))
    assert other.portal.http_requests == 0
    assert sandbox.portal.http_requests > 0


async def test_a_dismissed_user_is_refused(
    gateway: Gateway, sandbox: Sandbox, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    user = next(id_ for id_, row in sandbox.portal.data.users.items() if not as_bool(row["ACTIVE"]))
    assert_refused(await post_form(gateway, path, posted(sandbox, user=user)))
    assert reasons(caplog) == ["the portal has not confirmed the person: it shows no active user"]


async def test_a_portal_that_fails_once_is_asked_again(gateway: Gateway, sandbox: Sandbox, path: str) -> None:
    sandbox.portal.fault("profile:502")
    context_in(await post_form(gateway, path, posted(sandbox)))


async def test_a_portal_that_cannot_be_asked_opens_nothing(
    gateway: Gateway, sandbox: Sandbox, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.portal.fault("profile:drop*")
    assert_refused(await post_form(gateway, path, posted(sandbox)))
    (reason,) = reasons(caplog)
    assert reason.startswith("the portal has not confirmed the person: the portal does not answer")


async def test_a_portal_whose_limits_leave_no_room_in_time_opens_nothing(
    gateway: Gateway, sandbox: Sandbox, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    limits = {"GATEWAY_BUCKET_CAPACITY": "10", "GATEWAY_BUCKET_LEAK_PER_S": "0.1"}
    await gateway.restart(GATEWAY_MAX_WAIT_S="1", **limits)
    answers = await asyncio.gather(*(post_form(gateway, path, posted(sandbox)) for _ in range(20)))
    refused = [answer for answer in answers if answer.status != 303]
    assert len(refused) == 20 - sandbox.portal.calls["profile"] > 0
    for answer in refused:
        assert_refused(answer)
    sentence = "the portal has not confirmed the person: the rate limit of the portal is exhausted"
    assert [reason.startswith(sentence) for reason in reasons(caplog)] == [True] * len(refused)


BODIES: dict[str, tuple[bytes, str, str]] = {
    "nothing": (b"", FORM, "AUTH_ID is missing"),
    "repeated": (b"AUTH_ID=a&AUTH_ID=b", FORM, "a field is repeated"),
    "an unknown field repeated": (b"x=a&x=a", FORM, "a field is repeated"),
    "no UTF-8": (b"AUTH_ID=%ff", FORM, "the body is not in UTF-8"),
    "raw bytes": (b"AUTH_ID=\xff", FORM, "the body is not in UTF-8"),
    "a lone surrogate": (b"AUTH_ID=%ed%a0%80", FORM, "the body is not in UTF-8"),
    "many fields": (b"&".join(b"x%d=" % number for number in range(101)), FORM, "the body has more than 100 fields"),
    "JSON": (b"{}", "application/json", f"the body is not {FORM} in UTF-8"),
    "multipart": (b"--x--", "multipart/form-data; boundary=x", f"the body is not {FORM} in UTF-8"),
    "another charset": (b"AUTH_ID=a", f"{FORM}; charset=windows-1251", f"the body is not {FORM} in UTF-8"),
}


@pytest.mark.parametrize("name", BODIES)
async def test_what_no_portal_posts_is_refused(
    gateway: Gateway, sandbox: Sandbox, path: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    body, media, reason = BODIES[name]
    answer = await gateway.post(path, token=NO_TOKEN, data=body, headers={"Content-Type": media})
    assert_refused(answer)
    assert reasons(caplog) == [reason]
    assert not sandbox.portal.calls


async def test_a_broken_encoding_is_refused(gateway: Gateway, path: str, caplog: pytest.LogCaptureFixture) -> None:
    headers = {"Content-Type": FORM, "Content-Encoding": "gzip"}
    assert_refused(await gateway.post(path, token=NO_TOKEN, data=b"AUTH_ID=a", headers=headers))
    assert reasons(caplog) == ["the body cannot be read in its Content-Encoding"]


@pytest.mark.parametrize(("size", "status"), [(65_536, 403), (65_537, 413)])
async def test_a_form_has_at_most_64_kib(gateway: Gateway, path: str, size: int, status: int) -> None:
    answer = await gateway.post(path, token=NO_TOKEN, data=b"x" * size, headers={"Content-Type": FORM})
    assert answer.status == status
    if status == 413:
        assert answer.json["detail"] == "body: is larger than 65,536 bytes"


async def test_a_lower_limit_of_the_settings_holds_for_forms_too(gateway: Gateway, path: str) -> None:
    await gateway.restart(GATEWAY_MAX_BODY_BYTES="2000")
    answer = await gateway.post(path, token=NO_TOKEN, data=b"x" * 2001, headers={"Content-Type": FORM})
    assert (answer.status, answer.json["detail"]) == (413, "body: is larger than 2,000 bytes (GATEWAY_MAX_BODY_BYTES)")


async def test_only_a_post_opens_a_widget(gateway: Gateway, path: str) -> None:
    answer = await gateway.get(path, token=NO_TOKEN)
    assert (answer.status, answer.headers["Allow"]) == (405, "POST")


async def test_parameters_of_the_query_are_ignored(gateway: Gateway, sandbox: Sandbox, path: str) -> None:
    body = urlencode(posted(sandbox)).encode()
    for query in ("", "?DOMAIN=evil.example&DOMAIN=x&NEW=1", "?AUTH_ID=a&member_id=b&PLACEMENT=c"):
        context_in(await gateway.post(f"{path}{query}", token=NO_TOKEN, data=body, headers={"Content-Type": FORM}))


async def test_nothing_but_the_key_is_stored(gateway: Gateway, sandbox: Sandbox, path: str) -> None:
    async with unwritable(gateway):
        answer = await post_form(gateway, path, posted(sandbox))
        assert (answer.status, answer.json["code"]) == (503, "storage_unavailable")
    context_in(await post_form(gateway, path, posted(sandbox)))
    async with unwritable(gateway):
        context_in(await post_form(gateway, path, posted(sandbox)))


class TestOnAPortal:
    """A placement that the portal itself has bound and opens."""

    @pytest.fixture
    def sandbox_settings(self, sandbox_settings: SandboxSettings) -> SandboxSettings:
        return replace(sandbox_settings, scope=("crm", "user", "placement", "userfieldconfig"))

    @pytest.mark.usefixtures("path")
    async def test_it_opens(self, gateway: Gateway, sandbox: Sandbox) -> None:
        opening = {"placement": TAB, "options": {"ID": "12"}}
        shown: Any = await gateway.clock.until(self.open(sandbox, opening))
        answer = Answer(shown["status"], shown["headers"], shown["body"].encode())
        assert (await verified(gateway, context_in(answer)))["entity_id"] == "12"

    async def open(self, sandbox: Sandbox, opening: Mapping[str, object]) -> Any:
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{sandbox.origin}/_sandbox/open", json=opening) as response,
        ):
            assert response.status == 200, await response.text()
            return (await response.json())["response"]


async def test_openings_do_not_wait_for_each_other(gateway: Gateway, sandbox: Sandbox, path: str) -> None:
    answers = await asyncio.gather(*(post_form(gateway, path, posted(sandbox)) for _ in range(20)))
    assert len({context_in(answer) for answer in answers}) == 20
