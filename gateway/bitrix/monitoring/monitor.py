"""Reports what a client calls to the counters and to the call log."""

from typing import Protocol

from gateway.bitrix.errors import PortalError
from gateway.bitrix.limits.portal_request import PortalRequest
from gateway.bitrix.monitoring.call_log import CallLog, CallLogEntry, listed, parameter_names
from gateway.bitrix.monitoring.counters import CallCounters
from gateway.bitrix.protocol.error_codes import NO_CODES
from gateway.clock import Clock
from gateway.request_id import CURRENT_REQUEST_ID

OK = "ok"


class CallMonitor(Protocol):
    """What a client reports its calls to."""

    def on_request(self, request: PortalRequest, error: BaseException | None) -> None:
        """Report an attempt of *request* that was sent and has ended, in *error* if it failed or was cancelled."""

    def on_command(self, method: str, *, failed: bool) -> None:
        """Report one command of a batch that has been answered."""


class Unmonitored:
    """The default `CallMonitor`, which ignores all calls."""

    def on_request(self, request: PortalRequest, error: BaseException | None) -> None:
        pass

    def on_command(self, method: str, *, failed: bool) -> None:
        pass


class PortalCallMonitor:
    """Counts and logs the calls to the portal at the host *portal*. *account* is None for one that is not stored."""

    def __init__(self, counters: CallCounters, log: CallLog, clock: Clock, portal: str, account: str | None) -> None:
        self._counters = counters
        self._log = log
        self._clock = clock
        self._portal = portal
        self._account = account

    def on_request(self, request: PortalRequest, error: BaseException | None) -> None:
        self._counters.add(request.method, failed=error is not None)
        if self._log.enabled:
            self._log.add(
                CallLogEntry(
                    self._clock.now(),
                    request.method,
                    self._portal,
                    self._account,
                    self._clock.monotonic() - request.attempts.sent_at,
                    OK if error is None else outcome_of(error),
                    request.attempts.count,
                    CURRENT_REQUEST_ID.get(),
                    len(request.batched) or None,
                    _names_of(request) if self._log.shows_names else None,
                )
            )

    def on_command(self, method: str, *, failed: bool) -> None:
        self._counters.add(method, failed=failed)


def outcome_of(error: BaseException) -> str:
    """What a log line says of *error*: the portal's code if it sent one, else the name of its class."""
    if isinstance(error, PortalError) and error.portal_code not in NO_CODES:
        return error.portal_code
    return type(error).__name__


def _names_of(request: PortalRequest) -> str:
    if request.batched:
        return listed(dict.fromkeys(request.batched))  # each once
    return parameter_names(request.arguments)
