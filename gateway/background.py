"""Background tasks."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from contextvars import Context


@asynccontextmanager
async def running(work: Coroutine[None, None, None], *, name: str) -> AsyncIterator[None]:
    """Run *work* in the background until the block ends, then cancel it."""
    task = asyncio.create_task(work, name=name)
    try:
        yield
    finally:
        await end([task])


def detached(work: Coroutine[None, None, None], *, name: str) -> asyncio.Task[None]:
    """Start *work* as a task of the gateway's own, whatever request has caused it."""
    return asyncio.create_task(work, name=name, context=Context())


async def end(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel *tasks* and wait for them."""
    tasks = list(tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
