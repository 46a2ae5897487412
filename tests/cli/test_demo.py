"""The command `demo`, end to end."""

import json
import re
import shlex
import signal
import socket
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from string import Template
from typing import Any

import aiohttp
import pysqlite3
import pytest

from gateway.cli.demo import COMPARED, DemoFailed, check_rows, portal_rows
from gateway.cli.demo_flow import CARDS, PHONE, STAGE, TITLE, VALUE, Flow, FlowFailed, check_portal
from gateway.clock import Clock, SystemClock
from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.settings import SandboxSettings
from tests.cli.conftest import Invoke, Spawn
from tests.gateway import Gateway
from tests.support.widgets import Person

Ports = Callable[[], int]


def test_once_verifies_the_answers_and_removes_its_files(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    result = invoke("demo", "--once", "--port", "0", "--portal-port", "0", "--users", "130")
    assert result.exit_code == 0, result.output
    assert "users: done, 130 rows" in result.stdout
    assert re.search(r"rows from \d+ requests to the portal in [\d.]+ s", result.stdout)
    assert re.search(r"fields: done, 198 rows \(10 of unsupported types\)\n", result.stdout)
    assert re.search(
        r"moved the card to a stage: PUT /bitrix/items/128/\d+/stage \{\"stage\":\"Успех\"}\n", result.stdout
    )
    assert "The portal has the contact, its card, the field and the stage." in result.stdout
    assert "  listed 2 widgets: GET /api/v4/widgets?limit=250\n" in result.stdout
    assert (
        "  installed example_telephony: POST /api/v4/widgets/example_telephony with login, password, " in result.stdout
    )
    assert "  installed example_deal_tab: POST /api/v4/widgets/example_deal_tab with api_key\n" in result.stdout
    assert "  the browser is sent to https://widget.example.com/deal with a context\n" in result.stdout
    assert "All rows served match the portal." in result.stdout
    assert not re.search("curl|TOKEN=|Serving until", result.stdout)  # the servers have stopped
    assert list(scratch.iterdir()) == []


def test_a_chosen_database_is_kept_and_can_be_reused(invoke: Invoke, tmp_path: Path, ports: Ports) -> None:
    listening = f"--port={ports()}", f"--portal-port={ports()}"
    for seed in ("1", "1", "2"):
        result = invoke("demo", "--once", *listening, "--users=20", "--database=kept.db", f"--seed={seed}")
        assert result.exit_code == 0, result.output
    assert (tmp_path / "kept.db").exists()


def test_changes_of_an_earlier_demo_are_forgotten(invoke: Invoke, tmp_path: Path, ports: Ports) -> None:
    listening = f"--port={ports()}", f"--portal-port={ports()}"
    options = ("--once", *listening, "--users=5", "--deals=2", "--contacts=2", "--database=kept.db")
    assert invoke("demo", *options).exit_code == 0
    with closing(pysqlite3.connect(tmp_path / "kept.db")) as connection:
        changed = """replace(tail, '"TITLE":"', '"TITLE":"changed ')"""
        connection.execute(f"UPDATE mirror_rows SET tail = CAST({changed} AS BLOB)")
        connection.commit()
    result = invoke("demo", *options)
    assert result.exit_code == 0, result.output


def test_a_step_that_the_portal_refuses_ends_it_with_status_1(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing_portal(settings: SandboxSettings, clock: Clock) -> SandboxPortal:
        portal = SandboxPortal(settings, clock)
        portal.fault("crm.item.update:error=ACCESS_DENIED")
        return portal

    monkeypatch.setattr("gateway.cli.demo_servers.SandboxPortal", refusing_portal)
    result = invoke("demo", "--once", "--port=0", "--portal-port=0", "--users=5", "--deals=2", "--contacts=2")
    assert (result.exit_code, "created a card of the contact" in result.stdout) == (1, True), result.output
    assert re.search(r"Error: PATCH /bitrix/items/128/\d+ failed with status \d+: ACCESS_DENIED", result.stderr)
    assert "changed a field" not in result.stdout


async def test_a_widget_of_an_account_with_the_code_of_an_example_is_reported(gateway: Gateway, spawn: Spawn) -> None:
    await Person(gateway, admin=True).add("example_deal_tab")
    await gateway.stop()
    database = f"--database={gateway.environ['GATEWAY_DATABASE']}"
    status, output = await (await spawn("demo", "--once", "--port=0", "--portal-port=0", "--users=5", database)).end()
    assert (status, "code: example_deal_tab is a widget of the account acme: choose another" in output) == (1, True)


async def paste(session: aiohttp.ClientSession, line: str, variables: Mapping[str, str]) -> tuple[int, str]:
    """Run a curl *line* with *variables* substituted; the status and body of the response."""
    words = shlex.split(Template(line).substitute(variables))
    assert words.pop(0) == "curl"
    method = words[1] if words[0] == "-X" else "GET"
    header, url = words[-2].split(": "), words[-1]
    async with session.request(method, url, headers={header[0]: header[1]}) as response:
        return response.status, await response.text()


async def test_it_keeps_serving_and_its_curl_lines_work(spawn: Spawn, ports: Ports) -> None:
    demo = await spawn(
        "demo", "--port", str(ports()), "--portal-port", str(ports()), "--users", "30", "--deals", "2", "--leads", "0"
    )
    await demo.until("Serving until Ctrl-C")
    lines = [line for line in demo.lines if line.startswith("curl ")]
    [variable] = [line.strip().partition("=") for line in demo.lines if line.startswith("TOKEN=")]
    assert "".join(demo.lines).count(variable[2]) == 1
    assert max(map(len, lines)) < 120
    async with aiohttp.ClientSession() as session:
        answers = [await paste(session, line, {variable[0]: variable[2]}) for line in lines]
    assert [status for status, _ in answers] == [200] * len(lines)
    assert len(lines) >= 6
    assert json.loads(answers[1][1])["count"] == 30
    assert json.loads(answers[-2][1].splitlines()[-1])["count"] == 2
    status, output = await demo.end(signal.SIGINT)
    assert (status, "Traceback" in output) == (0, False)


async def test_its_gateway_serves_health_checks_and_requires_tokens(spawn: Spawn, ports: Ports) -> None:
    port = ports()
    demo = await spawn("demo", "--port", str(port), "--portal-port", str(ports()), "--users", "5")
    await demo.until("Serving until Ctrl-C")
    statuses = {}
    async with aiohttp.ClientSession() as session:
        for path in ("/healthz", "/readyz", "/bitrix/users"):
            async with session.get(f"http://127.0.0.1:{port}{path}") as response:
                statuses[path] = response.status
    assert statuses == {"/healthz": 200, "/readyz": 200, "/bitrix/users": 401}


@pytest.mark.parametrize("option", ["--port", "--portal-port"])
def test_a_port_in_use_is_reported(invoke: Invoke, option: str) -> None:
    other = {"--port": "--portal-port", "--portal-port": "--port"}[option]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = invoke("demo", "--once", option, str(port), other, "0")
    assert result.exit_code == 1
    assert f"cannot listen on 127.0.0.1:{port}, choose another port" in result.stderr
    assert "Traceback" not in result.output


def as_served(portal: SandboxPortal) -> dict[str, list[dict[str, Any]]]:
    """The rows of *portal* as the gateway would serve them, reduced to the compared properties."""
    rows = portal_rows(portal).items()
    return {name: [dict(zip(COMPARED[name], row, strict=True)) for row in sorted(found)] for name, found in rows}


@pytest.fixture
def portal() -> SandboxPortal:
    return SandboxPortal(SandboxSettings(users=10), SystemClock())


def test_equal_rows_pass(portal: SandboxPortal) -> None:
    check_rows(as_served(portal), portal)


def test_missing_rows_are_reported(portal: SandboxPortal) -> None:
    served = as_served(portal)
    served["users"].pop()
    served["pipelines"].clear()
    with pytest.raises(DemoFailed, match=r"^users: 9 rows are served, the portal has 10; pipelines: 0 rows[^;]*$"):
        check_rows(served, portal)


@pytest.mark.parametrize(
    ("resource", "name"),
    [("users", "bitrixUserID"), ("users", "name"), ("fields", "fieldName"), ("fields", "fieldType")],
)
def test_a_row_with_different_content_is_reported(portal: SandboxPortal, resource: str, name: str) -> None:
    served = as_served(portal)
    served[resource][3][name] = "changed"
    with pytest.raises(DemoFailed, match=f"^{resource}: .*'changed'.* is served, the portal has [^;]*$"):
        check_rows(served, portal)


@pytest.fixture
def flow(portal: SandboxPortal) -> Flow:
    """A flow whose records *portal* has."""
    tables = portal.data.tables
    contact, card = next(iter(tables["contacts"])), next(iter(tables[CARDS]))
    pipeline = tables[CARDS][card]["CATEGORY_ID"]
    tables["contacts"][contact] |= {"PHONE": [{"VALUE": PHONE}]}
    tables[CARDS][card] |= {
        "TITLE": TITLE,
        "CONTACT_ID": str(contact),
        "STAGE_ID": next(
            row["STATUS_ID"]
            for row in portal.data.statuses.values()
            if row["NAME"] == STAGE and row["ENTITY_ID"] == f"DYNAMIC_128_STAGE_{pipeline}"
        ),
        "UF_CRM_3_1713790617": VALUE,
    }
    return Flow(contact, card, "ufCrm3_1713790617")


def test_a_flow_that_the_portal_has_passes(flow: Flow, portal: SandboxPortal) -> None:
    check_portal(flow, portal)


@pytest.mark.parametrize(
    ("table", "changed"),
    [
        ("contacts", {"PHONE": []}),
        (CARDS, {"CONTACT_ID": None}),
        (CARDS, {"TITLE": "Other"}),
        (CARDS, {"UF_CRM_3_1713790617": None, "UF_CRM_3_1713790619": VALUE}),
        (CARDS, {"STAGE_ID": "DT128_12:NEW"}),
    ],
)
def test_a_portal_that_has_something_else_is_reported(
    flow: Flow, portal: SandboxPortal, table: str, changed: dict[str, object]
) -> None:
    portal.data.tables[table][flow.contact if table == "contacts" else flow.card] |= changed
    with pytest.raises(FlowFailed, match=r"^the portal has .* instead of "):
        check_portal(flow, portal)


@pytest.mark.parametrize("table", ["contacts", CARDS])
def test_a_record_that_the_portal_lacks_is_reported(flow: Flow, portal: SandboxPortal, table: str) -> None:
    del portal.data.tables[table][flow.contact if table == "contacts" else flow.card]
    with pytest.raises(FlowFailed):
        check_portal(flow, portal)
