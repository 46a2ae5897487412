"""Checks the stages and pipelines that callers write to records, because portals silently ignore wrong ones."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

from gateway.accounts.clients import PortalClients
from gateway.accounts.directory import AccountDirectory
from gateway.bitrix.errors import PortalError
from gateway.bitrix.lists.list_specs import Row
from gateway.bitrix.rows.records import decode_integer
from gateway.crm.bodies import Written
from gateway.crm.stages import NO_STAGES, find_stage, list_stages, show_choices, show_pipelines, stage_of, why_no_stages
from gateway.crm.writes import RecordWrites
from gateway.errors import InvalidInput, pointer_token
from gateway.mirror.names import NameService
from gateway.mirror.pipelines import PipelineDirectory, Pipelines
from gateway.mirror.resources import RecordType
from gateway.mirror.stage_directories import WITHOUT_PIPELINES, directory_of
from storage.records import Account

VALUE_NOT_VALID = "CRM_FIELD_ERROR_VALUE_NOT_VALID"  # Source: methods.md 5.4


class StageChecker:
    """Knows the stages and pipelines from the mirror, and asks the portal about others."""

    def __init__(
        self, names: NameService, pipelines: PipelineDirectory, directory: AccountDirectory, clients: PortalClients
    ) -> None:
        self._names = names
        self._pipelines = pipelines
        self._directory = directory
        self._clients = clients

    async def check(self, account: Account, writes: RecordWrites, written: Written, row_id: int | None) -> None:
        """Check the pipeline and the stage that are *written* to the record *row_id*, or to a new one (None).

        The stage of an item whose pipeline is not written is left to the portal, which refuses a wrong one, see
        `explained`.

        Raises:
            InvalidInput: the portal has no such pipeline, the stage is none of the record's pipeline, or it is written
                with another pipeline than that of a record whose pipeline an update leaves as it is.
            PortalError: the portal could not be asked.
        Source: methods.md 4.3 (b24restdocs api-reference/crm/deals/crm-deal-update.md)
        """
        record = writes.record
        if row_id is not None:
            _check_kept(record, written)
        wanted, stage = _pipeline_in(record, written), _stage_in(record, written)
        if wanted is not None:
            await self._check_pipeline(account, record.entity_type_id, wanted, _pointer(record.names.pipeline))
        if stage is None or (record.is_item and wanted is None):
            return
        async with self._directory.mark_stale_on_auth_failure(account):
            if row_id is None or record.is_item or record.names.pipeline is None:
                pipeline = wanted or 0
            else:
                pipeline = _pipeline_of(record, await writes.get(row_id)) or 0
                _check_same(record, row_id, pipeline, wanted)
            directory = directory_of(record.entity_type_id, pipeline)
            if stage not in (await self._names.load(account)).directories.get(directory, {}):
                await self._check_stage(account, record, pipeline, stage)

    @asynccontextmanager
    async def explained(
        self, account: Account, writes: RecordWrites, written: Written, row_id: int | None
    ) -> AsyncIterator[None]:
        """If the portal refuses a value of an item in the block, find out whether it is the pipeline or the stage.

        Raises:
            InvalidInput: it is one of them.
            PortalError: as the block does, if it is neither, or the portal cannot be asked.
        Source: methods.md 5.4, 5.5 (b24restdocs api-reference/crm/universal/crm-item-update.md)
        """
        try:
            yield
        except PortalError as error:
            record = writes.record
            wanted, stage = _pipeline_in(record, written), _stage_in(record, written)
            if record.is_item and error.portal_code == VALUE_NOT_VALID and (wanted is not None or stage is not None):
                with suppress(PortalError):  # the first error then says enough
                    await self._explain(account, writes, wanted, stage, row_id)
            raise

    async def moved_values(
        self, account: Account, record: RecordType, item: Row, stage: str | None, pipeline: int | None
    ) -> dict[str, object]:
        """What crm.item.update gets to move *item* to a *stage*, given by its id or name, of its *pipeline* or another.

        Without a stage, it is the first one of the pipeline.

        Raises:
            InvalidInput: the records have no pipelines or stages, or none with this id or name; or several of the name.
            PortalError: the pipelines and stages could not be read.
        """
        type_id = record.entity_type_id
        if record.names.stage is None:
            raise InvalidInput.of_field("/stage", "invalid_value", NO_STAGES)
        if pipeline is not None:
            if type_id in WITHOUT_PIPELINES:
                raise InvalidInput.of_field("/pipeline", "invalid_value", "records of this type have no pipelines")
            await self._check_pipeline(account, type_id, pipeline, "/pipeline")
        current = item.get("categoryId")
        target = pipeline if pipeline is not None else current if isinstance(current, int) else 0
        stages = await list_stages(self._clients.client(account), type_id, target)
        if not stages:
            if pipeline is not None:  # the portal may have deleted it after it was mirrored
                _check_among(await self._pipelines.read(account, type_id), pipeline, "/pipeline")
            rule = await self._why_no_stages(account, type_id, target)
            raise InvalidInput.of_field("/stage", "invalid_value", rule)
        values: dict[str, object] = {} if pipeline is None else {"categoryId": pipeline}
        return values | {"stageId": find_stage(stages, stage, type_id)}

    async def _explain(
        self, account: Account, writes: RecordWrites, wanted: int | None, stage: str | None, row_id: int | None
    ) -> None:
        record = writes.record
        pipelines = await self._pipelines.read(account, record.entity_type_id)
        if wanted is not None:
            _check_among(pipelines, wanted, _pointer(record.names.pipeline))
            current: int | None = wanted
        else:
            current = pipelines.default if row_id is None else _pipeline_of(record, await writes.get(row_id))
        if stage is not None and current is not None:
            await self._check_stage(account, record, current, stage)

    async def _check_pipeline(self, account: Account, entity_type_id: int, pipeline: int, pointer: str) -> None:
        if not await self._pipelines.knows(account, entity_type_id, pipeline):
            _check_among(await self._pipelines.read(account, entity_type_id), pipeline, pointer)

    async def _check_stage(self, account: Account, record: RecordType, pipeline: int, stage: str) -> None:
        """Check a stage against those that the portal has now in a *pipeline*."""
        stages = await list_stages(self._clients.client(account), record.entity_type_id, pipeline)
        if stage in [stage_id for stage_id, _ in stages]:
            return
        if stages:
            rule = f"must be the id of a {stage_of(record.entity_type_id)}: {show_choices(stages)}"
        else:
            rule = await self._why_no_stages(account, record.entity_type_id, pipeline)
        raise InvalidInput.of_field(_pointer(record.names.stage), "invalid_value", rule)

    async def _why_no_stages(self, account: Account, entity_type_id: int, pipeline: int) -> str:
        if entity_type_id in WITHOUT_PIPELINES:
            return NO_STAGES
        return why_no_stages(pipeline, await self._pipelines.read(account, entity_type_id))


def _check_kept(record: RecordType, written: Written) -> None:
    """Portals move a record without a pipeline or stage to the first one, or leave it without any, or ignore it."""
    for name in (record.names.pipeline, record.names.stage):
        if name in written.values and written.values[name] in (None, ""):
            raise InvalidInput.of_field(_pointer(name), "invalid_value", "must not be empty: it cannot be cleared")


def _check_same(record: RecordType, row_id: int, pipeline: int, wanted: int | None) -> None:
    """Deals alone keep their *pipeline* in an update. Source: methods.md 4.3, 5.5"""
    if wanted not in (None, pipeline):
        rule = f"must be {pipeline}, the pipeline of the deal {row_id} that was found, if a stage is written"
        moves = f"`PUT /bitrix/deals/{row_id}/stage` moves it to another pipeline"
        raise InvalidInput.of_field(_pointer(record.names.pipeline), "invalid_value", f"{rule}; {moves}")


def _pipeline_in(record: RecordType, written: Written) -> int | None:
    """The pipeline that is written; None if none is."""
    return _pipeline_of(record, written.values)


def _pipeline_of(record: RecordType, values: Mapping[str, object]) -> int | None:
    value = None if record.names.pipeline is None else values.get(record.names.pipeline)
    return value if type(value) is int else decode_integer(value)  # that a caller sends may have any size


def _stage_in(record: RecordType, written: Written) -> str | None:
    """The stage that is written; None if none is."""
    return None if record.names.stage is None else written.values.get(record.names.stage) or None


def _check_among(pipelines: Pipelines, pipeline: int, pointer: str) -> None:
    if pipeline not in pipelines.names:
        rule = f"must be the id of a pipeline: {show_pipelines(pipelines)}"
        raise InvalidInput.of_field(pointer, "invalid_value", rule)


def _pointer(name: str | None) -> str:
    return f"/{pointer_token(name or '')}"
