"""The addresses of contacts and companies: shown, created, changed and deleted for callers."""

import logging
import uuid
from asyncio import Lock
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from weakref import WeakValueDictionary

from gateway.bitrix.errors import OutcomeUnknown, PortalBroken
from gateway.bitrix.protocol.json_body import encode_json
from gateway.crm.address_bodies import AddressTypes, check_address, check_type
from gateway.crm.address_calls import AddressCalls, AddressKey, has_values, own_addresses
from gateway.crm.address_choice import choose_address, choose_requisite, shown
from gateway.crm.context import WriteContext
from gateway.crm.journaled import Served
from gateway.errors import GatewayError, StateConflict
from gateway.fields.service import KnownFields
from gateway.mirror.field_access import FieldAccess, with_known_fields
from gateway.mirror.resources import Resource
from storage.records import Account
from storage.write_journal import StoredAnswer, Write

logger = logging.getLogger(__name__)


class AddressService:
    """Reads and writes addresses. All methods raise PortalError; the writes raise besides what those of `RecordService`
    do, and
    InvalidInput: the type is unknown, or a name or value is wrong.
    NotFound: the requisite or the address does not exist; RecordNotFound if the record does not.
    StateConflict: several requisites, or their addresses, may be meant.

    The writes for one record are carried out one after another, so that two of them do not add two requisites.
    """

    def __init__(self, context: WriteContext) -> None:
        self._context = context
        self._locks: WeakValueDictionary[tuple[int, str, int], Lock] = WeakValueDictionary()

    async def show(self, account: Account, resource: Resource, row_id: int) -> list[dict[str, Any]]:
        """The addresses of all requisites of a record; if there are none, those in its own fields."""
        calls = self._calls(account, resource, row_id)
        async with self._context.directory.mark_stale_on_auth_failure(account):
            types, record = await calls.types_and_record()
            rows = await calls.addresses()
        if rows:
            return [shown(row, types) for row in rows]
        own = {"requisite": None, "source": "record"}
        return [{"type": types.name_of(type_id), **own, **row} for type_id, row in own_addresses(record).items()]

    async def create(
        self,
        account: Account,
        resource: Resource,
        row_id: int,
        body: Mapping[str, object],
        access: FieldAccess,
        key: str | None,
        *,
        requisite: int | None,
    ) -> Served:
        """Create an address of a requisite, by default the only one: 201 with its JSON. If there is none, it is added.

        Raises:
            StateConflict: besides, the address exists, or the portal has no preset for a new requisite.
        """

        async def work(write: Write) -> StoredAnswer:
            async with self._alone(account, resource, row_id) as calls:
                async with self._context.directory.mark_stale_on_auth_failure(account):
                    types = await calls.types()
                    type_id, values = await self._check(body, None, types, access)
                    requisites, rows = await calls.requisites_and_addresses()
                    requisite_id = await choose_requisite(calls, requisites, requisite)
                if requisite_id is None:
                    requisite_id = await self._add_requisite(account, calls, write)
                address = AddressKey(type_id, requisite_id)
                if write.is_new and any(AddressKey.of(row) == address for row in rows):
                    name = types.name_of(type_id)
                    rule = f"the requisite {requisite_id} has an address of the type {name}: change that one"
                    raise StateConflict(rule, code="address_exists")
                await self._add(account, calls, write, address, values)
                return await self._answer(account, resource, calls, types, address, status=201)

        origin, sent = str(uuid.uuid4()), [requisite, body]
        return await self._context.journaled.perform(
            account, key, "POST", _target(resource, row_id), sent, origin, work
        )

    async def change(
        self,
        account: Account,
        resource: Resource,
        row_id: int,
        named: str,
        body: Mapping[str, object],
        access: FieldAccess,
        key: str | None,
        *,
        requisite: int | None,
    ) -> Served:
        """Change the address of the type *named*: 200 with its JSON."""

        async def work(write: Write) -> StoredAnswer:
            async with self._alone(account, resource, row_id) as calls:
                async with self._context.directory.mark_stale_on_auth_failure(account):
                    types = await calls.types()
                    type_id, values = await self._check(body, named, types, access)
                    address = await choose_address(calls, await calls.addresses(), type_id, requisite, types)

                async def send() -> bool:
                    await calls.write("update", address, values)
                    return True

                async def look_up() -> bool | None:
                    row = await calls.find(address)
                    return (row is not None and has_values(row, values)) or None

                await self._context.journaled.carry_out(account, write, send, look_up)
                return await self._answer(account, resource, calls, types, address, status=200)

        target = f"{_target(resource, row_id)}/{named}"
        return await self._context.journaled.perform(account, key, "PATCH", target, [requisite, body], "", work)

    async def delete(
        self, account: Account, resource: Resource, row_id: int, named: str, key: str | None, *, requisite: int | None
    ) -> Served:
        """Delete the address of the type *named*: 204."""

        async def work(write: Write) -> StoredAnswer:
            async with self._alone(account, resource, row_id) as calls:
                async with self._context.directory.mark_stale_on_auth_failure(account):
                    types = await calls.types()
                    type_id = check_type(named, types)
                    rows, address = await calls.addresses(), None
                    is_gone = not any(AddressKey.of(row).type_id == type_id for row in rows)
                    if write.is_new or not is_gone:  # an earlier request with this key may have deleted it
                        address = await choose_address(calls, rows, type_id, requisite, types)
                if address is not None:
                    await self._delete(account, calls, write, address)
                await self._context.mirror.read_back(account, resource, row_id)
                return StoredAnswer(204)

        target = f"{_target(resource, row_id)}/{named}"
        return await self._context.journaled.perform(account, key, "DELETE", target, [requisite], "", work)

    async def _check(
        self,
        body: Mapping[str, object],
        named: str | None,
        types: AddressTypes,
        access: FieldAccess,
    ) -> tuple[int, dict[str, Any]]:
        async def check(known: KnownFields) -> tuple[int, dict[str, Any]]:
            return check_address(body, named, types, known.fields)

        return await with_known_fields(access, self._context.clock, check)

    async def _add_requisite(self, account: Account, calls: AddressCalls, write: Write) -> int:
        async with self._context.directory.mark_stale_on_auth_failure(account):
            preset = await calls.first_preset()

        async def send() -> int:
            return await calls.add_requisite(preset, write.origin)

        async def look_up() -> int | None:
            return await calls.find_requisite(write.origin)

        return await self._context.journaled.carry_out(account, write, send, look_up)

    async def _add(
        self, account: Account, calls: AddressCalls, write: Write, address: AddressKey, values: Mapping[str, Any]
    ) -> None:
        async def send() -> bool:
            await calls.write("add", address, values)
            return True

        async def look_up() -> bool | None:
            row = await calls.find(address)
            if row is not None and not has_values(row, values):
                raise OutcomeUnknown(PortalBroken("the address exists, and has other values"))
            return None if row is None else True

        await self._context.journaled.carry_out(account, write, send, look_up)

    async def _delete(self, account: Account, calls: AddressCalls, write: Write, address: AddressKey) -> None:
        async def send() -> bool:
            await calls.write("delete", address, {})
            return True

        async def look_up() -> bool | None:
            return (await calls.find(address) is None) or None

        await self._context.journaled.carry_out(account, write, send, look_up)

    async def _answer(
        self,
        account: Account,
        resource: Resource,
        calls: AddressCalls,
        types: AddressTypes,
        address: AddressKey,
        *,
        status: int,
    ) -> StoredAnswer:
        """The answer with the address that was written, as the portal has it; its key alone if it cannot be read."""
        body = encode_json(shown(address.fields, types), "an address is")
        try:
            row = await calls.find(address)
            if row is not None:
                body = encode_json(shown(row, types), "an address is")
        except GatewayError as error:
            reason = {"id": calls.row_id, "reason": str(error)}
            logger.warning("an address was written, but could not be read back", extra=reason)
        await self._context.mirror.read_back(account, resource, calls.row_id)
        return StoredAnswer(status, None, body)

    @asynccontextmanager
    async def _alone(self, account: Account, resource: Resource, row_id: int) -> AsyncIterator[AddressCalls]:
        """The calls for one record of a portal, while nobody else writes addresses of it."""
        place = (account.portal.portal_id, resource.name, row_id)
        lock = self._locks.get(place)
        if lock is None:
            lock = self._locks[place] = Lock()
        async with lock:
            yield self._calls(account, resource, row_id)

    def _calls(self, account: Account, resource: Resource, row_id: int) -> AddressCalls:
        call = self._context.call(account)
        return AddressCalls(self._context.clients.client(account), call, resource, row_id)


def _target(resource: Resource, row_id: int) -> str:
    return f"{resource.name}/{row_id}/addresses"
