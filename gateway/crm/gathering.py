"""Gathers what many callers ask of a portal at once into few requests."""

import asyncio
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, TypeVar

from gateway.errors import GatewayError

REQUESTS = 2  # of one key that are on the way at once; what comes meanwhile is gathered

K = TypeVar("K", bound=Hashable)
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass
class _Waiting(Generic[Item, Result]):
    item: Item
    future: asyncio.Future[Result]
    context: contextvars.Context


@dataclass
class _Queue(Generic[Item, Result]):
    """The items of one key that wait for a request, and the number of requests that are on the way."""

    waiting: deque[_Waiting[Item, Result]] = field(default_factory=deque)
    requests: int = 0


class Gatherer(Generic[K, Item, Result]):
    """Sends an item alone while few come, and together those that wait for one of the REQUESTS requests of their key.

    *send* sends the items of one key, whose weights sum up to *most* unless it is a single one. It returns the result
    or the error of each, or raises the error of all.
    """

    def __init__(
        self,
        send: Callable[[K, Sequence[Item]], Awaitable[Sequence[Result | GatewayError]]],
        *,
        weigh: Callable[[Item], int],
        most: int,
    ) -> None:
        self._send = send
        self._weigh = weigh
        self._most = most
        self._queues: dict[K, _Queue[Item, Result]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def submit(self, key: K, item: Item) -> Result:
        """Return the result of *item*.

        Raises:
            GatewayError: its error, or that of its request.
        """
        queue = self._queues.setdefault(key, _Queue())
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        queue.waiting.append(_Waiting(item, future, contextvars.copy_context()))
        self._start(key, queue)
        return await future

    async def close(self) -> None:
        """Cancel the requests, and those that wait for their results."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, key: K, queue: _Queue[Item, Result]) -> None:
        """Start a request in the context of the first that waits, unless enough are on the way.

        A task begins after all that is ready now, so it finds all items that are submitted at once.
        """
        if queue.requests == REQUESTS or not queue.waiting:
            return
        queue.requests += 1
        task = asyncio.create_task(self._request(key, queue), context=queue.waiting[0].context)
        self._tasks.add(task)
        task.add_done_callback(partial(self._ended, key, queue))

    def _ended(self, key: K, queue: _Queue[Item, Result], task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        queue.requests -= 1
        if not task.cancelled():
            task.exception()  # raised for those that waited
        else:
            for each in queue.waiting:
                each.future.cancel()
            queue.waiting.clear()
        self._start(key, queue)
        if queue.requests == 0:
            self._queues.pop(key, None)

    async def _request(self, key: K, queue: _Queue[Item, Result]) -> None:
        taken = self._take(queue.waiting)
        if not taken:
            return
        try:
            outcomes = await self._send(key, [each.item for each in taken])
            for each, outcome in zip(taken, outcomes, strict=True):
                _settle(each.future, outcome)
        except asyncio.CancelledError:
            for each in taken:
                each.future.cancel()
            raise
        except BaseException as error:
            for each in taken:
                _settle(each.future, error)
            raise

    def _take(self, waiting: deque[_Waiting[Item, Result]]) -> list[_Waiting[Item, Result]]:
        """Remove and return the first that wait, as many as fit into one request."""
        taken: list[_Waiting[Item, Result]] = []
        weight = 0
        while waiting:
            if waiting[0].future.done():  # its caller was cancelled
                waiting.popleft()
                continue
            weight += self._weigh(waiting[0].item)
            if taken and weight > self._most:
                break
            taken.append(waiting.popleft())
        return taken


def _settle(future: asyncio.Future[Result], outcome: Result | BaseException) -> None:
    if future.done():  # its caller was cancelled
        return
    if isinstance(outcome, BaseException):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)
