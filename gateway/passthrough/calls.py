"""Calls of any portal method, single or in batches, on behalf of a caller; rate-limited and checked by name."""

import asyncio
import logging
import secrets
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from gateway.accounts.allowed_methods import MethodAllowlist
from gateway.accounts.clients import PortalClients
from gateway.accounts.directory import AccountDirectory
from gateway.bitrix.client import PortalClient
from gateway.bitrix.errors import PortalError
from gateway.bitrix.protocol.filters3 import check_filter
from gateway.bitrix.protocol.method_kind import is_safe_to_repeat
from gateway.bitrix.protocol.v2 import Answer, Arguments, Command, encode_params
from gateway.bitrix.transport.session import HttpAnswer
from gateway.crypto.vault import SealBroken
from gateway.errors import GatewayError, InvalidInput, StorageFailed
from gateway.passthrough.batch_split import Commands, has_references, split_batch
from gateway.passthrough.call_checks import BATCH, INVALID_METHOD, check_arguments, check_parameters, is_method_name
from storage.errors import StorageError, StorageUnusable
from storage.records import Account

logger = logging.getLogger(__name__)

T = TypeVar("T")
Outcomes = dict[str, Answer | GatewayError | None]
"""The outcome of each command of a batch, by name; None if it was not sent."""


@dataclass(frozen=True)
class Work(Generic[T]):
    """A validated request; *run* sends it to the portal of an account.

    A *write*, or a read that consumes what it returns, must not be cancelled once it has started.
    """

    run: Callable[[Account], Coroutine[object, object, T]]
    write: bool


class CallService:
    """Validates the requests of callers. Each method returns Work and raises:
    InvalidInput: a method or a parameter is invalid.
    MethodDenied: the settings deny the method.
    `Work.run` raises:
    TooBusy: the portal's limits leave no room in time; nothing was sent.
    PortalError: the portal refused or failed; OutcomeUnknown if a write may have been carried out.
    """

    def __init__(self, allowlist: MethodAllowlist, directory: AccountDirectory, clients: PortalClients) -> None:
        self._allowlist = allowlist
        self._directory = directory
        self._clients = clients

    def call(self, method: str, params: Arguments) -> Work[Answer]:
        """Call *method*."""
        self._check_method(method, InvalidInput.of_parameter("method", "method", INVALID_METHOD))
        check_arguments(method, params, "")
        command = _command_of(method, params)
        return Work(partial(self._call, command), command.write)

    def batch(
        self, requested: Sequence[tuple[str, str, Arguments]], *, halt: bool, pointers: Sequence[str]
    ) -> Work[Outcomes]:
        """Run the *requested* commands (name, method, parameters) in order, up to 50 in one request.

        Commands may refer to the results of earlier ones in the same request, as ``$result[name]``. Requests that only
        read run concurrently. Requests that write run one after another, until one fails as a whole. With *halt*, the
        first command that fails ends the batch. All requests but the first have background priority. *pointers* are
        the JSON pointers of the commands in the caller's body.
        """
        commands = {
            name: self._command(method, params, pointer)
            for (name, method, params), pointer in zip(requested, pointers, strict=True)
        }
        write = any(command.write for command in commands.values())
        return Work(partial(self._batch, split_batch(commands, pointers), write, halt), write)

    def call3(self, method: str, body: Mapping[str, object], key: str | None) -> Work[HttpAnswer]:
        """Call a REST 3.0 *method*; the portal's response is not changed. *key* is the Idempotency-Key.

        A write without a key gets a random one.
        """
        self._check_method(method, InvalidInput.of_parameter("method", "method", INVALID_METHOD))
        check_parameters(body, "")
        if "filter" in body:
            check_filter(body["filter"], "/filter")
        return self._work3(method, body, key, not is_safe_to_repeat(method, body))

    def batch3(self, calls: Sequence[Mapping[str, object]], key: str | None) -> Work[HttpAnswer]:
        """Run a REST 3.0 batch; the portal's response is not changed. The first failed call fails the whole batch."""
        safe = True
        for index, call in enumerate(calls):
            method, query = call.get("method"), call.get("query", {})
            if not isinstance(method, str):
                raise InvalidInput.of_field(f"/{index}/method", "invalid_value", "must be a string")
            self._check_method(method, InvalidInput.of_field(f"/{index}/method", "method", INVALID_METHOD))
            if not isinstance(call.get("as", ""), str):
                raise InvalidInput.of_field(f"/{index}/as", "invalid_value", "must be a string")
            if not isinstance(query, Mapping):
                raise InvalidInput.of_field(f"/{index}/query", "invalid_value", "must be an object")
            check_parameters(query, f"/{index}/query")
            if "filter" in query:
                check_filter(query["filter"], f"/{index}/query/filter", references=True)
            safe = safe and is_safe_to_repeat(method, query)
        return self._work3(BATCH, calls, key, not safe)

    async def _call(self, command: Command, account: Account) -> Answer:
        async with self._directory.mark_stale_on_auth_failure(account):
            return await self._clients.client(account).call(command)

    async def _batch(self, requests: Sequence[Commands], write: bool, halt: bool, account: Account) -> Outcomes:
        first, *others = requests
        client = self._clients.client(account)
        outcomes: Outcomes = dict.fromkeys(name for commands in requests for name in commands)
        outcomes |= await self._send(account, client, first, halt)
        client = client.background()
        if halt or write:
            for commands in others:
                if halt and any(isinstance(outcome, GatewayError) for outcome in outcomes.values()):
                    break
                result = await self._send_further(account, client, commands, halt)
                if isinstance(result, GatewayError):
                    outcomes |= dict.fromkeys(commands, result)
                    break
                outcomes |= result
        else:
            sending = [self._send_further(account, client, commands, halt) for commands in others]
            for commands, result in zip(others, await _run_concurrently(sending), strict=True):
                outcomes |= dict.fromkeys(commands, result) if isinstance(result, GatewayError) else result
        return outcomes

    async def _send(
        self, account: Account, client: PortalClient, commands: Commands, halt: bool
    ) -> Mapping[str, Answer | PortalError]:
        """Send one request and return the outcomes of its commands.

        If all commands only read and do not refer to each other, those that fail are retried on their own.
        """
        async with self._directory.mark_stale_on_auth_failure(account):
            if halt or has_references(commands) or any(command.write for command in commands.values()):
                return await client.batch_once(commands, halt=halt)
            return dict(zip(commands, await client.batch(list(commands.values()), wait_for_budget=False), strict=True))

    async def _send_further(
        self, account: Account, client: PortalClient, commands: Commands, halt: bool
    ) -> Mapping[str, Answer | PortalError] | GatewayError:
        """Like `_send`, but return an error of the whole request, so that earlier outcomes are kept."""
        try:
            return await self._send(account, client, commands, halt)
        except StorageUnusable as error:
            logger.warning("a part of a batch was not sent", extra={"reason": str(error)})
            return StorageFailed(error.message)
        except (SealBroken, StorageError) as error:
            logger.error("a part of a batch was not sent", exc_info=error)
            return GatewayError()
        except GatewayError as error:
            return error

    def _work3(self, method: str, body: object, key: str | None, write: bool) -> Work[HttpAnswer]:
        if key is None and write:
            key = secrets.token_urlsafe(24)
        return Work(partial(self._send3, method, body, key, write), write)

    async def _send3(self, method: str, body: object, key: str | None, write: bool, account: Account) -> HttpAnswer:
        async with self._directory.mark_stale_on_auth_failure(account):
            return await self._clients.client(account).call3(method, body, write=write, key=key)

    def _command(self, method: str, params: Arguments, pointer: str) -> Command:
        self._check_method(method, InvalidInput.of_field(f"{pointer}/method", "method", INVALID_METHOD))
        check_arguments(method, params, f"{pointer}/params")
        try:
            encode_params(params)
        except InvalidInput as error:
            raise InvalidInput.of_field(f"{pointer}/params", "params", error.errors[0].detail) from error
        return _command_of(method, params)

    def _check_method(self, method: str, invalid: InvalidInput) -> None:
        """Check that *method* is a valid name, or raise *invalid*, and that the settings allow it."""
        if not is_method_name(method):
            raise invalid
        self._allowlist.check(method)


async def _run_concurrently(coroutines: Sequence[Coroutine[object, object, T]]) -> list[T]:
    """Run all and return their results in order. The first exception cancels the others and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(coroutine) for coroutine in coroutines]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [task.result() for task in tasks]


def _command_of(method: str, arguments: Arguments) -> Command:
    write = not is_safe_to_repeat(method, arguments)
    if isinstance(arguments, list):
        return Command(method, write=write, positional=arguments)
    return Command(method, arguments, write=write)
