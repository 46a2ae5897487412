"""The README says what is so: its settings table, its commands, its two blocks that newcomers paste."""

import re
import shlex

import pytest

from gateway.cli.main import main
from gateway.sandbox.behaviour.faults import MEANINGS
from gateway.settings.config import SETTINGS
from tests.support.readme import README, ROOT, section


def settings_table() -> str:
    rows = ["| Setting | Default | |", "|---|---|---|"]
    for one in SETTINGS:
        default = f"`{one.default}`" if one.default else ""
        names = "`, `".join(one.environment_names).replace(f"{one.environment_names[0]}_FILE", "…_FILE")
        rows.append(f"| `{names}` | {default} | {one.help} |")
    return "\n".join(rows)


def test_the_settings_table_is_that_of_the_code() -> None:
    assert settings_table() in section("Settings")


def test_the_table_of_faults_is_that_of_the_code() -> None:
    rows = ["| Kind | What happens |", "|---|---|", *(f"| `{kind}` | {told} |" for kind, told in MEANINGS.items())]
    assert "\n".join(rows) + "\n\n" in section("Use it")


@pytest.mark.parametrize("heading", ["Run it", "Test it"])
def test_a_newcomers_section_opens_with_one_command_on_one_line(heading: str) -> None:
    assert re.match(r"\n```\n[^\n]+\n```\n", section(heading))


def test_every_command_is_named() -> None:
    for command in main.commands:
        assert f"`bitrix-gateway {command}" in section("Use it")


COMMAND_LINES = re.findall(rf"bitrix-gateway ((?:{'|'.join(main.commands)})[^`)\n|]*)", README)


def test_the_readme_shows_a_command_line_of_every_command() -> None:
    assert {shlex.split(line)[0] for line in COMMAND_LINES} == set(main.commands)


@pytest.mark.parametrize("line", COMMAND_LINES)
def test_every_command_line_is_one_that_the_shell_takes(line: str) -> None:
    name, *arguments = shlex.split(line)
    with main.commands[name].make_context(name, arguments):
        pass


def test_no_token_that_could_not_be_made_goes_unnoticed() -> None:
    lines = [line for line in README.splitlines() if "$(" in line]
    assert len(lines) >= 3
    for line in lines:
        assert re.fullmatch(r"\w+=\$\([\w./ -]*bitrix-gateway token [^()]*\) &&", line), line


def test_the_log_and_the_readme_say_the_same_of_the_secrets_file() -> None:
    assert "Back that file up, apart from the database" in " ".join(section("Settings").split())
    assert "back this file up, apart from the database" in (ROOT / "gateway/cli/serve.py").read_text(encoding="utf-8")


def test_every_file_named_is_there() -> None:
    paths = re.findall(r"`([\w./]+/[\w.]*)`", section("Find your way"))
    assert len(paths) >= 10
    assert [path for path in paths if not (ROOT / path).exists()] == []
