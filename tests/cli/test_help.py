"""Help texts, and the exit of commands that are used incorrectly."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway import __version__
from gateway.cli.main import main
from gateway.cli.widgets import widgets
from gateway.sandbox.behaviour.faults import MEANINGS
from gateway.settings.config import SETTINGS
from tests.cli.conftest import Invoke


def test_version_is_printed(invoke: Invoke) -> None:
    assert invoke("--version").stdout.strip() == f"bitrix-gateway, version {__version__}"


def test_it_runs_as_a_module() -> None:
    result = subprocess.run([sys.executable, "-m", "gateway", "--version"], capture_output=True, text=True, check=True)
    assert result.stdout.startswith("bitrix-gateway, version ")


@pytest.mark.parametrize(
    "command", [*((name,) for name in main.commands), *(("widgets", name) for name in widgets.commands)]
)
def test_every_command_has_help(invoke: Invoke, command: tuple[str, ...]) -> None:
    result = invoke(*command, "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: main {' '.join(command)}")


def test_the_list_of_commands_truncates_no_sentence(invoke: Invoke) -> None:
    _, commands = invoke("--help", COLUMNS="80").stdout.split("Commands:")
    assert "..." not in commands
    assert len(commands.strip().splitlines()) == len(main.commands)


def test_sandbox_help_lists_each_fault_on_one_line(invoke: Invoke) -> None:
    lines = [" ".join(line.split()) for line in invoke("sandbox", "--help").stdout.splitlines()]
    assert {f"{kind} {meaning}" for kind, meaning in MEANINGS.items()} <= set(lines)


def test_sync_help_describes_the_gateway_that_it_calls(invoke: Invoke) -> None:
    words = " ".join(invoke("sync", "--help").stdout.split())
    assert "Host of the running gateway. [GATEWAY_HOST, default 127.0.0.1]" in words
    assert "listen" not in words


def test_serve_help_lists_every_setting_with_its_environment_name(invoke: Invoke) -> None:
    words = " ".join(invoke("serve", "--help").stdout.split())
    for setting in SETTINGS:
        assert f" {setting.flags[0]} VALUE {setting.help} [{setting.environment_names[0]}" in words
        assert all(name in words.replace(" ", "") for name in (*setting.flags, *setting.environment_names))


def test_an_invalid_setting_is_refused_in_one_line(invoke: Invoke) -> None:
    result = invoke("serve", "--port", "x", GATEWAY_LOG_LEVEL="loud")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: GATEWAY_PORT must be an integer")
    assert "GATEWAY_LOG_LEVEL" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("serve", "--port=0"),
        ("demo", "--once", "--port=0", "--portal-port=0"),
        ("token", "--account=7"),
        ("sync", "users", "--account=7"),
        ("stream", "deals", "--account=7"),
        ("upload", __file__, "--folder=1", "--account=7"),
        ("download", "1", "--account=7"),
        ("widgets", "list"),
    ],
)
def test_every_command_that_reads_settings_refuses_an_unknown_one_in_one_line(
    invoke: Invoke, arguments: tuple[str, ...]
) -> None:
    result = invoke(*arguments, GATEWAY_JWT_SECRT="canary-123")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("Error: GATEWAY_JWT_SECRT is not a setting (did you mean GATEWAY_JWT_SECRET?)")
    assert (result.stderr.count("\n"), "canary" in result.stderr) == (1, False)


@pytest.mark.parametrize(
    "arguments",
    [
        ("fly",),
        ("sync",),
        ("sync", "cars", "--account", "1"),
        ("stream", "items/x", "--account", "1"),
        ("serve", "--fly"),
        ("demo", "--port", "x"),
    ],
)
def test_incorrect_usage_exits_with_status_2(invoke: Invoke, arguments: tuple[str, ...]) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert "Usage:" in result.stderr


def test_an_output_error_is_reported_in_one_line() -> None:
    with open("/dev/full", "w") as full:
        for arguments in (("--help",), ("token", "--account", "7", "--jwt-secret", "12345678")):
            command = [sys.executable, "-m", "gateway", *arguments]
            result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
            assert (result.returncode, result.stderr) == (1, "Error: No space left on device\n")


def test_an_interrupt_during_imports_is_quiet(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("raise KeyboardInterrupt\n")
    environ = os.environ | {"PYTHONPATH": str(tmp_path)}
    result = subprocess.run([sys.executable, "-m", "gateway"], env=environ, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (130, "", "")


def test_an_interrupt_of_a_command_is_quiet(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("jose.jwt.encode", interrupt)
    result = invoke("token", "--account", "7", "--jwt-secret", "12345678")
    assert (result.exit_code, result.output) == (130, "")
