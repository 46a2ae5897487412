"""Finds or creates a record in one request, so that callers who come at once do not create it twice."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace

import orjson

from gateway.bitrix.errors import RecordNotFound
from gateway.bitrix.outcomes import unanswered
from gateway.crm.bodies import Written, journal_body, missing_fields, required_fields
from gateway.crm.claims import Claims
from gateway.crm.context import WriteContext
from gateway.crm.journaled import Served
from gateway.crm.matches import Match, find_matching
from gateway.crm.service import RecordService
from gateway.crm.writes import RecordWrites
from gateway.errors import GatewayError, InvalidInput, SeveralMatch
from gateway.fields.service import KnownFields
from gateway.mirror.resources import Resource, record_type
from storage.records import Account
from storage.write_journal import StoredAnswer, Write


@dataclass(frozen=True)
class Upsert:
    """A checked request: what is *written* to the record that *matches* find, in their order, or to a new one."""

    account: Account
    resource: Resource
    written: Written
    known: KnownFields
    matches: Sequence[Match]

    def keys(self, match: Match) -> list[str]:
        """What no two callers may search for or create at once."""
        place = (self.account.portal.portal_id, self.resource.name, match.name)
        return [orjson.dumps([*place, value]).decode() for value in match.values]

    @property
    def all_keys(self) -> list[str]:
        return [key for match in self.matches for key in self.keys(match)]

    def without(self, match: Match) -> Written:
        """What is written to a record that was found by *match*: its matched value stays as it is."""
        return Written(
            {name: value for name, value in self.written.values.items() if name != match.name},
            {name: wanted for name, wanted in self.written.multifields.items() if name != match.name},
        )


@dataclass(frozen=True)
class _Found:
    """A record, and the match that found it; None if it is the one that this request has created."""

    match: Match | None
    row_id: int


class UpsertService:
    """Carries out upserts."""

    def __init__(self, context: WriteContext, records: RecordService) -> None:
        self._context = context
        self._records = records
        self._claims = Claims(context.clock)

    async def upsert(self, upsert: Upsert, key: str | None) -> Served:
        """Create the record, 201 with its address, or change the one that is found, 200. Both with its JSON.

        *key* is the caller's Idempotency-Key, if any.

        Raises:
            SeveralMatch: several records match.
            PortalError: the portal refused or failed; OutcomeUnknown if the write may have been carried out.
            TooBusy: the portal's limits leave no room in time; nothing was written.
            IdempotencyKeyReused: the key has been used for another request.
        """

        async def work(write: Write) -> StoredAnswer:
            try:
                return await self._find_or_create(upsert, write)
            except RecordNotFound:  # it was deleted after it was found
                return await self._find_or_create(upsert, write)

        account, resource = upsert.account, upsert.resource
        body = [[match.name for match in upsert.matches], journal_body(upsert.written)]
        return await self._context.journaled.perform(account, key, "PUT", resource.name, body, str(uuid.uuid4()), work)

    async def _find_or_create(self, upsert: Upsert, write: Write) -> StoredAnswer:
        account, resource = upsert.account, upsert.resource
        writes = self._records.writes(account, resource, upsert.known)
        async with self._claims.hold(upsert.all_keys):
            wait_s = self._context.journaled.unsettled_s(account)
            found = await self._find(upsert, writes, write)
            if found is None and wait_s > 0:
                await self._context.clock.sleep(wait_s)
                wait_s = 0.0
                found = await self._find(upsert, writes, write)
            if wait_s <= 0:
                write = replace(write, is_new=True)  # an earlier attempt certainly does not go on
            if found is None:
                found = _Found(None, await self._create(upsert, write))
        if found.match is None:
            return await self._records.answer_created(account, resource, found.row_id)
        written = upsert.without(found.match)
        try:
            return await self._records.carry_out_change(account, resource, found.row_id, writes, written, write)
        except RecordNotFound:
            self._claims.remember(upsert.all_keys, None)
            raise

    async def _create(self, upsert: Upsert, write: Write) -> int:
        account, resource = upsert.account, upsert.resource
        required = required_fields(record_type(resource))
        if missing := missing_fields(upsert.written.values, upsert.known.fields, required):
            raise InvalidInput.of_errors(missing)
        row_id = await self._records.carry_out_create(account, resource, upsert.written, upsert.known, write)
        self._claims.remember(upsert.all_keys, row_id)
        return row_id

    async def _find(self, upsert: Upsert, writes: RecordWrites, write: Write) -> _Found | None:
        """The record that an earlier attempt of this *write* has created, or the first one that matches.

        Raises:
            OutcomeUnknown: there was an earlier attempt, and the portal cannot be asked what became of it.
        """
        try:
            async with self._context.directory.mark_stale_on_auth_failure(upsert.account):
                return await self._find_created(upsert, writes, write) or await self._find_matching(upsert, writes)
        except SeveralMatch:
            raise
        except GatewayError as error:
            if write.is_new:
                raise
            raise unanswered() from error

    async def _find_created(self, upsert: Upsert, writes: RecordWrites, write: Write) -> _Found | None:
        """The record that an earlier attempt has created. An origin of the caller may be that of an older record."""
        if write.is_new or not writes.origin_fields or writes.has_origin(upsert.written):
            return None
        created = await writes.find_created(writes.with_origin(upsert.written, write.origin))
        return None if created is None else _Found(None, created)

    async def _find_matching(self, upsert: Upsert, writes: RecordWrites) -> _Found | None:
        for match in upsert.matches:
            keys = upsert.keys(match)
            row_id = self._claims.found(keys)
            if row_id is None:
                row_id = await find_matching(writes, match)
            if row_id is not None:
                if len(keys) == 1:  # of several values, the record may lack some
                    self._claims.remember(keys, row_id)
                return _Found(match, row_id)
        return None
