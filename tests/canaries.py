"""Leak detector: fails every test that leaks a secret.

It searches log lines at DEBUG with their fields and tracebacks, stderr and responses of the gateways under test, and
their database files.
"""

import logging
import re
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

import pytest

from gateway.sandbox.portal import SandboxPortal

MIN_CHARACTERS = 8  # shorter text occurs by chance
SHOWN = 60  # bytes before and after a leaked secret
# A state is allowed in the URL of an authorization page.
AUTHORIZE_URL = re.compile(rb"/oauth/authorize/\?client_id=[^&]*&state=([^\s\"\\]+)")
FORMATTER = logging.Formatter()
PLAIN_FIELDS = frozenset(vars(logging.makeLogRecord({})))


class Watch(logging.Handler):
    """The secrets of a test, and everything in which they must not occur."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self._forget()

    def _forget(self) -> None:
        self._secrets: dict[bytes, str] = {}
        self._portals: list[SandboxPortal] = []
        self._databases: set[Path] = set()
        self._logged: list[str] = []
        self._answers: list[bytes] = []

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Start without findings and record all log lines within the block."""
        self._forget()
        root = logging.getLogger()
        level = root.level
        root.addHandler(self)
        root.setLevel(logging.DEBUG)
        try:
            yield
        finally:
            root.setLevel(level)
            root.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        extra = {name: value for name, value in vars(record).items() if name not in PLAIN_FIELDS}
        self._logged.append(f"{FORMATTER.format(record)} {extra or ''}")

    def secret(self, name: str, value: str | bytes) -> None:
        """Declare *value* a secret for the rest of the test."""
        data = value.encode() if isinstance(value, str) else value
        if len(data) >= MIN_CHARACTERS:
            self._secrets[data] = name

    def portal(self, portal: SandboxPortal) -> None:
        """Declare all credentials of *portal* secret, including those that it issues later."""
        self._portals.append(portal)

    def database(self, path: Path) -> None:
        """Search the file at *path* and its journals at the end of the test."""
        self._databases.add(path)

    def answer(self, request: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Record the response of a gateway to *request*."""
        for state in AUTHORIZE_URL.findall(body):
            self.secret("a state", unquote(state.decode()).rstrip("="))
        searched = AUTHORIZE_URL.sub(b"", body)
        self._answers.append(f"{request} -> {status} {dict(headers)}\n".encode() + searched)

    def findings(self, stderr: str = "") -> list[str]:
        """The leaks found so far; *stderr* is the output of the test's gateways."""
        for portal in self._portals:
            self.secret("the webhook's code", portal.settings.webhook_code)
            self.secret("the client secret", portal.application.client_secret)
            self.secret("the application token", portal.oauth.application_token)
            for issued in portal.oauth.issued:
                self.secret("a code or token of the portal", issued)
        places = [("a log line", "\n".join(self._logged).encode()), ("stderr", stderr.encode())]
        places += [("a response", b"\n".join(self._answers)), *self._files()]
        return [
            f"{name} in {place}: {data[max(at - SHOWN, 0) : at]!r} (here) {data[at + len(value) :][:SHOWN]!r}"
            for place, data in places
            for value, name in self._secrets.items()
            if (at := data.find(value)) >= 0
        ]

    def _files(self) -> Iterator[tuple[str, bytes]]:
        for path in self._databases:
            for file in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
                if file.exists():
                    yield f"the file {file.name}", file.read_bytes()


WATCH = Watch()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol() -> Generator[None, object, object]:
    """Record each test, including its fixtures."""
    with WATCH.listening():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail the teardown of a test that leaked a secret."""
    report = yield
    if call.when == "teardown" and report.passed and (found := WATCH.findings(report.capstderr)):
        report.outcome = "failed"
        report.longrepr = "\n".join(["a secret leaked:", *found])
    return report
