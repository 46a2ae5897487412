"""The placements of widgets on portals: bound with the installation and unbound with its removal, all or nothing."""

from typing import Any

import pytest

from tests.gateway import Answer, Gateway, Sandbox
from tests.support.bound_placements import MENU, TAB, TOOLBAR, bound_codes, placed
from tests.support.stored import select
from tests.support.widgets import TEXT_FIELD, WIDGETS, Person, manifest

ADDRESS = "https://widget.example.com/"


@pytest.fixture
async def admin(authorized: Gateway) -> Person:
    """An administrator of an account that is connected by OAuth, who has added a widget with two placements."""
    admin = Person(authorized, user=1, admin=True)
    await admin.add("tab", **placed(TAB, MENU))
    return admin


def stored(gateway: Gateway) -> list[tuple[str, str]]:
    return sorted(select(gateway, "SELECT placement, state FROM widget_placements"))


async def ask(person: Person, method: str, path: str, **options: Any) -> Answer:
    """Send a request while the clock advances."""
    return await person.gateway.clock.until(person.request(method, f"{WIDGETS}/{path}", **options))


async def test_the_placements_of_an_installed_widget_are_bound(sandbox: Sandbox, admin: Person) -> None:
    titles = {"title": {"en": "Telephony", "ru": "Телефония"}}
    await admin.add("calls", address=ADDRESS, placements=[{"placement": TAB, **titles}, {"placement": TOOLBAR}])
    assert (await ask(admin, "POST", "calls", json={})).status == 200
    tab, toolbar = sandbox.portal.data.placement_handlers.values()
    assert (tab["PLACEMENT"], toolbar["PLACEMENT"]) == (TAB, TOOLBAR)
    shown = {language: texts["TITLE"] for language, texts in tab["LANG_ALL"].items()}
    assert shown == {"en": "Telephony", "ru": "Телефония"}
    assert [texts["TITLE"] for texts in toolbar["LANG_ALL"].values()] == ["Телефония"]  # the name of the widget
    for row in (tab, toolbar):
        assert row["HANDLER"].startswith(f"{admin.gateway.origin}/widgets/open/")
    assert tab["HANDLER"] != toolbar["HANDLER"]
    assert stored(admin.gateway) == [(TAB, "bound"), (TOOLBAR, "bound")]


async def test_one_request_binds_several_placements(sandbox: Sandbox, admin: Person) -> None:
    before = sandbox.portal.http_requests
    assert (await ask(admin, "POST", "tab", json={})).status == 200
    assert sandbox.portal.http_requests == before + 1


async def test_a_removed_widget_has_no_placements(sandbox: Sandbox, admin: Person) -> None:
    await ask(admin, "POST", "tab", json={})
    assert (await ask(admin, "DELETE", "tab")).status == 204
    assert (bound_codes(sandbox), stored(admin.gateway)) == ([], [])


async def test_a_deleted_manifest_takes_its_placements_along(sandbox: Sandbox, admin: Person) -> None:
    await ask(admin, "POST", "tab", json={})
    assert (await ask(admin, "DELETE", "tab/manifest?uninstall=1")).status == 204
    await admin.gateway.clock.settle()
    assert (bound_codes(sandbox), stored(admin.gateway)) == ([], [])


async def test_an_account_without_a_portal_installs_no_placements(gateway: Gateway) -> None:
    admin = Person(gateway, user=1, admin=True)
    await admin.add("tab", **placed(TAB))
    answer = await admin.post(f"{WIDGETS}/tab", json={})
    assert (answer.status, answer.json["code"]) == (409, "no_portal")
    assert (await admin.widget("tab"))["is_active_in_account"] is False


async def test_a_webhook_account_installs_no_placements(connected: Gateway, sandbox: Sandbox) -> None:
    admin = Person(connected, user=1, admin=True)
    await admin.add("tab", **placed(TAB))
    requests = sandbox.portal.http_requests
    answer = await admin.post(f"{WIDGETS}/tab", json={})
    assert (answer.status, answer.json["code"]) == (409, "webhook_account")
    assert (stored(connected), sandbox.portal.http_requests) == ([], requests)


async def test_a_stale_account_installs_no_placements(gateway: Gateway, sandbox: Sandbox, admin: Person) -> None:
    sandbox.portal.fault("user.get:invalid_token")
    await gateway.sync("users")
    assert (await gateway.get("/bitrix/account")).json["stale"] is True
    answer = await ask(admin, "POST", "tab", json={})
    assert (answer.status, answer.json["code"]) == (409, "authorization_required")
    assert answer.json["authorizeURL"]
    assert (bound_codes(sandbox), stored(gateway)) == ([], [])


async def test_mistakes_in_settings_are_told_before_the_portal_is_asked(sandbox: Sandbox, admin: Person) -> None:
    await admin.add("calls", **placed(TAB, settings_template=[TEXT_FIELD]))
    requests = sandbox.portal.http_requests
    assert (await admin.post(f"{WIDGETS}/calls", json={})).status == 400
    assert (bound_codes(sandbox), sandbox.portal.http_requests) == ([], requests)


async def test_a_placement_that_the_portal_does_not_have_installs_nothing(sandbox: Sandbox, admin: Person) -> None:
    await admin.add("odd", **placed(TAB, "NO_SUCH_PLACE", MENU))
    answer = await ask(admin, "POST", "odd", json={})
    assert (answer.status, answer.headers["Content-Type"]) == (400, "application/problem+json")
    assert answer.json["portalError"]["code"] == "ERROR_PLACEMENT_NOT_FOUND"
    assert (await admin.widget("odd"))["is_active_in_account"] is False
    assert (bound_codes(sandbox), stored(admin.gateway)) == ([], [])


async def test_a_portal_user_who_may_not_bind_installs_nothing(sandbox: Sandbox, admin: Person) -> None:
    sandbox.portal.fault("placement.bind:error=ACCESS_DENIED*")
    answer = await ask(admin, "POST", "tab", json={})
    assert (answer.status, answer.json["portalError"]["code"]) == (403, "ACCESS_DENIED")
    assert (await admin.widget("tab"))["is_active_in_account"] is False
    assert (bound_codes(sandbox), stored(admin.gateway)) == ([], [])


@pytest.mark.parametrize("fault", ["batch:cut", "batch:drop", "batch:qle", "batch:502", "placement.bind:qle*2"])
async def test_a_passing_fault_does_no_harm(sandbox: Sandbox, admin: Person, fault: str) -> None:
    sandbox.portal.fault(fault)
    assert (await ask(admin, "POST", "tab", json={})).status == 200
    assert bound_codes(sandbox) == sorted([TAB, MENU])
    sandbox.portal.fault(fault.replace(".bind", ".unbind"))
    assert (await ask(admin, "DELETE", "tab")).status == 204
    await admin.gateway.clock.advance(120)
    assert (bound_codes(sandbox), stored(admin.gateway)) == ([], [])


@pytest.mark.parametrize("fault", ["batch:drop*", "batch:cut*"])
async def test_a_portal_that_cannot_be_reached_installs_nothing(sandbox: Sandbox, admin: Person, fault: str) -> None:
    sandbox.portal.fault(fault)
    answer = await ask(admin, "POST", "tab", json={})
    assert answer.status in (502, 504)
    assert (await admin.widget("tab"))["is_active_in_account"] is False
    sandbox.portal.clear_faults()
    await admin.gateway.clock.advance(4000)
    assert (bound_codes(sandbox), stored(admin.gateway)) == ([], [])


async def test_a_widget_is_removed_at_once_and_unbound_when_the_portal_can_be_reached(
    sandbox: Sandbox, admin: Person
) -> None:
    await ask(admin, "POST", "tab", json={})
    sandbox.portal.fault("batch:drop*")
    assert (await ask(admin, "DELETE", "tab")).status == 204
    assert (await admin.widget("tab"))["is_active_in_account"] is False
    assert bound_codes(sandbox) == sorted([TAB, MENU])
    sandbox.portal.clear_faults()
    await admin.gateway.clock.advance(4000)
    assert (bound_codes(sandbox), stored(admin.gateway)) == ([], [])


async def test_an_installation_that_fails_leaves_an_earlier_one_as_it_was(sandbox: Sandbox, admin: Person) -> None:
    await admin.add("calls", **placed(TAB, settings_template=[TEXT_FIELD]))
    await ask(admin, "POST", "calls", json={"login": "anna"})
    handlers = dict(sandbox.portal.data.placement_handlers)
    template = {"settings_template": [{**TEXT_FIELD, "type": "users"}]}
    await ask(admin, "PUT", "calls/manifest", json=manifest("calls", version="2", **placed(TAB, MENU, **template)))
    sandbox.portal.fault("placement.bind:error=ACCESS_DENIED*")
    assert (await ask(admin, "POST", "calls", json={"login": {"5": "1"}})).status == 403
    shown = await admin.widget("calls")
    assert (shown["is_active_in_account"], shown["missing_settings"]) == (True, ["login"])
    assert dict(sandbox.portal.data.placement_handlers) == handlers
    assert stored(admin.gateway) == [(TAB, "bound")]


async def test_installing_again_keeps_what_is_bound(sandbox: Sandbox, admin: Person) -> None:
    await ask(admin, "POST", "tab", json={})
    handlers, requests = dict(sandbox.portal.data.placement_handlers), sandbox.portal.http_requests
    assert (await ask(admin, "POST", "tab", json={})).status == 200
    assert dict(sandbox.portal.data.placement_handlers) == handlers
    assert sandbox.portal.http_requests == requests + 1  # asks what is bound


async def test_installing_again_binds_what_was_lost(sandbox: Sandbox, admin: Person) -> None:
    await ask(admin, "POST", "tab", json={})
    sandbox.portal.data.placement_handlers.clear()
    assert (await ask(admin, "POST", "tab", json={})).status == 200
    assert bound_codes(sandbox) == sorted([TAB, MENU])


async def test_an_installation_ends_in_time_and_blocks_no_other(sandbox: Sandbox, admin: Person) -> None:
    await admin.add("plain")
    sandbox.portal.fault("placement.bind:qle*")
    started = admin.gateway.clock.monotonic()
    answer = await ask(admin, "POST", "tab", json={})
    assert (answer.status, answer.json["code"]) == (504, "portal_unreachable")
    assert admin.gateway.clock.monotonic() - started < 100
    assert (await ask(admin, "POST", "plain", json={})).status == 200
    sandbox.portal.clear_faults()
    await admin.gateway.clock.advance(4000)
    assert (bound_codes(sandbox), stored(admin.gateway)) == ([], [])


async def test_an_upgrade_changes_the_placements(sandbox: Sandbox, admin: Person) -> None:
    await ask(admin, "POST", "tab", json={})
    upgraded = manifest("tab", version="2", **placed(TAB, TOOLBAR))
    assert (await ask(admin, "PUT", "tab/manifest", json=upgraded)).status == 200
    await admin.gateway.clock.settle()
    assert bound_codes(sandbox) == sorted([TAB, TOOLBAR])
    assert stored(admin.gateway) == sorted([(TAB, "bound"), (TOOLBAR, "bound")])


async def test_an_upgrade_that_the_settings_do_not_satisfy_leaves_the_placements(
    sandbox: Sandbox, admin: Person
) -> None:
    await ask(admin, "POST", "tab", json={})
    upgraded = manifest("tab", version="2", **placed(TOOLBAR, settings_template=[TEXT_FIELD]))
    assert (await ask(admin, "PUT", "tab/manifest", json=upgraded)).json["missing_settings"] == ["login"]
    await admin.gateway.clock.settle()
    assert bound_codes(sandbox) == sorted([TAB, MENU])
    assert (await ask(admin, "POST", "tab", json={"login": "anna"})).status == 200
    assert bound_codes(sandbox) == [TOOLBAR]
