"""What every command says of itself, and how a wrong call ends."""

import subprocess
import sys

import pytest

from gateway import __version__
from gateway.cli import main
from gateway.config import SETTINGS
from tests.cli.conftest import Invoke


def test_the_version_is_told(invoke: Invoke) -> None:
    assert invoke("--version").stdout.strip() == f"bitrix-gateway, version {__version__}"


def test_it_runs_as_a_module_too() -> None:
    result = subprocess.run([sys.executable, "-m", "gateway", "--version"], capture_output=True, text=True, check=True)
    assert result.stdout.startswith("bitrix-gateway, version ")


@pytest.mark.parametrize("command", main.commands)
def test_every_command_has_help(invoke: Invoke, command: str) -> None:
    result = invoke(command, "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: main {command}")


def test_serve_has_every_setting_with_its_environment_name_and_default(invoke: Invoke) -> None:
    words = " ".join(invoke("serve", "--help").stdout.split())
    for one in SETTINGS:
        assert f" {one.flags[0]} VALUE {one.help} [{one.environment_names[0]}" in words
        assert all(name in words.replace(" ", "") for name in (*one.flags, *one.environment_names))


def test_a_wrong_setting_is_refused_in_one_line(invoke: Invoke) -> None:
    result = invoke("serve", "--port", "x", GATEWAY_LOG_LEVEL="loud")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: GATEWAY_PORT has to be a whole number")
    assert "GATEWAY_LOG_LEVEL" in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments", [("fly",), ("sync",), ("sync", "cars", "--account", "1"), ("serve", "--fly"), ("demo", "--port", "x")]
)
def test_a_wrong_call_ends_with_status_2(invoke: Invoke, arguments: tuple[str, ...]) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert "Usage:" in result.stderr
