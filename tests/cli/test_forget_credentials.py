"""The command `forget-credentials`, for a lost encryption key."""

import asyncio
import os
import pty
import signal
import sys
from pathlib import Path
from sqlite3 import connect
from typing import Any

import pytest

from tests.cli.conftest import Invoke, Spawn
from tests.gateway import NO_TOKEN, Gateway, Sandbox, authorize
from tests.support.placements import KEYS, TAB, context_in, handler_of, post_form, posted, verified
from tests.support.stored import credentials, database, every_byte, select
from tests.support.widgets import TEXT_FIELD, WIDGETS, Person, manifest

RULES: dict[str, Any] = {
    "PerformerID": "1", "PipelineID": 0, "TypeID": "SALE", "StageID": "NEW", "SourceID": "WEB", "FieldsRule": {},
    "TagsToAdd": {}, "LeadFlag": False, "StatusID": "NEW",
}  # fmt: skip

ADDRESS = "https://widget.example.com/"
OPTIONAL = {"key": "note", "name": "note", "type": "text", "is_required": False}
NEW = {"key": "new", "name": "new", "type": "text", "is_required": True}
WIDGETS_WITH_SETTINGS: dict[str, list[dict[str, Any]]] = {
    "none": [],
    "optional": [OPTIONAL],
    "retyped": [OPTIONAL],
    "both": [TEXT_FIELD, OPTIONAL],
}
SEALED = """
SELECT settings FROM widget_installations WHERE settings IS NOT NULL
UNION ALL SELECT value FROM facts WHERE name = 'widget_context_key'
"""


@pytest.fixture
def admin(gateway: Gateway) -> Person:
    return Person(gateway, user=1, admin=True)


@pytest.fixture
async def keyless(gateway: Gateway, sandbox: Sandbox) -> Gateway:
    """A stopped gateway without its key; it has two accounts on one portal, a mirror and a rule."""
    await authorize(gateway, sandbox)
    await gateway.connect(sandbox.webhook, account="hook")
    await gateway.synced()
    assert (await gateway.post("/bitrix/rules/1", json=RULES)).status == 200
    await gateway.stop()
    os.unlink(gateway.environ["GATEWAY_DATABASE"] + ".secrets")
    return gateway


async def forget(spawn: Spawn, gateway: Gateway, *arguments: str) -> tuple[int, str]:
    """Run the command on the database of *gateway*; its exit status and output."""
    return await (await spawn("forget-credentials", "--database", str(database(gateway)), *arguments)).end()


async def test_a_start_without_the_key_suggests_the_command(spawn: Spawn, keyless: Gateway) -> None:
    status, output = await (await spawn("serve", "--port", "0", "--database", str(database(keyless)))).end()
    assert (status, "bitrix-gateway forget-credentials" in output) == (1, True)


async def test_afterwards_the_gateway_starts_with_a_new_key_and_the_old_mirror(
    spawn: Spawn, keyless: Gateway, sandbox: Sandbox
) -> None:
    sealed = [row[0] for row in select(keyless, "SELECT sealed FROM accounts")]
    status, output = await forget(spawn, keyless, "--yes")
    assert status == 0
    assert output.startswith("Deleted the credentials of 2 accounts on 1 portal. Start the gateway again: ")
    assert "POST /bitrix/account" in output
    assert credentials(keyless) == 0
    assert not any(value in every_byte(keyless) for value in sealed)
    await keyless.start()
    for account in ("acme", "hook"):
        state = (await keyless.get("/bitrix/account", account=account)).json
        assert (state["stale"], state["state"], "a person must authorize" in state["reason"]) == (True, "pending", True)
        assert (await keyless.patch("/bitrix/users", account=account)).status == 409
        assert len(await keyless.rows("users", account=account)) == 60
    assert (await keyless.get("/bitrix/rules/1")).json["StageID"] == "NEW"
    await authorize(keyless, sandbox)
    await keyless.connect(sandbox.webhook, account="hook")
    for account in ("acme", "hook"):
        assert {run["state"] for run in await keyless.synced(account=account)} == {"done"}
        assert (await keyless.get("/bitrix/account", account=account)).json["stale"] is False
    await keyless.restart()  # the new key fits


async def test_settings_of_widgets_and_the_key_of_their_contexts_are_lost_too(
    spawn: Spawn, gateway: Gateway, sandbox: Sandbox, admin: Person
) -> None:
    await authorize(gateway, sandbox)
    await gateway.synced()
    for code, fields in WIDGETS_WITH_SETTINGS.items():
        placements = [{"placement": TAB}] if code == "none" else []
        await admin.add(code, settings_template=fields, address=ADDRESS, placements=placements)
        await admin.install(code, {field["key"]: "anna-0123456789" for field in fields})
    for code, template in {"both": [TEXT_FIELD, OPTIONAL, NEW], "retyped": [{**OPTIONAL, "type": "users"}]}.items():
        newer = manifest(code, version="2", settings_template=template)
        assert (await admin.put(f"{WIDGETS}/{code}/manifest", json=newer)).status == 200
    assert (await admin.widget("retyped"))["missing_settings"] == ["note"]
    old = (await gateway.get(KEYS, token=NO_TOKEN)).json
    generation = select(gateway, "SELECT generation FROM widget_catalogue")
    sealed = [row[0] for row in select(gateway, SEALED)]
    assert len(sealed) == 5
    await gateway.stop()
    os.unlink(gateway.environ["GATEWAY_DATABASE"] + ".secrets")
    status, output = await forget(spawn, gateway, "--yes")
    assert (status, "missing_settings" in output, "/widgets/keys" in output) == (0, True, True)
    assert select(gateway, SEALED) == []
    assert not any(value in every_byte(gateway) for value in sealed)
    assert select(gateway, "SELECT generation FROM widget_catalogue") > generation
    await gateway.start()
    shown = {code: (await admin.widget(code)) for code in WIDGETS_WITH_SETTINGS}
    assert {code: each["is_active_in_account"] for code, each in shown.items()} == dict.fromkeys(shown, True)
    assert {code: each.get("missing_settings") for code, each in shown.items()} == {
        "none": None,
        "optional": None,
        "retyped": None,
        "both": ["login", "new"],
    }
    versions = "SELECT 1 FROM widget_installations AS i JOIN widgets AS w USING (widget_id, version_id)"
    assert len(select(gateway, versions)) == 3  # all but the one that misses settings follow the current version
    assert (await gateway.get(KEYS, token=NO_TOKEN)).json != old
    await admin.install("both", {"login": "anna", "new": "x"})
    assert "missing_settings" not in await admin.widget("both")
    await authorize(gateway, sandbox)
    answer = await post_form(gateway, handler_of(gateway, "none"), posted(sandbox))
    assert (await verified(gateway, context_in(answer)))["widget"] == "none"


async def test_a_key_may_be_set_instead(spawn: Spawn, keyless: Gateway) -> None:
    assert (await forget(spawn, keyless, "--yes"))[0] == 0
    await keyless.start(GATEWAY_ENCRYPTION_KEY="B" * 43)
    assert (await keyless.get("/bitrix/account")).json["stale"] is True


async def test_without_a_terminal_it_requires_yes_and_deletes_nothing(spawn: Spawn, keyless: Gateway) -> None:
    status, output = await forget(spawn, keyless)
    assert (status, "give --yes" in output) == (1, True)
    assert credentials(keyless) == 2


@pytest.mark.parametrize(("answer", "left"), [("n", 2), ("", 2), ("y", 0)])
async def test_on_a_terminal_it_asks_for_confirmation(keyless: Gateway, answer: str, left: int) -> None:
    ours, theirs = pty.openpty()
    os.write(ours, answer.encode() + b"\n")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "forget-credentials", "--database", str(database(keyless)),
        stdin=theirs, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await process.communicate()
    os.close(ours)
    os.close(theirs)
    assert b"Delete the credentials of 2 accounts on 1 portal in " in output
    assert (process.returncode, credentials(keyless)) == (1 if left else 0, left)


async def test_it_is_refused_while_the_gateway_is_running(spawn: Spawn, gateway: Gateway, sandbox: Sandbox) -> None:
    await gateway.connect(sandbox.webhook)
    status, output = await forget(spawn, gateway, "--yes")
    assert (status, "is in use by another running gateway: stop that one first" in output) == (1, True)
    assert credentials(gateway) == 1


@pytest.mark.parametrize("name", ["none.db", "nowhere/none.db"])
def test_a_missing_database_is_reported_and_not_created(invoke: Invoke, tmp_path: Path, name: str) -> None:
    result = invoke("forget-credentials", "--yes", "--database", name)
    assert (result.exit_code, result.stderr) == (
        1,
        f"Error: GATEWAY_DATABASE (--database): there is no database {name}\n",
    )
    assert list(tmp_path.iterdir()) == []


def test_the_database_of_another_program_is_refused(invoke: Invoke, tmp_path: Path) -> None:
    with connect(tmp_path / "music.db") as connection:
        connection.execute("CREATE TABLE songs (name TEXT)")
    connection.close()
    result = invoke("forget-credentials", "--yes", "--database", "music.db")
    assert (result.exit_code, "is the database of another program" in result.stderr) == (1, True)


async def test_a_database_without_credentials_accepts_a_new_key_too(spawn: Spawn, tmp_path: Path) -> None:
    gateway = await spawn("serve", "--port", "0")
    await gateway.until("listening")
    await gateway.end(signal.SIGTERM)
    (tmp_path / "gateway.db.secrets").unlink()
    status, output = await (await spawn("forget-credentials", "--yes")).end()
    assert (status, output.startswith("Deleted the credentials of 0 accounts on 0 portals. ")) == (0, True)
    again = await spawn("serve", "--port", "0")
    await again.until("listening")
