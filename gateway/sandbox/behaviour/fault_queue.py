"""The faults to inject into the calls of a portal, and the methods on hold."""

import asyncio
import random
from collections.abc import Iterator

from gateway.clock import Clock
from gateway.sandbox.behaviour.faults import (
    ANY_METHOD,
    ANY_REQUEST,
    BEFORE_CALL,
    BODY_FAULTS,
    ERROR_FAULTS,
    ConnectionFault,
    Fault,
)


class Faults:
    """The pending faults in order of creation, and the methods that are on hold."""

    def __init__(self, clock: Clock, seed: int = 1) -> None:
        self._clock = clock
        self._random = random.Random(seed)
        self._pending: list[Fault] = []
        self._held: dict[str, asyncio.Event] = {}

    def add(self, fault: Fault) -> None:
        self._pending.append(fault)

    def clear(self) -> None:
        self._pending.clear()

    def __iter__(self) -> Iterator[Fault]:
        return iter(self._pending)

    def take(self, method: str, *, is_request: bool = False, of_body: bool = False) -> Fault | None:
        """Take the first fault that is due for this call of *method*. For the others the call counts as skipped.

        *is_request*: the call is a whole HTTP request, not a command of a batch. *of_body*: only the faults in
        BODY_FAULTS, which are otherwise left out.
        """
        due = None
        names = (method, ANY_METHOD, ANY_REQUEST) if is_request else (method, ANY_METHOD)
        pending = [fault for fault in self._pending if (fault.kind in BODY_FAULTS) is of_body]
        for fault in [fault for fault in pending if fault.method in names]:
            if fault.after:
                fault.after -= 1
            elif due is None and self._random.random() * 100 < fault.percent:
                due = fault
        if due is not None:
            due.times -= 1
            if due.times <= 0:
                self._pending.remove(due)
        return due

    def hold(self, method: str) -> None:
        self._held.setdefault(method, asyncio.Event())

    def release(self, method: str) -> None:
        if held := self._held.pop(method, None):
            held.set()

    def release_all(self) -> None:
        for method in list(self._held):
            self.release(method)

    async def apply(self, method: str, *, is_request: bool = False) -> Fault | None:
        """Wait while *method* is on hold, then inject the fault that is due for this call, see `take`.

        Returns:
            The fault, for effects that follow the call; None without a fault.

        Raises:
            CallError, ConnectionFault: the fault replaces the call.
        """
        if held := self._held.get(method):
            await held.wait()
        fault = self.take(method, is_request=is_request)
        if fault is None:
            return None
        if fault.kind in BEFORE_CALL:
            raise ConnectionFault(fault.kind, fault.value)
        if fault.kind in ERROR_FAULTS:
            raise fault.error()
        if fault.kind == "delay":
            await self._clock.sleep(fault.seconds)
        return fault
