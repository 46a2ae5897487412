"""Secrets that must turn up nowhere, and all the places where they might.

Every test is listened to: its log lines at DEBUG with their fields and tracebacks, what its gateways write to stderr,
every answer they give, and every byte of their databases when it ends. A secret found there fails the test by name.
"""

import logging
import re
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

import pytest

from gateway.sandbox.portal import SandboxPortal

SHORTEST = 8  # characters; what is shorter is found everywhere
SHOWN = 60  # bytes on either side of a secret that was found
# Where a state belongs: in the address that a person is sent to.
AUTHORIZE_ADDRESS = re.compile(rb"/oauth/authorize/\?client_id=[^&]*&state=([^\s\"\\]+)")
FORMATTER = logging.Formatter()
PLAIN_FIELDS = frozenset(vars(logging.makeLogRecord({})))


class Watch(logging.Handler):
    """What one test has said, and the secrets that it must not have said."""

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
        """Take note of everything that is logged within the block; what was noted before is forgotten."""
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
        """From now on *value* is a secret, within this test."""
        data = value.encode() if isinstance(value, str) else value
        if len(data) >= SHORTEST:
            self._secrets[data] = name

    def portal(self, portal: SandboxPortal) -> None:
        """Whatever *portal* gives out and goes by is secret, also what it will give out later in this test."""
        self._portals.append(portal)

    def database(self, path: Path) -> None:
        """The file at *path*, with its journals, is read when the test ends."""
        self._databases.add(path)

    def answer(self, request: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Take note of what a gateway answered to *request*."""
        for state in AUTHORIZE_ADDRESS.findall(body):
            self.secret("a state", unquote(state.decode()).rstrip("="))
        told = AUTHORIZE_ADDRESS.sub(b"", body)
        self._answers.append(f"{request} -> {status} {dict(headers)}\n".encode() + told)

    def findings(self, stderr: str = "") -> list[str]:
        """Where which secret was found; *stderr* is what the test's gateways wrote there."""
        for portal in self._portals:
            self.secret("the webhook's code", portal.settings.webhook_code)
            self.secret("the client secret", portal.application.client_secret)
            for issued in portal.oauth.issued:
                self.secret("a code or token of the portal", issued)
        places = [("a log line", "\n".join(self._logged).encode()), ("stderr", stderr.encode())]
        places += [("an answer", b"\n".join(self._answers)), *self._files()]
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
    """Listen to each test from before its fixtures until after them."""
    with WATCH.listening():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail the end of a test that has let a secret out."""
    report = yield
    if call.when == "teardown" and report.passed and (found := WATCH.findings(report.capstderr)):
        report.outcome = "failed"
        report.longrepr = "\n".join(["a secret has got out:", *found])
    return report
