"""The curl commands in the README, run against a portal like that of the demo."""

import asyncio
import re
import shlex
import socket
import string
import time
from dataclasses import fields
from io import BytesIO
from pathlib import Path

import orjson
import pytest
from aiohttp import FormData
from click.testing import CliRunner

from gateway.cli.demo_flow import run_flow
from gateway.cli.demo_widgets import load_examples, try_widgets
from gateway.cli.gateway_client import open_client
from gateway.cli.main import main
from gateway.sandbox.settings import SandboxSettings
from gateway.settings.config import load_config
from tests.gateway import NO_TOKEN, Answer, Gateway, Sandbox, authorize
from tests.support.readme import README, ROOT
from tests.support.records import enable
from tests.support.widgets import Person

ORIGIN = "http://127.0.0.1:8080"
FLOW_START = "call() {"
PARTS = README.split("```\n")  # prose and code blocks alternate; a response block directly follows its command


def blocks(variable: str) -> list[tuple[str, str]]:
    """The curl commands that use the token in *variable*, each with the response shown, if any."""
    return [
        (block[block.index("curl ") :], shown if between == "" else "")
        for block, between, shown in zip(PARTS[1::2], PARTS[2::2], [*PARTS[3::2], ""], strict=False)
        if f"Authorization: Bearer ${variable}" in block and FLOW_START not in block
    ]


BLOCKS = blocks("TOKEN")


@pytest.fixture
def sandbox_settings(listener: socket.socket) -> SandboxSettings:
    """The default portal of the demo."""
    with main.commands["demo"].make_context("demo", []) as context:
        names = context.params.keys() & {field.name for field in fields(SandboxSettings)}
        options = {name: context.params[name] for name in names}
    callback = f"http://127.0.0.1:{listener.getsockname()[1]}/webhook/create"
    return SandboxSettings(**options, redirect_uri=callback, auto_allow=True)


async def paste(gateway: Gateway, line: str, account: str = "acme", token: str | None = None) -> Answer:
    """The response to a curl command."""
    words = iter(shlex.split(line.replace("\\\n", " ")))
    path, query, body, method = "", {}, None, None
    form = FormData(quote_fields=False)
    for word in words:
        if word.startswith(ORIGIN):
            path = word.removeprefix(ORIGIN)
        elif word in ("-d", "--data-urlencode"):
            name, _, value = next(words).partition("=")
            query[name] = value
        elif word == "-F":
            name, _, file = next(words).partition("=@")
            form.add_field(name, BytesIO((ROOT / file).read_bytes()), filename=file)
        elif word == "--json":
            body = orjson.loads(next(words))
        elif word == "-X":
            method = next(words)
    method = method or ("POST" if form.is_multipart or body is not None else "GET")
    sent = {"data": form} if form.is_multipart else {"json": body}
    return await gateway.request(method, path, params=query, account=account, token=token, **sent)


async def test_the_curl_commands_work_and_the_stream_returns_the_rows_shown(connected: Gateway) -> None:
    assert len(BLOCKS) == 14
    await enable(connected, "deals")  # as the demo does
    account = (await connected.get("/bitrix/account")).json
    for line, shown in BLOCKS:
        answer = await connected.clock.until(paste(connected, line))
        assert answer.status == (201 if "Idempotency-Key" in line else 200), (line, answer.body)
        if "/bitrix/stream/" in line:
            assert answer.body.decode() == shown
    assert (await connected.get("/bitrix/account")).json == account


async def test_a_second_account_can_be_connected_beside_the_demo_account(connected: Gateway, sandbox: Sandbox) -> None:
    [(line, _)] = blocks("MINE")
    account = (await connected.get("/bitrix/account")).json
    answer = await paste(connected, line.replace("http://127.0.0.1:8081", sandbox.origin), account="mine")
    assert answer.status == 200, answer.body
    assert answer.json["authorizeURL"].startswith(f"{sandbox.origin}/oauth/authorize/?")
    assert (await connected.get("/bitrix/account")).json == account


async def test_batch_calls_use_the_rows_of_earlier_calls(connected: Gateway) -> None:
    line = next(line for line, _ in BLOCKS if "/bitrix/v3/batch" in line)
    few, third, same = (await paste(connected, line)).json["result"]
    assert third["item"]["id"] == few["items"][2]["id"]
    assert [row["id"] for row in few["items"]] == [1, 2, 3]
    assert len(same["items"]) == 3


async def test_the_complete_flow_works_after_the_demo_and_the_example_before(
    connected: Gateway, sandbox: Sandbox
) -> None:
    (at,) = (at for at, part in enumerate(PARTS) if FLOW_START in part)
    await paste(connected, next(line for line, _ in BLOCKS if "Idempotency-Key" in line))
    async with open_client(connected.origin, connected.token()) as client:
        await run_flow(client, sandbox.portal)
    variables = {"API": ORIGIN + "/bitrix"}
    printed = []
    for line in PARTS[at].splitlines()[2:]:
        found = re.fullmatch(r"(?:(\w+)=\$\()?call \.(\w+) (.*?)\)?(?: &&)?", line)
        assert found is not None
        variable, shown, command = found.groups()
        answer = await paste(connected, string.Template(command).substitute(variables))
        assert answer.status in (200, 201), answer.body
        value = orjson.dumps(answer.json[shown]).decode()
        if variable:
            variables[variable] = value
        else:
            printed.append(value)
    assert printed == PARTS[at + 2].splitlines()


async def test_a_widget_is_loaded_listed_installed_and_removed_after_the_demo(
    gateway: Gateway, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    admin = Person(gateway, admin=True)
    config = load_config(gateway.environ)
    await authorize(gateway, sandbox)
    await gateway.synced()
    async with open_client(gateway.origin, admin.token) as client, open_client(sandbox.origin, NO_TOKEN) as browser:
        await gateway.clock.until(load_examples(config, gateway.clock))
        await gateway.clock.until(try_widgets(client, browser, can_bind=True))
    (at,) = (at for at, part in enumerate(PARTS) if "widgets load hello.json" in part)
    made, *commands = re.split(r"\n(?=bitrix-gateway )", PARTS[at].rstrip())
    _, written, _, file = shlex.split(made)
    (tmp_path / file).write_text(written, encoding="utf-8")
    await gateway.stop()
    printed = ""
    for command in commands:
        words = shlex.split(command.replace("demo.db", str(config.database)))[1:]
        printed += (await asyncio.to_thread(CliRunner().invoke, main, words)).output
    assert printed == PARTS[at + 2]
    await gateway.start()
    [(block, _)] = blocks("ADMIN")
    answers = [await paste(gateway, line, token=admin.token) for line in block.splitlines()]
    assert [answer.status for answer in answers] == [200, 200, 204]
    assert [widget["code"] for widget in answers[0].json["_embedded"]["widgets"]][-1] == "hello"
    assert answers[1].json["settings"] == {"api_key": "secret"}


async def test_files_are_uploaded_and_downloaded_after_the_curl_commands(
    gateway: Gateway, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    gateway.clock.wall_shift_s = time.time() - gateway.clock.now()  # commands issue their tokens by the system clock
    await gateway.connect(sandbox.webhook, account="demo")
    (line,) = [line for line, _ in BLOCKS if "/bitrix/files" in line]
    await gateway.clock.until(paste(gateway, line, account="demo"))
    (at,) = (at for at, part in enumerate(PARTS) if part.startswith("bitrix-gateway upload "))
    for command, shown in ((PARTS[at], PARTS[at + 2]), (PARTS[at + 4], PARTS[at + 6])):
        words = shlex.split(command.replace("/tmp", str(tmp_path)))[1:]
        running = asyncio.to_thread(CliRunner().invoke, main, words, env=gateway.environ)
        result = await gateway.clock.until(running)
        assert result.exit_code == 0, result.output
        assert result.stdout.replace(str(tmp_path), "/tmp").expandtabs() == shown.expandtabs()
