"""The leak detector of the test suite: it finds secrets wherever they leak."""

import logging
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from gateway.sandbox.portal import SandboxPortal
from gateway.sandbox.settings import SandboxSettings
from tests.canaries import Watch
from tests.clock import ManualClock

CANARY = "canary-7f3b9a51"
STATE = "c3RhdGUtY2FuYXJ5LTEyMzQ1"
ROOT = Path(__file__).parent.parent
logger = logging.getLogger(__name__)

LEAKY_TEST = f"""
import logging, sys
from tests.canaries import WATCH

def test_that_leaks():
    WATCH.secret("a token", "{CANARY}")
    {{leak}}
"""


def fail() -> None:
    try:
        raise RuntimeError(f"with {CANARY}")
    except RuntimeError:
        logger.exception("failed")


@pytest.mark.parametrize(
    "log",
    [
        lambda: logger.debug("used %s", CANARY),
        lambda: logger.warning("used", extra={"credential": {"token": CANARY}}),
        lambda: logging.getLogger("aiohttp.client").debug(f"/rest/1/{CANARY}/scope"),
        fail,
    ],
    ids=["message", "field", "library", "traceback"],
)
def test_a_secret_in_a_log_line_is_found(log: object) -> None:
    assert callable(log)
    watch = Watch()
    with watch.listening():
        watch.secret("a token", CANARY)
        log()
        assert [finding.partition(":")[0] for finding in watch.findings()] == ["a token in a log line"]


@pytest.mark.parametrize(
    ("headers", "body"), [({"Location": f"/?code={CANARY}"}, b""), ({}, b'{"detail": "' + CANARY.encode() + b'"}')]
)
def test_a_secret_in_a_response_is_found(headers: dict[str, str], body: bytes) -> None:
    watch = Watch()
    watch.secret("a token", CANARY)
    watch.answer("GET /bitrix/users", 200, headers, body)
    (found,) = watch.findings()
    assert found.startswith("a token in a response")


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
def test_a_secret_in_a_database_is_found(tmp_path: Path, suffix: str) -> None:
    watch = Watch()
    watch.secret("a token", CANARY)
    watch.database(tmp_path / "gateway.db")
    assert watch.findings() == []
    (tmp_path / f"gateway.db{suffix}").write_bytes(b"\x00" * 5000 + CANARY.encode() + b"\xff")
    (found,) = watch.findings()
    assert found.startswith(f"a token in the file gateway.db{suffix}")


def test_all_credentials_of_a_portal_are_secret() -> None:
    portal = SandboxPortal(SandboxSettings(webhook_code="c4n4ryc0de"), ManualClock())
    watch = Watch()
    watch.portal(portal)
    client = {"client_id": portal.application.client_id, "client_secret": portal.application.client_secret}
    code = portal.oauth.issue_code()
    grant = {"grant_type": "authorization_code", "code": code}
    pair = portal.oauth.token(client | grant, "http://127.0.0.1")
    for secret in ("c4n4ryc0de", "sandbox-secret", code, pair["access_token"], pair["refresh_token"]):
        (found,) = watch.findings(f"stderr contains {secret} in its text")
        assert " in stderr: " in found


def test_a_state_is_allowed_only_in_an_authorization_url() -> None:
    watch = Watch()
    authorize_url = f"https://portal.example/oauth/authorize/?client_id=app.1&state={quote(STATE + '==')}"
    with watch.listening():
        watch.answer("PATCH /bitrix/users", 409, {}, f'"authorize again: {authorize_url}"'.encode())
        assert watch.findings() == []
        watch.answer("GET /bitrix/sync", 200, {}, f'{{"error": "{STATE}"}}'.encode())
        logger.info("the way back: %s", STATE)
        leaks = {finding.partition(":")[0] for finding in watch.findings()}
        assert leaks == {"a state in a response", "a state in a log line"}


def test_each_test_starts_without_findings() -> None:
    watch = Watch()
    with watch.listening():
        watch.secret("a token", CANARY)
        logger.info(CANARY)
    with watch.listening():
        logger.info(CANARY)
        assert watch.findings() == []


@pytest.mark.parametrize(
    ("leak", "place"),
    [
        (f"logging.getLogger().debug('{CANARY}')", "a log line"),
        (f"sys.stderr.write('{CANARY}')", "stderr"),
        ("pass", None),
    ],
)
def test_a_run_with_a_leaked_secret_fails(tmp_path: Path, leak: str, place: str | None) -> None:
    test = tmp_path / "test_leaky.py"
    test.write_text(LEAKY_TEST.format(leak=leak))
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "tests.canaries",
        "-p",
        "no:cacheprovider",
        "-c",
        "/dev/null",
    ]
    run = subprocess.run([*command, str(test)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (run.returncode, "a secret leaked" in run.stdout) == (int(place is not None), place is not None)
    assert place is None or f"a token in {place}" in run.stdout
