"""Gateways that die before and after each of their commits."""

import itertools
import signal
from collections.abc import AsyncIterator, Awaitable, Callable

from tests.crash.house import Died, House
from tests.crash.launcher import AFTER, BEFORE
from tests.crash.soundness import check_file

Action = Callable[[str], Awaitable[None]]


async def deaths(house: House, action: Action) -> AsyncIterator[tuple[str, str, int]]:
    """Run *action* in gateways that die before and after each of its commits, until one survives.

    After each death, start a healthy gateway and yield the name passed to *action*, the moment and the commit.
    """
    for commit in itertools.count(1):
        for moment in (BEFORE, AFTER):
            name = f"{moment}-{commit}"
            try:
                await house.start((moment, commit))
                await action(name)
            except Died:
                assert await house.end() == -signal.SIGKILL
            else:
                await house.end(signal.SIGKILL)
                assert commit > 1, "nothing was committed"
                return
            check_file(house.database)
            await house.start()
            assert (await house.get("/readyz")).status == 200
            yield name, moment, commit
            await house.end(signal.SIGKILL)
