"""Test every operation of openapi.yaml with generated requests on a gateway connected to a sandbox portal."""

import asyncio
import os
import sys
import tempfile
from io import BytesIO, StringIO
from pathlib import Path

from aiohttp import ClientSession, FormData

from gateway.auth.caller import Caller
from gateway.auth.tokens import issue_token
from gateway.cli.demo_widgets import load_examples
from gateway.cli.process import free_port
from gateway.cli.serve import serving
from gateway.clock import SystemClock
from gateway.log import configure_logging
from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.settings import SandboxSettings
from gateway.sandbox.web.server import SandboxServer
from gateway.settings.config import load_config
from gateway.settings.secret_file import find_jwt_secret, resolve_secrets

HOST = "127.0.0.1"
TOKEN_TTL_S = 3600
SETTINGS = Path(__file__).with_name("schemathesis.toml")
CONTRACT = Path(__file__).parents[2] / "openapi.yaml"
# The callers and the operations tested with their tokens: one account stays connected, the other is connected and
# disconnected. Widgets are tested with the tokens of an administrator and of another user.
ADMIN = Caller("acme", user_id="1", is_admin=True)
RUNS = {
    ADMIN: ("--exclude-operation-id", "connectAccount", "--exclude-operation-id", "disconnectAccount"),
    Caller("acme", user_id="2"): ("--include-path-regex", "^/api/v4/"),
    Caller("stranger"): ("--include-path", "/bitrix/account"),
}


async def fuzz(directory: Path) -> int:
    """Run schemathesis for each caller; return the number of runs that found an undocumented response."""
    clock, port = SystemClock(), free_port(HOST)
    portal = SandboxPortal(SandboxSettings(users=60, holes=0, auto_allow=True, tariff="off"), clock)
    async with SandboxServer(portal) as server:
        config = load_config(
            {},
            {
                "port": port,
                "database": directory / "gateway.db",
                "insecure_portals": True,
                "bitrix_client_id": portal.application.client_id,
                "bitrix_client_secret": portal.application.client_secret,
                "oauth_servers": server.origin.removeprefix("http://"),
                "return_origins": "https://app.example.com",
                "sync_interval_s": 0,
                "log_level": "error",
                "bucket_capacity": 100_000,  # do not wait for the rate limit
            },
        )
        failed = 0
        secrets = resolve_secrets(config)
        await load_examples(config, clock)
        async with serving(config, secrets, clock):
            for caller, selection in RUNS.items():
                token = issue_token(config, find_jwt_secret(config), clock, caller, ttl_s=TOKEN_TTL_S)
                if caller == ADMIN:
                    await connect(config.own_origin, token, server.origin + portal.webhook_path)
                    await upload(config.own_origin, token)
                process = await asyncio.create_subprocess_exec(
                    Path(sys.executable).with_name("schemathesis"),
                    "--config-file",
                    SETTINGS,
                    "run",
                    CONTRACT,
                    *selection,
                    cwd=directory,
                    env=os.environ | {"GATEWAY_ORIGIN": config.own_origin, "GATEWAY_TOKEN": token},
                )
                failed += await process.wait() != 0
        return failed


async def connect(origin: str, token: str, webhook: str) -> None:
    """Connect the account of *token* to the portal at *webhook* and wait for its first sync."""
    async with ClientSession(origin, headers={"Authorization": f"Bearer {token}"}, raise_for_status=True) as session:
        await session.post("/bitrix/account", json={"client_bitrix_url": webhook})
        while True:
            async with session.get("/bitrix/sync") as answer:
                runs = (await answer.json())["items"]
            if all(run["state"] == "done" for run in runs):
                return
            await SystemClock().sleep(0.1)


async def upload(origin: str, token: str) -> None:
    """Upload files to the company's drive. They get the ids after those of the root folders, 62 and so on."""
    form = FormData()
    for number in range(10):
        form.add_field("file", BytesIO(b"content"), filename=f"{number}.txt")
    async with (
        ClientSession(origin, headers={"Authorization": f"Bearer {token}"}, raise_for_status=True) as session,
        session.post("/bitrix/files?folder=1", data=form) as answer,
    ):
        ids = {file["id"] for file in (await answer.json())["files"]}
    assert ids == set(range(62, 72)), ids


def unexpected(log: str) -> list[str]:
    """Return the log lines about internal errors, except for existing rules of a quiz, which are 500 by contract."""
    return [line for line in log.splitlines() if "request failed" in line and "rules already exist" not in line]


if __name__ == "__main__":
    log = StringIO()
    configure_logging("error", "json", log)
    with tempfile.TemporaryDirectory() as scratch:
        failures = asyncio.run(fuzz(Path(scratch)))
    errors = unexpected(log.getvalue())
    if failures or errors:
        sys.exit("\n".join(["Some responses do not conform to openapi.yaml.", *errors]))
