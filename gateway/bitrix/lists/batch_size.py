"""How much goes into the next batch of a walk, and how soon: by what the bucket holds and how long commands take."""

import math
from typing import Any

from gateway.bitrix.errors import AnswerTooLarge, PortalBroken, PortalError, PortalFailing
from gateway.bitrix.lists.page_reader import Pace, Portal
from gateway.bitrix.lists.plan import Plan
from gateway.bitrix.protocol.v2 import BATCH_COMMANDS

BATCH_S = 20.0  # a batch should take no longer; the portal cuts it off after 60 s, protocol.md 12.3
SURVEY_COMMANDS = 2  # in a batch, where there is room for several of them; the head of the list
TIGHT_S = 4.0  # by which the bucket delays the last batch where requests are worth more than an early end of each range
SHARE = 0.6  # of the room, for batches of new ranges; the rest is for what goes on with them
SPREAD = 0.7  # batches side by side begin over so many times what one takes, which keeps some places for what goes on


class BatchSizer:
    """What the batches of one *plan* keep to; a command of its opening took *opening_s* seconds, 0 if nobody knows.

    The thrifty are full, and follow each other as they can. The eager share out what is left among as many as there is
    room for. Where the bucket has not enough for all of it, they are full as well, and spend what it holds evenly: a
    bucket emptied at once would gain nothing, for what it leaks decides when the last one goes, and rows that come all
    at once would have to be held back.
    """

    def __init__(self, client: Portal, plan: Plan[Any], pace: Pace, opening_s: float) -> None:
        self._client = client
        self._plan = plan
        self._eager = pace is Pace.EAGER
        self._opening_s = opening_s  # what a command took before any batch did
        self._command_s = 0.0  # what a command takes; 0 where that is not known yet
        self._most = self._ceiling = BATCH_COMMANDS  # commands in a batch
        self._borne = 0  # commands of the largest batch that has come back
        self._next_at = -math.inf
        self._last_back = (-math.inf, 0)  # when the batch under way was sent that should come back last; its commands

    @property
    def tight(self) -> bool:
        """Whether requests are what there is least of."""
        return self._eager and self._client.wait(self._batches_left) > TIGHT_S

    def size(self, *, alone: bool) -> int:
        """How many commands the next batch gets, which goes *alone* or beside others.

        All that fit, where requests are scarce or the walk is thrifty. Where there is room to spare, work is shared out
        among short batches side by side, no shorter than those under way will take, and what goes on with a range goes
        by itself, so that it comes back the sooner.
        """
        most = self._full
        if not self._eager:
            return most
        room, begun = self._client.room(), self._plan.begun
        if room == 0:
            return most
        spare = room - math.ceil(self._plan.commands_left / most)
        if self._plan.surveying:
            return SURVEY_COMMANDS if alone or spare > 0 else min(max(begun, 1), most)
        if begun and spare > 0:
            return min(begun, most)
        return min(max(math.ceil(self._plan.commands_left / (room * SHARE)), int(self._meanwhile), 1), most)

    def sent(self, commands: int, in_flight: int) -> float:
        """Take note that a batch of so many *commands* goes, one of so many; the seconds until the next one may.

        Where several go side by side, they are to come back one after another.
        """
        if commands >= self._meanwhile:
            self._last_back = self._now, commands
        room = self._client.room() if self._eager else 0
        if room == 0 or self._command_s == 0:
            return 0.0
        batches = self._batches_left
        pause_s = max(
            SPREAD * self._command_s * commands / (in_flight + room),
            self._client.wait(batches) / batches,
        )
        self._next_at = max(self._next_at, self._now - pause_s) + pause_s  # who is a little late makes up for it
        return max(self._next_at - self._now, 0.0)

    def came(self, commands: int, took_s: float, failure: PortalError | None, *, counted: bool) -> None:
        """Learn from a batch of so many *commands* that has come back, or brought a *failure* as a whole.

        To count takes longer, and tells of the others only while nothing else does.
        """
        if self._command_s == 0 or not counted:
            self._note_duration(took_s / commands, failed=failure is not None)
        self._note_size(commands, failure)

    @property
    def _now(self) -> float:
        return self._client.clock.monotonic()

    @property
    def _meanwhile(self) -> float:
        """How many commands one after another take as long as all batches under way should, as fast as they are now."""
        sent_at, commands = self._last_back
        return max(commands - (self._now - sent_at) / self._command_s, 0.0) if self._command_s > 0 else 0.0

    @property
    def _full(self) -> int:
        """How many commands a batch can have, so that it neither takes too long nor is too large."""
        command_s = self._command_s or self._opening_s
        return min(max(int(BATCH_S / command_s), 1), self._most) if command_s > 0 else self._most

    @property
    def _batches_left(self) -> int:
        return max(math.ceil(self._plan.commands_left / self._full), 1)

    def _note_size(self, commands: int, failure: PortalError | None) -> None:
        """Take in what became of a batch of so many *commands*: it may be too large where none of its size has come."""
        if failure is None:
            self._borne = max(self._borne, commands)
            self._most = min(self._most + 1, self._ceiling)
        elif isinstance(failure, AnswerTooLarge):
            self._ceiling = min(self._ceiling, max(commands // 2, 1))
            self._most = min(self._most, self._ceiling)
        elif commands > max(self._borne, 1) and isinstance(failure, PortalBroken | PortalFailing):
            self._ceiling = min(self._ceiling, commands - 1)
            self._most = min(self._most, commands // 2)

    def _note_duration(self, command_s: float, *, failed: bool) -> None:
        """Take in how long each command of a batch took, at once where that is longer; of one that failed only then."""
        if failed and command_s <= self._command_s:
            return
        self._command_s = max(command_s, (self._command_s + command_s) / 2, 1e-9)
