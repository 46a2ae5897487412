"""The portal has the placements that the catalogue says: after upgrades, crashes, restarts and new connections."""

from typing import Any

import pytest

from gateway.crypto.vault import Vault
from gateway.widgets.catalogue import replace_widget
from gateway.widgets.manifests import OPERATOR_MANIFEST, read_manifest
from gateway.widgets.sealed_settings import SettingsVault
from handlers.app_keys import DATABASE, SECRETS
from storage.widgets import Viewer, WidgetStore
from tests.gateway import Gateway, Sandbox, authorize
from tests.support.bound_placements import (
    MENU,
    ROWS,
    TAB,
    TOOLBAR,
    WORKER,
    bound,
    bound_codes,
    is_settled,
    nothing_stored,
    placed,
)
from tests.support.public_widgets import add_public
from tests.support.stored import run_sql, select
from tests.support.widgets import TEXT_FIELD, WIDGETS, Person, manifest


@pytest.fixture
async def owner(authorized: Gateway, admin: Person) -> Person:
    """An administrator who has installed the widget "a" with two placements in an account connected by OAuth."""
    await admin.add("a", **placed(TAB, MENU))
    await admin.install("a")
    assert admin.gateway is authorized
    return admin


def handlers(sandbox: Sandbox) -> dict[str, str]:
    return {row["PLACEMENT"]: row["HANDLER"] for row in bound(sandbox)}


async def upgrade(owner: Person, *placements: str | dict[str, Any], **properties: Any) -> None:
    answer = await owner.put(
        f"{WIDGETS}/a/manifest", json=manifest("a", version="2", **placed(*placements), **properties)
    )
    assert answer.status == 200, answer.body
    await owner.gateway.clock.settle()


async def test_an_upgrade_binds_new_placements_and_unbinds_those_that_are_gone(owner: Person, sandbox: Sandbox) -> None:
    before = handlers(sandbox)
    await upgrade(owner, MENU, TOOLBAR)
    assert bound_codes(sandbox) == [TOOLBAR, MENU]
    assert handlers(sandbox)[MENU] == before[MENU]
    assert is_settled(owner.gateway, sandbox)


async def test_an_upgrade_to_other_titles_gets_a_new_handler(owner: Person, sandbox: Sandbox) -> None:
    before = handlers(sandbox)
    await upgrade(owner, TAB, {"placement": MENU, "title": {"ru": "Новое"}})
    assert handlers(sandbox)[TAB] == before[TAB]
    assert handlers(sandbox)[MENU] != before[MENU]
    assert [row["LANG_ALL"]["ru"]["TITLE"] for row in bound(sandbox) if row["PLACEMENT"] == MENU] == ["Новое"]
    assert is_settled(owner.gateway, sandbox)


async def test_an_upgrade_that_changes_no_placement_calls_no_portal(owner: Person, sandbox: Sandbox) -> None:
    requests = sandbox.portal.http_requests
    await upgrade(owner, TAB, MENU, rating=5)
    await owner.gateway.clock.advance(3600)
    assert sandbox.portal.http_requests == requests


async def test_an_installation_that_cannot_follow_keeps_its_placements(owner: Person, sandbox: Sandbox) -> None:
    await upgrade(owner, TOOLBAR, settings_template=[TEXT_FIELD])
    assert (await owner.widget("a"))["missing_settings"] == ["login"]
    await owner.gateway.clock.advance(120)
    assert bound_codes(sandbox) == [TAB, MENU]
    await owner.install("a", {"login": "anna"})
    await owner.gateway.clock.settle()
    assert bound_codes(sandbox) == [TOOLBAR]
    assert is_settled(owner.gateway, sandbox)


async def test_a_refused_upgrade_of_an_installation_leaves_it_as_it_was(owner: Person, sandbox: Sandbox) -> None:
    before = bound(sandbox)
    await upgrade(owner, TAB, TOOLBAR, settings_template=[TEXT_FIELD])
    sandbox.portal.fault("placement.bind:error=ACCESS_DENIED")
    assert (await owner.post(f"{WIDGETS}/a", json={"login": "anna"})).status == 403
    shown = await owner.widget("a")
    assert (shown["is_active_in_account"], shown["missing_settings"]) == (True, ["login"])
    assert bound(sandbox) == before
    assert is_settled(owner.gateway, sandbox)


async def test_a_placement_with_one_handler_at_most_is_replaced(
    authorized: Gateway, admin: Person, sandbox: Sandbox
) -> None:
    first, second = (
        {"placement": WORKER, "options": {"errorHandlerUrl": f"https://widget.example.com/{name}"}} for name in "12"
    )
    await admin.add("a", **placed(first))
    await admin.install("a")
    await upgrade(admin, second)
    assert [row["OPTIONS"]["errorHandlerUrl"][-1] for row in bound(sandbox)] == ["2"]
    await upgrade(admin, first, TAB, settings_template=[TEXT_FIELD])
    await admin.install("a", {"login": "anna"})
    await authorized.clock.settle()
    assert [row["OPTIONS"]["errorHandlerUrl"][-1] for row in bound(sandbox) if row["PLACEMENT"] == WORKER] == ["1"]
    assert is_settled(authorized, sandbox)


async def test_a_displaced_handler_comes_back_when_its_successor_is_refused(
    authorized: Gateway, admin: Person, sandbox: Sandbox
) -> None:
    first, second = (
        {"placement": WORKER, "options": {"errorHandlerUrl": f"https://widget.example.com/{name}"}} for name in "12"
    )
    await admin.add("a", **placed(first))
    await admin.install("a")
    await upgrade(admin, second, TAB, settings_template=[TEXT_FIELD])
    sandbox.portal.fault("placement.bind:error=ACCESS_DENIED@1")
    assert (await admin.post(f"{WIDGETS}/a", json={"login": "anna"})).status == 403
    assert [row["OPTIONS"]["errorHandlerUrl"][-1] for row in bound(sandbox)] == ["1"]
    assert is_settled(authorized, sandbox)


async def test_an_upgrade_that_the_portal_refuses_is_tried_again(owner: Person, sandbox: Sandbox) -> None:
    sandbox.portal.fault("placement.bind:error=ACCESS_DENIED*2")
    await upgrade(owner, TAB, TOOLBAR)
    assert bound_codes(sandbox) == [TAB]
    await owner.gateway.clock.advance(60)
    assert bound_codes(sandbox) == [TAB]
    await owner.gateway.clock.advance(120)
    assert bound_codes(sandbox) == [TAB, TOOLBAR]
    assert is_settled(owner.gateway, sandbox)


async def test_an_upgrade_by_a_command_beside_the_gateway_is_followed_within_a_minute(
    authorized: Gateway, admin: Person, sandbox: Sandbox
) -> None:
    await add_public(authorized, {"code": "public", **placed(TAB)})
    await admin.install("public")
    store = WidgetStore(authorized.app[DATABASE])
    found = await store.find(Viewer("acme", "1"), "public")
    assert found is not None
    loaded = read_manifest(manifest("public", version="2", visibility="public", **placed(MENU)), OPERATOR_MANIFEST)
    vault = SettingsVault(Vault(authorized.app[SECRETS].encryption_key))
    await replace_widget(store, vault, found.widget, found.widget.owner, loaded, now=int(authorized.clock.now()))
    await authorized.clock.advance(60)
    assert bound_codes(sandbox) == [MENU]
    assert await store.delete("public", uninstall=True)
    await authorized.clock.advance(60)
    assert bound(sandbox) == []
    assert nothing_stored(authorized)


async def test_deleting_a_widget_unbinds_it_in_all_accounts(owner: Person, other: Sandbox, sandbox: Sandbox) -> None:
    await add_public(owner.gateway, {"code": "public", **placed(TOOLBAR)})
    assert (await authorize(owner.gateway, other, account="b")).status == 302
    await owner.gateway.synced(account="b")
    await owner.install("public")
    await owner.but(account="b").install("public")
    assert (bound_codes(sandbox), bound_codes(other)) == ([TAB, TOOLBAR, MENU], [TOOLBAR])
    store = WidgetStore(owner.gateway.app[DATABASE])
    assert await store.delete("public", uninstall=True)
    assert (await owner.delete(f"{WIDGETS}/a/manifest?uninstall=1")).status == 204
    await owner.gateway.clock.settle()
    assert (bound(sandbox), bound(other)) == ([], [])
    assert nothing_stored(owner.gateway)


async def test_a_start_without_changes_costs_one_call(owner: Person, sandbox: Sandbox) -> None:
    requests = sandbox.portal.http_requests
    await owner.gateway.restart()
    await owner.gateway.clock.advance(600)
    assert sandbox.portal.http_requests == requests + 1
    assert sandbox.portal.calls["placement.get"] == 1
    assert is_settled(owner.gateway, sandbox)


@pytest.mark.usefixtures("authorized")
async def test_widgets_without_placements_cost_no_call(admin: Person, sandbox: Sandbox) -> None:
    await admin.add("a")
    await admin.install("a")
    requests = sandbox.portal.http_requests
    await admin.gateway.restart()
    assert (await admin.delete(f"{WIDGETS}/a")).status == 204
    await admin.gateway.clock.advance(600)
    assert sandbox.portal.http_requests == requests


@pytest.mark.parametrize("lost", [0, 1, 2])
@pytest.mark.parametrize("state", ["binding", "bound"])
async def test_what_the_portal_does_not_have_is_bound_at_the_start(
    owner: Person, sandbox: Sandbox, state: str, lost: int
) -> None:
    before = handlers(sandbox)
    await owner.gateway.stop()
    run_sql(owner.gateway, f"UPDATE widget_placements SET state = '{state}'")
    for row_id in list(sandbox.portal.data.placement_handlers)[:lost]:
        del sandbox.portal.data.placement_handlers[row_id]
    await owner.gateway.start()
    await owner.gateway.clock.settle()
    assert handlers(sandbox) == before
    assert is_settled(owner.gateway, sandbox)


@pytest.mark.parametrize("lost", [0, 1, 2])
async def test_an_installation_that_was_never_active_is_taken_back_at_the_start(
    owner: Person, sandbox: Sandbox, lost: int
) -> None:
    await owner.gateway.stop()
    run_sql(owner.gateway, "UPDATE widget_placements SET state = 'binding'")
    run_sql(owner.gateway, "UPDATE widget_installations SET active = 0, placed_version_id = NULL")
    for row_id in list(sandbox.portal.data.placement_handlers)[:lost]:
        del sandbox.portal.data.placement_handlers[row_id]
    await owner.gateway.start()
    await owner.gateway.clock.settle()
    assert bound(sandbox) == []
    assert (await owner.widget("a"))["is_active_in_account"] is False
    assert nothing_stored(owner.gateway)


async def test_a_call_that_the_portal_carries_out_after_the_start_is_undone_a_minute_later(
    owner: Person, sandbox: Sandbox
) -> None:
    await owner.gateway.stop()
    run_sql(owner.gateway, "UPDATE widget_placements SET state = 'unbinding', installation_id = NULL")
    run_sql(owner.gateway, "DELETE FROM widget_installations")
    late = dict(sandbox.portal.data.placement_handlers)
    sandbox.portal.data.placement_handlers.clear()
    await owner.gateway.start()
    await owner.gateway.clock.settle()
    sandbox.portal.data.placement_handlers.update(late)
    await owner.gateway.clock.advance(60)
    assert bound(sandbox) == []
    assert nothing_stored(owner.gateway)


async def test_handlers_of_the_gateway_that_no_account_has_are_unbound_at_the_start(
    owner: Person, sandbox: Sandbox
) -> None:
    before = bound(sandbox)
    table = sandbox.portal.data.placement_handlers
    foreign = before[0] | {"HANDLER": "https://elsewhere.example.com/widgets/open/1"}
    table[table.next_id] = before[0] | {"HANDLER": f"{owner.gateway.origin}/widgets/open/unknown"}
    table[table.next_id] = foreign
    await owner.gateway.restart()
    await owner.gateway.clock.settle()
    assert bound(sandbox) == [*before, foreign]


async def test_handlers_of_another_account_on_the_same_portal_stay(owner: Person, sandbox: Sandbox) -> None:
    assert (await authorize(owner.gateway, sandbox, account="b")).status == 302
    await owner.gateway.synced(account="b")
    second = owner.but(account="b")
    await second.add("b", **placed(TOOLBAR))
    await second.install("b")
    await owner.gateway.restart()
    await owner.gateway.clock.settle()
    assert bound_codes(sandbox) == [TAB, TOOLBAR, MENU]
    assert is_settled(owner.gateway, sandbox)


async def test_another_public_address_gets_new_handlers(owner: Person, sandbox: Sandbox) -> None:
    await owner.gateway.restart(GATEWAY_PUBLIC_URL="https://gateway.example.com")
    await owner.gateway.clock.settle()
    assert bound_codes(sandbox) == [TAB, MENU]
    assert all(each.startswith("https://gateway.example.com/widgets/open/") for each in handlers(sandbox).values())
    assert is_settled(owner.gateway, sandbox)


async def test_an_application_that_was_installed_again_gets_its_placements_back(
    owner: Person, sandbox: Sandbox
) -> None:
    before = handlers(sandbox)
    sandbox.portal.uninstall()
    assert (await owner.post(f"{WIDGETS}/a", json={})).status == 200  # asks what is bound, and learns that it is gone
    assert (await owner.post(f"{WIDGETS}/a", json={})).status == 409
    await authorize(owner.gateway, sandbox)
    await owner.gateway.synced()
    assert handlers(sandbox) == before
    assert is_settled(owner.gateway, sandbox)


async def test_an_account_that_moves_gets_its_placements_on_the_other_portal(
    owner: Person, other: Sandbox, sandbox: Sandbox
) -> None:
    await authorize(owner.gateway, other)
    await owner.gateway.synced()
    assert bound_codes(other) == [TAB, MENU]
    assert is_settled(owner.gateway, other)
    await authorize(owner.gateway, sandbox)
    await owner.gateway.synced()
    assert bound_codes(sandbox) == [TAB, MENU]  # those of before are unbound
    assert is_settled(owner.gateway, sandbox)


@pytest.mark.parametrize("leave", ["deleted", "webhook"])
async def test_a_removal_from_an_account_that_cannot_be_called_waits_until_it_is_connected_again(
    owner: Person, sandbox: Sandbox, leave: str
) -> None:
    if leave == "deleted":
        await owner.gateway.delete("/bitrix/account")
    else:
        await owner.gateway.connect(sandbox.webhook)
    assert (await owner.delete(f"{WIDGETS}/a")).status == 204
    await owner.gateway.restart()
    await owner.gateway.clock.advance(7200)
    assert {row[2] for row in select(owner.gateway, ROWS)} == {"unbinding"}
    assert bound_codes(sandbox) == [TAB, MENU]
    await authorize(owner.gateway, sandbox)
    await owner.gateway.synced()
    assert bound(sandbox) == []
    assert nothing_stored(owner.gateway)


async def test_a_portal_that_does_not_say_what_it_has_is_asked_again(owner: Person, sandbox: Sandbox) -> None:
    await owner.gateway.stop()
    sandbox.portal.data.placement_handlers.clear()
    sandbox.portal.fault("placement.get:error=ERROR_CORE")
    await owner.gateway.start()
    await owner.gateway.clock.advance(30)
    assert bound(sandbox) == []
    await owner.gateway.clock.advance(30)
    assert bound_codes(sandbox) == [TAB, MENU]
    assert is_settled(owner.gateway, sandbox)
