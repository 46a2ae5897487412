"""Operators load, list and remove widgets beside a running gateway."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.widget_changes import list_widgets, load_files, remove_widgets
from gateway.errors import StateConflict
from gateway.settings.config import Config, load_config
from gateway.widgets.loading import LoadedWidget, ManifestsRefused
from storage.database import Database, newest_version
from storage.errors import DatabaseTooNew
from storage.widget_operators import OperatorStore, WidgetChange
from storage.widgets import Owner
from tests.gateway import Gateway
from tests.support.stored import run_sql, select
from tests.support.widgets import TEXT_FIELD, WIDGETS, Person, manifest

TOKEN = {"key": "token", "name": "Токен", "type": "pass", "is_required": True}


class Operator:
    """Runs the commands beside *gateway*."""

    def __init__(self, gateway: Gateway, directory: Path) -> None:
        self._clock = gateway.clock
        self._file = directory / "widgets.json"
        self.config: Config = load_config(gateway.environ)

    async def load(self, *manifests: dict[str, Any]) -> list[LoadedWidget]:
        self._file.write_text(json.dumps(manifests))
        return await self._clock.until(load_files(self.config, [self._file], self._clock))

    async def remove(self, *codes: str, force: bool = False) -> dict[str, int]:
        return await self._clock.until(remove_widgets(self.config, codes, self._clock, force=force))

    async def listed(self) -> list[tuple[str, str, str | None, str | None, int]]:
        return [
            (each.code, each.visibility, each.account, each.user, each.installations)
            for each in await list_widgets(self.config)
        ]


@pytest.fixture
def operator(gateway: Gateway, tmp_path: Path) -> Operator:
    return Operator(gateway, tmp_path)


async def test_a_loaded_widget_is_served_to_every_account_when_the_command_returns(
    operator: Operator, user: Person
) -> None:
    assert await user.codes() == []
    assert await operator.load(manifest("a", id=742)) == [LoadedWidget("a", "added", "1.0.0", None)]
    assert await user.codes() == ["a"]
    assert (await user.but(account="other").widget("a"))["id"] == 742


async def test_the_command_waits_for_as_long_as_the_gateway_may_serve_an_earlier_page(
    gateway: Gateway, operator: Operator, user: Person
) -> None:
    await operator.load(manifest("a"))
    await user.codes()
    before = gateway.clock.monotonic()
    await operator.load(manifest("a", version="2"))
    assert gateway.clock.monotonic() - before >= 1
    assert (await user.widget("a"))["version"] == "2"


async def test_without_a_gateway_the_command_does_not_wait(gateway: Gateway, operator: Operator) -> None:
    await gateway.stop()
    before = gateway.clock.monotonic()
    await operator.load(manifest("a"))
    assert gateway.clock.monotonic() == before
    await gateway.start()
    assert await Person(gateway).codes() == ["a"]


async def test_installations_follow_a_new_version_that_their_settings_satisfy(
    operator: Operator, admin: Person
) -> None:
    await operator.load(manifest("a", settings_template=[TEXT_FIELD]))
    await admin.install("a", {"login": "zoe"})
    await operator.load(manifest("a", version="2", settings_template=[TEXT_FIELD]))
    assert "missing_settings" not in await admin.widget("a")
    await operator.load(manifest("a", version="3", settings_template=[TEXT_FIELD, TOKEN]))
    assert (await admin.widget("a"))["missing_settings"] == ["token"]
    assert await admin.install("a", {"login": "zoe", "token": "t"})


async def test_a_widget_of_an_account_is_not_taken_over(operator: Operator, user: Person, admin: Person) -> None:
    await user.add("own")
    await admin.add("account")
    with pytest.raises(ManifestsRefused) as refused:
        await operator.load(manifest("a"), manifest("own"), manifest("account"))
    assert [mistake.path for mistake in refused.value.mistakes] == ["code", "code"]
    assert "own is a widget of the account acme: choose another code" in str(refused.value.mistakes[0])
    assert await operator.listed() == [("own", "own", "acme", "5", 0), ("account", "account", "acme", None, 0)]


async def test_an_account_cannot_use_the_code_of_a_loaded_widget(operator: Operator, admin: Person) -> None:
    await operator.load(manifest("a"))
    assert (await admin.post(WIDGETS, json=manifest("a"))).status == 409


async def test_an_installed_widget_is_removed_with_force_and_its_placements_are_to_be_unbound(
    gateway: Gateway, operator: Operator, admin: Person
) -> None:
    await operator.load(manifest("a", settings_template=[TEXT_FIELD]), manifest("b"))
    for account in ("acme", "other"):
        await admin.but(account=account).install("a", {"login": "zoe"})
    [(first, _)] = select(gateway, "SELECT min(installation_id), 1 FROM widget_installations")
    run_sql(gateway, "INSERT INTO portals (portal_id, host, created_at) VALUES (7, 'a.example', 0)")
    run_sql(
        gateway,
        "INSERT INTO widget_placements "
        "(placement_id, account_key, portal_id, installation_id, placement, definition, handler, state) "
        f"VALUES ('p', 'acme', 7, {first}, 'CRM_DEAL_DETAIL_TAB', '{{}}', 'https://g.example/p', 'bound')",
    )
    with pytest.raises(StateConflict, match="a has 2 installations: --force removes installations too"):
        await operator.remove("b", "a")
    assert await admin.codes() == ["a", "b"]
    assert await operator.remove("b", "a", force=True) == {"b": 0, "a": 2}
    assert await admin.codes() == []
    assert select(gateway, "SELECT state, installation_id FROM widget_placements") == [("unbinding", None)]
    assert select(gateway, "SELECT 1 FROM widget_installations UNION ALL SELECT 1 FROM widget_versions") == []


async def test_a_widget_of_an_account_can_be_removed(operator: Operator, user: Person) -> None:
    await user.add("own")
    assert await operator.remove("own") == {"own": 0}
    assert await user.codes() == []


def change(code: str, **properties: Any) -> WidgetChange:
    defaults: dict[str, Any] = {"widget": None, "widget_id": None}
    return WidgetChange(
        code=code, owner=Owner("public", None, None), manifest=b"{}", head=b"", missing_of=lambda _: (),
        **defaults | properties,
    )  # fmt: skip


async def test_nothing_is_stored_if_the_catalogue_has_changed_since_the_check(operator: Operator, user: Person) -> None:
    await operator.load(manifest("a"))
    async with Database.open_beside(operator.config.database) as database:
        store = OperatorStore(database)
        [(stale, _)] = await store.list_all()
        await operator.load(manifest("a", version="2"))
        assert not await store.store([change("b"), change("a", widget=stale)], now=0)
        assert not await store.store([change("b"), change("a")], now=0)
        assert not await store.store([change("b"), change("c", widget_id=stale.widget_id)], now=0)
    assert await user.codes() == ["a"]


async def test_nothing_is_written_once_a_newer_gateway_has_migrated_the_database(
    gateway: Gateway, operator: Operator
) -> None:
    await operator.load(manifest("a"))
    await gateway.stop()
    async with Database.open_beside(operator.config.database) as database:
        store = OperatorStore(database)
        run_sql(gateway, f"PRAGMA user_version = {newest_version() + 1}")
        with pytest.raises(DatabaseTooNew, match="install a newer gateway"):
            await store.remove(["a"], uninstall=True)
        with pytest.raises(DatabaseTooNew):
            await store.store([change("b")], now=0)
    assert select(gateway, "SELECT code FROM widgets") == [("a",)]
