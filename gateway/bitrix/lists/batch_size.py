"""Decides how many commands the next batch of a walk has, and when it may be sent."""

import math
from typing import Any

from gateway.bitrix.errors import AnswerTooLarge, PortalBroken, PortalError, PortalFailing
from gateway.bitrix.lists.page_reader import Pace, Portal
from gateway.bitrix.lists.plan import Plan
from gateway.bitrix.protocol.v2 import BATCH_COMMANDS

MAX_BATCH_S = 20.0  # a batch should not take longer; the portal aborts it after 60 s, protocol.md 12.3
SURVEY_COMMANDS = 2  # in a batch of the survey, while there is spare room: the head's two pages, or two samples
SCARCE_WAIT_S = 4.0  # the budget is scarce if the last batch would have to wait longer than this
NEW_RANGES_SHARE = 0.6  # of the room, for batches of new ranges; the rest is the reserve for continuations
# Share of a batch's duration over which all batches that there is room for are sent; the rest leaves slots for
# continuations.
STAGGER = 0.7


class BatchSizer:
    """Sizes and times the batches of one *plan*. *opening_command_s* is the duration of a command, 0 if unknown.

    A thrifty walk sends full batches as soon as it can. An eager walk divides the remaining commands among as many
    batches as there is room for. While the budget is scarce, its batches are full too, and spread evenly over the time
    that the budget takes to refill: to spend it at once would not finish the walk earlier, but hold back more rows.
    """

    def __init__(self, client: Portal, plan: Plan[Any], pace: Pace, opening_command_s: float) -> None:
        self._client = client
        self._plan = plan
        self._eager = pace is Pace.EAGER
        self._opening_command_s = opening_command_s
        self._command_s = 0.0  # current duration of a command; 0 before the first batch
        self._max_commands = BATCH_COMMANDS  # in a batch now; grows with each success
        self._ceiling = BATCH_COMMANDS  # which it never exceeds again; only shrinks
        self._largest_success = 0  # commands of the largest batch that succeeded
        self._next_at = -math.inf  # when the next batch may be sent
        self._last_to_finish = (-math.inf, 0)  # the batch that should finish last: when it was sent, its commands

    @property
    def budget_scarce(self) -> bool:
        """Whether saving requests matters more than finishing each range early."""
        return self._eager and self._client.wait(self._remaining_batches) > SCARCE_WAIT_S

    def next_size(self, *, alone: bool) -> int:
        """How many commands the next batch has. *alone*: no other batch is in flight.

        A batch is full if the walk is thrifty or there is no room. Otherwise the remaining commands are divided among
        as many batches as the room permits, but a batch should take at least as long as those in flight still do. While
        there is spare room, continuations have batches to themselves, which are answered sooner.
        """
        full = self._full_size
        if not self._eager:
            return full
        room, continuing = self._client.room(), self._plan.continuation_commands
        if room == 0:
            return full
        spare = room - math.ceil(self._plan.remaining_commands / full)
        if self._plan.surveying:
            return SURVEY_COMMANDS if alone or spare > 0 else min(max(continuing, 1), full)
        if continuing and spare > 0:
            return min(continuing, full)
        shared = math.ceil(self._plan.remaining_commands / (room * NEW_RANGES_SHARE))
        return min(max(shared, int(self._in_flight_commands), 1), full)

    def on_sent(self, commands: int, in_flight: int) -> float:
        """Record that a batch of *commands* commands was sent, now one of *in_flight*.

        Return the seconds until the next one may be sent: staggered batches finish one after another.
        """
        if commands >= self._in_flight_commands:
            self._last_to_finish = self._now, commands
        room = self._client.room() if self._eager else 0
        if room == 0 or self._command_s == 0:
            return 0.0
        batches = self._remaining_batches
        pause_s = max(
            STAGGER * self._command_s * commands / (in_flight + room),
            self._client.wait(batches) / batches,
        )
        self._next_at = max(self._next_at, self._now - pause_s) + pause_s  # small delays do not add up
        return max(self._next_at - self._now, 0.0)

    def on_response(self, commands: int, took_s: float, failure: PortalError | None, *, counted: bool) -> None:
        """Learn from a batch of *commands* commands that was answered after *took_s* seconds.

        *failure* is the error of the batch as a whole. *counted*: it requested a count, which takes the portal longer,
        so its duration is used only while no other is known.
        """
        if self._command_s == 0 or not counted:
            self._learn_duration(took_s / commands, failed=failure is not None)
        self._learn_size(commands, failure)

    @property
    def _now(self) -> float:
        return self._client.clock.monotonic()

    @property
    def _in_flight_commands(self) -> float:
        """How many commands, one after another, take as long as the batches in flight still should."""
        sent_at, commands = self._last_to_finish
        return max(commands - (self._now - sent_at) / self._command_s, 0.0) if self._command_s > 0 else 0.0

    @property
    def _full_size(self) -> int:
        """The commands of a full batch: as many as do not take too long, and whose answer is not too large."""
        command_s = self._command_s or self._opening_command_s
        return min(max(int(MAX_BATCH_S / command_s), 1), self._max_commands) if command_s > 0 else self._max_commands

    @property
    def _remaining_batches(self) -> int:
        return max(math.ceil(self._plan.remaining_commands / self._full_size), 1)

    def _learn_size(self, commands: int, failure: PortalError | None) -> None:
        """Grow by one command with each success. Halve after a failure if no batch of this size has succeeded."""
        if failure is None:
            self._largest_success = max(self._largest_success, commands)
            self._max_commands = min(self._max_commands + 1, self._ceiling)
        elif isinstance(failure, AnswerTooLarge):
            self._ceiling = min(self._ceiling, max(commands // 2, 1))
            self._max_commands = min(self._max_commands, self._ceiling)
        elif commands > max(self._largest_success, 1) and isinstance(failure, PortalBroken | PortalFailing):
            self._ceiling = min(self._ceiling, commands - 1)
            self._max_commands = min(self._max_commands, commands // 2)

    def _learn_duration(self, command_s: float, *, failed: bool) -> None:
        """Follow a longer duration at once and a shorter one by half. A failure only counts if it took longer."""
        if failed and command_s <= self._command_s:
            return
        self._command_s = max(command_s, (self._command_s + command_s) / 2, 1e-9)  # 0 means unknown
