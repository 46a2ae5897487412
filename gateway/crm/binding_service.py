"""Lists, adds and removes bindings for callers: each change carried out once, and shown in the mirror."""

from collections.abc import Mapping
from dataclasses import asdict

import orjson

from gateway.crm.bindings import Binding, Bindings, BindingType, WantedBinding
from gateway.crm.context import WriteContext
from gateway.crm.journaled import Served
from storage.records import Account
from storage.write_journal import StoredAnswer, Write


class BindingService:
    """Reads and changes the bindings of records. All methods raise:
    PortalError: the portal refused or failed; OutcomeUnknown if a change may have been carried out.
    TooBusy: the portal's limits leave no room in time; nothing was sent.

    `add` and `remove` take the caller's Idempotency-Key, if any, and raise besides:
    IdempotencyKeyReused: the key has been used for another request.
    """

    def __init__(self, context: WriteContext) -> None:
        self._context = context

    async def list(self, account: Account, kind: BindingType, owner_id: int) -> list[dict[str, object]]:
        """The JSON of the bindings of a record, in the portal's order."""
        async with self._context.directory.mark_stale_on_auth_failure(account):
            bindings = await self._bindings(account, kind, owner_id).read()
        return [_json(binding) for binding in bindings.values()]

    async def add(
        self, account: Account, kind: BindingType, owner_id: int, wanted: WantedBinding, key: str | None
    ) -> Served:
        """Bind a record: 201 with the JSON of the binding, or 200 if it was bound before."""

        async def work(write: Write) -> StoredAnswer:
            bindings = self._bindings(account, kind, owner_id)
            was_bound = False

            async def send() -> bool:
                nonlocal was_bound
                bound = await bindings.read()
                was_bound = wanted.record_id in bound
                if not was_bound:
                    await bindings.check_exists(wanted.record_id)
                    await bindings.add(wanted)
                elif not wanted.is_met_by(bound[wanted.record_id]):
                    await bindings.change(bound, wanted)
                return True

            async def look_up() -> bool | None:
                return wanted.is_met_by((await bindings.read()).get(wanted.record_id)) or None

            await self._context.journaled.carry_out(account, write, send, look_up)
            await self._refresh(account, kind, owner_id, wanted.record_id)
            body = await self._shown(bindings, wanted.record_id)
            return StoredAnswer(200 if was_bound else 201, None, orjson.dumps(body))

        body = asdict(wanted)
        return await self._context.journaled.perform(account, key, "POST", _target(kind, owner_id), body, "", work)

    async def remove(
        self, account: Account, kind: BindingType, owner_id: int, record_id: int, key: str | None
    ) -> Served:
        """Remove the binding to a record, which must exist: 204, also if there is none."""

        async def work(write: Write) -> StoredAnswer:
            bindings = self._bindings(account, kind, owner_id)

            async def send() -> bool:
                if record_id in await bindings.read():
                    await bindings.remove(record_id)
                else:
                    await bindings.check_exists(record_id)
                return True

            async def look_up() -> bool | None:
                return record_id not in await bindings.read() or None

            await self._context.journaled.carry_out(account, write, send, look_up)
            await self._refresh(account, kind, owner_id, record_id)
            return StoredAnswer(204)

        target = f"{_target(kind, owner_id)}/{record_id}"
        return await self._context.journaled.perform(account, key, "DELETE", target, None, "", work)

    def _bindings(self, account: Account, kind: BindingType, owner_id: int) -> Bindings:
        return Bindings(self._context.call(account), kind, owner_id)

    async def _refresh(self, account: Account, kind: BindingType, owner_id: int, record_id: int) -> None:
        await self._context.mirror.refresh(account, kind.owner, owner_id)
        if kind.mutual:
            await self._context.mirror.refresh(account, kind.bound, record_id)

    async def _shown(self, bindings: Bindings, record_id: int) -> Mapping[str, object]:
        """The JSON of a binding that was written; its id alone if it cannot be read."""
        found = await self._context.mirror.attempt(bindings.read(), bindings.kind.owner, bindings.owner_id)
        return _json(found[record_id]) if found and record_id in found else {"id": record_id}


def _json(binding: Binding) -> dict[str, object]:
    return {"id": binding.record_id, "primary": binding.primary, "sort": binding.sort}


def _target(kind: BindingType, owner_id: int) -> str:
    return f"{kind.owner.name}/{owner_id}/{kind.bound.name}"
