"""The README matches the code: settings, faults, commands, paths."""

import re
import shlex

import pytest

from gateway.cli.main import main
from gateway.sandbox.behaviour.faults import MEANINGS
from gateway.settings.config import SETTINGS
from tests.support.readme import README, ROOT, section


def settings_table() -> str:
    rows = ["| Setting | Default | |", "|---|---|---|"]
    for setting in SETTINGS:
        default = f"`{setting.default}`" if setting.default else ""
        names = "`, `".join(setting.environment_names).replace(f"{setting.environment_names[0]}_FILE", "…_FILE")
        rows.append(f"| `{names}` | {default} | {setting.help} |")
    return "\n".join(rows)


def test_the_settings_table_matches_the_code() -> None:
    assert settings_table() in section("Settings")


def test_the_table_of_faults_matches_the_code() -> None:
    rows = ["| Kind | Effect |", "|---|---|", *(f"| `{kind}` | {effect} |" for kind, effect in MEANINGS.items())]
    assert "\n".join(rows) + "\n\n" in section("Use it")


@pytest.mark.parametrize("heading", ["Run it", "Test it"])
def test_getting_started_sections_begin_with_one_command_in_one_line(heading: str) -> None:
    assert re.match(r"\n```\n[^\n]+\n```\n", section(heading))


def test_every_command_is_listed() -> None:
    for command in main.commands:
        assert f"`bitrix-gateway {command}" in section("Use it")


COMMAND_LINES = re.findall(rf"bitrix-gateway ((?:{'|'.join(main.commands)})[^`)\n|]*)", README)


def test_every_command_has_an_example() -> None:
    assert {shlex.split(line)[0] for line in COMMAND_LINES} == set(main.commands)


@pytest.mark.parametrize("line", COMMAND_LINES)
def test_every_example_parses(line: str) -> None:
    name, *arguments = shlex.split(line)
    with main.commands[name].make_context(name, arguments):
        pass


def test_examples_stop_if_no_token_can_be_issued() -> None:
    lines = [line for line in README.splitlines() if "$(" in line]
    assert len(lines) >= 3
    for line in lines:
        assert re.fullmatch(r"\w+=\$\([\w./ -]*bitrix-gateway token [^()]*\) &&", line), line


def test_the_readme_and_the_log_both_recommend_a_backup_of_the_secrets_file() -> None:
    assert "Back that file up, apart from the database" in " ".join(section("Operate it").split())
    assert "back this file up, apart from the database" in (ROOT / "gateway/cli/serve.py").read_text(encoding="utf-8")


def test_every_path_exists() -> None:
    paths = re.findall(r"`([\w./]+/[\w.]*)`", section("Find your way"))
    assert len(paths) >= 10
    assert [path for path in paths if not (ROOT / path).exists()] == []
