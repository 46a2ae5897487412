"""placement.bind, get, list and unbind."""

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from gateway.sandbox.caller import KNOWN_SCOPES
from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.settings import SandboxSettings
from tests.sandbox.client import Answer, RestClient
from tests.sandbox.examples import compare, documented

Calling = Callable[..., Coroutine[Any, Any, Answer]]
URL = "https://myapp.com/?handler="
TAB, WORKER = "CRM_DEAL_DETAIL_TAB", "PAGE_BACKGROUND_WORKER"
TASKS = (
    "LIST_CONTEXT_MENU", "VIEW_TAB", "VIEW_SIDEBAR", "VIEW_TOP_PANEL", "USER_LIST_TOOLBAR", "GROUP_LIST_TOOLBAR",
    "ROBOT_DESIGNER_TOOLBAR",
)  # fmt: skip
ERROR_URL = {"errorHandlerUrl": "https://myapp.com/error/"}


@pytest.fixture
def settings(settings: SandboxSettings) -> SandboxSettings:
    return replace(settings, tariff="off")


@pytest.fixture
def calls_of(anonymous: RestClient, tokens_of: Callable[[int], str]) -> Callable[[int], Calling]:
    """Return a function that makes calls of the application for a user."""

    def calls(user_id: int) -> Calling:
        token = tokens_of(user_id)

        async def call(method: str, **params: Any) -> Answer:
            return await anonymous.call(f"/rest/placement.{method}", auth=token, **params)

        return call

    return calls


@pytest.fixture
def call(calls_of: Callable[[int], Calling]) -> Calling:
    """Calls of the application for the administrator."""
    return calls_of(1)


async def handlers(call: Calling) -> list[str]:
    return [row["handler"] for row in (await call("get")).result]


async def test_bound_handlers_are_listed_as_documented(call: Calling) -> None:
    rows = documented("placement.get")["result"]
    rows[1]["handler"] += "b"  # the documented rows share an address, which the server refuses
    assert (await call("get")).result == []
    for row in rows:
        texts = {key: row[key] for key in ("handler", "options", "langAll")}
        params = {"PLACEMENT": row["placement"], "HANDLER": texts["handler"], "LANG_ALL": texts["langAll"]}
        answer = await call("bind", **params, OPTIONS=texts["options"], USER_ID=row["userId"])
        compare(answer.body, "placement.bind")
        assert answer.result is True
    listed = await call("get")
    compare(listed.body, "placement.get")
    assert listed.result == rows


async def test_the_documented_placements_can_be_bound(call: Calling) -> None:
    answer = await call("list")
    compare(answer.body, "placement.list")
    names = [code for code in documented("placement.list")["result"] if "DYNAMIC" not in code]
    assert [code for code in answer.result if code in names] == names
    for code in answer.result:
        assert (await call("bind", placement=code, handler=URL, options=ERROR_URL)).result is True
    assert [row["placement"] for row in (await call("get")).result] == answer.result


@pytest.mark.parametrize(
    ("place", "names"),
    [
        ("DETAIL_TAB", {"LEAD", "DEAL", "CONTACT", "COMPANY", "QUOTE", "SMART_INVOICE", "ORDER"}),
        ("DETAIL_ACTIVITY", {"LEAD", "DEAL", "CONTACT", "COMPANY", "QUOTE", "SMART_INVOICE", "ORDER"}),
        ("DETAIL_TOOLBAR", {"LEAD", "DEAL", "CONTACT", "COMPANY", "QUOTE", "SMART_INVOICE", "INVOICE"}),
        ("LIST_MENU", {"LEAD", "DEAL", "CONTACT", "COMPANY", "QUOTE", "SMART_INVOICE", "INVOICE", "ACTIVITY"}),
        ("LIST_TOOLBAR", {"LEAD", "DEAL", "CONTACT", "COMPANY", "QUOTE", "SMART_INVOICE", "INVOICE", "ORDER"}),
        ("DOCUMENTGENERATOR_BUTTON", {"LEAD", "DEAL", "CONTACT", "COMPANY", "QUOTE", "SMART_INVOICE"}),
        ("ACTIVITY_TIMELINE_MENU", {"LEAD", "DEAL", "QUOTE", "SMART_INVOICE"}),
        ("ROBOT_DESIGNER_TOOLBAR", {"LEAD", "DEAL", "SMART_INVOICE"}),
    ],
)
async def test_each_place_of_the_crm_has_its_types(
    call: Calling, portal: SandboxPortal, place: str, names: set[str]
) -> None:
    dynamic = {f"DYNAMIC_{row['entityTypeId']}" for row in portal.data.types.values()}
    codes = (await call("list", scope="crm")).result
    assert {code for code in codes if code.endswith(place)} == {f"CRM_{name}_{place}" for name in names | dynamic}


async def test_a_new_smart_process_has_placements_until_it_is_deleted(call: Calling, portal: SandboxPortal) -> None:
    code = "CRM_DYNAMIC_1046_FUNNELS_TOOLBAR"
    assert (await call("bind", placement=code, handler=URL)).error == "ERROR_PLACEMENT_NOT_FOUND"
    portal.data.write("types", 99, {"entityTypeId": 1046}, portal.now())
    assert (await call("bind", placement=code, handler=URL)).result is True
    assert await handlers(call) == [URL]
    del portal.data.types[99]
    assert await handlers(call) == []
    assert (await call("unbind", placement=code)).result == {"count": 0}


class TestScopes:
    """What an application may bind depends on its scopes."""

    @pytest.fixture
    def settings(self, settings: SandboxSettings) -> SandboxSettings:
        scopes = (*(scope for scope in KNOWN_SCOPES if scope != "crm"), "calendar")
        return replace(settings, scope=scopes)

    async def test_a_placement_requires_the_scope_of_its_tool(self, call: Calling) -> None:
        own = ["BI_ANALYTICS_MENU", "LEFT_MENU", WORKER, "REST_APP_URI", "IM_CONTEXT_MENU"]
        granted = {f"TASK_{name}" for name in TASKS} | {"USER_PROFILE_MENU", "USER_PROFILE_TOOLBAR"}
        granted |= {"CALL_CARD", "TELEPHONY_ANALYTICS_MENU", "CALENDAR_GRIDVIEW"}
        assert set((await call("list")).result) == {*own, *granted}
        assert (await call("list", SCOPE="")).result == own
        assert (await call("list", scope="contact_center", full=True)).result == ["CONTACT_CENTER"]
        assert {TAB, "CRM_FUNNELS_TOOLBAR", "CRM_ANALYTICS_MENU"} <= set((await call("list", FULL=True)).result)
        groups = {f"SONET_GROUP_{name}" for name in ("DETAIL_TAB", "ROBOT_DESIGNER_TOOLBAR", "TOOLBAR")}
        assert set((await call("list", scope="sonet_group")).result) == groups
        for code in (TAB, "CONTACT_CENTER", "SONET_GROUP_TOOLBAR"):
            assert (await call("bind", placement=code, handler=URL)).error == "ERROR_PLACEMENT_NOT_FOUND"
        assert (await call("bind", placement="CALENDAR_GRIDVIEW", handler=URL)).result is True


class TestWithoutPlacement:
    """Without the scope ``placement`` no method is available."""

    @pytest.fixture
    def settings(self, settings: SandboxSettings) -> SandboxSettings:
        return replace(settings, scope=("crm",))

    @pytest.mark.parametrize("method", ["bind", "get", "list", "unbind"])
    async def test_the_methods_require_their_scope(self, call: Calling, method: str) -> None:
        answer = await call(method, placement=TAB, handler=URL)
        assert (answer.status, answer.error) == (403, "insufficient_scope")


@pytest.mark.parametrize(
    ("params", "title", "description", "texts"),
    [
        ({}, "Sandbox application", "", {"ru": ("Sandbox application", "", "")}),
        ({"TITLE": " One ", "Group_Name": "G"}, "One", "", {"ru": ("One", "", "G")}),
        ({"description": "D"}, "", "D", {"ru": ("", "D", "")}),
        (
            {"title": "One", "lang_all": {"de": {"TITLE": "Zwei"}, "ru": {"TITLE": "Два", "DESCRIPTION": "О"}}},
            "Два",
            "О",
            {"de": ("Zwei", "", ""), "ru": ("Два", "О", "")},
        ),
        ({"title": "One", "LANG_ALL": {"de": {"TITLE": "Zwei"}}}, "Zwei", "", {"de": ("Zwei", "", "")}),
    ],
)
async def test_texts_are_stored_by_language(
    call: Calling, params: dict[str, Any], title: str, description: str, texts: dict[str, tuple[str, str, str]]
) -> None:
    assert (await call("bind", Placement=TAB.lower(), hAnDlEr=URL, **params)).result is True
    (row,) = (await call("get")).result
    assert (row["placement"], row["title"], row["description"]) == (TAB, title, description)
    names = ("TITLE", "DESCRIPTION", "GROUP_NAME")
    assert row["langAll"] == {language: dict(zip(names, values, strict=True)) for language, values in texts.items()}


@pytest.mark.parametrize(
    ("code", "options", "kept"),
    [
        (TAB, ERROR_URL, []),
        (WORKER, {**ERROR_URL, "other": "x"}, ERROR_URL),
        ("CRM_REQUISITE_AUTOCOMPLETE", {"countries": 1}, {"countries": "1"}),
        (
            "CRM_DYNAMIC_128_DETAIL_ACTIVITY",
            {"newUserNotificationTitle": "New"},
            {"useBuiltInInterface": "N", "newUserNotificationTitle": "New", "newUserNotificationText": ""},
        ),
    ],
)
async def test_only_options_that_the_placement_knows_are_kept(
    call: Calling, code: str, options: dict[str, Any], kept: Any
) -> None:
    assert (await call("bind", placement=code, handler=URL, options=options)).result is True
    (row,) = (await call("get")).result
    assert row["options"] == kept


@pytest.mark.parametrize(
    ("params", "body"),
    [
        ({"placement": ""}, documented("placement.bind.error")),
        ({"placement": None}, documented("placement.bind.error")),
        (
            {"handler": ""},
            {
                "error": "ERROR_ARGUMENT",
                "error_description": "Argument 'HANDLER' is null or empty",
                "argument": "HANDLER",
            },
        ),
        (
            {"placement": "default"},
            {"error": "ERROR_ARGUMENT", "error_description": "Wrong value", "argument": "PLACEMENT"},
        ),
        (
            {"title": ["x"]},
            {
                "error": "ERROR_ARGUMENT",
                "error_description": "The value of an argument 'TITLE' must be of type string",
                "argument": "TITLE",
            },
        ),
        (
            {"placement": "CRM_CONTACT_ROBOT_DESIGNER_TOOLBAR"},
            {"error": "ERROR_PLACEMENT_NOT_FOUND", "error_description": "Placement not found"},
        ),
        (
            {"user_id": 5},
            {"error": "ERROR_PLACEMENT_USER_MODE", "error_description": "User mode is not available."},
        ),
        (
            {"handler": "https://localhost/"},
            {"error": "ERROR_WRONG_HANDLER_URL", "error_description": "Wrong handler URL"},
        ),
        (
            {"handler": "http://.com/"},
            {"error": "ERROR_WRONG_HANDLER_URL", "error_description": "Wrong handler URL"},
        ),
        (
            {"handler": "ftp://localhost/"},
            {"error": "ERROR_WRONG_HANDLER_URL", "error_description": "Wrong handler URL"},
        ),
        (
            {"handler": "https://[a.b"},
            {"error": "ERROR_WRONG_HANDLER_URL", "error_description": "Wrong handler URL"},
        ),
        (
            {"handler": "ftp://myapp.com/"},
            {"error": "ERROR_UNSUPPORTED_PROTOCOL", "error_description": "Unsupported event handler protocol"},
        ),
        (
            {"handler": URL},
            {
                "error": "ERROR_CORE",
                "error_description": "Unable to set placement handler: Handler already binded",
            },
        ),
        (
            {"placement": "REST_APP_URI"},
            {"error": "ERROR_PLACEMENT_MAX_COUNT", "error_description": "Placement max count: 1"},
        ),
    ],
)
async def test_a_wrong_handler_is_refused(call: Calling, params: dict[str, Any], body: dict[str, str]) -> None:
    for code in (TAB, "REST_APP_URI"):
        await call("bind", placement=code, handler=URL)
    answer = await call("bind", **{"placement": TAB, "handler": f"{URL}2", **params})
    assert (answer.status, answer.body) == (400, body)
    assert await handlers(call) == [URL, URL]


async def test_a_handler_may_have_an_ip_address(call: Calling) -> None:
    address = "http://127.0.0.1:8080/widgets/open/7"
    assert (await call("bind", placement=TAB, handler=address)).result is True
    assert await handlers(call) == [address]


async def test_a_background_worker_without_an_address_for_errors_is_refused_with_status_200(call: Calling) -> None:
    answer = await call("bind", placement=WORKER, handler=URL, options={})
    body = {"error": "EMPTY_ERROR_HANDLER_URL", "error_description": "Field errorHandlerUrl is empty."}
    assert (answer.status, answer.body) == (200, body)
    assert await handlers(call) == []


async def test_each_user_may_have_one_background_worker(call: Calling) -> None:
    async def bind(number: int, user_id: int) -> Answer:
        return await call("bind", placement=WORKER, handler=f"{URL}{number}", options=ERROR_URL, user_id=user_id)

    assert (await bind(1, 5)).result is True
    assert (await bind(2, 5)).error == "ERROR_PLACEMENT_MAX_COUNT"
    assert (await bind(2, 6)).result is True
    assert (await bind(1, 7)).error == "ERROR_CORE"
    assert (await bind(3, 0)).result is True
    assert (await bind(4, 8)).error == "ERROR_PLACEMENT_MAX_COUNT"
    assert [row["userId"] for row in (await call("get")).result] == [5, 6, 0]
    assert (await call("unbind", placement=WORKER, user_id=6)).result == {"count": 2}
    assert [row["userId"] for row in (await call("get")).result] == [5, 0]


async def test_an_unbound_handler_counts_twice(call: Calling) -> None:
    for number in (1, 2, 3):
        await call("bind", placement=TAB, handler=f"{URL}{number}")
    await call("bind", placement="LEFT_MENU", handler=f"{URL}1")
    assert (await call("unbind", placement=TAB, handler=URL)).result == {"count": 0}
    assert (await call("unbind", placement=TAB, handler=f"{URL}2")).result == {"count": 2}
    assert await handlers(call) == [f"{URL}1", f"{URL}3", f"{URL}1"]
    unbound = await call("unbind", PLACEMENT=TAB.lower())
    compare(unbound.body, "placement.unbind")
    assert unbound.result == documented("placement.unbind")["result"]
    assert await handlers(call) == [f"{URL}1"]
    assert (await call("unbind", placement="NOTHING")).result == {"count": 0}


@pytest.mark.parametrize(
    ("value", "text"),
    [("", "Argument 'PLACEMENT' is null or empty"), (7, "The value of an argument 'PLACEMENT' must be of type string")],
)
async def test_a_wrong_placement_cannot_be_unbound(call: Calling, value: Any, text: str) -> None:
    answer = await call("unbind", placement=value)
    assert answer.status == 400
    assert answer.body == {"error": "ERROR_ARGUMENT", "error_description": text, "argument": "PLACEMENT"}


@pytest.mark.parametrize("method", ["bind", "get", "list", "unbind"])
async def test_a_webhook_has_no_access(webhook: RestClient, method: str) -> None:
    answer = await webhook.call(f"placement.{method}", placement=TAB, handler=URL)
    assert (answer.status, answer.body) == (403, documented("placement.list.error"))


async def test_a_user_who_is_no_administrator_can_only_list_placements(
    call: Calling, calls_of: Callable[[int], Calling], portal: SandboxPortal
) -> None:
    own = calls_of(list(portal.data.users)[1])
    for method in ("bind", "get", "unbind"):
        answer = await own(method, placement=TAB, handler=URL)
        assert (answer.status, answer.body) == (403, {"error": "ACCESS_DENIED", "error_description": "Access denied!"})
    assert (await own("list")).result == (await call("list")).result


async def test_handlers_are_those_of_one_application(call: Calling, portal: SandboxPortal) -> None:
    await call("bind", placement="REST_APP_URI", handler=URL)
    portal.data.placement_handlers[1]["APP_ID"] = "app.other"
    assert (await call("get")).result == []
    assert (await call("unbind", placement="REST_APP_URI")).result == {"count": 0}
    assert (await call("bind", placement="REST_APP_URI", handler=URL)).result is True
    portal.data.remove_application("app.other")
    assert await handlers(call) == [URL]


async def test_handlers_are_removed_with_the_application(
    call: Calling, calls_of: Callable[[int], Calling], anonymous: RestClient, portal: SandboxPortal, access_token: str
) -> None:
    await call("bind", placement=TAB, handler=URL)
    await anonymous.call("/rest/event.bind", auth=access_token, event="ONTASKADD", handler=URL)
    assert len(portal.data.events.handlers) == 1
    portal.uninstall()
    answer = await call("get")
    assert (answer.status, answer.error) == (401, "invalid_token")
    assert (await calls_of(1)("get")).result == []
    assert portal.data.events.handlers == []
