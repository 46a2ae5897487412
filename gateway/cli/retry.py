"""When a command repeats a request that had no effect."""

import click

from gateway.cli.gateway_client import TryLater
from gateway.clock import Clock
from gateway.redaction import printable

MAX_ATTEMPTS = 5
MAX_PAUSE_S = 60.0


async def pause_after(failure: TryLater, attempt: int, clock: Clock) -> None:
    """Wait after *attempt* number one to MAX_ATTEMPTS, as long as *failure* asks for, and say so on stderr.

    If it does not say how long, the pauses double from one second.

    Raises:
        TryLater: *failure* itself, after the last attempt, or when it asks for more than MAX_PAUSE_S.
    """
    pause_s = 2.0 ** (attempt - 1) if failure.retry_after_s is None else failure.retry_after_s
    if attempt >= MAX_ATTEMPTS or pause_s > MAX_PAUSE_S:
        raise failure
    click.echo(printable(f"{failure.detail}; trying again in {pause_s:g} s"), err=True)
    await clock.sleep(pause_s)
