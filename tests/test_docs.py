"""The README matches the code: settings, faults, commands, paths."""

import re
import shlex

import click
import pytest

from gateway.bitrix.limits.concurrency_limit import MIN_SIZE
from gateway.bitrix.limits.operating_budget import OPERATING_LIMIT_S, PAUSE_SHARE
from gateway.bitrix.limits.request_queue import MIN_RESERVE, RESERVE_SHARE
from gateway.bitrix.outcomes import SETTLED_S
from gateway.bitrix.protocol.v2 import BATCH_COMMANDS
from gateway.bitrix.retry import FIRST_PAUSE_S, MAX_ATTEMPTS, RETRY_DEADLINE_S
from gateway.bitrix.transport.session import REQUEST_DEADLINE_S
from gateway.cli.main import main
from gateway.mirror.resources import RECORDS, record_type
from gateway.sandbox.behaviour.faults import MEANINGS
from gateway.settings.config import SETTINGS, Config
from handlers.bitrix.calls import MAX_BATCH3_CALLS
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


def limits_table() -> str:
    config = Config()
    assert config.operating_limit_s == OPERATING_LIMIT_S
    assert BATCH_COMMANDS == MAX_BATCH3_CALLS
    *first, last = (f"{FIRST_PAUSE_S * 2**number:g}" for number in range(MAX_ATTEMPTS - 1))
    values = {
        "requests to one portal at the same time": f"{config.portal_concurrency} (`GATEWAY_PORTAL_CONCURRENCY`); "
        f"halved while the portal is overloaded, to {MIN_SIZE} at least",
        "requests at once": f"{config.bucket_capacity} (`GATEWAY_BUCKET_CAPACITY`), less one second's leak, at most "
        "by half; "
        f"{RESERVE_SHARE * 100:g} % of them, and {MIN_RESERVE} at least, are for callers only",
        "requests a second, sustained": f"{config.bucket_leak_per_s:g} (`GATEWAY_BUCKET_LEAK_PER_S`)",
        "operating time of a method": f"paused from {PAUSE_SHARE * 100:g} % of {config.operating_limit_s:g} s "
        "(`GATEWAY_OPERATING_LIMIT_S`)",
        "wait of a caller": f"{config.max_wait_s:g} s (`GATEWAY_MAX_WAIT_S`)",
        "one request": f"{REQUEST_DEADLINE_S:g} s",
        "attempts of a call": f"{MAX_ATTEMPTS}, the last one within {RETRY_DEADLINE_S:g} s of the first; "
        "after a 503 for the rate any number within that time",
        "pauses between attempts": f"{', '.join(first)} and {last} s, each shortened by up to a half at random",
        "commands in a request": f"{BATCH_COMMANDS}, of REST 3.0 too",
        "look for a write whose answer is lost": f"at once, and after {SETTLED_S} s",
    }
    return "\n".join(["| Limit | Value |", "|---|---|", *(f"| {name} | {value} |" for name, value in values.items())])


def test_the_table_of_limits_matches_the_code() -> None:
    assert limits_table() + "\n\n" in section("How the gateway calls Bitrix24")


def test_the_columns_of_deals_are_those_of_the_mirror() -> None:
    sentence = re.search(r"and keeps (.*?)\s+in columns", section("How the gateway calls Bitrix24"), re.DOTALL)
    assert sentence is not None
    deals = record_type(RECORDS["deals"])
    assert set(re.findall(r"`(\w+)`", sentence[1])) == deals.columns.keys()


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
    command = main.commands[name]
    while isinstance(command, click.Group):
        name, *arguments = arguments
        command = command.commands[name]
    with command.make_context(name, arguments):
        pass


def test_examples_stop_if_no_token_can_be_issued() -> None:
    lines = [line for line in README.splitlines() if "$(" in line]
    assert len(lines) >= 3
    for line in lines:
        assert re.fullmatch(r"\w+=\$\(([\w./ -]*bitrix-gateway token |call )[^()]*\) &&", line), line


def test_the_readme_and_the_log_both_recommend_a_backup_of_the_secrets_file() -> None:
    assert "Back that file up, apart from the database" in " ".join(section("Operate it").split())
    assert "back this file up, apart from the database" in (ROOT / "gateway/cli/serve.py").read_text(encoding="utf-8")


def test_every_path_exists() -> None:
    paths = re.findall(r"`([\w./]+/[\w.]*)`", section("Find your way"))
    assert len(paths) >= 10
    assert [path for path in paths if not (ROOT / path).exists()] == []
