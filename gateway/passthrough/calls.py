"""Any method of a portal, one at a time or many, on behalf of a caller: under the limiter, and by name allowed."""

import asyncio
import logging
import re
import secrets
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from gateway.accounts.connections import Connections
from gateway.bitrix.client import PortalClient
from gateway.bitrix.errors import PortalError
from gateway.bitrix.protocol.filters3 import check_filter
from gateway.bitrix.protocol.method_kind import is_safe_to_repeat, takes_arguments_by_position
from gateway.bitrix.protocol.v2 import Answer, Arguments, Command, encode_params
from gateway.bitrix.transport.session import HttpAnswer
from gateway.crypto.vault import SealBroken
from gateway.errors import GatewayError, InvalidInput, StorageFailed
from gateway.passthrough.allowed_methods import MethodAllowlist
from gateway.passthrough.batch_split import Chunk, chunks_of, is_linked
from storage.errors import StorageError, StorageUnusable
from storage.records import Account

logger = logging.getLogger(__name__)

BATCH = "batch"
MAX_METHOD_CHARACTERS = 255  # characters; far longer than the name of any method
METHOD_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*")
NO_METHOD = "must be a method's name, like crm.deal.list"
NO_OBJECT = "must be an object: this method takes parameters by name, not a list of arguments"
OWN_PARAMETERS = ("auth", "access_token")  # how a portal is shown a token, which is ours to do
FORMATS = (".json", ".xml")  # a portal takes these after a method's name, and drops them
DEEPEST = 64  # objects and lists in each other; no method asks for more
TOO_DEEP = f"has more than {DEEPEST} objects and lists in each other"
USABLE_KEY = re.compile(r"[\x21-\x7e]{1,255}")  # Source: protocol.md 9.10

T = TypeVar("T")
Outcomes = dict[str, Answer | GatewayError | None]
"""What each command of a batch brought, by name; None where it was not sent."""


@dataclass(frozen=True)
class Work(Generic[T]):
    """A validated request, which *run* sends to the portal of an account.

    A *write*, or a read that consumes what it returns, must not be cancelled once it has started.
    """

    run: Callable[[Account], Coroutine[object, object, T]]
    write: bool


class CallService:
    """Validates requests of callers as Work. Each method raises:
    InvalidInput: a method or a parameter is invalid.
    MethodDenied: the settings deny the method.
    `Work.run` raises, beside what the method's own docstring says:
    TooBusy: the portal's limits leave no room in time, and nothing was sent.
    PortalError: the portal refused or failed; OutcomeUnknown where a write may have been done.
    """

    def __init__(self, rules: MethodAllowlist, connections: Connections) -> None:
        self._rules = rules
        self._connections = connections

    def call(self, method: str, params: Arguments) -> Work[Answer]:
        """The portal's answer to *method*."""
        self._check(method, InvalidInput.of_parameter("method", "method", NO_METHOD))
        _check_arguments(method, params, "")
        command = _command_of(method, params)
        return Work(partial(self._call, command), command.write)

    def batch(
        self, asked: Sequence[tuple[str, str, Arguments]], *, halt: bool, pointers: Sequence[str]
    ) -> Work[Outcomes]:
        """What each of *asked* (name, method, parameters) brought, sent in order, up to 50 to a request.

        Commands may refer to the results of earlier ones in the same request, as ``$result[name]``. Requests that only
        read go side by side; those that write, one after another, up to one that fails as a whole. All but the first
        let other callers go first. *pointers* say where each command lies in the body.
        """
        commands = {
            name: self._command(method, params, pointer)
            for (name, method, params), pointer in zip(asked, pointers, strict=True)
        }
        write = any(command.write for command in commands.values())
        return Work(partial(self._batch, chunks_of(commands, pointers), write, halt), write)

    def call3(self, method: str, body: Mapping[str, object], key: str | None) -> Work[HttpAnswer]:
        """The portal's answer to a REST 3.0 *method*, as it came; a write carries *key*, or one of ours."""
        self._check(method, InvalidInput.of_parameter("method", "method", NO_METHOD))
        _check_parameters(body, "")
        if "filter" in body:
            check_filter(body["filter"], "/filter")
        return self._work3(method, body, key, not is_safe_to_repeat(method, body))

    def batch3(self, calls: Sequence[Mapping[str, object]], key: str | None) -> Work[HttpAnswer]:
        """The portal's answer to a REST 3.0 batch, as it came. The first call that fails fails all of it."""
        safe = True
        for index, one in enumerate(calls):
            method, query = one.get("method"), one.get("query", {})
            if not isinstance(method, str):
                raise InvalidInput.of_field(f"/{index}/method", "invalid_value", "must be a string")
            self._check(method, InvalidInput.of_field(f"/{index}/method", "method", NO_METHOD))
            if not isinstance(one.get("as", ""), str):
                raise InvalidInput.of_field(f"/{index}/as", "invalid_value", "must be a string")
            if not isinstance(query, Mapping):
                raise InvalidInput.of_field(f"/{index}/query", "invalid_value", "must be an object")
            _check_parameters(query, f"/{index}/query")
            if "filter" in query:
                check_filter(query["filter"], f"/{index}/query/filter", references=True)
            safe = safe and is_safe_to_repeat(method, query)
        return self._work3(BATCH, calls, key, not safe)

    async def _call(self, command: Command, account: Account) -> Answer:
        async with self._connections.mark_stale_on_auth_failure(account):
            return await self._connections.client(account).call(command)

    async def _batch(self, chunks: Sequence[Chunk], write: bool, halt: bool, account: Account) -> Outcomes:
        first, *others = chunks
        client = self._connections.client(account)
        outcomes: Outcomes = dict.fromkeys(name for chunk in chunks for name in chunk)
        outcomes |= await self._send(account, client, first, halt)
        client = client.background()
        if halt or write:
            for chunk in others:
                if halt and any(isinstance(outcome, GatewayError) for outcome in outcomes.values()):
                    break
                done = await self._send_later(account, client, chunk, halt)
                if isinstance(done, GatewayError):
                    outcomes |= dict.fromkeys(chunk, done)
                    break
                outcomes |= done
        else:
            sending = [self._send_later(account, client, chunk, halt) for chunk in others]
            for chunk, done in zip(others, await _side_by_side(sending), strict=True):
                outcomes |= dict.fromkeys(chunk, done) if isinstance(done, GatewayError) else done
        return outcomes

    async def _send(
        self, account: Account, client: PortalClient, chunk: Chunk, halt: bool
    ) -> Mapping[str, Answer | PortalError]:
        """What the commands of *chunk* brought. Of those that only read, what fails goes again by itself, unless
        commands build on each other."""
        async with self._connections.mark_stale_on_auth_failure(account):
            if halt or is_linked(chunk) or any(command.write for command in chunk.values()):
                return await client.batch_once(chunk, halt=halt)
            return dict(zip(chunk, await client.batch(list(chunk.values()), wait_for_budget=False), strict=True))

    async def _send_later(
        self, account: Account, client: PortalClient, chunk: Chunk, halt: bool
    ) -> Mapping[str, Answer | PortalError] | GatewayError:
        """As `_send`; an error that befell the request as a whole does not undo those before it, so it is returned."""
        try:
            return await self._send(account, client, chunk, halt)
        except StorageUnusable as error:
            logger.warning("a part of a batch was not sent", extra={"reason": str(error)})
            return StorageFailed(error.told)
        except (SealBroken, StorageError) as error:
            logger.error("a part of a batch was not sent", exc_info=error)
            return GatewayError()
        except GatewayError as error:
            return error

    def _work3(self, method: str, body: object, key: str | None, write: bool) -> Work[HttpAnswer]:
        if key is not None and not USABLE_KEY.fullmatch(key):
            raise InvalidInput.of_parameter(
                "Idempotency-Key", "invalid_value", "must be 1 to 255 printable ASCII characters without spaces"
            )
        if key is None and write:
            key = secrets.token_urlsafe(24)
        return Work(partial(self._send3, method, body, key, write), write)

    async def _send3(self, method: str, body: object, key: str | None, write: bool, account: Account) -> HttpAnswer:
        async with self._connections.mark_stale_on_auth_failure(account):
            return await self._connections.client(account).call3(method, body, write=write, key=key)

    def _command(self, method: str, params: Arguments, pointer: str) -> Command:
        self._check(method, InvalidInput.of_field(f"{pointer}/method", "method", NO_METHOD))
        _check_arguments(method, params, f"{pointer}/params")
        try:
            encode_params(params)
        except InvalidInput as error:
            raise InvalidInput.of_field(f"{pointer}/params", "params", error.errors[0].detail) from error
        return _command_of(method, params)

    def _check(self, method: str, wrong: InvalidInput) -> None:
        """See that *method* is a name, and let through; a batch is none, for what it brings would pass unchecked."""
        name = method.lower()
        if (
            len(method) > MAX_METHOD_CHARACTERS
            or not METHOD_NAME.fullmatch(method)
            or name.endswith(FORMATS)
            or name == BATCH
        ):
            raise wrong
        self._rules.check(method)


async def _side_by_side(sending: Sequence[Coroutine[object, object, T]]) -> list[T]:
    """What all of *sending* bring; the first that raises ends the others."""
    try:
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(one) for one in sending]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [one.result() for one in running]


def _command_of(method: str, arguments: Arguments) -> Command:
    write = not is_safe_to_repeat(method, arguments)
    if isinstance(arguments, list):
        return Command(method, write=write, positional=arguments)
    return Command(method, arguments, write=write)


def _check_arguments(method: str, arguments: Arguments, pointer: str) -> None:
    if isinstance(arguments, list) and not takes_arguments_by_position(method):
        raise InvalidInput.of_field(pointer, "not_an_object", NO_OBJECT)
    _check_parameters(arguments, pointer)


def _check_parameters(params: Arguments, pointer: str) -> None:
    for name in params if isinstance(params, Mapping) else ():
        if name.lower() in OWN_PARAMETERS:
            raise InvalidInput.of_field(f"{pointer}/{name}", "own_parameter", "is for the gateway to send")
    if is_deeper(params, DEEPEST):
        raise InvalidInput.of_field(pointer, "too_deep", TOO_DEEP)


def is_deeper(value: object, most: int) -> bool:
    """Whether more than so many objects and lists lie in each other."""
    if not isinstance(value, Mapping | list):
        return False
    below = value.values() if isinstance(value, Mapping) else value
    return most == 0 or any(is_deeper(one, most - 1) for one in below)
