"""The portal's own time, as its answers tell it.

Source: protocol.md 3.1 (b24restdocs settings/how-to-call-rest-api/general-principles.md)
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from gateway.bitrix.errors import PortalBroken
from gateway.bitrix.protocol.v2 import Answer


@dataclass(frozen=True)
class PortalTime:
    """A moment of the portal's clock: Unix seconds, and how many seconds its zone is ahead of UTC."""

    unix_s: int
    zone_s: int

    def text(self) -> str:
        """The moment as the portal writes it: 2026-11-27T14:55:00+03:00."""
        return datetime.fromtimestamp(self.unix_s, timezone(timedelta(seconds=self.zone_s))).isoformat()


def portal_time(answer: Answer) -> PortalTime:
    """The portal's time at the start of the call that *answer* answers.

    Raises:
        PortalBroken: the answer does not tell it.
    """
    try:
        moment = datetime.fromisoformat(str(answer.time.get("date_start")))
        offset = moment.utcoffset()
        if offset is not None and moment > datetime(1970, 1, 2, tzinfo=UTC):
            return PortalTime(int(moment.timestamp()), int(offset.total_seconds()))
    except (ValueError, OverflowError):
        pass
    raise PortalBroken("the answer does not tell the portal's time")
