"""POST /_sandbox/open: a placement is opened as a portal does, with a small server as the handler."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from gateway.sandbox.content.placements import page_of
from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.settings import SandboxSettings
from gateway.sandbox.web import opening
from gateway.sandbox.web.server import SandboxServer
from tests.clock import ManualClock
from tests.sandbox.client import Answer, RestClient
from tests.sandbox.examples import documented

Calling = Callable[..., Awaitable[Answer]]
TAB, MENU, WORKER = "CRM_DEAL_DETAIL_TAB", "BI_ANALYTICS_MENU", "PAGE_BACKGROUND_WORKER"
QUERY = ("DOMAIN", "PROTOCOL", "LANG", "APP_SID")
NONE = "7d" * 16


@dataclass
class Widget:
    """The application's side: it records the requests of the portal."""

    origin: str = ""
    received: list[tuple[str, dict[str, str], str, dict[str, str]]] = field(default_factory=list)
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)

    async def answer(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.received.append((request.method, dict(request.query), request.content_type, form))
        return web.Response(status=self.status, text="<p>Сделка</p>", content_type="text/html", headers=self.headers)


@pytest.fixture
def settings(settings: SandboxSettings) -> SandboxSettings:
    return replace(settings, tariff="off", scope=("crm", "placement"))


@pytest.fixture
async def widget() -> AsyncIterator[Widget]:
    widget = Widget()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", widget.answer)
    async with TestServer(app, host="127.0.0.1") as running:
        widget.origin = f"http://127.0.0.1:{running.port}"
        yield widget


@pytest.fixture
def bind(anonymous: RestClient, access_token: str) -> Calling:
    async def bind(code: str, url: str, **params: Any) -> Answer:
        params |= {"options": {"errorHandlerUrl": "https://myapp.com/error/"}}
        answer = await anonymous.call("/rest/placement.bind", auth=access_token, placement=code, handler=url, **params)
        assert answer.result is True
        return answer

    return bind


@pytest.fixture
def open_placement(anonymous: RestClient) -> Calling:
    async def open_placement(code: str = TAB, **body: Any) -> Answer:
        return await anonymous.call("/_sandbox/open", placement=code, **body)

    return open_placement


async def test_the_handler_gets_what_a_portal_sends(
    open_placement: Calling, bind: Calling, widget: Widget, portal: SandboxPortal, server: SandboxServer
) -> None:
    await bind(TAB, f"{widget.origin}/open/7?own=1")
    answer = await open_placement(options={"ID": "8061"})
    assert answer.status == 200, answer.body
    ((verb, query, content_type, fields),) = widget.received
    assert (verb, content_type) == ("POST", "application/x-www-form-urlencoded")
    assert query.pop("own") == "1"
    sent, example = {**query, **fields}, documented("placement.open.post")
    assert list(sent) == list(example)
    assert list(query) == list(QUERY)
    for name in ("LANG", "AUTH_EXPIRES", "APPLICATION_SCOPE", "status", "PLACEMENT", "PLACEMENT_OPTIONS"):
        assert sent[name] == example[name], name
    assert (sent["DOMAIN"], sent["PROTOCOL"]) == (server.origin.removeprefix("http://"), "0")
    assert sent["SERVER_ENDPOINT"] == f"{server.origin}/rest/"
    assert (sent["member_id"], sent["APPLICATION_TOKEN"]) == (portal.member_id, portal.oauth.application_token)
    for name in ("APP_SID", "APPLICATION_TOKEN", "member_id"):
        assert len(sent[name]) == len(bytes.fromhex(sent[name])) * 2 == len(example[name]), name
    assert set(documented("app.open.post")) == set(sent) - {"PLACEMENT_OPTIONS"}


async def test_a_portal_over_https_says_so(bind: Calling, widget: Widget, portal: SandboxPortal) -> None:
    await bind(TAB, widget.origin)
    await opening.open_placement(
        portal, opening.Opening.parse({"placement": TAB}, portal.data), "https://portal.example"
    )
    ((_, query, _, fields),) = widget.received
    assert (query["DOMAIN"], query["PROTOCOL"]) == ("portal.example", documented("placement.open.post")["PROTOCOL"])
    assert fields["SERVER_ENDPOINT"] == "https://portal.example/rest/"


async def test_the_answer_shows_the_request_and_the_response(
    open_placement: Calling, bind: Calling, widget: Widget
) -> None:
    await bind(TAB, f"{widget.origin}/open/7")
    widget.status, widget.headers = 303, {"Location": "https://myapp.com/deal?a=1"}
    shown = (await open_placement(lang="com")).body
    ((_, query, _, fields),) = widget.received
    assert shown["request"]["fields"] == fields
    path, _, sent_query = shown["request"]["url"].partition("?")
    assert path == f"{widget.origin}/open/7"
    assert "LANG=com" in sent_query.split("&")
    assert f"APP_SID={query['APP_SID']}" in sent_query.split("&")
    assert (shown["response"]["status"], shown["response"]["body"]) == (303, "<p>Сделка</p>")
    assert shown["response"]["headers"]["Location"] == "https://myapp.com/deal?a=1"


async def test_each_opening_has_its_own_session_and_tokens_and_one_application_token(
    open_placement: Calling, bind: Calling, widget: Widget
) -> None:
    await bind(TAB, widget.origin)
    for _ in range(2):
        await open_placement()
    first, second = ({**query, **fields} for _, query, _, fields in widget.received)
    assert {name for name in first if first[name] != second[name]} == {"APP_SID", "AUTH_ID", "REFRESH_ID"}


@pytest.mark.parametrize("is_administrator", [True, False])
async def test_the_tokens_are_those_of_the_user(
    open_placement: Calling,
    bind: Calling,
    widget: Widget,
    anonymous: RestClient,
    portal: SandboxPortal,
    clock: ManualClock,
    is_administrator: bool,
) -> None:
    active = [user_id for user_id, row in portal.data.users.items() if row["ACTIVE"]]
    user_id = active[0] if is_administrator else active[1]
    await bind(TAB, widget.origin)
    fields = (await open_placement(user=user_id)).body["request"]["fields"]

    async def call(method: str, token: str, **params: Any) -> Answer:
        return await anonymous.call(f"/rest/{method}", auth=token, **params)

    profile = (await call("profile", fields["AUTH_ID"])).result
    assert (profile["ID"], profile["ADMIN"]) == (str(user_id), is_administrator)
    answer = await call("placement.bind", fields["AUTH_ID"], placement=TAB, handler="https://myapp.com/")
    refusal = {"error": "ACCESS_DENIED", "error_description": "Access denied!"}
    assert answer.status == (200 if is_administrator else 403)
    assert is_administrator or answer.body == refusal
    await clock.advance(3600)
    expired = await call("profile", fields["AUTH_ID"])
    assert (expired.status, expired.error) == (401, "expired_token")
    query = f"client_id=app.sandbox&client_secret=sandbox-secret&refresh_token={fields['REFRESH_ID']}"
    renewed = (await anonymous.form("/oauth/token/", f"grant_type=refresh_token&{query}")).body
    assert renewed["user_id"] == user_id
    assert (await call("profile", renewed["access_token"])).result["ID"] == str(user_id)


@pytest.mark.parametrize("code", [code for code in documented("placement.options") if "DEAL" in code])
async def test_the_options_name_the_page_as_documented(
    open_placement: Calling, bind: Calling, widget: Widget, code: str
) -> None:
    example = documented("placement.options")[code]
    await bind(code, widget.origin)
    await open_placement(code, options={name: value for name, value in example.items() if name != "URI"})
    options = json.loads(widget.received[0][3]["PLACEMENT_OPTIONS"])
    assert options == example


@pytest.mark.parametrize(
    ("code", "options", "page"),
    [
        ("CRM_DYNAMIC_128_DETAIL_TOOLBAR", {"ENTITY_ID": "5"}, "/crm/type/128/details/5/?any=details%2F5%2F"),
        ("CRM_SMART_INVOICE_LIST_MENU", {"ID": "5"}, "/crm/type/31/list/"),
        ("CRM_QUOTE_DETAIL_ACTIVITY", {"ID": "5"}, "/crm/quote/details/5/?any=details%2F5%2F"),
        ("CRM_FUNNELS_TOOLBAR", {}, "/crm/deal/list/"),
        ("LEFT_MENU", {}, "/"),
    ],
)
def test_each_placement_has_a_page(code: str, options: dict[str, str], page: str) -> None:
    assert page_of(code, options) == page


async def test_given_options_may_have_another_page(open_placement: Calling, bind: Calling, widget: Widget) -> None:
    await bind(TAB, widget.origin)
    await open_placement(options={"ID": "1", "URI": "/crm/"})
    assert widget.received[0][3]["PLACEMENT_OPTIONS"] == '{"ID":"1","URI":"\\/crm\\/"}'


async def test_fields_can_be_replaced_and_left_out(open_placement: Calling, bind: Calling, widget: Widget) -> None:
    await bind(TAB, widget.origin)
    await open_placement(fields={"member_id": NONE, "AUTH_ID": None, "PLACEMENT_OPTIONS": "{", "status": ""})
    fields = widget.received[0][3]
    assert (fields["member_id"], fields["PLACEMENT_OPTIONS"], fields["status"]) == (NONE, "{", "")
    assert set(fields) == set(documented("placement.open.post")) - {*QUERY, "AUTH_ID"}


async def test_bi_analytics_is_opened_without_data(open_placement: Calling, bind: Calling, widget: Widget) -> None:
    await bind(MENU, f"{widget.origin}/?own=1")
    shown = (await open_placement(MENU)).body
    assert widget.received == [("GET", {"own": "1"}, "application/octet-stream", {})]
    assert shown["request"] == {"url": f"{widget.origin}/?own=1", "fields": {}}
    for name, value in {"options": {}, "lang": "en", "fields": {}}.items():
        answer = await open_placement(MENU, **{name: value})
        assert (answer.status, answer.body) == (400, f"{name}: cannot be sent, because {MENU} is opened without data")


async def test_one_of_several_handlers_must_be_named(open_placement: Calling, bind: Calling, widget: Widget) -> None:
    one, two = f"{widget.origin}/1", f"{widget.origin}/2"
    await bind(TAB, one)
    await bind(TAB, two)
    answer = await open_placement()
    assert (answer.status, answer.body) == (409, f"handler: must be one of {one}, {two}")
    assert (await open_placement(handler=two)).body["request"]["url"].startswith(f"{two}?")


async def test_a_handler_of_one_user_is_opened_for_that_user_only(
    open_placement: Calling, bind: Calling, widget: Widget
) -> None:
    await bind(WORKER, widget.origin, user_id=1)
    assert (await open_placement(WORKER)).status == 200
    answer = await open_placement(WORKER, user=2)
    assert (answer.status, answer.body) == (404, f"no handler is bound to {WORKER}")


async def test_a_handler_that_is_not_bound_cannot_be_opened(
    open_placement: Calling, bind: Calling, widget: Widget, portal: SandboxPortal
) -> None:
    assert (await open_placement()).status == 404
    await bind(TAB, widget.origin)
    answer = await open_placement(handler="https://myapp.com/")
    assert (answer.status, answer.body) == (404, "handler: is not bound")
    portal.uninstall()
    assert (await open_placement()).status == 404
    assert widget.received == []


async def test_nothing_is_opened_before_the_installation_is_finished(
    open_placement: Calling,
    bind: Calling,
    widget: Widget,
    portal: SandboxPortal,
    anonymous: RestClient,
    access_token: str,
) -> None:
    async def is_installed() -> bool:
        return bool((await anonymous.call("/rest/app.info", auth=access_token)).result["INSTALLED"])

    await bind(TAB, widget.origin)
    assert await is_installed()
    portal.data.unfinished.add(portal.application.client_id)
    assert not await is_installed()
    answer = await open_placement()
    assert (answer.status, answer.body) == (409, "the installation of the application is not finished")
    assert widget.received == []


@pytest.mark.parametrize("address", ["http://127.0.0.1:{port}/", "http://127.0.0.1:99999/"])
async def test_a_handler_that_cannot_be_reached_is_a_bad_gateway(
    open_placement: Calling, bind: Calling, address: str
) -> None:
    handler = address.format(port=unused_port())
    await bind(TAB, handler)
    answer = await open_placement()
    assert answer.status == 502
    assert answer.body.startswith(f"The handler {handler} does not answer: ")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"placement": None}, "placement: must be a code of placement.list"),
        ({"placement": "DEFAULT"}, "placement: must be a code of placement.list"),
        ({"placement": [TAB]}, "placement: must be a code of placement.list"),
        ({"handler": None}, "handler: must be a string"),
        ({"user": 0}, "user: must be the id of an active user"),
        ({"user": True}, "user: must be the id of an active user"),
        ({"user": "1"}, "user: must be the id of an active user"),
        ({"options": [1]}, "options: must be an object"),
        ({"lang": ""}, "lang: must be a language, such as en"),
        ({"fields": ["AUTH_ID"]}, "fields: must be an object whose values are strings or null"),
        ({"fields": {"AUTH_ID": 7}}, "fields: must be an object whose values are strings or null"),
        ({"url": "x"}, "url: unknown property; the properties are placement, handler, user, options, lang, fields"),
    ],
)
async def test_an_invalid_opening_is_refused_with_its_field_and_rule(
    bind: Calling, widget: Widget, anonymous: RestClient, body: dict[str, Any], message: str
) -> None:
    await bind(TAB, widget.origin)
    answer = await anonymous.call("/_sandbox/open", **{"placement": TAB, **body})
    assert (answer.status, answer.body) == (400, message)
    assert widget.received == []


async def test_an_unknown_field_is_refused_with_the_known_ones(
    open_placement: Calling, bind: Calling, widget: Widget
) -> None:
    await bind(TAB, widget.origin)
    answer = await open_placement(fields={"MEMBER_ID": NONE})
    known = [name for name in documented("placement.open.post") if name not in QUERY]
    assert (answer.status, answer.body) == (
        400,
        f"fields.MEMBER_ID: unknown field; the fields are {', '.join(known)}",
    )
    assert widget.received == []


async def test_a_dismissed_user_opens_nothing(open_placement: Calling, bind: Calling, portal: SandboxPortal) -> None:
    dismissed = next(user_id for user_id, row in portal.data.users.items() if not row["ACTIVE"])
    await bind(TAB, "https://myapp.com/")
    answer = await open_placement(user=dismissed)
    assert (answer.status, answer.body) == (400, "user: must be the id of an active user")
