"""The database file at start: damage, open permissions, migrations."""

import json
import os
import signal
import stat
from pathlib import Path

import pytest

from tests.cli.conftest import Spawn
from tests.support.stored import damage


async def start_once(spawn: Spawn) -> None:
    gateway = await spawn("serve", "--port", "0")
    await gateway.until("listening")
    await gateway.end(signal.SIGTERM)


@pytest.mark.parametrize("table", ["facts", "sync_runs"])
async def test_damage_found_at_start_is_reported_with_a_remedy(spawn: Spawn, tmp_path: Path, table: str) -> None:
    await start_once(spawn)
    damage(tmp_path / "gateway.db", table)
    status, output = await (await spawn("serve", "--port", "0")).end()
    assert status == 1
    last = output.splitlines()[-1]
    assert last.startswith("Error: GATEWAY_DATABASE (--database): gateway.db cannot be opened: the database is damaged")
    assert ".recover" in last
    assert "Traceback" not in output


async def test_a_file_that_is_not_a_database_is_refused_at_start(spawn: Spawn, tmp_path: Path) -> None:
    await start_once(spawn)
    (tmp_path / "gateway.db").write_bytes(b"Dear Sir or Madam" * 1000)
    status, output = await (await spawn("serve", "--port", "0")).end()
    assert (status, "or is not an SQLite database (file is not a database)" in output) == (1, True)
    assert "Traceback" not in output


async def test_permissions_of_a_readable_file_are_restricted_with_a_warning(spawn: Spawn, tmp_path: Path) -> None:
    await start_once(spawn)
    (tmp_path / "gateway.db").chmod(0o644)
    (tmp_path / "gateway.db.lock").chmod(0o660)
    gateway = await spawn("serve", "--port", "0", "--log-format", "json")
    await gateway.until("listening")
    _, output = await gateway.end(signal.SIGTERM)
    lines = [json.loads(line) for line in output.splitlines()]
    warnings = {
        Path(line["file"]).name: (line["mode"], line["level"]) for line in lines if "others could read" in line["event"]
    }
    assert warnings == {"gateway.db": ("0644", "warning"), "gateway.db.lock": ("0660", "warning")}
    assert {stat.S_IMODE(os.stat(name).st_mode) for name in os.listdir()} == {0o600}


async def test_a_migration_is_logged(spawn: Spawn) -> None:
    first = await spawn("serve", "--port", "0", "--log-format", "json")
    line = json.loads(await first.until("migrated the database"))
    assert (line["from_version"], line["to_version"] > 3, line["level"]) == (0, True, "info")
    await first.until("listening")
    await first.end(signal.SIGTERM)
    again = await spawn("serve", "--port", "0", "--log-format", "json")
    await again.until("listening")
    assert "migrated" not in (await again.end(signal.SIGTERM))[1]


async def test_a_path_that_is_not_a_file_is_refused_and_left_unchanged(spawn: Spawn, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o644)
    running = await spawn("serve", "--port=0", f"--database={pipe}")
    assert await running.end() == (
        1,
        f"Error: GATEWAY_DATABASE (--database) is {pipe}, which is not a file: choose another path\n",
    )
    assert stat.S_IMODE(pipe.stat().st_mode) == 0o644
    assert os.listdir(tmp_path) == ["pipe"]
