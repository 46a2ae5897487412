"""Checks the stages that callers write to records, because portals silently keep the old one instead of a wrong one."""

from gateway.accounts.clients import PortalClients
from gateway.accounts.directory import AccountDirectory
from gateway.bitrix.rows.records import decode_integer
from gateway.crm.bodies import Written
from gateway.crm.stages import list_stages, show_choices
from gateway.crm.writes import RecordWrites
from gateway.errors import InvalidInput, pointer_token
from gateway.mirror.names import NameService
from gateway.mirror.stage_directories import directory_of
from storage.records import Account


class StageChecker:
    """Knows the stages from the mirror, and asks the portal about others."""

    def __init__(self, names: NameService, directory: AccountDirectory, clients: PortalClients) -> None:
        self._names = names
        self._directory = directory
        self._clients = clients

    async def check(self, account: Account, writes: RecordWrites, written: Written, row_id: int | None) -> None:
        """Check the stage of what is *written* to the record *row_id*, or to a new one (None).

        Items need no check: the portal itself refuses their wrong stages.

        Raises:
            InvalidInput: the stage is none of the record's pipeline.
            PortalError: the portal could not be asked.
        Source: methods.md 4.3 (b24restdocs api-reference/crm/deals/crm-deal-update.md)
        """
        record = writes.record
        name = record.names.stage
        stage = None if name is None or record.is_item else written.values.get(name)
        if name is None or not stage:
            return
        async with self._directory.mark_stale_on_auth_failure(account):
            pipeline = await self._pipeline(writes, written, row_id)
            directory = directory_of(record.entity_type_id, pipeline)
            if stage in (await self._names.load(account)).directories.get(directory, {}):
                return
            stages = await list_stages(self._clients.client(account), record.entity_type_id, pipeline)
        if stage in [stage_id for stage_id, _ in stages]:
            return
        rule = f"must be the id of a stage of the record's pipeline: {show_choices(stages)}"
        raise InvalidInput.of_field(f"/{pointer_token(name)}", "invalid_value", rule)

    async def _pipeline(self, writes: RecordWrites, written: Written, row_id: int | None) -> int:
        """The pipeline of the record; 0 if it has none."""
        name = writes.record.names.pipeline
        if name is None:
            return 0
        row = written.values if row_id is None else await writes.get(row_id)
        return max(decode_integer(row.get(name)) or 0, 0)  # a negative one becomes 0. Source: methods.md 4.3
