"""Any method of a portal, one at a time or many, on behalf of a caller: under the limiter, and by name allowed."""

import asyncio
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from gateway.bitrix.client import HttpAnswer, PortalClient
from gateway.bitrix.errors import PortalError
from gateway.bitrix.filter3 import check_filter
from gateway.bitrix.methods import writes
from gateway.bitrix.wire import BATCH_COMMANDS, METHOD_NAME, Answer, Command, Params
from gateway.config import Config
from gateway.connections import Connections
from gateway.errors import InvalidInput, MethodDenied
from storage.records import Account

OWN_PARAMETERS = ("auth", "access_token")  # how a portal is shown a token, which is ours to do
FORMATS = (".json", ".xml")  # a portal takes these after a method's name, and drops them
REFERENCE = re.compile(r"\$result\[([^\]]*)\]")
IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")  # Source: protocol.md 9.10

Outcomes = dict[str, Answer | PortalError | None]
"""What each command of a batch brought, by name; None where it was not run."""


class CallService:
    """Calls for callers. Each raises, beside what its own docstring says:
    InvalidInput: a method or a parameter that is none.
    MethodDenied: a method that the settings do not let through.
    AuthorizationRequired, NotFound: no portal is connected.
    PortalError: the portal refused or failed; OutcomeUnknown where a write may have been done.
    """

    def __init__(self, config: Config, connections: Connections) -> None:
        self._allow = [pattern.lower() for pattern in config.methods_allow]
        self._deny = [pattern.lower() for pattern in config.methods_deny]
        self._connections = connections

    async def call(self, account_key: str, method: str, params: Params) -> Answer:
        """The portal's answer to *method*."""
        if method.lower() == "batch":
            raise InvalidInput.of_parameter("method", "method", "is called as /bitrix/batch")
        command = self._command(method, params, "/method", "")
        account = await self._connections.require(account_key)
        return await self._connections.telling_stale(account, self._client(account).call(command))

    async def batch(
        self, account_key: str, asked: Sequence[tuple[str, str, Params]], *, halt: bool, pointers: Sequence[str]
    ) -> Outcomes:
        """What each of *asked* (name, method, parameters) brought, sent in order, up to 50 to a request.

        Commands may refer to the results of earlier ones in the same request, as ``$result[name]``. Requests that only
        read go side by side; those that write, one after another. *pointers* say where each command lies in the body.
        """
        commands = {
            name: self._command(method, params, f"{pointer}/method", f"{pointer}/params")
            for (name, method, params), pointer in zip(asked, pointers, strict=True)
        }
        chunks = list(_chunks(commands, pointers))
        account = await self._connections.require(account_key)
        client = self._client(account)
        return await self._connections.telling_stale(account, _run(client, chunks, halt))

    async def call3(self, account_key: str, method: str, body: Mapping[str, object], key: str | None) -> HttpAnswer:
        """The portal's answer to a REST 3.0 *method*, as it came.

        A write carries *key*, or one of ours: whoever does not learn its outcome can ask again with the same.
        """
        self._check(method, InvalidInput.of_parameter("method", "method", NO_METHOD))
        self._check_body3(body, "")
        return await self._send3(account_key, method, body, key, write=writes(method))

    async def batch3(self, account_key: str, calls: Sequence[Mapping[str, object]], key: str | None) -> HttpAnswer:
        """The portal's answer to a REST 3.0 batch, as it came. The first call that fails fails all of it."""
        for index, one in enumerate(calls):
            method, query = one.get("method"), one.get("query", {})
            if not isinstance(method, str):
                raise InvalidInput.of_field(f"/{index}/method", "invalid_value", "has to be a string")
            self._check(method, InvalidInput.of_field(f"/{index}/method", "method", NO_METHOD))
            if not isinstance(query, Mapping):
                raise InvalidInput.of_field(f"/{index}/query", "invalid_value", "has to be an object")
            self._check_body3(query, f"/{index}/query")
        write = any(writes(str(one["method"])) for one in calls)
        return await self._send3(account_key, "batch", calls, key, write=write)

    async def _send3(self, account_key: str, method: str, body: object, key: str | None, *, write: bool) -> HttpAnswer:
        if key is not None and not IDEMPOTENCY_KEY.fullmatch(key):
            raise InvalidInput.of_parameter(
                "Idempotency-Key", "invalid_value", "has to be 1 to 255 printable ASCII characters without spaces"
            )
        if key is None and write:
            key = secrets.token_urlsafe(24)
        account = await self._connections.require(account_key)
        client = self._client(account)
        return await self._connections.telling_stale(account, client.call3(method, body, write=write, key=key))

    def _client(self, account: Account) -> PortalClient:
        return self._connections.client(account)

    def _command(self, method: str, params: Params, method_pointer: str, params_pointer: str) -> Command:
        self._check(method, InvalidInput.of_field(method_pointer, "method", NO_METHOD))
        _check_parameters(params, params_pointer)
        return Command(method, params, write=writes(method))

    def _check(self, method: str, wrong: InvalidInput) -> None:
        name = method.lower()
        if not METHOD_NAME.fullmatch(method) or name.endswith(FORMATS):
            raise wrong
        allowed = not self._allow or any(fnmatchcase(name, pattern) for pattern in self._allow)
        if not allowed or any(fnmatchcase(name, pattern) for pattern in self._deny):
            raise MethodDenied(f"{method} is not let through by this gateway's settings")

    def _check_body3(self, body: Mapping[str, object], pointer: str) -> None:
        _check_parameters(body, pointer)
        if "filter" in body:
            check_filter(body["filter"], f"{pointer}/filter")


NO_METHOD = "has to be a method's name, like crm.deal.list"


def _check_parameters(params: Params, pointer: str) -> None:
    for name in params:
        if name.lower() in OWN_PARAMETERS:
            raise InvalidInput.of_field(f"{pointer}/{name}", "own_parameter", "is for the gateway to send")


def _chunks(commands: Mapping[str, Command], pointers: Sequence[str]) -> Iterator[dict[str, Command]]:
    """*commands* as they are sent, when all references lead to earlier ones of the same request.

    Raises:
        InvalidInput: a reference leads elsewhere.
    """
    names = list(commands)
    places = {name: index for index, name in enumerate(names)}
    for index, name in enumerate(names):
        for referred in _references(commands[name].params):
            place = places.get(referred)
            if place is None or place >= index:
                rule = f"refers to {referred!r}, which is no command before it"
            elif place // BATCH_COMMANDS != index // BATCH_COMMANDS:
                rule = f"refers to {referred!r}, which goes in another request: only {BATCH_COMMANDS} go in one"
            else:
                continue
            raise InvalidInput.of_field(f"{pointers[index]}/params", "reference", rule)
    for start in range(0, len(names), BATCH_COMMANDS):
        yield {name: commands[name] for name in names[start : start + BATCH_COMMANDS]}


def _references(value: object) -> Iterator[str]:
    """The names in the ``$result[name]`` of *value*'s texts, however deep they lie."""
    if isinstance(value, str):
        yield from REFERENCE.findall(value)
    elif isinstance(value, Mapping):
        for name, below in value.items():
            yield from _references(name)
            yield from _references(below)
    elif isinstance(value, list | tuple):
        for below in value:
            yield from _references(below)


async def _run(client: PortalClient, chunks: Sequence[dict[str, Command]], halt: bool) -> Outcomes:
    outcomes: Outcomes = dict.fromkeys(name for chunk in chunks for name in chunk)
    if halt or any(command.write for chunk in chunks for command in chunk.values()):
        for chunk in chunks:
            done = await client.batch_once(chunk, halt=halt)
            outcomes |= done
            if halt and any(isinstance(outcome, PortalError) for outcome in done.values()):
                break
    else:
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(_read(client, chunk)) for chunk in chunks]
        for one in running:
            outcomes |= one.result()
    return outcomes


async def _read(client: PortalClient, chunk: Mapping[str, Command]) -> dict[str, Answer | PortalError]:
    """A request that only reads: what fails in it may go again by itself, unless others build on it."""
    if any(True for command in chunk.values() for _ in _references(command.params)):
        return await client.batch_once(chunk, halt=False)
    return dict(zip(chunk, await client.batch(list(chunk.values())), strict=True))
