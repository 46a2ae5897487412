"""Logs the requests for tokens to authorization servers, in the form of calls."""

from collections.abc import Iterable

from gateway.bitrix.monitoring.call_log import CallLog, CallLogEntry, listed
from gateway.bitrix.monitoring.monitor import OK, outcome_of
from gateway.clock import Clock
from gateway.request_id import CURRENT_REQUEST_ID

METHOD = "oauth/token"


class TokenRequestLog:
    """Logs each request: METHOD is the method, and the authorization server is the portal."""

    def __init__(self, log: CallLog, clock: Clock) -> None:
        self._log = log
        self._clock = clock

    def on_request(
        self,
        server: str,
        account: str | None,
        names: Iterable[str],
        sent_at: float,
        attempt: int,
        error: BaseException | None,
    ) -> None:
        """Log an attempt; the arguments are those of `gateway.bitrix.auth.oauth.OnTokenRequest`."""
        if self._log.enabled:
            self._log.add(
                CallLogEntry(
                    self._clock.now(),
                    METHOD,
                    server,
                    account,
                    self._clock.monotonic() - sent_at,
                    OK if error is None else outcome_of(error),
                    attempt,
                    CURRENT_REQUEST_ID.get(),
                    None,
                    listed(names) if self._log.shows_names else None,
                )
            )
